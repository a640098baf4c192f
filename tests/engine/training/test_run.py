"""A prior's training on a tiny set: every stage moves what it should, resuming gives the same, a cancel keeps the work."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from engine.errors import Cancelled, CheckpointError
from engine.progress import silent
from engine.training import run as module
from engine.training.energy import term_names
from engine.training.job import restore, to_state
from engine.training.metrics_file import MetricsFile
from engine.training.optimiser import part_of
from engine.training.run import (
    Run,
    Setting,
    TrainingError,
    new_run,
    pretrain,
    render_frames,
    train,
    train_step,
    validate,
)
from engine.training.schedules import stage_at


@pytest.fixture(scope="module")
def pretrained(setting: Setting):
    run = new_run(setting)
    error = pretrain(setting, run, silent)
    return to_state(run, {}), error


def start(setting: Setting, state) -> Run:
    run = new_run(setting)
    # Adam's state of the pre-training is not part of a run
    fields = {name.removeprefix("fields."): value.clone() for name, value in state.tensors.items() if name != "light"}
    run.fields.load_state_dict(fields)
    return run


def test_pretraining_moves_the_surface_towards_the_hand(setting, pretrained):
    _, error = pretrained
    assert error < 0.03  # metres, after 30 steps; what long pre-training reaches is measured elsewhere


def test_each_stage_trains_its_parts(setting, pretrained):
    run = start(setting, pretrained[0])
    seen = []
    for _ in range(setting.config.schedule.total_steps):
        before = {name: value.detach().clone() for name, value in run.fields.named_parameters()}
        light = run.light.detach().clone()
        terms = train_step(setting, run)
        assert all(torch.isfinite(torch.tensor(list(terms.values()))))
        moved = {part_of(n) for n, value in run.fields.named_parameters() if not torch.equal(value, before[n])}
        stage = stage_at(run.step - 1, setting.config.schedule)
        assert set(terms) == {*term_names(setting.config, stage), "gradient_norm"}
        seen.append((moved, not torch.equal(light, run.light), set(terms)))
    frozen, joint, physical = seen[0], seen[2], seen[4]
    assert frozen[0] == {"radiance", "density", "appearance_code"} and not frozen[1]
    assert {"geometry", "pose_encoder", "shape_code"} <= joint[0] and "material" not in joint[0] and not joint[1]
    assert "material" in physical[0] and physical[1]
    assert "curvature" not in frozen[2] and "curvature" in joint[2] and "physical" in physical[2]


def test_resuming_gives_what_an_uninterrupted_run_gives(setting, pretrained):
    whole, first = start(setting, pretrained[0]), start(setting, pretrained[0])
    rows = [train_step(setting, whole) for _ in range(6)]
    for _ in range(3):
        train_step(setting, first)
    second = new_run(setting)
    restore(second, to_state(first, {}))
    assert second.step == 3
    again = [train_step(setting, second) for _ in range(3)]
    assert again == rows[3:]
    for (name, a), b in zip(whole.fields.named_parameters(), second.fields.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert torch.equal(whole.light, second.light)


def test_moments_of_another_size_are_refused(setting, pretrained):
    run = start(setting, pretrained[0])
    train_step(setting, run)
    state = to_state(run, {})
    state.optimiser["state"][max(state.optimiser["state"])]["exp_avg"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match="moments are of another size"):
        restore(new_run(setting), state)


def test_a_cancel_saves_first_and_says_how_to_go_on(setting, pretrained, tmp_path):
    run, saved = start(setting, pretrained[0]), []

    def cancel_soon(fraction, message="", preview=None):
        if run.step == 2:
            raise Cancelled

    with pytest.raises(Cancelled, match=r"after step 2 of 8, which is saved: go on with --resume"):
        train(setting, run, tmp_path, lambda: saved.append(run.step), cancel_soon)
    assert saved == [2]


def test_a_run_stopped_after_its_last_step_still_has_its_metrics(setting, pretrained, tmp_path):
    run = start(setting, pretrained[0])
    run.step = setting.config.schedule.total_steps
    found = train(setting, run, tmp_path, lambda: None, silent)
    assert found == validate(setting, run, silent)


def test_an_error_between_checkpoints_loses_no_step(setting, pretrained, tmp_path, monkeypatch):
    run, saved = start(setting, pretrained[0]), []

    def full(*_):
        if run.step == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(MetricsFile, "write", full)
    with pytest.raises(OSError, match="No space left"):
        train(setting, run, tmp_path, lambda: saved.append(run.step), silent)
    assert saved == [3]


def test_a_step_without_finite_gradients_moves_nothing_and_many_end_the_run(setting, pretrained, tmp_path, monkeypatch):
    run = start(setting, pretrained[0])
    before = {name: value.detach().clone() for name, value in run.fields.named_parameters()}
    whole = module.step_energy

    def broken(*given):
        energy = whole(*given)
        return energy._replace(total=energy.total * torch.nan)

    monkeypatch.setattr(module, "step_energy", broken)
    monkeypatch.setattr(module, "UNSOUND_STEPS", 2)
    with pytest.raises(TrainingError, match=r"the last 2 steps before step 2 had gradients that are no numbers"):
        train(setting, run, tmp_path, lambda: None, silent)
    assert all(torch.equal(value, before[name]) for name, value in run.fields.named_parameters())


def test_training_writes_metrics_previews_and_checkpoints(setting, pretrained, tmp_path):
    (tmp_path / "previews").mkdir()
    run, saved, previews = start(setting, pretrained[0]), [], []

    def note(fraction, message="", preview=None):
        previews.append(preview)

    found = train(setting, run, tmp_path, lambda: saved.append(run.step), note)
    assert saved == [4, 8]
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert rows[-1]["held_out_radiance_psnr"] == pytest.approx(found["radiance_psnr"], rel=1e-4)
    assert {"radiance_psnr", "physical_psnr", "normal_error_deg", "mask_iou"} <= set(found)
    assert [p.name for p in previews if p] == ["000008.png"] and (
        tmp_path / "previews" / "000008.png"
    ).stat().st_size > 1000


def test_validation_is_the_same_every_time(setting, pretrained):
    run = start(setting, pretrained[0])
    assert validate(setting, run, silent) == validate(setting, run, silent)


def test_renders_have_the_frames_size_and_their_maps(setting, pretrained):
    run = start(setting, pretrained[0])
    run.step = setting.config.schedule.total_steps
    (render,) = render_frames(setting, run, setting.validation, [0], silent)
    frame = setting.validation.frames[0]
    assert render.mask.shape == render.opacity.shape == (frame.height, frame.width)
    assert render.physical_srgb is not None and render.physical_srgb.shape == (frame.height, frame.width, 3)
    assert all(
        value is None or bool(torch.isfinite(value).all())
        for name, value in render._asdict().items()
        if name != "target_normals"
    )


def test_the_total_is_the_weighted_sum_of_the_terms(setting, pretrained):
    from engine.training.energy import term_factors

    run = start(setting, pretrained[0])
    run.step = 4
    terms = train_step(setting, run)
    factors = term_factors(setting.config, stage_at(4, setting.config.schedule), 4)
    named = set(terms) - {"total", "gradient_norm"}
    assert named == set(factors) - {"known"}  # the toy set does not know its skin
    assert terms["total"] == pytest.approx(sum(factors[name] * terms[name] for name in named), rel=1e-5)


def test_weights_of_table_one():
    from engine.training.config import LossWeights

    table = dataclasses.asdict(LossWeights())
    assert table == {
        "radiance": 1.0, "physical": 0.2, "mask": 0.1, "perceptual": 0.1, "normal_start": 0.5, "normal_end": 0.1,
        "eikonal": 1e-5, "curvature": 0.1, "latent": 1e-3, "anchor": 0.0,
    }  # fmt: skip
