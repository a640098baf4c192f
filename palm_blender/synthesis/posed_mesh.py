"""A hand's rest mesh put into a pose by MANO's function, in NumPy: what is drawn and where its keypoints are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ...engine.avatar.folder import AvatarMesh
from ...engine.hand.joints import MANO_PARENTS
from .hand_shape import rotation_matrices
from .shots import HandPose


class RestHand(NamedTuple):
    """Vertices and joints that move with the pose: a whole hand's, or a few points of it. Single precision."""

    vertices: np.ndarray
    """[V,3] metres, shaped, unposed"""
    joints: np.ndarray
    """[16,3]"""
    weights: np.ndarray
    """[V,16]"""
    pose_basis: np.ndarray
    """[135,3V]"""


def shaped_mesh(fields: Mapping[str, np.ndarray], betas: np.ndarray) -> AvatarMesh:
    """The rest mesh of a hand model's arrays (`engine.hand.model_file`), with UVs, for betas [10]."""
    shape_basis = np.moveaxis(fields["shapedirs"][..., : len(betas)], 2, 0)
    vertices = fields["v_template"] + np.tensordot(betas, shape_basis, 1)
    regressor = fields["J_regressor"]
    return AvatarMesh(
        vertices=vertices,
        faces=np.asarray(fields["f"]),
        uv=np.asarray(fields["vt"])[fields["ft"]],
        skinning_weights=fields["weights"],
        joints=regressor @ vertices,
        pose_basis=np.moveaxis(fields["posedirs"], 2, 0),
        shape_basis=shape_basis,
        joint_shape_basis=regressor @ shape_basis,
        cap_faces=np.asarray(fields["cap_faces"], dtype=bool),
    )


def rest_hand(mesh: AvatarMesh, chosen: np.ndarray | slice = slice(None)) -> RestHand:
    """The whole mesh, or its chosen vertices, ready to be posed."""
    basis = np.ascontiguousarray(mesh.pose_basis[:, chosen], dtype=np.float32)
    return RestHand(
        np.asarray(mesh.vertices[chosen], np.float32), np.asarray(mesh.joints, np.float32),
        np.asarray(mesh.skinning_weights[chosen], np.float32), basis.reshape(len(basis), -1),
    )  # fmt: skip


def pose_points(hand: RestHand, pose: HandPose) -> tuple[np.ndarray, np.ndarray]:
    """(vertices [V,3], joints [16,3]) in metres, in the world: the wrist turns about its rest joint, then moves by transl."""
    corrected = hand.vertices + correctives(hand.pose_basis, pose.hand_pose)
    return skinned(corrected, hand.joints, hand.weights, pose)


def correctives(pose_basis: np.ndarray, hand_pose: np.ndarray) -> np.ndarray:
    """[V,3] metres that a pose [45] adds before skinning. pose_basis [135,3V], single precision."""
    rotations = rotation_matrices(np.reshape(hand_pose, (15, 3)))
    features = (rotations - np.eye(3)).reshape(135).astype(np.float32)
    return (features @ pose_basis).reshape(-1, 3)


def skinned(
    points: np.ndarray, rest_joints: np.ndarray, weights: np.ndarray, pose: HandPose
) -> tuple[np.ndarray, np.ndarray]:
    """(points [V,3], joints [16,3]) in the world, of points [V,3] and joints at rest. weights [V,16]."""
    vectors = np.concatenate([np.reshape(pose.global_orient, (1, 3)), np.reshape(pose.hand_pose, (15, 3))])
    rotations = rotation_matrices(vectors)
    turn, place = np.empty((16, 3, 3)), np.empty((16, 3))
    turn[0], place[0] = rotations[0], rest_joints[0]
    for joint, parent in enumerate(MANO_PARENTS[1:], start=1):
        turn[joint] = turn[parent] @ rotations[joint]
        place[joint] = place[parent] + turn[parent] @ (rest_joints[joint] - rest_joints[parent])
    shift = place - np.einsum("jab,jb->ja", turn, rest_joints)
    # [V,16] times [16,12]: turned and moved by the weighted mean of the joints' motions
    motion = np.concatenate([turn.reshape(16, 9), shift], axis=1).astype(np.float32)
    blended = weights @ motion
    vertices = np.einsum("vab,vb->va", blended[:, :9].reshape(-1, 3, 3), points) + blended[:, 9:]
    return vertices + np.asarray(pose.transl, np.float32), place + pose.transl
