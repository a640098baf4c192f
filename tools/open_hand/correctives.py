"""Pose correctives: what linear blend skinning lacks against the elastic hand, linear in MANO's pose features."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.spatial.transform import Rotation

from tools.open_hand.elastic import build_solid, settle
from tools.open_hand.skeleton import PARENTS
from tools.open_hand.topology import smooth

TRAINING_POSES, HELD_OUT_POSES = 192, 24
RIDGE = 1e-2
LARGEST_CORRECTION = 0.012


def sample_poses(count: int, limits: np.ndarray, axes: np.ndarray, seed: int) -> np.ndarray:
    """Random rotation vectors [count, 15, 3] within the limits [15, 3, 2] about the axes [15, 3, 3].

    Flexion is uniform over its range; the other two axes over 80 % of theirs, and at rest in every third pose.
    """
    generator = np.random.default_rng(seed)
    low, high = limits[..., 0], limits[..., 1]
    angles = generator.uniform(size=(count, 15, 3)) * (high - low) + low
    angles[:, :, 1:] *= 0.8
    angles[::3, :, 1:] = 0
    return np.einsum("nja,jax->njx", angles, axes)


def bone_transforms(rotation_vectors: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations R [*, 16, 3, 3] and offsets t [*, 16, 3] with x_posed = R_j x + t_j.

    rotation_vectors [*, 15, 3] of joints 1..15 relative to their parents, joints [16, 3].
    """
    lead = rotation_vectors.shape[:-2]
    local = Rotation.from_rotvec(rotation_vectors.reshape(-1, 3)).as_matrix().reshape(*lead, 15, 3, 3)
    world = np.broadcast_to(np.eye(3), (*lead, 16, 3, 3)).copy()
    placed = np.broadcast_to(joints, (*lead, 16, 3)).copy()
    for j in range(1, 16):
        parent = PARENTS[j]
        world[..., j, :, :] = world[..., parent, :, :] @ local[..., j - 1, :, :]
        placed[..., j, :] = placed[..., parent, :] + np.einsum(
            "...ab,b->...a", world[..., parent, :, :], joints[j] - joints[parent]
        )
    return world, placed - np.einsum("...jab,jb->...ja", world, joints)


def pose_features(rotation_vectors: np.ndarray) -> np.ndarray:
    """(R_j − I) of joints 1..15, row-major: [*, 135]."""
    lead = rotation_vectors.shape[:-2]
    local = Rotation.from_rotvec(rotation_vectors.reshape(-1, 3)).as_matrix() - np.eye(3)
    return local.reshape(*lead, 135)


def elastic_targets(poses: np.ndarray, vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray,
                    tips: np.ndarray, weights: np.ndarray, workers: int = 2) -> np.ndarray:  # fmt: skip
    """Elastic hands [N, V, 3] for poses [N, 15, 3]; see elastic.build_solid for the rest."""
    rotations, offsets = bone_transforms(poses, joints)
    chunks = np.array_split(np.arange(len(poses)), workers)
    with ProcessPoolExecutor(workers) as pool:
        jobs = [
            pool.submit(_settle_all, (vertices, faces, joints, tips, weights), rotations[c], offsets[c]) for c in chunks
        ]
        return np.concatenate([job.result() for job in jobs])


def fit_correctives(poses: np.ndarray, targets: np.ndarray, vertices: np.ndarray, joints: np.ndarray,
                    weights: np.ndarray, graph: sp.csr_matrix) -> np.ndarray:  # fmt: skip
    """posedirs [V, 3, 135] that bring linear blend skinning nearest to the targets [N, V, 3] (ridge regression).

    Each vertex listens only to the fingers that move it or its surroundings, so that no finger's pose leaks into
    another's skin.
    """
    linear, skinned = skin(vertices, joints, weights, poses)
    residual = targets - skinned
    size = np.linalg.norm(residual, axis=-1, keepdims=True)
    residual *= np.minimum(1, LARGEST_CORRECTION / np.maximum(size, 1e-9))
    features = pose_features(poses)
    reach = smooth(weights, graph, 4)
    finger_reach = np.stack([reach[:, 1 + 3 * f : 4 + 3 * f].sum(1) for f in range(5)], 1)
    directions = np.zeros((len(vertices), 3, 135))
    strength = RIDGE * len(poses)
    for v in np.flatnonzero(finger_reach.max(1) > 0.01):
        fingers = np.flatnonzero(finger_reach[v] > max(0.01, 0.1 * finger_reach[v].max()))
        used = (27 * fingers[:, None] + np.arange(27)).ravel()
        phi = features[:, used]
        # rows: posed displacement = A_n (P φ_n)
        design = np.einsum("nab,nk->nabk", linear[:, v], phi).reshape(3 * len(poses), -1)
        normal = design.T @ design
        normal[np.diag_indices_from(normal)] += strength
        solution = np.linalg.solve(normal, design.T @ residual[:, v].ravel())
        directions[v][:, used] = solution.reshape(3, -1)
    return directions


class Report(NamedTuple):
    """Plain linear blend skinning against skinning with correctives, over poses the fit has not seen.

    Mean distance from the elastic hand of the vertices that a finger moves (mm), and mean change of the closed mesh's
    volume from rest (share) for both and for the elastic hand.
    """

    plain_mm: float
    corrected_mm: float
    plain_volume: float
    corrected_volume: float
    elastic_volume: float


def measure(poses, targets, vertices, faces, joints, weights, directions) -> Report:
    """Report for poses [N, 15, 3] with elastic hands [N, V, 3] and posedirs [V, 3, 135]."""
    plain = skin(vertices, joints, weights, poses)[1]
    corrected = skin(vertices, joints, weights, poses, directions)[1]
    moved = weights[:, 0] < 0.95
    rest = enclosed_volume(vertices, faces)
    errors = (1e3 * np.linalg.norm(hands - targets, axis=-1)[:, moved].mean() for hands in (plain, corrected))
    volumes = (enclosed_volume(hands, faces).mean() / rest - 1 for hands in (plain, corrected, targets))
    return Report(*(round(float(x), 4) for x in (*errors, *volumes)))


def enclosed_volume(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Volume [*] inside closed meshes [*, V, 3]."""
    a, b, c = (vertices[..., faces[:, i], :] for i in range(3))
    return (np.cross(a, b) * c).sum((-1, -2)) / 6


def skin(vertices, joints, weights, poses, directions=None) -> tuple[np.ndarray, np.ndarray]:
    """Blended linear parts [N, V, 3, 3] and skinned vertices [N, V, 3], with correctives where given."""
    rotations, offsets = bone_transforms(poses, joints)
    linear = np.einsum("vj,njab->nvab", weights, rotations)
    rest = np.broadcast_to(vertices, (len(poses), *vertices.shape))
    if directions is not None:
        rest = rest + np.einsum("vak,nk->nva", directions, pose_features(poses))
    return linear, np.einsum("nvab,nvb->nva", linear, rest) + np.einsum("vj,nja->nva", weights, offsets)


def _settle_all(rest: tuple, rotations: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    solid = build_solid(*rest)
    return np.stack([settle(solid, r, t) for r, t in zip(rotations, offsets, strict=True)])
