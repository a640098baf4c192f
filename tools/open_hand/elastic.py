"""The better deformer: flesh as a nearly incompressible elastic solid around rigid bones.

The hand is embedded in a lattice of tetrahedra; nodes near a bone move with it, the rest settle where the stable
neo-Hookean energy (Smith, de Goes & Kim, ACM Trans. Graph. 37(2), 2018, eq. 13 without its barrier term) is least.
Slow, so it only supplies the targets that the pose correctives are fitted to.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

SPACING = 0.0035
SHEAR, BULK = 1.0, 12.0
BONE_RADIUS = 0.0038
KNUCKLE_RADIUS = 0.0062
METACARPAL_RADIUS = 0.0055


@dataclass(frozen=True)
class Solid:
    """Lattice of N nodes and T tetrahedra around a hand with V vertices.

    nodes [N, 3]; gradient (3T, N) maps node positions to deformation gradients; volume [T];
    bone [N] joint index of the rigid bone, -1 where free; guess [N, 16] weights for a first guess;
    embedding (V, N) rows sum to 1.
    """

    nodes: np.ndarray
    gradient: sp.csr_matrix
    volume: np.ndarray
    bone: np.ndarray
    guess: np.ndarray
    embedding: sp.csr_matrix
    solve: object


def build_solid(vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray, tips: np.ndarray,
                weights: np.ndarray) -> Solid:  # fmt: skip
    """vertices [V, 3], closed faces [F, 3], joints [16, 3] and tips [5, 3] (index, middle, pinky, ring, thumb)."""
    cells, corner, fill = _filled_cells(vertices, faces)
    keys, index = np.unique((cells[:, None] + _CORNERS).reshape(-1, 3), axis=0, return_inverse=True)
    nodes = corner + SPACING * keys
    index = index.reshape(-1, 8)
    odd = cells.sum(1) % 2
    tets = np.concatenate([index[odd == o][:, pattern].reshape(-1, 4) for o, pattern in enumerate(_FIVE_TETS)])
    tet_fill = np.concatenate([np.repeat(fill[odd == o], 5) for o in (0, 1)])

    edges = np.moveaxis(nodes[tets[:, 1:]] - nodes[tets[:, :1]], 1, 2)
    tet_volume = np.linalg.det(edges)
    tets[tet_volume < 0] = tets[tet_volume < 0][:, [0, 2, 1, 3]]
    edges = np.moveaxis(nodes[tets[:, 1:]] - nodes[tets[:, :1]], 1, 2)
    inverse = np.linalg.inv(edges)
    local = np.concatenate([-inverse.sum(1, keepdims=True), inverse], 1)  # [T, 4, 3]
    count = len(tets)
    rows = (3 * np.arange(count)[:, None, None] + np.arange(3)).repeat(4, 1)
    gradient = sp.csr_matrix(
        (local.ravel(), (rows.ravel(), np.repeat(tets[:, :, None], 3, 2).ravel())), shape=(3 * count, len(nodes))
    )
    embedding = _embed(vertices, nodes, tets)

    distance, near = cKDTree(vertices).query(nodes, 6)
    closeness = 1 / (distance + 1e-4) ** 2
    guess = np.einsum("nk,nkj->nj", closeness / closeness.sum(1, keepdims=True), weights[near])
    bone = _bones(nodes, joints, tips)
    # flesh that no joint moves need not be solved for
    bone[(bone < 0) & (guess[:, 0] > 0.995)] = 0
    moving = (bone[tets] < 0).any(1)
    gradient = gradient[np.repeat(moving, 3)]
    volume = (np.abs(tet_volume) / 6 * tet_fill)[moving]

    free = bone < 0
    stiffness = (gradient.T @ sp.diags(np.repeat(volume, 3)) @ gradient)[free][:, free]
    factor = splu(((2 * SHEAR + BULK / 2) * stiffness).tocsc())
    return Solid(nodes, gradient, volume, bone, guess, embedding, factor.solve)


def settle(solid: Solid, rotations: np.ndarray, translations: np.ndarray, iterations: int = 80,
           tolerance: float = 2e-5) -> np.ndarray:  # fmt: skip
    """Surface vertices [V, 3] at rest under bone transforms x → R_j x + t_j (rotations [16, 3, 3], translations)."""
    by_bone = np.einsum("jab,nb->jna", rotations, solid.nodes) + translations[:, None]
    x = np.einsum("nj,jna->na", solid.guess, by_bone)
    fixed = solid.bone >= 0
    x[fixed] = by_bone[solid.bone[fixed], np.flatnonzero(fixed)]
    free = ~fixed
    energy, gradient = _energy(solid, x)
    memory: deque = deque(maxlen=8)
    for _ in range(iterations):
        direction = _quasi_newton(gradient[free], memory, solid.solve)
        slope = (direction * gradient[free]).sum()
        step = 1.0
        while True:
            trial = x.copy()
            trial[free] += step * direction
            new_energy, new_gradient = _energy(solid, trial)
            if new_energy <= energy + 1e-4 * step * slope or step < 1e-4:
                break
            step *= 0.5
        memory.append((trial[free] - x[free], new_gradient[free] - gradient[free]))
        done = energy - new_energy < tolerance * abs(energy - _rest_energy(solid))
        x, energy, gradient = trial, new_energy, new_gradient
        if done:
            break
    return solid.embedding @ x


def _rest_energy(solid: Solid) -> float:
    # J − alpha = −SHEAR / BULK at rest
    return float(solid.volume.sum() * 0.5 * BULK * (SHEAR / BULK) ** 2)


def _energy(solid: Solid, x: np.ndarray) -> tuple[float, np.ndarray]:
    f = (solid.gradient @ x).reshape(-1, 3, 3)
    a, b, c = f[:, 0], f[:, 1], f[:, 2]
    cofactor = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], 1)
    change = (a * cofactor[:, 0]).sum(1) - (1 + SHEAR / BULK)
    density = 0.5 * SHEAR * ((f * f).sum((1, 2)) - 3) + 0.5 * BULK * change**2
    stress = SHEAR * f + (BULK * change)[:, None, None] * cofactor
    stress *= solid.volume[:, None, None]
    return float(solid.volume @ density), solid.gradient.T @ stress.reshape(-1, 3)


def _quasi_newton(gradient: np.ndarray, memory: deque, solve) -> np.ndarray:
    """L-BFGS direction whose first metric is the lattice's Laplacian (Liu, Bouaziz & Kavan, 2017)."""
    q, history = gradient.copy(), []
    for s, y in reversed(memory):
        scale = 1 / max((s * y).sum(), 1e-20)
        alpha = scale * (s * q).sum()
        q -= alpha * y
        history.append((s, y, scale, alpha))
    r = solve(q)
    for s, y, scale, alpha in reversed(history):
        r += s * (alpha - scale * (y * r).sum())
    return -r


