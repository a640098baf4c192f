"""Whole hands duplicated, mirrored, made finer and coarser, limited and deleted."""

from __future__ import annotations

import dataclasses

import avatars
import numpy as np
import pytest
from conftest import engine_vertices, poses_within_limits, save_poses

from engine.hand.pose_files import PoseSequence

ROUNDING_M = 1e-6
FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.mark.parametrize(("name", "version"), [("dense", "4.5"), ("left", "4.5"), ("dense", "5.2"), ("dense", "4.2")])
def test_mirrored_hand_is_the_mirror_image_at_every_pose(blender, avatar_folders, tmp_path, name, version):
    folder, model = avatar_folders[name]
    facts = blender(
        "hand_tool_jobs.mirror",
        version=version,
        avatar=folder,
        poses=save_poses(tmp_path / "poses.npz", poses_within_limits(model, 4, seed=3)),
        betas=[1, -1, 0.5, 0, 0, 0.3, 0, 0, 0, 1.5],
        out=tmp_path / "out.npz",
    )
    with np.load(tmp_path / "out.npz") as result:
        assert np.abs(result["original"] * FLIP - result["mirrored"]).max() < ROUNDING_M
        assert np.abs(result["original"] - result["back"]).max() < ROUNDING_M
        assert np.abs(result["played"][0] * FLIP - result["played"][1]).max() < ROUNDING_M
        assert np.abs(result["played"][0] - result["original"][1]).max() < ROUNDING_M
    other = {"right": "left", "left": "right"}[model.side]
    assert facts["sides"] == [model.side, other]
    assert {name[-2:] for name in facts["bones"]} == {f".{other[0].upper()}"}
    assert facts["betas"] == [1, -1, 0.5, 0, 0, 0.3, 0, 0, 0, 1.5]
    assert facts["images_shared"] and facts["uv_kept"] and facts["name_kept"]
    assert facts["outward"][0] > 0 and facts["outward"][1] == pytest.approx(facts["outward"][0], rel=1e-6)
    assert facts["counts"][0] == facts["counts"][1]


def test_density_keeps_skinning_and_correctives(blender, avatar_folders, tmp_path):
    folder, model = avatar_folders["dense"]
    poses = poses_within_limits(model, 3, seed=4)
    facts = blender(
        "hand_tool_jobs.densities",
        avatar=folder,
        poses=save_poses(tmp_path / "poses.npz", poses),
        out=tmp_path / "out.npz",
    )
    assert facts["vertices"] == [6674, 1670, 6674, 26690]
    with np.load(tmp_path / "out.npz") as result:
        as_made, coarse = result["MEDIUM"], result["then_COARSE"]
        again, fine = result["then_MEDIUM"], result["then_FINE"]
    # vertices that stay do so at every pose; what lies between them is their mean at rest, and near it when bent
    assert np.abs(coarse - as_made[:, :1670]).max() < ROUNDING_M
    assert np.abs(again[:, :1670] - coarse).max() < ROUNDING_M
    assert np.abs(fine[:, :6674] - again).max() < ROUNDING_M
    assert np.abs(as_made - engine_vertices(model, avatars.BETAS, poses)).max() < 5e-5
    for density in ("COARSE", "MEDIUM", "FINE"):
        assert facts[f"{density}_drivers"] == 145
        assert len(facts[f"{density}_materials"]) == 1
        assert facts[f"{density}_volume"] == pytest.approx(facts["COARSE_volume"], rel=1e-6)
    assert "no coarser version" in facts["refusal"]
    assert facts["counts"][0] == facts["counts"][1]


def test_hands_beside_each_other_are_independent(blender, avatar_folders, tmp_path):
    right, left = (avatar_folders[side][0] for side in ("right", "left"))
    poses = poses_within_limits(avatar_folders["right"][1], 3, seed=5)
    facts = blender(
        "hand_tool_jobs.two_hands",
        right=right,
        left=left,
        poses=save_poses(tmp_path / "poses.npz", poses),
        out=tmp_path / "out.npz",
    )
    with np.load(tmp_path / "out.npz") as result:
        for name in ("after_first", "last"):
            assert np.array_equal(result["first"], result[name])
        assert np.array_equal(result["second"], result["after_second"])
    assert facts["hands"] == ["first rig", "first rig.001", "second rig"]
    assert facts["skins"] == 3 and facts["first_tone"] == 0
    assert facts["active"] and facts["hidden"] == [True, True, False] and facts["shown"]
    for removed in ("after_copy", "after_second"):
        assert facts[removed][0] == facts[removed][1]
    # its camera and photo are gone with the second hand, the user's own collection is not
    assert facts["view"] == [True, False, 0, ["first", "the user's"], ["photo.png"]]


@pytest.mark.parametrize(("side", "version"), [("right", "4.5"), ("left", "4.5"), ("left", "4.2"), ("left", "5.2")])
def test_limits_stop_what_joints_cannot_do_and_nothing_else(blender, avatar_folders, tmp_path, side, version):
    folder, model = avatar_folders[side]
    wild = poses_within_limits(model, 3, seed=9)
    wild = dataclasses.replace(wild, hand_pose=2.2 * wild.hand_pose)
    facts = blender(
        "hand_tool_jobs.limits",
        version=version,
        avatar=folder,
        poses=save_poses(tmp_path / "poses.npz", poses_within_limits(model, 6, seed=6)),
        wild=save_poses(tmp_path / "wild.npz", wild),
        out=tmp_path / "out.npz",
    )
    with np.load(tmp_path / "out.npz") as result:
        assert np.abs(result["free"] - result["limited"]).max() < 5e-6
        shown = PoseSequence(result["global_orient"], result["hand_pose"], result["transl"])
        assert np.linalg.norm(shown.hand_pose - wild.hand_pose, axis=1).min() > 0.5
        # correctives follow what the constraints leave of a pose
        assert np.abs(result["stopped"] - engine_vertices(model, avatars.BETAS, shown)).max() < 5e-5
    assert facts["on"] and facts["constraints"] == facts["twice"] == 15
    assert facts["off"] == [False, 0]
