"""Gestures, moves, motions and random poses of the dataset renderer: within the limits and not sinking into themselves."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import build  # noqa: E402

build.load_package()
contact, hand_shape, motions, poses = (
    importlib.import_module(f"{build.PACKAGE}.palm_blender.synthesis.{name}")
    for name in ("contact", "hand_shape", "motions", "poses")
)
pose_files = importlib.import_module(f"{build.PACKAGE}.engine.hand.pose_files")
errors = importlib.import_module(f"{build.PACKAGE}.engine.errors")

LIMIT_M = contact.SOFT_CONTACT_M
NAMES = poses.gesture_names()
END_BONES = (3, 6, 9, 12, 15)


@pytest.fixture(scope="module")
def shape():
    return hand_shape.load_hand_shape()


@pytest.fixture(scope="module")
def test_of(shape):
    return contact.contact_test(shape)


@pytest.fixture(scope="module")
def gestures() -> dict[str, np.ndarray]:
    return {name: poses.load_gesture(name) for name in NAMES}


def assert_within_limits(shape, hand_poses):
    angles = hand_shape.joint_angles(shape, hand_poses)
    assert (angles >= shape.joint_limits[..., 0] - 1e-3).all()
    assert (angles <= shape.joint_limits[..., 1] + 1e-3).all()


def winding_number(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """[P] how often a closed mesh [F,3,3] winds around points: 1 inside, 2 where two parts overlap (van Oosterom 1983)."""
    a, b, c = np.moveaxis(triangles[None] - points[:, None, None], 2, 0)
    la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
    determinant = (a * np.cross(b, c)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return np.arctan2(determinant, below).sum(1) / (2 * np.pi)


def overlapped_tips(shape, vertices: np.ndarray, under_m: float) -> int:
    """How many points, this far under the skin of the end bones, lie in another part of the hand as well."""
    tips = np.flatnonzero(np.isin(shape.weights.argmax(1), END_BONES) & (shape.weights.max(1) > 0.99))[::2]
    normals = trimesh.Trimesh(vertices, shape.faces, process=False).vertex_normals
    under = vertices[tips] - under_m * normals[tips]
    return int((winding_number(under, vertices[shape.faces]) > 1.5).sum())


# the hand in NumPy


def test_posed_vertices_are_the_engines(shape, gestures):
    import torch

    from engine.hand.mano import hand_forward
    from engine.hand.model import open_hand_model

    model = open_hand_model(dtype=torch.float64)
    betas = np.linspace(-1, 1, 10)
    pose = torch.as_tensor(gestures["pinch"])
    wanted = hand_forward(model, torch.as_tensor(betas), torch.zeros(3, dtype=pose.dtype), pose).vertices
    found = hand_shape.pose_hand(hand_shape.load_hand_shape(betas), gestures["pinch"])
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_angles_and_poses_are_inverse(shape):
    angles = np.random.default_rng(0).normal(size=(4, 15, 3))
    np.testing.assert_allclose(
        hand_shape.joint_angles(shape, hand_shape.hand_pose_of(shape, angles)), angles, atol=1e-6
    )


# self-penetration


@pytest.mark.parametrize("overlap_mm", [-1.0, 0.5, 1.5, 3.0])
def test_depth_of_two_balls(overlap_mm):
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.008)
    shift = np.array([0.016 - overlap_mm * 1e-3, 0, 0])
    vertices = np.concatenate([ball.vertices, shift - ball.vertices])
    faces = np.concatenate([ball.faces, ball.faces[:, ::-1] + len(ball.vertices)])
    owner = np.repeat([0, 1], len(ball.vertices))
    may_meet = owner[:, None] != owner
    test = contact.ContactTest(faces, owner, may_meet, np.ones_like(may_meet))
    assert test.measure(vertices).deepest == pytest.approx(max(overlap_mm, 0) * 1e-3, abs=2e-4)


def test_open_hands_do_not_touch_themselves(shape, test_of, gestures):
    for name in ("flat", "relaxed", "spread"):
        assert contact.penetration(shape, test_of, gestures[name]) == 0


def test_a_finger_through_the_palm_is_found_by_both_measures(shape, test_of):
    angles = np.zeros((15, 3))
    angles[6:9, 0] = np.deg2rad((88, 100, 74))
    angles[6, 1] = np.deg2rad(17)
    pose = hand_shape.hand_pose_of(shape, angles)
    depth = contact.penetration(shape, test_of, pose)
    assert depth > 0.004
    vertices = hand_shape.pose_hand(shape, pose)
    assert overlapped_tips(shape, vertices, depth - 0.0015) > 0


# the gestures


def test_there_are_about_fifty_gestures_and_each_is_in_the_table():
    from tools.gestures.table import GESTURES

    assert len(NAMES) >= 50
    assert set(NAMES) == set(GESTURES)


def test_gestures_are_single_right_hands_within_the_limits(shape, gestures):
    for name in NAMES:
        stored = pose_files.load_pose_file(poses.POSES / f"{name}.json")
        assert stored.side == "right" and len(stored) == 1 and not stored.notes, name
        assert not stored.global_orient.any() and not stored.transl.any()
    assert_within_limits(shape, np.stack(list(gestures.values())))


def test_no_gesture_sinks_into_itself(shape, test_of, gestures, record_property):
    depths = {name: contact.penetration(shape, test_of, pose) for name, pose in gestures.items()}
    for name, depth in depths.items():
        record_property(f"{name}_mm", round(1e3 * depth, 2))
    assert {name: depth for name, depth in depths.items() if depth > LIMIT_M} == {}


@pytest.mark.parametrize("name", ["fist", "pinch_all", "pinch_pinky", "thumb_hidden"])
def test_fingertips_are_free_by_an_independent_measure(shape, gestures, name):
    """2 mm under the skin of the end bones no other part of the hand is met."""
    vertices = hand_shape.pose_hand(shape, gestures[name])
    assert overlapped_tips(shape, vertices, LIMIT_M) == 0


def test_pads_that_should_touch_do(shape, gestures):
    import torch

    from engine.hand.model import open_hand_model
    from tools.gestures.settle import SHARED_REACH_M, place
    from tools.gestures.table import GESTURES

    model = open_hand_model(dtype=torch.float64)
    for name, gesture in GESTURES.items():
        vertices = hand_shape.pose_hand(shape, gestures[name])
        shared = len({a for a, _ in gesture.touch}) < len(gesture.touch)
        for a, b in gesture.touch:
            apart = np.linalg.norm(vertices[place(model, a)] - vertices[place(model, b)])
            assert apart < 0.005 + 1.3 * SHARED_REACH_M * shared, (name, a, b)


def test_gestures_differ(gestures):
    stacked = np.stack(list(gestures.values()))
    apart = np.abs(stacked[:, None] - stacked).max(-1) + 10 * np.eye(len(stacked))
    assert np.rad2deg(apart.min()) > 5


def test_an_unknown_gesture_is_refused_by_name():
    with pytest.raises(errors.PoseFileError, match=r"no gesture 'wave'.*fist"):
        poses.load_gesture("wave")


# moves


def test_slerp_turns_evenly():
    start, end = np.zeros(45), np.zeros(45)
    end[2] = 1.2
    half = poses.slerp(start, end, np.full((1, 15), 0.25))
    np.testing.assert_allclose(half[0, :3], [0, 0, 0.3], atol=1e-12)
    assert not half[0, 3:].any()


def test_ease_is_level_at_both_ends():
    share = poses.ease(np.array([-1, 0, 1e-3, 0.5, 1 - 1e-3, 1, 2]))
    np.testing.assert_allclose(share, [0, 0, 0, 0.5, 1, 1, 1], atol=1e-7)


def test_moves_arrive_smoothly_within_the_limits_and_free(shape, test_of, gestures):
    frames = poses.move(shape, test_of, gestures["spread"], gestures["fist"], 24)
    np.testing.assert_allclose(frames[-1], gestures["fist"])
    assert_within_limits(shape, frames)
    whole = np.concatenate([gestures["spread"][None], frames])
    # an even walk would take 1/24 of the way a frame; eased and squeezed into part of the move it is a few times that
    way = np.abs(gestures["fist"] - gestures["spread"]).max()
    assert np.abs(np.diff(whole, axis=0)).max() < 0.2 * way
    assert max(contact.penetration(shape, test_of, frame) for frame in frames) <= LIMIT_M


def test_the_little_finger_follows_the_index(shape, gestures):
    frames = poses.timed_move(shape, gestures["spread"], gestures["fist"], 30, poses.TIMINGS[0])
    way = (hand_shape.joint_angles(shape, frames) - hand_shape.joint_angles(shape, gestures["spread"]))[..., 0]
    share = way / way[-1]
    assert share[12, 0] > share[12, 6] + 0.05


def test_sequences_visit_every_gesture(shape, test_of, gestures):
    chosen = np.stack([gestures[name] for name in ("flat", "point", "victory")])
    frames = poses.gesture_sequence(shape, test_of, chosen, move_frames=8, hold_frames=2)
    assert len(frames) == 1 + 2 + 2 * (8 + 2)
    np.testing.assert_allclose(frames[[0, 10, 20]], chosen)


# random poses


def test_random_poses_are_free_within_limits_and_repeatable(shape, test_of):
    drawn = poses.random_poses(shape, test_of, 12, np.random.default_rng(5))
    assert_within_limits(shape, drawn)
    assert max(contact.penetration(shape, test_of, pose) for pose in drawn) <= LIMIT_M
    np.testing.assert_array_equal(drawn[:2], poses.random_poses(shape, test_of, 2, np.random.default_rng(5)))
    # both closed and open fingers occur, and no two poses are alike
    bends = np.rad2deg(hand_shape.joint_angles(shape, drawn)[:, :12, 0]).reshape(12, 4, 3).sum(-1)
    assert bends.min() < 60 and bends.max() > 130
    assert np.abs(drawn[:, None] - drawn).max(-1)[~np.eye(12, dtype=bool)].min() > np.deg2rad(10)


def test_gestures_are_freed_for_other_hands(test_of, gestures):
    other = hand_shape.load_hand_shape(np.random.default_rng(3).normal(size=10))
    assert contact.penetration(other, test_of, gestures["pinch"]) > 0.0015
    freed = poses.freed_pose(other, test_of, gestures["pinch"], limit_m=0.0015)
    assert contact.penetration(other, test_of, freed) <= 0.0015
    changed = np.rad2deg(np.abs(freed - gestures["pinch"]).reshape(15, 3).max(1))
    assert 0 < changed.max() < 15
    # middle, little and ring finger had nothing to do with it
    assert changed[3:12].max() < 1e-4
    assert poses.freed_pose(other, test_of, gestures["spread"]) is gestures["spread"]


# HARP's motions


@pytest.mark.parametrize("name", ["hand_flip", "finger_movement"])
def test_motions_last_five_seconds_and_are_free(shape, test_of, name):
    motion = pose_files.load_pose_file(poses.POSES / f"{name}.npz")
    assert len(motion) == 150 and motion.fps == 30 and motion.side == "right"
    assert_within_limits(shape, motion.hand_pose)
    assert max(contact.penetration(shape, test_of, pose) for pose in motion.hand_pose[::7]) <= LIMIT_M
    assert np.abs(np.diff(motion.hand_pose, axis=0)).max() < np.deg2rad(30)
    assert np.abs(np.diff(motion.global_orient, axis=0)).max() < np.deg2rad(10)


def test_the_flip_shows_the_back_and_returns(shape):
    motion = pose_files.load_pose_file(poses.POSES / "hand_flip.npz")
    palm = hand_shape.rotation_matrices(motion.global_orient) @ np.array([0, -1.0, 0])
    assert palm[0, 1] < -0.98 and palm[-1, 1] < -0.98
    assert palm[:, 1].max() > 0.98
    fingers = hand_shape.rotation_matrices(motion.global_orient) @ np.array([-1.0, 0, 0])
    assert fingers[:, 0].max() < -0.95


def test_the_finger_movement_moves_every_finger(shape):
    motion = pose_files.load_pose_file(poses.POSES / "finger_movement.npz")
    bends = np.rad2deg(hand_shape.joint_angles(shape, motion.hand_pose)[:, :12:3, 0])
    assert (np.ptp(bends, axis=0) > 60).all()
