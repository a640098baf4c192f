"""A posed hand with skin of its own, as a scanner sees it: open, noisy, holey, with forearm and what else was in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.noise import octaves
from ..capture.mask import wrist_ring
from ..hand.loop_model import loop_model
from ..hand.mano import hand_forward
from ..hand.model import HandModel
from ..hand.normals import vertex_normals
from ..rendering.ray_casting import any_hit, ray_mesh


@dataclass(frozen=True)
class ScanNoise:
    """How far a scan is from the hand; metres."""

    levels: int = 2
    """Of subdivision: 2 gives triangles of about a millimetre."""
    skin_wavelengths: tuple[float, ...] = (0.03, 0.01, 0.003)
    skin_deviations: tuple[float, ...] = (0.0004, 0.0002, 0.0001)
    """Of the person's own skin about the model's shape, which no betas can describe."""
    white: float = 0.0003
    wavy: float = 0.00025
    """Of the scanner's noise along its rays: from vertex to vertex, and over `wavy_length`."""
    wavy_length: float = 0.008
    holes: int = 6
    hole_radius: tuple[float, float] = (0.003, 0.008)
    floaters: int = 12
    forearm: float = 0.06
    least_cosine: float = 0.2
    """Of the angle at which a scanner's camera still sees the surface."""
    patch: bool = True
    """A piece of a table some way off."""


class TrueHand(NamedTuple):
    """One posed hand with its own skin, before it is scanned."""

    vertices: np.ndarray
    """[N,3] of the fine closed surface, forearm included."""
    faces: np.ndarray
    keypoints: np.ndarray
    """[21,3] the model's joints, and the tips on the hand's own skin."""
    hand_vertices: int
    """The first so many vertices are the hand's, the others the forearm's."""


class Person:
    """A fine hand model with the skin of one person."""

    def __init__(self, model: HandModel, betas: Tensor, noise: ScanNoise, seed: int):
        self.betas, self.noise = betas, noise
        self.fine = loop_model(model, noise.levels).to(dtype=torch.float32)
        rest = self.fine.v_template.numpy()
        normals = torch.as_tensor(vertex_normals(rest, self.fine.faces.numpy()))
        height = octaves(self.fine.v_template, noise.skin_wavelengths, noise.skin_deviations, seed)
        self._skin = normals * height[:, None]
        self._rim = _ordered_rim(self.fine)

    def posed(self, global_orient: Tensor, hand_pose: Tensor, transl: Tensor) -> TrueHand:
        """The hand in one pose: parameters [3], [45], [3]."""
        model = self.fine
        given = (value.to(model.v_template) for value in (self.betas, global_orient, hand_pose, transl))
        out = hand_forward(model, *given)
        # the own skin moves with the bones under it; joints stay where the shape has them
        turns = torch.einsum("vj,jcd->vcd", model.skinning_weights, out.joint_transforms[:, :3, :3])
        vertices = out.vertices + (turns @ self._skin[..., None])[..., 0]
        keypoints = torch.cat([out.joints, vertices[model.tip_vertices]])
        points = vertices.double().numpy()
        knuckle = keypoints[4].double().numpy()
        arm, arm_faces = _forearm(points, self._rim, knuckle, self.noise.forearm)
        faces = np.concatenate([model.faces.numpy()[~model.cap_faces.numpy()], arm_faces])
        return TrueHand(np.concatenate([points, arm]), faces, keypoints.double().numpy(), len(points))


def scanned(hand: TrueHand, eyes: np.ndarray, noise: ScanNoise, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [N,3] and faces [F,3] of the scan that a scanner with cameras at `eyes` [C,3] makes of the hand."""
    random = np.random.default_rng(seed)
    normals = vertex_normals(hand.vertices, hand.faces)
    seen, ray = _visibility(hand, normals, eyes, noise.least_cosine)
    for _ in range(noise.holes):
        middle = hand.vertices[random.integers(hand.hand_vertices)]
        radius = random.uniform(*noise.hole_radius)
        seen &= np.linalg.norm(hand.vertices - middle, axis=1) > radius
    wavy = octaves(torch.as_tensor(hand.vertices), (noise.wavy_length,), (noise.wavy,), seed % 100_003).numpy()
    off = wavy + noise.white * random.standard_normal(len(hand.vertices))
    vertices = hand.vertices + ray * off[:, None]
    faces = hand.faces[seen[hand.faces].all(1)]
    used, index = np.unique(faces, return_inverse=True)
    parts = [(vertices[used], index.reshape(-1, 3))]
    low, high = hand.vertices.min(0) - 0.03, hand.vertices.max(0) + 0.03
    parts += [_blob(random.uniform(low, high), 0.0015, random) for _ in range(noise.floaters)]
    if noise.patch:
        parts.append(_patch(hand.vertices.mean(0) + np.array([0.0, 0.17, 0.02]), 0.05, random))
    return joined(parts)


def joined(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Several meshes as one."""
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in parts])
    return (
        np.concatenate([vertices for vertices, _ in parts]),
        np.concatenate([faces + start for (_, faces), start in zip(parts, starts[:-1], strict=True)]),
    )


