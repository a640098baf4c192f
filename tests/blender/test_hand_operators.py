"""Every operator on hands without a window, on every Blender; poses, takes and pose assets behind them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conftest import poses_within_limits, save_poses

from engine.hand.pose_files import PoseSequence, load_pose_file

NEED_NO_HAND = {
    "palm.import_avatar", "palm.show_hand", "palm.install_pose_library", "palm.remove_pose_library", "palm.add_take",
}  # fmt: skip
NOT_CALLED = {"palm.follow_video", "palm.add_take"}
"""These need a job of the engine; their own test is below."""


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.0", "5.2"])
def test_operators_run_without_a_window(blender, avatar_folders, tmp_path, version):
    right, left = (avatar_folders[side] for side in ("right", "left"))
    facts = blender(
        "operator_jobs.all_operators",
        version=version,
        right=right[0],
        left=left[0],
        poses=save_poses(tmp_path / "poses.npz", poses_within_limits(right[1], 4, seed=1)),
        work=tmp_path,
    )
    names = set(facts["names"])
    assert set(facts["done"]) == names - NOT_CALLED
    assert all(result == ["FINISHED"] for result in facts["done"].values())
    assert set(facts["refused"]) == names - NEED_NO_HAND
    assert all("Select a PALM hand" in line for line in facts["refused"].values())
    assert all(len(texts) == 1 for texts in facts["drawn_without"].values())
    start, built, mirrored, deleted = facts["counts"]
    assert deleted == built == facts["again"] == facts["redone"]
    assert mirrored["objects"] == 2 * built["objects"]
    assert facts["undone"] == [mirrored, built, start]
    assert facts["vertices"] == 6674


def sequence(model, count: int, fps: float | None) -> PoseSequence:
    """A smooth motion between poses within the limits."""
    ends = poses_within_limits(model, 2, seed=2)
    way = 0.5 - 0.5 * np.cos(np.linspace(0, 2 * np.pi, count))[:, None]
    names = ("global_orient", "hand_pose", "transl")
    blend = {name: getattr(ends, name)[0] * (1 - way) + getattr(ends, name)[1] * way for name in names}
    return PoseSequence(**blend, side=model.side, fps=fps)


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.2"])
def test_poses_come_back_as_they_went_in(blender, avatar_folders, tmp_path, version):
    (right, model), (_, left) = avatar_folders["right"], avatar_folders["left"]
    poses = sequence(model, 25, 120.0)
    betas = np.linspace(-1, 1, 10)
    other = dataclasses.replace(sequence(left, 5, 30.0), betas=betas)
    facts = blender(
        "operator_jobs.takes",
        version=version,
        right=right,
        poses=save_poses(tmp_path / "poses.npz", poses),
        other=save_poses(tmp_path / "left.json", other),
        work=tmp_path,
    )
    # 25 poses at 120 a second span a fifth of a second: six frames of 30
    assert facts["take"] == [25, 16.0, 250, []]
    for name in ("back.npz", "back.json"):
        back = load_pose_file(tmp_path / name)
        for field in ("global_orient", "hand_pose", "transl"):
            np.testing.assert_array_equal(getattr(back, field), getattr(poses, field))
        assert (back.fps, back.side) == (120.0, "right")
    np.testing.assert_allclose(facts["shown"], poses.hand_pose[10], atol=1e-6)
    edited = load_pose_file(tmp_path / "edited.npz")
    np.testing.assert_array_equal(edited.hand_pose[1:], poses.hand_pose[1:])
    np.testing.assert_allclose(edited.hand_pose[0, :3], 0, atol=1e-6)
    np.testing.assert_allclose(edited.hand_pose[0, 3:], poses.hand_pose[0, 3:], atol=1e-6)
    assert facts["RESAMPLE"] == [7, 7.0]
    np.testing.assert_array_equal(load_pose_file(tmp_path / "RESAMPLE.npz").hand_pose, poses.hand_pose[::4])
    assert facts["FRAMES"] == [25, 25.0]
    assert load_pose_file(tmp_path / "FRAMES.npz").fps == 30.0
    assert facts["kept"] == {"take": True, "RESAMPLE": True, "FRAMES": False}
    assert facts["said"] == ["the earlier action RESAMPLE is kept"]
    np.testing.assert_allclose(*facts["stayed"], atol=1e-6)
    np.testing.assert_allclose(facts["betas"], betas)
    assert facts["followed"][:2] == ["video", 3]
    np.testing.assert_allclose(facts["followed"][2], poses.hand_pose[2], atol=1e-6)
    mirrored = load_pose_file(tmp_path / "mirrored.npz").hand_pose.reshape(-1, 15, 3)
    np.testing.assert_array_equal(mirrored, other.hand_pose.reshape(-1, 15, 3) * (1, -1, -1))


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.0", "5.2"])
def test_gestures_are_pose_assets(blender, avatar_folders, tmp_path, version):
    library = tmp_path / "library"
    facts = blender(
        "operator_jobs.pose_assets",
        version=version,
        right=avatar_folders["right"][0],
        left=avatar_folders["left"][0],
        work=library,
        out=tmp_path / "out.npz",
    )
    assert facts["made"] == ["Fist (right)", "Victory (right)"] and facts["again"] == []
    assert facts["undisturbed"] and "no such gesture" in facts["refused"]
    assert facts["files"] == ["blender_assets.cats.txt", "palm_hand_poses.blend"]
    assert len(facts["catalogues"]) == 3
    # under their plain names, though the open file has poses of the same names
    assert set(facts["library"]) == {
        f"{gesture} ({side})" for gesture in ("Fist", "Victory") for side in ("right", "left")
    }
    assert "hand" in facts["tags"]
    assert all(size and min(size) > 32 for size in facts["previews"])
    with np.load(tmp_path / "out.npz") as shown:
        for side in ("right", "left"):
            moved = np.linalg.norm(shown[f"{side}_set"] - shown[f"{side}_flat"], axis=1).max()
            off = np.linalg.norm(shown[f"{side}_set"] - shown[f"{side}_applied"], axis=1).max()
            # a library's poses are for the mean hand's bones: on another person's they differ by a few millimetres
            assert off < 0.1 * moved, (side, off, moved)
        assert np.abs(shown["right_set"] - shown["right_own"]).max() < 1e-5


def test_sliders_read_what_they_wrote(blender, avatar_folders):
    right, left = (avatar_folders[side][0] for side in ("right", "left"))
    facts = blender("operator_jobs.pose_sliders", right=right, left=left)
    for errors in facts["curls"].values():
        assert np.abs(errors).max() < 1e-5
    for name in ("spread", "aside"):
        assert np.abs(list(facts[name].values())).max() < 1e-5
    assert not any(facts["others"])
    # all seven sliders share one reading of the bones
    assert facts["reckoned"] == [1, 1]
    assert facts["mirrored"] < 1e-5
    assert facts["keyed"]
    assert all("clipboard" in line and "\n" not in line for line in facts["refusals"]), facts["refusals"]
