"""Random poses stay within the limits and use their range."""

from __future__ import annotations

import torch

from engine.hand.model import open_hand_model
from engine.hand.random_poses import random_hand_poses


def angles(model, poses):
    return torch.einsum("jac,njc->nja", model.joint_axes, poses.reshape(-1, 15, 3))


def test_angles_stay_within_the_limits():
    model = open_hand_model(dtype=torch.float64)
    found = angles(model, random_hand_poses(model, 500, torch.Generator().manual_seed(0)))
    low, high = model.joint_limits.unbind(-1)
    assert (found >= low - 1e-6).all() and (found <= high + 1e-6).all()


def test_fists_and_open_hands_both_occur():
    model = open_hand_model()
    found = angles(model, random_hand_poses(model, 500, torch.Generator().manual_seed(0)))[..., 0]
    low, high = model.joint_limits[:, 0].unbind(-1)
    share = ((found - low) / (high - low))[:, :12].mean(1)
    assert share.min() < 0.25 and share.max() > 0.75
    assert share.std() > 0.15


def test_the_same_seed_gives_the_same_poses():
    model = open_hand_model()
    first, second = (random_hand_poses(model, 3, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (3, 45)
    assert not torch.equal(first, random_hand_poses(model, 3, torch.Generator().manual_seed(8)))
