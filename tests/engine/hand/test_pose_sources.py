"""Poses from folders, InterHand2.6M's annotations and the engine's captures, and what must be chosen or refused."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.errors import PoseFileError
from engine.hand.pose_sources import PoseChoice, load_poses

GENERATOR = np.random.default_rng(4)
ORIENT = GENERATOR.normal(0, 0.5, (12, 3))
POSE = GENERATOR.normal(0, 0.3, (12, 45))
SHIFT = GENERATOR.normal(0, 0.1, (12, 3))
BETAS = GENERATOR.normal(0, 1, 10)
MEAN = GENERATOR.normal(0, 0.2, 45)


def interhand(path, frames: dict) -> None:
    hand = {
        number: {
            "pose": [*ORIENT[i].tolist(), *POSE[i].tolist()], "shape": BETAS.tolist(), "trans": SHIFT[i].tolist(),
        }
        for number, i in frames.items()
    }  # fmt: skip
    captures = {number: {"right": value, "left": None} for number, value in hand.items()}
    path.write_text(json.dumps({"7": captures, "8": {"100": {"right": None, "left": next(iter(hand.values()))}}}))


def test_interhand_is_relative_to_the_mean_and_says_so(tmp_path):
    path = tmp_path / "annotations.json"
    interhand(path, {"1000": 1, "998": 0, "10003": 2})
    with pytest.raises(PoseFileError, match="captures 7, 8: choose one"):
        load_poses(path)
    with pytest.raises(PoseFileError, match="relative to MANO's mean pose: load a MANO model"):
        load_poses(path, PoseChoice(capture="7"))
    poses = load_poses(path, PoseChoice(capture="7", hands_mean=MEAN))
    np.testing.assert_allclose(poses.hand_pose, POSE[:3] + MEAN)
    np.testing.assert_allclose(poses.global_orient, ORIENT[:3])
    np.testing.assert_allclose(poses.transl, SHIFT[:3])
    np.testing.assert_allclose(poses.betas, BETAS)
    assert poses.side == "right" and "InterHand2.6M" in poses.notes[0]
    flat = load_poses(path, PoseChoice(capture="7", convention="FLAT"))
    np.testing.assert_allclose(flat.hand_pose, POSE[:3])
    assert load_poses(path, PoseChoice(capture="8", hands_mean=MEAN)).side == "left"
    with pytest.raises(PoseFileError, match="no left hand"):
        load_poses(path, PoseChoice(capture="7", side="left", hands_mean=MEAN))
    with pytest.raises(PoseFileError, match="no capture 9"):
        load_poses(path, PoseChoice(capture="9"))


def test_captures_bridge_frames_without_a_hand(tmp_path):
    ends = [
        {"global_orient": ORIENT[i].tolist(), "hand_pose": POSE[i].tolist(), "transl": SHIFT[i].tolist()}
        for i in (0, 1)
    ]
    shared = {"schema_version": 1, "handedness": "left", "betas": BETAS.tolist(), "fps": 25.0}
    path = tmp_path / "captures.json"
    path.write_text(json.dumps({**shared, "frames": [None, ends[0], None, ends[1], None, None]}))
    poses = load_poses(path)
    assert (len(poses), poses.side, poses.fps) == (3, "left", 25.0)
    np.testing.assert_array_equal(poses.hand_pose[[0, 2]], POSE[:2])
    middle = (Rotation.from_rotvec(ORIENT[0]).inv() * Rotation.from_rotvec(ORIENT[1])).as_rotvec() / 2
    expected = (Rotation.from_rotvec(ORIENT[0]) * Rotation.from_rotvec(middle)).as_rotvec()
    np.testing.assert_allclose(poses.global_orient[1], expected, atol=1e-12)
    np.testing.assert_allclose(poses.transl[1], SHIFT[:2].mean(0))
    assert any("1 frame without" in note for note in poses.notes)
    assert any("3 frames without a hand at the ends" in note for note in poses.notes)
    for frames, message in (([None], "no frame shows a hand"), ([3], "neither an object nor null")):
        path.write_text(json.dumps({**shared, "frames": frames}))
        with pytest.raises(PoseFileError, match=message):
            load_poses(path)


def test_folder_of_harp_frames_comes_in_the_order_of_its_numbers(tmp_path):
    for i in range(12):
        value = {"rot": ORIENT[i : i + 1], "pose": POSE[i : i + 1], "shape": BETAS[None], "trans": SHIFT[i : i + 1]}
        (tmp_path / f"{i}_mano.pkl").write_bytes(pickle.dumps(value))
    (tmp_path / "notes.txt").write_text("no pose")
    with pytest.raises(PoseFileError, match="mean pose"):
        load_poses(tmp_path)
    poses = load_poses(tmp_path, PoseChoice(hands_mean=MEAN))
    np.testing.assert_allclose(poses.hand_pose, POSE + MEAN)
    assert any("12 files" in note for note in poses.notes)


def test_refusals_name_the_place(tmp_path):
    with pytest.raises(PoseFileError, match="holds no pose files"):
        load_poses(tmp_path)
    with pytest.raises(PoseFileError, match="does not exist"):
        load_poses(tmp_path / "none.npz")
    with pytest.raises(PoseFileError, match="convention 'X' is unknown"):
        load_poses(tmp_path, PoseChoice(convention="X"))
    for index, side in enumerate(("right", "left")):
        np.savez(tmp_path / f"{index}.npz", hand_pose=POSE[:1], side=side)
    with pytest.raises(PoseFileError, match="mixes right and left"):
        load_poses(tmp_path)


def test_chosen_convention_wins_over_the_file_s(tmp_path):
    path = tmp_path / "poses.npz"
    np.savez(path, hand_pose=POSE, convention="mean_relative")
    with pytest.raises(PoseFileError, match="mean pose"):
        load_poses(path)
    poses = load_poses(path, PoseChoice(convention="FLAT"))
    np.testing.assert_array_equal(poses.hand_pose, POSE)
    assert any("as chosen" in note for note in poses.notes)
    np.savez(path, hand_pose=POSE)
    np.testing.assert_allclose(load_poses(path, PoseChoice(convention="MEAN", hands_mean=MEAN)).hand_pose, POSE + MEAN)
