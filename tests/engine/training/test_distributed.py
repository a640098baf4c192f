"""Two processes under torchrun give the gradients of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.errors import InputError
from engine.training.distributed import (
    LostProcess,
    Processes,
    anyone,
    explained,
    joined_processes,
    same_everywhere,
    sum_gradients,
    sum_scalars,
)
from engine.training.optimiser import part_of

WORKER = Path(__file__).with_name("gradient_worker.py")
ROOT = Path(__file__).parents[3]


def run_worker(data: Path, step: int, output: Path, processes: int) -> dict:
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*launcher, str(WORKER), str(data), str(step), str(output)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(output, weights_only=True)


@pytest.mark.slow
def test_two_processes_give_the_gradients_of_one(toy_folder, tmp_path):
    everything_on = 5
    one = run_worker(toy_folder, everything_on, tmp_path / "one.pt", 1)
    two = run_worker(toy_folder, everything_on, tmp_path / "two.pt", 2)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert set(one["gradients"]) == set(two["gradients"]) and len(one["gradients"]) > 10
    assert float(one["gradients"]["geometry.encoding.table"].abs().max()) > 0
    largest = {part_of(name): 0.0 for name in one["gradients"]}
    for name, expected in one["gradients"].items():
        largest[part_of(name)] = max(largest[part_of(name)], float(expected.abs().max()))
    for name, expected in one["gradients"].items():
        # a bias is the small rest of large sums: its round-off is that of its part
        allowed = 1e-5 * float(expected.abs().max()) + 1e-6 * largest[part_of(name)]
        torch.testing.assert_close(two["gradients"][name], expected, rtol=1e-4, atol=allowed + 1e-12, msg=name)
    assert two["terms"] == pytest.approx(one["terms"], rel=1e-4)


def test_alone_nothing_is_added():
    alone = Processes()
    parameter = torch.zeros(3, requires_grad=True)
    parameter.grad = torch.ones(3)
    sum_gradients([parameter], alone)
    assert parameter.grad.tolist() == [1, 1, 1]
    assert sum_scalars({"a": 2.0}, alone) == {"a": 2.0}
    assert anyone(True, alone) and not anyone(False, alone)
    assert alone.leads
    same_everywhere([parameter], alone)
    assert parameter.tolist() == [0, 0, 0]


def test_a_peer_that_is_gone_is_one_line():
    with pytest.raises(LostProcess, match="another of the processes has ended") as error, explained():
        raise RuntimeError("[pair.cc:553] Connection closed by peer\nmore")
    assert "\n" not in str(error.value)


def test_shares_cover_the_batch_without_overlap():
    items = list("abcdefg")
    shares = [Processes(rank, 3).share(items) for rank in range(3)]
    assert sorted(pair for share in shares for pair in share) == list(enumerate(items))
    assert max(map(len, shares)) - min(map(len, shares)) == 1


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_processes(torch.device("cpu")) as processes:
        assert processes == Processes()


def test_a_broken_launch_is_explained(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with (
        pytest.raises(InputError, match=r"cannot join the other processes.*torchrun"),
        joined_processes(torch.device("cpu")),
    ):
        pass
