"""Geometry before pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.fields.bands import all_bands
from engine.fields.model import PalmFields
from engine.hand.mano import hand_forward, shape_hand
from engine.hand.model import open_hand_model
from engine.hand.signed_distance import signed_distance
from engine.progress import silent
from engine.training.config import training_config
from engine.training.pretrain import (
    anchor_loss,
    canonical_surface,
    pretraining_pool,
    run_pretraining,
    spread_frames,
)
from engine.training.sampling import generator_for


def test_the_flat_hands_surface_is_the_shaped_template():
    model = open_hand_model(dtype=torch.float64)
    betas = torch.linspace(-1, 1, 10, dtype=torch.float64)
    surface = canonical_surface(model, betas, torch.zeros(45, dtype=torch.float64))
    torch.testing.assert_close(surface, shape_hand(model, betas)[0])


def test_skinning_the_canonical_surface_gives_the_posed_hand():
    model = open_hand_model(dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    pose = 0.3 * torch.randn(45, generator=generator, dtype=torch.float64)
    betas = torch.randn(10, generator=generator, dtype=torch.float64)
    posed = hand_forward(model, betas, torch.zeros(3, dtype=torch.float64), pose)
    blended = torch.einsum("vj,jrc->vrc", model.skinning_weights, posed.joint_transforms[:, :3])
    surface = canonical_surface(model, betas, pose)
    carried = (blended[..., :3] @ surface[..., None])[..., 0] + blended[..., 3]
    torch.testing.assert_close(carried, posed.vertices)


def test_frames_are_taken_in_turn_from_every_subject(setting):
    frames = [
        replace(setting.training.frames[0], subject=subject, frame=number, camera=camera)
        for subject in "abc"
        for number in range(3)
        for camera in "xy"
    ]
    chosen = spread_frames(frames, 4)
    assert [(frame.subject, frame.frame) for frame in chosen] == [("a", 0), ("b", 0), ("c", 0), ("a", 1)]
    assert len(spread_frames(frames, 100)) == 9


@pytest.fixture(scope="module")
def pool(setting):
    config = replace(training_config("open").pretrain, poses=1, random_poses=1, points_per_pose=4096)
    return pretraining_pool(setting.training.frames, setting.subjects, open_hand_model(), config, 0, silent)


def test_the_pool_holds_true_distances(setting, pool):
    assert pool.points.shape == (2, 4096, 3) and pool.sdf.shape == (2, 4096) and pool.hand_pose.shape == (2, 45)
    model, frame = open_hand_model(), setting.training.frames[0]
    betas, pose = (torch.as_tensor(value).float() for value in (frame.betas, frame.hand_pose))
    again = signed_distance(canonical_surface(model, betas, pose), model.faces, pool.points[0])
    torch.testing.assert_close(again, pool.sdf[0])
    assert (pool.sdf < 0).float().mean() > 0.2 and (pool.sdf > 0).float().mean() > 0.2


def test_no_more_random_poses_than_the_steps_look_at(setting):
    config = replace(
        training_config("open").pretrain, steps=4, batch=512, poses=1, random_poses=50, points_per_pose=1024
    )
    made = pretraining_pool(setting.training.frames, setting.subjects, open_hand_model(), config, 0, silent)
    assert len(made.sdf) == 1 + 2


@pytest.mark.slow
def test_a_short_fit_finds_the_hand_and_the_anchor_knows(setting, pool):
    config = training_config("open")
    torch.manual_seed(0)
    fields = PalmFields(config.fields, setting.subjects)
    bands = all_bands(config.fields)
    before = anchor_loss(fields, pool, bands, 2048, generator_for(0, 0, 1))
    short = replace(config.pretrain, steps=150, batch=2048)
    error = run_pretraining(fields, pool, lambda share: bands, short, 0, silent)
    after = anchor_loss(fields, pool, bands, 2048, generator_for(0, 0, 1))
    assert error < 2e-3  # metres; a fresh network is about 30 mm off
    assert float(after.detach()) < 0.25 * float(before.detach())
    assert all(parameter.grad is None for parameter in fields.parameters())
