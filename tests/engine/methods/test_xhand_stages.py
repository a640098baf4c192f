"""Trainings of a few seconds on a rendered hand: what they learn, and that they go on where they stopped."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from synthetic_sequence import CONFIG, shortened, write_sequence

from engine.datasets.hand_sequence import load_pixels
from engine.errors import Cancelled, CheckpointError, InputError
from engine.hand.model import open_hand_model
from engine.hand.refine import spread
from engine.methods.xhand import HeldOut, divide, learn_hand, measure_hand, new_model
from engine.methods.xhand_config import ABLATIONS, XHandStage, preset, without
from engine.methods.xhand_light import log_sky_of, start_light
from engine.methods.xhand_means import mean_of, new_offsets, spreading
from engine.methods.xhand_pictures import cut_out, moments_of
from engine.methods.xhand_stages import Training, plan
from engine.methods.xhand_template import build_template
from engine.training.checkpoint import load_latest


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    return write_sequence(tmp_path_factory.mktemp("toy"))


def test_a_short_training_lowers_the_energy_and_shows_the_hand_better(sequence):
    config = shortened(initial=XHandStage(24, (2,)), embedding=XHandStage(16, (1,)), rendering=XHandStage(8, (1,)))
    model = new_model(sequence, open_hand_model(), config)
    pictures = cut_out(sequence, model)
    training = Training(model, pictures, config)
    last = training.plan[-1]
    before, first = float(training.energy(last).detach()), training.means()
    shown = measure_hand(model, divide(sequence, HeldOut()))["train"]
    for _ in training.run():
        pass
    assert float(training.energy(last).detach()) < 0.8 * before
    training.settle()
    scores = measure_hand(model, divide(sequence, HeldOut()))["train"]
    assert scores.psnr_db > shown.psnr_db + 1 and scores.iou > shown.iou
    # the truth's skin is 2 mm thicker, and silhouettes move the mesh
    assert float(model.displacement.mean.detach().norm(dim=1).mean()) > 0.01
    assert not torch.equal(training.means().albedo, first.albedo)


@pytest.fixture(scope="module")
def whole(sequence):
    """What an uninterrupted training comes to."""
    return learn_hand(sequence, open_hand_model(), CONFIG).model


def test_what_a_training_comes_to_does_not_depend_on_interruptions(sequence, whole, tmp_path):
    for stop_at in (6, 13):  # once in the first step, once in the second
        calls = 0

        def stopping(fraction, message="", preview=None, stop_at=stop_at):
            nonlocal calls
            calls += 1
            if calls > stop_at:
                raise Cancelled

        with pytest.raises(Cancelled, match="goes on from there"):
            learn_hand(sequence, open_hand_model(), CONFIG, stopping, tmp_path)
    seen = []
    resumed = learn_hand(sequence, open_hand_model(), CONFIG, lambda f, m="", preview=None: seen.append(m), tmp_path)
    assert 0 < sum("learn" in message or "light" in message for message in seen) < CONFIG.steps
    for (name, value), told in zip(whole.state_dict().items(), resumed.model.state_dict().values(), strict=True):
        torch.testing.assert_close(told, value, msg=name)


def test_a_killed_training_goes_on(sequence, whole, tmp_path):
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from synthetic_sequence import CONFIG
from engine.datasets.formats import read_sequences
from engine.hand.model import open_hand_model
from engine.methods.xhand import learn_hand
sequence, checkpoints = next(iter(read_sequences(Path(sys.argv[1]), None))), Path(sys.argv[2])
def killing(fraction, message="", preview=None):
    if any(path.name >= "step-000005" for path in checkpoints.glob("step-*")):
        os.kill(os.getpid(), signal.SIGKILL)
learn_hand(sequence, open_hand_model(), CONFIG, killing, checkpoints)
"""
    root = sequence.frames[0].image.parents[4]
    child = subprocess.run([sys.executable, "-c", program, str(root), str(tmp_path)], check=False)
    assert child.returncode == -signal.SIGKILL
    left = load_latest(tmp_path)
    assert left is not None and left.step == 5
    resumed = learn_hand(sequence, open_hand_model(), CONFIG, checkpoints=tmp_path).model
    for (name, value), told in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(told, value, msg=name)


