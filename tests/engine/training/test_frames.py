"""What is kept of frames, and for which frame."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from engine.datasets.palm import FramePixels
from engine.training.frames import Bodies, FrameStore, Keeper, compact


def test_what_was_used_longest_ago_goes_first():
    keeper: Keeper[torch.Tensor] = Keeper(budget_bytes=2 * 400)
    for name in "aba":
        keeper.get(name, lambda: torch.zeros(100))
    keeper.get("c", lambda: torch.zeros(100))
    assert list(keeper.kept) == ["a", "c"] and keeper.held_bytes == 800


def test_a_kept_value_is_not_made_again_and_the_last_one_always_stays():
    keeper: Keeper[torch.Tensor] = Keeper(budget_bytes=1)
    first = keeper.get("a", lambda: torch.zeros(100))
    assert keeper.get("a", lambda: torch.ones(100)) is first


def test_a_body_belongs_to_its_pose_and_not_to_its_number(setting):
    frame = setting.training.frames[0]
    bodies = Bodies(setting.bodies.model, setting.config.fields.box)
    bent = replace(frame, hand_pose=np.asarray(frame.hand_pose) + 0.3)
    first, second = bodies.body(frame, 0.015), bodies.body(bent, 0.015)
    assert not torch.allclose(first.bone_transforms, second.bone_transforms)
    assert bodies.body(frame, 0.015) is first


def test_frames_of_one_shape_share_a_grid(setting):
    frames = setting.training.frames[:2]
    bodies = Bodies(setting.bodies.model, setting.config.fields.box)
    deformer = bodies.deformer(frames, [bodies.body(frame, 0.015) for frame in frames])
    assert deformer.grid_of_hand.tolist() == [0, 0] and len(bodies.grids.kept) == 1


def test_pictures_keep_their_values_in_a_quarter_of_the_memory():
    image = torch.rand(6, 8, 3)
    normals = torch.zeros(6, 8, 3)
    normals[2, 3] = torch.tensor([0.0, 0.6, -0.8])
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[2, 3] = True
    loaded = compact(FramePixels(image, mask, mask, normals), margin_px=2)
    assert (loaded.image.float() / 255 - image).abs().max() < 0.5 / 255 + 1e-6
    assert torch.allclose(loaded.normals[2, 3].float(), normals[2, 3], atol=1e-3)
    assert math.isnan(float(loaded.normals[0, 0, 0]))
    assert compact(FramePixels(image, mask, mask, None), 2).normals is None


def test_prefetched_frames_are_the_ones_asked_for(setting):
    store = FrameStore(setting.training.frames, 4)
    store.prefetch([1, 0])
    direct = compact(FramePixels(*_pixels(setting, 1)), 4)
    assert torch.equal(store.get(1).image, direct.image)
    store.close()


def _pixels(setting, index):
    from engine.datasets.palm import load_frame

    return load_frame(setting.training.frames[index])
