"""Sequences brought to other frame rates and smoothed, against closed forms; no Blender in it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import build

build.load_package()
pose_sequences = importlib.import_module(f"{build.PACKAGE}.palm_blender.pose_sequences")
geometry = importlib.import_module(f"{build.PACKAGE}.palm_blender.hand_geometry")
pose_files = importlib.import_module(f"{build.PACKAGE}.engine.hand.pose_files")
folder = importlib.import_module(f"{build.PACKAGE}.engine.avatar.folder")
errors = importlib.import_module(f"{build.PACKAGE}.engine.errors")

AXES = np.random.default_rng(0).normal(0, 1, (16, 3))
AXES /= np.linalg.norm(AXES, axis=1, keepdims=True)


def turning(count: int, fps: float, turns_a_second: float = 0.3):
    """Each joint turns steadily about an axis of its own, the wrist moves steadily."""
    angle = 2 * np.pi * turns_a_second * np.arange(count) / fps
    vectors = Rotation.from_rotvec((angle[:, None, None] * AXES).reshape(-1, 3)).as_rotvec().reshape(count, 16, 3)
    transl = np.arange(count)[:, None] / fps * np.array([1.0, -2.0, 0.5])
    return pose_files.PoseSequence(vectors[:, 0], vectors[:, 1:].reshape(count, 45), transl, fps=fps)


def apart(a, b) -> float:
    """Largest angle in radians between joints of two sequences."""
    vectors = [np.concatenate([p.global_orient, p.hand_pose], axis=1).reshape(-1, 3) for p in (a, b)]
    return float((Rotation.from_rotvec(vectors[0]).inv() * Rotation.from_rotvec(vectors[1])).magnitude().max())


@pytest.mark.parametrize(("source", "target"), [(120, 30), (120, 50), (30, 120), (25, 24)])
def test_resampled_motion_is_the_motion_at_the_other_rate(source, target):
    poses = turning(121, source)
    other = pose_sequences.resampled(poses, target)
    assert len(other) == 120 * target // source + 1
    assert other.fps == target
    assert apart(other, turning(len(other), target)) < 1e-6
    np.testing.assert_allclose(other.transl, turning(len(other), target).transl, atol=1e-12)
    assert f"at {source} a second" in other.notes[-1]


def test_poses_whose_time_stays_are_kept_to_the_bit():
    poses = turning(121, 120)
    np.testing.assert_array_equal(pose_sequences.resampled(poses, 30).hand_pose, poses.hand_pose[::4])
    assert pose_sequences.resampled(poses, 120).hand_pose is poses.hand_pose


def test_smoothing_takes_out_jitter_and_leaves_steady_motion():
    poses = turning(90, 30)
    generator = np.random.default_rng(1)
    inner = slice(15, -15)
    steady = pose_sequences.smoothed(poses, 2.0)
    middle = [
        pose_files.PoseSequence(p.global_orient[inner], p.hand_pose[inner], p.transl[inner]) for p in (poses, steady)
    ]
    assert apart(*middle) < 1e-6
    poses = turning(90, 30, turns_a_second=0.02)
    steady = pose_sequences.smoothed(poses, 2.0)
    jitter = generator.normal(0, 0.02, poses.hand_pose.shape)
    shaken = pose_files.PoseSequence(poses.global_orient, poses.hand_pose + jitter, poses.transl, fps=30)
    calm = pose_sequences.smoothed(shaken, 2.0)
    # white noise through a Gaussian of s poses loses all but 1/sqrt(2 s sqrt(pi)) of its deviation
    left = np.std((calm.hand_pose - steady.hand_pose)[inner]) / 0.02
    assert left == pytest.approx(1 / np.sqrt(4 * np.sqrt(np.pi)), rel=0.25)
    assert pose_sequences.smoothed(poses, 0.0) is poses


def test_smoothing_crosses_half_a_turn():
    """Rotation vectors jump from π to -π there; their quaternions do not."""
    angle = np.linspace(np.pi - 0.3, np.pi + 0.3, 31)
    vectors = Rotation.from_rotvec(angle[:, None] * np.array([0.0, 0.0, 1.0])).as_rotvec()
    poses = pose_files.PoseSequence(vectors, np.zeros((31, 45)), np.zeros((31, 3)))
    calm = pose_sequences.smoothed(poses, 2.0)
    turned = (
        Rotation.from_rotvec(calm.global_orient[10:-10]).inv() * Rotation.from_rotvec(vectors[10:-10])
    ).magnitude()
    assert turned.max() < 1e-3


def small_mesh():
    """Two triangles with all that a hand has."""
    generator = np.random.default_rng(2)
    weights = generator.uniform(0, 1, (4, 16))
    return folder.AvatarMesh(
        vertices=generator.normal(0, 1, (4, 3)), faces=np.array([[0, 1, 2], [2, 1, 3]]),
        uv=generator.uniform(0, 1, (2, 3, 2)), skinning_weights=weights / weights.sum(1, keepdims=True),
        joints=generator.normal(0, 1, (16, 3)), pose_basis=generator.normal(0, 1, (135, 4, 3)),
        shape_basis=generator.normal(0, 1, (10, 4, 3)), joint_shape_basis=generator.normal(0, 1, (10, 16, 3)),
        cap_faces=np.array([True, False]),
    )  # fmt: skip


def corners_of(mesh) -> set:
    """Each corner's place with its texture coordinates, whatever the winding."""
    places = mesh.vertices[mesh.faces].reshape(-1, 3)
    return {tuple(row) for row in np.concatenate([places, mesh.uv.reshape(-1, 2)], axis=1).tolist()}


@pytest.mark.parametrize("turned_over", [False, True])
def test_finer_then_coarser_is_the_same_mesh(turned_over):
    mesh = geometry.mirrored(small_mesh()) if turned_over else small_mesh()
    fine = geometry.finer(mesh)
    assert fine.vertices.shape == (9, 3) and fine.faces.shape == (8, 3) and fine.cap_faces.sum() == 4
    assert geometry.is_refined(fine) and not geometry.is_refined(mesh)
    np.testing.assert_allclose(fine.skinning_weights.sum(1), 1)
    back = geometry.coarser(fine)
    for name in mesh.shapes():
        np.testing.assert_array_equal(getattr(back, name), getattr(mesh, name), err_msg=name)
    # mirrored between, as a left hand's mesh is wound the other way
    again = geometry.mirrored(geometry.coarser(geometry.mirrored(fine)))
    np.testing.assert_array_equal(np.sort(again.faces, axis=1), np.sort(mesh.faces, axis=1))
    assert corners_of(again) == corners_of(mesh)
    with pytest.raises(errors.InputError, match="no coarser version"):
        geometry.coarser(mesh)


def test_mirrored_twice_is_the_same_mesh():
    mesh = small_mesh()
    back = geometry.mirrored(geometry.mirrored(mesh))
    for name in mesh.shapes():
        np.testing.assert_array_equal(getattr(back, name), getattr(mesh, name), err_msg=name)