def _visibility(
    hand: TrueHand, normals: np.ndarray, eyes: np.ndarray, least_cosine: float
) -> tuple[np.ndarray, np.ndarray]:
    """[N] bool: two eyes at least see the vertex; and the unit ray [N,3] from the one that sees it most frontally."""
    mesh = ray_mesh(torch.as_tensor(hand.vertices), torch.as_tensor(hand.faces))
    count = np.zeros(len(hand.vertices), int)
    best, ray = np.full(len(hand.vertices), -1.0), -normals
    for eye in eyes:
        towards = eye - hand.vertices
        direction = towards / np.linalg.norm(towards, axis=1, keepdims=True)
        cosine = (direction * normals).sum(1)
        origin = hand.vertices + 2e-4 * normals
        blocked = any_hit(mesh, torch.as_tensor(origin), torch.as_tensor(direction), 1.0).numpy().astype(bool)
        sees = (cosine > least_cosine) & ~blocked
        count += sees
        nearer = sees & (cosine > best)
        best[nearer], ray[nearer] = cosine[nearer], -direction[nearer]
    return count >= 2, ray


def _ordered_rim(model: HandModel) -> np.ndarray:
    """The wrist ring's vertices in the order in which the open hand's triangles run along it."""
    faces = model.faces.numpy()[~model.cap_faces.numpy()]
    ring = set(wrist_ring(model.faces.numpy(), model.cap_faces.numpy()).tolist())
    directed = {(int(a), int(b)) for a, b in faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2) if a in ring and b in ring}
    following = {a: b for a, b in directed if (b, a) not in directed}
    order = [min(following)]
    while following[order[-1]] != order[0]:
        order.append(following[order[-1]])
    return np.array(order)


def _forearm(points: np.ndarray, rim: np.ndarray, knuckle: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """A sleeve of skin beyond the wrist's rim: its own vertices [M,3], and faces that use them and the rim."""
    ring = points[rim]
    axis = np.linalg.svd(ring - ring.mean(0))[2][2]
    axis = axis if axis @ (ring.mean(0) - knuckle) > 0 else -axis
    steps = max(1, round(length / 0.002))
    middle = ring.mean(0)
    rings = [
        middle + (ring - middle) * (1 + 0.25 * (length * k / steps) / 0.06) + axis * length * k / steps
        for k in range(1, steps + 1)
    ]
    count = len(rim)
    index = np.concatenate([rim[None], len(points) + np.arange(steps * count).reshape(steps, count)])
    a, b = index[:-1], index[1:]
    after_a, after_b = np.roll(a, -1, 1), np.roll(b, -1, 1)
    faces = np.concatenate(
        [np.stack([after_a, a, b], -1).reshape(-1, 3), np.stack([after_a, b, after_b], -1).reshape(-1, 3)]
    )
    return np.concatenate(rings), faces


def _blob(place: np.ndarray, radius: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A floating octahedron, as stereo leaves them."""
    corners = np.concatenate([np.eye(3), -np.eye(3)]) * radius * random.uniform(0.5, 1.5, (6, 1))
    faces = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    return place + corners, np.array(faces)


def _patch(place: np.ndarray, side: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A rough level square."""
    steps = 25
    x, z = np.meshgrid(np.linspace(-side, side, steps) / 2, np.linspace(-side, side, steps) / 2)
    vertices = place + np.stack([x, 0.0005 * random.standard_normal(x.shape), z], -1).reshape(-1, 3)
    corner = (np.arange(steps - 1)[:, None] * steps + np.arange(steps - 1)).reshape(-1)
    right, below = corner + 1, corner + steps
    return vertices, np.concatenate([np.stack([corner, right, below], -1), np.stack([right, below + 1, below], -1)])
