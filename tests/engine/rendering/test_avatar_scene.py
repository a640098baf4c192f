"""Avatar folders as scenes to render."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import AvatarError
from engine.hand.mano import hand_forward
from engine.lighting.color import srgb_to_linear
from engine.rendering.avatar_scene import avatar_scene

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "blender"))
import avatars


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    model = avatars.hand_model("right")
    return model, avatars.make_avatar(tmp_path_factory.mktemp("scene") / "hand.palmhand", model)


def test_scene_of_a_posed_avatar(made):
    model, avatar = made
    pose = avatar.capture
    scene = avatar_scene(avatar, pose.global_orient, pose.hand_pose, pose.transl)
    numbers = [torch.as_tensor(np.asarray(v), dtype=torch.float32) for v in (pose.global_orient, pose.hand_pose)]
    expected = hand_forward(
        model, torch.as_tensor(avatars.BETAS, dtype=torch.float32), *numbers, torch.as_tensor(pose.transl).float()
    ).vertices
    count = len(expected)
    assert (scene.vertices[:count] - expected).norm(dim=1).max() < 1e-5
    # the lid's own vertices lie on the skin's, and no vertex belongs to both
    lid = torch.as_tensor(np.asarray(avatar.mesh.cap_faces, dtype=bool))
    assert not set(scene.faces[lid].flatten().tolist()) & set(scene.faces[~lid].flatten().tolist())
    assert torch.equal(scene.vertices[scene.faces], scene.vertices[torch.as_tensor(avatar.mesh.faces).long()])
    assert torch.allclose(scene.uv[scene.uv_faces], torch.as_tensor(avatar.mesh.uv).float(), atol=1e-6)
    assert scene.roughness.shape == (512, 512, 1)
    assert scene.normal_map.norm(dim=2).mean() == pytest.approx(1, abs=0.01)


def test_gloss_is_taken_off_the_albedo(made):
    _, avatar = made
    pose = avatar.capture
    plain, less = (
        avatar_scene(avatar, pose.global_orient, pose.hand_pose, pose.transl, gloss).albedo for gloss in (0.0, 0.03)
    )
    assert torch.allclose(less, torch.maximum(plain - 0.03, plain / 2))
    assert plain.mean() == pytest.approx(float(srgb_to_linear(torch.tensor([0.8, 0.6, 0.5])).mean()), abs=0.03)


def test_avatar_without_a_folder(made):
    _, avatar = made
    pose = avatar.capture
    with pytest.raises(AvatarError, match="write it first"):
        avatar_scene(dataclasses.replace(avatar, folder=None), pose.global_orient, pose.hand_pose, pose.transl)