_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_FIVE_TETS = (
    np.array([[0, 1, 2, 4], [3, 1, 2, 7], [5, 1, 4, 7], [6, 2, 4, 7], [1, 2, 4, 7]]),
    np.array([[1, 0, 3, 5], [2, 0, 3, 6], [4, 0, 5, 6], [7, 3, 5, 6], [0, 3, 5, 6]]),
)


def _filled_cells(vertices, faces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lattice cells [C, 3] that hold flesh, the lattice's corner [3] and the share of each cell that is flesh."""
    import trimesh

    corner = vertices.min(0) - 1.5 * SPACING
    shape = np.ceil((vertices.max(0) - corner) / SPACING).astype(int) + 1
    fine = np.stack(np.meshgrid(*(np.arange(2 * s) for s in shape), indexing="ij"), -1).reshape(-1, 3)
    inside = trimesh.Trimesh(vertices, faces, process=False).contains(corner + SPACING * (fine + 0.5) / 2)
    fill = inside.reshape(shape[0], 2, shape[1], 2, shape[2], 2).mean((1, 3, 5))
    touched = np.floor((vertices - corner) / SPACING).astype(int)
    keep = fill > 0
    keep[tuple(touched.T)] = True
    cells = np.argwhere(keep)
    return cells, corner, np.maximum(fill[keep], 0.1)


def _bones(nodes, joints, tips) -> np.ndarray:
    """Joint whose bone holds each node, -1 where flesh is free. A bone's far end reaches its joint's centre."""
    bone = np.full(len(nodes), -1)
    best = np.full(len(nodes), 1.0)

    def claim(joint: int, a, b, radius: float) -> None:
        t = np.clip((nodes - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        relative = np.linalg.norm(nodes - a - t[:, None] * (b - a), axis=1) / radius
        won = relative < best
        bone[won], best[won] = joint, relative[won]

    wrist = joints[0]
    claim(0, wrist, wrist + np.array([0.03, 0.0, 0.0]), 0.012)
    for f in range(5):
        j = 1 + 3 * f
        chain = [joints[j], joints[j + 1], joints[j + 2], joints[j + 2] + 0.72 * (tips[f] - joints[j + 2])]
        if f < 4:
            claim(0, wrist, joints[j], METACARPAL_RADIUS)
            claim(0, joints[j], joints[j] + 1e-6, KNUCKLE_RADIUS)
        else:
            claim(0, wrist, joints[j], 0.007)
        for k in range(3):
            along = (chain[k + 1] - chain[k]) / np.linalg.norm(chain[k + 1] - chain[k])
            radius = METACARPAL_RADIUS if f == 4 and k == 0 else BONE_RADIUS
            claim(j + k, chain[k] + 0.004 * along, chain[k + 1], radius)
    return bone


def _embed(vertices, nodes, tets) -> sp.csr_matrix:
    """Barycentric coordinates of the vertices in the lattice."""
    _, near = cKDTree(nodes[tets].mean(1)).query(vertices, 24)
    p = nodes[tets[near]]
    edges = np.moveaxis(p[:, :, 1:] - p[:, :, :1], 2, 3)
    inner = np.linalg.solve(edges, (vertices[:, None] - p[:, :, 0])[..., None])[..., 0]
    coordinates = np.concatenate([1 - inner.sum(-1, keepdims=True), inner], -1)
    best = coordinates.min(-1).argmax(1)
    rows = np.arange(len(vertices))
    return sp.csr_matrix(
        (coordinates[rows, best].ravel(), (np.repeat(rows, 4), tets[near[rows, best]].ravel())),
        shape=(len(vertices), len(nodes)),
    )
