"""The open hand model in NumPy alone: what the dataset renderer needs to choose poses where there is no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...engine.hand.joints import MANO_PARENTS
from ...engine.hand.model_file import read_model_file

OPEN_HAND = Path(__file__).parents[2] / "assets" / "hand" / "open_hand_right.npz"


@dataclass(frozen=True)
class HandShape:
    """One person's right hand at rest, ready to be posed. V vertices, F triangles; metres."""

    vertices: np.ndarray
    """[V,3] shaped, unposed."""
    joints: np.ndarray
    """[16,3]."""
    faces: np.ndarray
    """[F,3]."""
    weights: np.ndarray
    """[V,16] skinning weights."""
    posedirs: np.ndarray
    """[V,3,135] metres per entry of R_j - I."""
    joint_axes: np.ndarray
    """[15,3,3] unit flexion, abduction and twist axes (rows)."""
    joint_limits: np.ndarray
    """[15,3,2] radians."""
    wrist_cap: np.ndarray
    """[V] bool, vertices of the lid that closes the wrist."""


def load_hand_shape(betas: np.ndarray | None = None, path: Path = OPEN_HAND) -> HandShape:
    """The hand of these betas [≤10] (None: the mean). Raises HandModelError for a file that lacks axes and limits."""
    fields = read_model_file(path)
    betas = np.zeros(0) if betas is None else np.asarray(betas, dtype=float)
    vertices = fields["v_template"] + fields["shapedirs"][..., : len(betas)] @ betas
    cap = np.zeros(len(vertices), dtype=bool)
    cap[fields["f"][fields["cap_faces"].astype(bool)]] = True
    return HandShape(
        vertices, fields["J_regressor"] @ vertices, fields["f"].astype(np.int64), fields["weights"], fields["posedirs"],
        fields["joint_axes"].astype(float), fields["joint_limits"].astype(float), cap,
    )  # fmt: skip


def rotation_matrices(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula: [*,3] radians → [*,3,3]."""
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(np.asarray(axis_angle, dtype=float), -1, 0)
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    # NumPy's sinc is exact at 0, and (1 - cos a)/a² = sinc²(a/2)/2
    return np.eye(3) + np.sinc(angle / np.pi) * skew + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (skew @ skew)


def pose_hand(shape: HandShape, hand_pose: np.ndarray) -> np.ndarray:
    """Vertices [V,3] of one pose [45] with its correctives, the wrist at rest (MANO's function)."""
    rotations = rotation_matrices(np.asarray(hand_pose, dtype=float).reshape(15, 3))
    features = (rotations - np.eye(3)).reshape(135)
    corrected = shape.vertices + shape.posedirs @ features
    turn = np.empty((16, 3, 3))
    place = np.empty((16, 3))
    turn[0], place[0] = np.eye(3), shape.joints[0]
    for joint, parent in enumerate(MANO_PARENTS[1:], start=1):
        turn[joint] = turn[parent] @ rotations[joint - 1]
        place[joint] = place[parent] + turn[parent] @ (shape.joints[joint] - shape.joints[parent])
    shift = place - np.einsum("jab,jb->ja", turn, shape.joints)
    blended = np.einsum("vj,jab->vab", shape.weights, turn)
    return (blended @ corrected[..., None])[..., 0] + shape.weights @ shift


def joint_angles(shape: HandShape, hand_pose: np.ndarray) -> np.ndarray:
    """Components [*,15,3] of poses [*,45] along the joints' flexion, abduction and twist axes, radians."""
    vectors = np.asarray(hand_pose, dtype=float).reshape(*np.shape(hand_pose)[:-1], 15, 3)
    return np.einsum("jcd,...jd->...jc", shape.joint_axes, vectors)


def hand_pose_of(shape: HandShape, angles: np.ndarray) -> np.ndarray:
    """The inverse of `joint_angles`: [*,15,3] radians → [*,45]."""
    vectors = np.einsum("jcd,...jc->...jd", shape.joint_axes, angles)
    return vectors.reshape(*vectors.shape[:-2], 45)


def within_limits(shape: HandShape, hand_pose: np.ndarray) -> np.ndarray:
    """The same poses [*,45] with every angle brought into its joint's range."""
    angles = joint_angles(shape, hand_pose)
    return hand_pose_of(shape, np.clip(angles, shape.joint_limits[..., 0], shape.joint_limits[..., 1]))