def test_checkpoints_of_another_training_are_refused(sequence, tmp_path):
    learn_hand(sequence, open_hand_model(), shortened(embedding=XHandStage(0, (1,))), checkpoints=tmp_path)
    with pytest.raises(CheckpointError, match="another training"):
        learn_hand(sequence, open_hand_model(), CONFIG, checkpoints=tmp_path)


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_ablation_trains_without_what_it_leaves_out(sequence, name):
    stages = {"initial": XHandStage(3, (4,)), "embedding": XHandStage(2, (4,)), "rendering": XHandStage(1, (4,))}
    config = without(shortened(**stages), name)
    model = learn_hand(sequence, open_hand_model(), config).model
    bent, flat = model.features(0.5 * torch.ones(45)), model.features(torch.zeros(45))
    moves = [not torch.equal(one, other) for one, other in zip(bent, flat, strict=True)]
    assert moves == {"pose_dependent": [False] * 3, "displaced": [False, False, True]}.get(name, [True] * 3)
    if name == "displaced":
        assert not bent.displacement.any()
    assert (model.displacement.mapping is None) == (name == "feature_embedding")


def test_the_plan_follows_from_the_seed_alone_and_sees_every_moment(sequence):
    model = new_model(sequence, open_hand_model(), CONFIG)
    pictures = cut_out(sequence, model)
    steps = plan(CONFIG, pictures)
    assert steps == plan(CONFIG, pictures) != plan(shortened(seed=1), pictures)
    assert len(steps) == CONFIG.steps and {step.moment for step in steps if step.stage == 1} == {0, 1, 2}
    assert [step.shrink for step in steps if step.stage == 1] == [2] * 4 + [1] * 4
    assert [step.still for step in steps[:8]] == [True] * 2 + [False] * 6
    assert all(len(set(step.cameras)) == CONFIG.views for step in steps)


def test_the_first_light_shades_the_hand_as_the_pictures_do(sequence):
    model = new_model(sequence, open_hand_model(), CONFIG)
    start_light(model, cut_out(sequence, model), [0, 1, 2])
    radiance = model.light[0].detach()
    # the truth's light, up to the brightness of its skin: most from +z, some from +y
    assert (radiance[0] > 1).all() and (radiance[2] / radiance[0] - 1 / 3).abs().max() < 0.12
    assert (radiance[1] / radiance[0] - 0.2).abs().max() < 0.12


def test_the_first_sky_is_bright_where_the_light_came_from(sequence):
    networks = dataclasses.replace(CONFIG.networks, sky=64)
    model = new_model(sequence, open_hand_model(), dataclasses.replace(CONFIG, networks=networks))
    start_light(model, cut_out(sequence, model), [0, 1, 2])
    radiance, directions = model.light_of().detach().mean(1), model.sky.directions
    towards = torch.nn.functional.normalize((radiance[:, None] * directions).sum(0), dim=0)
    assert radiance.min() > 0 and towards @ torch.nn.functional.normalize(torch.tensor([0.0, 0.6, 1.0]), dim=0) > 0.9


