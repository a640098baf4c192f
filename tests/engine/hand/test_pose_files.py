"""Pose files of every layout we know, and every way they can be wrong."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.errors import InputError, PoseFileError
from engine.hand.pose_files import PoseSequence, load_pose_file, save_pose_file
from engine.hand.pose_sources import load_poses

GENERATOR = np.random.default_rng(0)
ORIENT = GENERATOR.normal(0, 0.5, (4, 3))
POSE = GENERATOR.normal(0, 0.3, (4, 45))
SHIFT = GENERATOR.normal(0, 0.1, (4, 3))
BETAS = GENERATOR.normal(0, 1, 10)
MEAN = GENERATOR.normal(0, 0.2, 45)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_round_trip_is_lossless(tmp_path, suffix):
    path = tmp_path / f"poses{suffix}"
    save_pose_file(path, PoseSequence(ORIENT, POSE, SHIFT, BETAS, "left", 30.0))
    back = load_pose_file(path)
    np.testing.assert_array_equal(back.global_orient, ORIENT)
    np.testing.assert_array_equal(back.hand_pose, POSE)
    np.testing.assert_array_equal(back.transl, SHIFT)
    np.testing.assert_array_equal(back.betas, BETAS)
    assert (back.side, back.fps, len(back)) == ("left", 30.0, 4)


def test_hamer_rotation_matrices(tmp_path):
    path = tmp_path / "hamer.pkl"
    matrices = Rotation.from_rotvec(POSE[:1].reshape(-1, 3)).as_matrix().reshape(1, 15, 3, 3)
    value = {
        "pred_mano_params": {
            "global_orient": Rotation.from_rotvec(ORIENT[:1]).as_matrix()[:, None],
            "hand_pose": matrices,
            "betas": BETAS[None],
        },
        "right": np.array([0.0]),
        "pred_cam_t_full": SHIFT[:1],
    }
    path.write_bytes(pickle.dumps(value))
    poses = load_pose_file(path)
    np.testing.assert_allclose(poses.hand_pose, POSE[:1], atol=1e-9)
    np.testing.assert_allclose(poses.global_orient, ORIENT[:1], atol=1e-9)
    np.testing.assert_allclose(poses.transl, SHIFT[:1])
    assert poses.side == "left"
    assert any("rotation matrices" in note for note in poses.notes)


def test_harp_pickle_is_mean_relative(tmp_path):
    path = tmp_path / "0001_mano.pkl"
    value = {"rot": ORIENT[:1], "pose": POSE[:1], "shape": BETAS[None], "trans": SHIFT[:1], "joints_metro": 0}
    path.write_bytes(pickle.dumps(value))
    np.testing.assert_allclose(load_pose_file(path, MEAN).hand_pose, POSE[:1] + MEAN)
    with pytest.raises(PoseFileError, match="mean pose"):
        load_pose_file(path)


def test_palm_object_array(tmp_path):
    path = tmp_path / "poses.npy"
    value = {"betas": BETAS[None], "hand_pose": POSE, "global_orient": ORIENT, "transl": SHIFT}
    np.save(path, value, allow_pickle=True)
    np.testing.assert_allclose(load_pose_file(path, MEAN).hand_pose, POSE + MEAN)


def test_48_numbers_hold_the_global_rotation(tmp_path):
    path = tmp_path / "poses.npz"
    np.savez(path, poses=np.concatenate([ORIENT, POSE], 1))
    poses = load_pose_file(path)
    np.testing.assert_array_equal(poses.global_orient, ORIENT)
    np.testing.assert_array_equal(poses.hand_pose, POSE)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "no hand_pose"),
        ({"hand_pose": POSE[:, :12]}, "PCA"),
        ({"hand_pose": np.full((2, 45), np.nan)}, "hand_pose holds NaN"),
        ({"hand_pose": POSE, "transl": np.full((4, 3), np.inf)}, "transl holds NaN"),
        ({"hand_pose": POSE, "transl": np.full((4, 3), -1e30)}, r"transl holds 1e\+30, which is no pose"),
        ({"hand_pose": POSE, "global_orient": ORIENT[:3]}, "there are 4 frames"),
        ({"hand_pose": POSE, "betas": np.ones(3)}, "expected 10"),
        ({"hand_pose": np.zeros((2, 7, 3, 3))}, "15 rotations"),
        ({"hand_pose": np.array("x")}, "no numbers"),
        ({"hand_pose": POSE, "fps": 0.0}, "fps"),
        ({"hand_pose": np.float64(1)}, "expected"),
        ({"hand_pose": np.zeros((0, 45))}, "frames"),
    ],
)
def test_refusals_name_the_file_and_the_field(tmp_path, fields, message):
    path = tmp_path / "bad.npz"
    np.savez(path, **fields)
    with pytest.raises(PoseFileError, match=message) as caught:
        load_pose_file(path)
    assert "bad.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b"[1]"),
        ("a.json", json.dumps({"hand_pose": [[float("nan")] * 45]}).encode()),
        ("a.npz", b"PK\x03\x04 not a zip"),
        ("a.npy", b"\x93NUMPY\x01\x00"),
        ("a.pkl", b"\x80\x04"),
        ("a.txt", b"hand"),
    ],
)
def test_damaged_files(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=name):
        load_pose_file(path)


@pytest.mark.parametrize(
    "extra", [{"side": []}, {"flat_hand_mean": []}, {"right": "x"}, {"hand": [[["left"]]]}, {"fps": []}]
)
def test_odd_flags_are_no_flags(tmp_path, extra):
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({"hand_pose": POSE.tolist(), **extra}))
    assert load_pose_file(path).side == ("left" if "hand" in extra else None)


def test_numbers_beyond_floating_point(tmp_path):
    path = tmp_path / "huge.json"
    path.write_text(json.dumps({"hand_pose": [[10**400] * 45]}))
    with pytest.raises(PoseFileError, match="hand_pose holds"):
        load_pose_file(path)


def test_three_frames_of_vectors_are_not_one_matrix(tmp_path):
    path = tmp_path / "three.npz"
    np.savez(path, hand_pose=POSE[:3], global_orient=np.eye(3))
    np.testing.assert_array_equal(load_pose_file(path).global_orient, np.eye(3))


def test_missing_file(tmp_path):
    with pytest.raises(PoseFileError, match="does not exist"):
        load_pose_file(tmp_path / "none.json")


@pytest.mark.parametrize("ending", ["npz", "json"])
def test_left_out_frames_are_bridged(tmp_path, ending):
    """Time stays the video's, whichever way the file is read."""
    path = tmp_path / f"poses.{ending}"
    save_pose_file(path, PoseSequence(ORIENT, POSE, SHIFT, fps=30.0), [5, 6, 8, 9])
    for back in (load_pose_file(path), load_poses(path)):
        assert (len(back), back.fps) == (5, 30.0)
        np.testing.assert_allclose(back.hand_pose[[0, 1, 3, 4]], POSE, atol=1e-9)
        np.testing.assert_allclose(back.transl[2], SHIFT[1:3].mean(0))
        assert back.notes == ("the first pose is of its video's frame 5", "1 left-out frame was bridged")


@pytest.mark.parametrize(
    "numbered", [[0, 1, 2], [0, 1, 1, 2], [0, 1, 2, 2.5], [0, 1, 2, 10**5 * 3], [3, 2, 1, 0], [[0, 1, 2, 3]]]
)
def test_frame_numbers_that_are_none(tmp_path, numbered):
    path = tmp_path / "poses.npz"
    np.savez(path, hand_pose=POSE, frame_numbers=np.array(numbered))
    with pytest.raises(PoseFileError, match="frame_numbers are not 4 rising whole numbers within 200000"):
        load_pose_file(path)
