"""Checkpoints: resuming equals not having stopped, and whatever kills the program leaves a whole one behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from engine.errors import CheckpointError, OutputError
from engine.training import checkpoint as module
from engine.training.checkpoint import TrainingState, checkpoints, load_latest, save_checkpoint

REPOSITORY = Path(__file__).parents[3]


def state(step: int = 3, **changes) -> TrainingState:
    tensors = {"fields.table": torch.arange(8.0), "light": torch.ones(2, 7), "count": torch.tensor(step)}
    return TrainingState(**{"step": step, "tensors": tensors, "facts": {"subjects": ["a"]}, **changes})


class Problem:
    """A small fit with Adam, two parameter groups and noise from a generator that lives on."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(3, 2)
        self.generator = torch.Generator().manual_seed(1)
        groups = [{"params": [self.model.weight], "lr": 1e-2, "weight_decay": 1e-4}, {"params": [self.model.bias]}]
        self.optimiser = torch.optim.Adam(groups, lr=1e-3, betas=(0.9, 0.99), eps=1e-15)
        self.step = 0

    def train(self, until: int) -> None:
        while self.step < until:
            points = torch.randn(16, 3, generator=self.generator)
            # a frozen parameter has no gradient and no moments, as in a stage of training
            self.model.bias.requires_grad_(self.step >= 4)
            self.optimiser.zero_grad(set_to_none=True)
            (self.model(points) - points[:, :2].sin()).square().mean().backward()
            self.optimiser.step()
            self.step += 1

    def save(self, folder: Path) -> None:
        tensors = dict(self.model.state_dict())
        random = {"noise": self.generator.get_state()}
        save_checkpoint(folder, TrainingState(self.step, tensors, self.optimiser.state_dict(), random))

    def load(self, folder: Path) -> None:
        found = load_latest(folder)
        self.model.load_state_dict(found.tensors)
        self.optimiser.load_state_dict(found.optimiser)
        self.generator.set_state(found.generators["noise"])
        self.step = found.step


@pytest.mark.parametrize("stop", [2, 4, 7])
def test_resuming_equals_not_stopping(tmp_path, stop):
    torch.manual_seed(0)
    straight = Problem()
    torch.manual_seed(0)
    first = Problem()
    straight.train(9)
    first.train(stop)
    first.save(tmp_path)
    torch.manual_seed(99)
    second = Problem()
    second.load(tmp_path)
    second.train(9)
    for one, other in zip(straight.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert straight.optimiser.state_dict()["param_groups"] == second.optimiser.state_dict()["param_groups"]


def test_everything_is_read_back(tmp_path):
    assert load_latest(tmp_path / "nowhere") is None and load_latest(tmp_path) is None
    path = save_checkpoint(tmp_path, state(12, generators={"g": torch.Generator().get_state()}))
    assert path.name == "step-000012"
    found = load_latest(tmp_path)
    assert found.step == 12 and found.facts == {"subjects": ["a"]} and found.optimiser == {}
    for name, value in state(12).tensors.items():
        assert torch.equal(found.tensors[name], value) and found.tensors[name].dtype == value.dtype
    assert found.generators["g"].dtype == torch.uint8


def test_the_last_two_are_kept(tmp_path):
    for step in (1, 2, 10, 10):
        save_checkpoint(tmp_path, state(step))
    assert [path.name for path in checkpoints(tmp_path)] == ["step-000010", "step-000010-2"]
    save_checkpoint(tmp_path, state(4))  # after starting anew from an older one
    assert (tmp_path / "step-000004").is_dir()


def test_a_damaged_checkpoint_is_passed_over(tmp_path, caplog):
    save_checkpoint(tmp_path, state(1))
    newest = save_checkpoint(tmp_path, state(2))
    (newest / "tensors.safetensors").write_bytes((newest / "tensors.safetensors").read_bytes()[:-8])
    assert load_latest(tmp_path).step == 1
    assert "step-000002" in caplog.text and "trying the one before" in caplog.text
    (tmp_path / "step-000001" / "state.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"step-000002/tensors\.safetensors cannot be read"):
        load_latest(tmp_path)


def test_missing_tensors_and_nan_are_named(tmp_path):
    path = save_checkpoint(tmp_path, state())
    values = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps(values | {"tensors": [*values["tensors"], "tensor.beta"]}))
    with pytest.raises(CheckpointError) as error:
        load_latest(tmp_path)
    assert str(error.value) == f"checkpoint {path} lacks tensor.beta: delete it to go on from the one before"
    (path / "state.json").write_text(json.dumps(values | {"schema_version": 9}))
    with pytest.raises(CheckpointError, match="has schema 9, newer than this version reads: update PALM Hands"):
        load_latest(tmp_path)
    path = save_checkpoint(tmp_path, state(5, tensors={"light": torch.tensor([1.0, torch.nan])}))
    with pytest.raises(CheckpointError) as error:
        load_latest(tmp_path)
    assert str(error.value) == (
        f"checkpoint {path} holds NaN or infinite numbers in light: delete it to go on from the one before"
    )


@pytest.mark.parametrize("changes", [{"numbers": {"x": {}}}, {"numbers": 3}, {"groups": [1]}, {"groups": 1}], ids=str)
def test_an_optimisers_state_that_is_none_is_refused(tmp_path, changes):
    path = save_checkpoint(tmp_path, state())
    values = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps(values | {"optimiser": values["optimiser"] | changes}))
    with pytest.raises(CheckpointError, match=r"optimiser.*delete it"):
        load_latest(tmp_path)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, state(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_tensors", full)
    with pytest.raises(OutputError, match="No space left on device"):
        save_checkpoint(tmp_path, state(2))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


WRITER = """
import sys, torch
from engine.training.checkpoint import TrainingState, save_checkpoint
step = 0
while True:
    step += 1
    tensors = {f"t{k}": torch.full((200_000,), float(step)) for k in range(10)}
    save_checkpoint(sys.argv[1], TrainingState(step, tensors))
    print(step, flush=True)
"""


def test_a_killed_writer_leaves_a_whole_checkpoint(tmp_path):
    """SIGKILL at arbitrary moments of writing without end."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as writer:
        for _ in range(3):
            reached = int(writer.stdout.readline())
        time.sleep(0.013)
        writer.send_signal(signal.SIGKILL)
    found = load_latest(tmp_path)
    assert found.step >= reached
    assert all((value == found.step).all() for value in found.tensors.values())
    save_checkpoint(tmp_path, state(1000))
    assert not list(tmp_path.glob(".step-*"))