def test_a_sky_and_its_gloss_are_learned_and_a_training_under_it_can_be_interrupted(sequence, tmp_path):
    networks = dataclasses.replace(CONFIG.networks, sky=32)
    config = shortened(networks=networks)
    whole = learn_hand(sequence, open_hand_model(), config).model
    fresh = new_model(sequence, open_hand_model(), config)
    moved = [
        not torch.equal(one, other) for one, other in zip(whole.sky.parameters(), fresh.sky.parameters(), strict=True)
    ]
    assert len(moved) == 5 and all(moved) and not torch.equal(whole.light, fresh.light)

    def stopping(fraction, message="", preview=None):
        if fraction > 0.6:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        learn_hand(sequence, open_hand_model(), config, stopping, tmp_path)
    again = learn_hand(sequence, open_hand_model(), config, checkpoints=tmp_path).model
    for one, other in zip(again.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_sky_is_even_where_no_point_saw_it():
    shares = torch.zeros(40, 6)
    shares[:, :3] = torch.rand(40, 3, generator=torch.Generator().manual_seed(1))
    radiance = torch.tensor([[3.0], [1.0], [2.0]]).expand(3, 3)
    found = log_sky_of(shares, shares[:, :3] @ radiance).exp()
    torch.testing.assert_close(found[:3], radiance, atol=0.1, rtol=0)
    assert ((found[3:] > 1.5) & (found[3:] < 2.5)).all()


def test_means_are_moved_from_coarse_to_fine():
    template = build_template(open_hand_model(), 11_000)
    ways = spreading(template)
    first = torch.zeros(len(template.model.v_template), 1)
    offsets = new_offsets(first, ways)
    counts = [len(values) for values in offsets.levels]
    assert counts[:2] == [1670, 6674] and len(counts) == 3 and counts[-1] == len(first) and counts == sorted(counts)
    with torch.no_grad():
        offsets.levels[0][:] = template.coarse.v_template[:, :1]
    total = mean_of(first, offsets, ways)
    torch.testing.assert_close(total, spread(template.coarse.v_template[:, :1], ways[0]).detach())
    total.sum().backward()
    assert all(values.grad is not None for values in offsets.levels)
    with torch.no_grad():
        for number, values in enumerate(offsets.levels):
            values.fill_(10.0**number)
    # each mesh's share is on every vertex
    torch.testing.assert_close(
        mean_of(first, offsets, ways), torch.full_like(first, sum(10.0**k for k in range(len(counts))))
    )


def test_pictures_are_cut_out_around_the_hand_with_cameras_of_their_own(sequence):
    model = new_model(sequence, open_hand_model(), CONFIG)
    picture = cut_out(sequence, model).views[0]["cam0"]
    height, width = picture.mask.shape
    assert (height, width) == (picture.camera.height, picture.camera.width)
    assert picture.color.dtype == torch.uint8 and not picture.bordered
    assert int(picture.mask.max()) == 255 and not picture.mask[0].any() and not picture.mask[:, 0].any()
    left, top = (round(float(picture.frame.intrinsics[k, 2] - picture.camera.intrinsics[k, 2])) for k in (0, 1))
    assert left != top
    there = load_pixels(picture.frame).mask[top : top + height, left : left + width]
    assert torch.equal(torch.as_tensor(there.copy()), picture.mask)
    whole, half = (picture.target(shrink, model.rest_vertices) for shrink in (1, 2))
    assert half.mask.shape == (height // 2, width // 2)
    torch.testing.assert_close(half.camera.intrinsics[:2], whole.camera.intrinsics[:2] / 2)
    assert float(half.hand_px) == pytest.approx(float(whole.hand_px) / 4, rel=0.05)


def test_cameras_that_disagree_about_a_moment_are_refused(sequence):
    frames = list(sequence.frames)
    frames[1] = dataclasses.replace(frames[1], hand_pose=frames[1].hand_pose + 0.1)
    with pytest.raises(InputError, match="cam0/000001 and cam1/000001"):
        moments_of(frames, torch.zeros(1))


def test_holding_out(sequence):
    parts = divide(sequence, HeldOut(("cam1",), (2,)))
    assert [len(part) for part in parts] == [4, 2, 2, 1]
    assert parts.novel_both.frames[0].label == "cam1/000002"
    with pytest.raises(InputError, match="no camera cam9"):
        divide(sequence, HeldOut(("cam9",)))
    with pytest.raises(InputError, match="no moment 7"):
        divide(sequence, HeldOut((), (7,)))
    with pytest.raises(InputError, match="nothing"):
        divide(sequence, HeldOut(sequence.cameras))


def test_presets_and_unknown_names():
    assert preset("draft").steps < preset("standard").steps < preset("paper").steps
    paper = preset("paper").networks
    assert (paper.displacement.depth, paper.displacement.width, paper.displacement.features) == (8, 512, 10)
    assert (paper.albedo.depth, paper.albedo.width, paper.renderer.depth, paper.renderer.width) == (5, 128, 8, 256)
    with pytest.raises(InputError, match="quality"):
        preset("best")
    with pytest.raises(InputError, match="ablation"):
        without(CONFIG, "light")


def test_a_hand_of_the_other_side_is_refused(sequence):
    with pytest.raises(InputError, match="left one"):
        learn_hand(sequence, open_hand_model("left"), CONFIG)
