"""Blender's hand against the engine's skinning, through everything that happens to a hand in Blender."""

from __future__ import annotations

import logging

import avatars
import numpy as np
import pytest
import torch
from conftest import engine_vertices, poses_within_limits, save_poses

from engine.hand.mano import shape_hand

log = logging.getLogger(__name__)

TOLERANCE_M = 5e-5
STAGES = (
    "built", "reopened", "duplicated", "beside_duplicate", "duplicated_by_blender", "beside_duplicate_by_blender",
    "appended",
)  # fmt: skip


def in_mm(errors: dict[str, float]) -> dict[str, float]:
    return {stage: round(1000 * error, 5) for stage, error in errors.items()}


def check_life(blender, avatar_folders, tmp_path, name: str, version: str, count: int) -> None:
    folder, model = avatar_folders[name]
    poses = poses_within_limits(model, count, seed=7)
    facts = blender(
        "rig_jobs.rig_through_life",
        version=version,
        avatar=folder,
        poses=save_poses(tmp_path / "poses.npz", poses),
        work=tmp_path,
        out=tmp_path / "out.npz",
    )
    expected = engine_vertices(model, avatars.BETAS, poses)
    with np.load(tmp_path / "out.npz") as result:
        errors = {stage: float(np.abs(result[stage] - expected).max()) for stage in STAGES}
    log.info(
        "measured: %s hand on Blender %s, %d poses, worst vertex %s mm (asked <= %g)",
        *(name, version, count, in_mm(errors), 1000 * TOLERANCE_M),
    )
    assert max(errors.values()) <= TOLERANCE_M, errors
    assert facts["drivers"] == 145
    assert facts["keys"] == 146
    assert facts["bones"] == 16
    assert facts["longest_expression"] <= 256
    assert facts["complex"] == facts["complex_reopened"] == []
    assert facts["autoexec_fail"] is False


@pytest.mark.parametrize("name", ["right", "left", "dense"])
def test_hand_deforms_as_the_engine_says(blender, avatar_folders, tmp_path, name):
    check_life(blender, avatar_folders, tmp_path, name, "4.5", count=20)


@pytest.mark.parametrize("version", ["4.2", "5.0", "5.2"])
def test_smoke_on_other_versions(blender, avatar_folders, tmp_path, version):
    check_life(blender, avatar_folders, tmp_path, "dense", version, count=4)


def test_correctives_of_the_open_hand_matter(avatar_folders):
    """Otherwise the comparisons above would say nothing about them."""
    _, model = avatar_folders["right"]
    assert model.posedirs.abs().max() > 1e-4


@pytest.mark.parametrize("name", ["left", "dense"])
def test_other_betas_move_skin_and_joints(blender, avatar_folders, tmp_path, name):
    folder, model = avatar_folders[name]
    betas = np.random.default_rng(5).normal(0, 1.5, 10)
    poses = poses_within_limits(model, 5, seed=8)
    facts = blender(
        "rig_jobs.reshape",
        avatar=folder,
        betas=betas.tolist(),
        poses=save_poses(tmp_path / "poses.npz", poses),
        out=tmp_path / "out.npz",
    )
    joints = shape_hand(model.to(dtype=torch.float64), torch.as_tensor(betas))[1].numpy()
    with np.load(tmp_path / "out.npz") as result:
        assert np.abs(result["vertices"] - engine_vertices(model, betas, poses)).max() <= TOLERANCE_M
        assert np.abs(result["joints"] - joints).max() <= 1e-6
    assert np.allclose(facts["betas"][1:], betas[1:])
    assert facts["axes_turned"] < 1e-5
    assert facts["slider_moved_m"] > 1e-4


def test_sequence_plays_as_it_was_recorded(blender, avatar_folders, tmp_path):
    """A thousand frames import at once; frames hold the recorded poses; playback is faster than film."""
    folder, model = avatar_folders["right"]
    ends = poses_within_limits(model, 2, seed=9)
    way = 0.5 - 0.5 * np.cos(np.linspace(0, 6 * np.pi, 1000))[:, None]
    blend = {
        name: getattr(ends, name)[0] * (1 - way) + getattr(ends, name)[1] * way
        for name in ("global_orient", "hand_pose", "transl")
    }
    poses = type(ends)(**blend, side=model.side)
    facts = blender(
        "rig_jobs.play", avatar=folder, poses=save_poses(tmp_path / "poses.npz", poses), out=tmp_path / "out.npz"
    )
    with np.load(tmp_path / "out.npz") as result:
        shown = type(ends)(**{name: value[result["frames"]] for name, value in blend.items()})
        assert np.abs(result["vertices"] - engine_vertices(model, avatars.BETAS, shown)).max() <= TOLERANCE_M
    log.info(
        "measured: %d vertices play at %.0f frames/s (asked >= 24); 1000 frames imported in %.3f s (asked < 1)",
        *(facts[name] for name in ("vertices", "fps", "wrote_s")),
    )
    assert facts["wrote_s"] < 1.0
    assert facts["vertices"] > 6000
    assert facts["fps"] >= 24
    assert facts["modes"] == ["QUATERNION"]
    assert np.allclose(facts["read_pose"], poses.hand_pose[500], atol=1e-5)
    assert np.allclose(facts["read_transl"], poses.transl[500], atol=1e-6)
