"""How deep a hand sinks into itself. NumPy only.

Each vertex is held against the nearest vertex of the parts of the hand that could meet it: not its own bone nor that
bone's neighbours, whose flesh folds at a joint. It is inside when it lies behind the tangent plane there and the two
pieces of skin face each other, unless they lie beside each other on the surface, as in the webs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...engine.hand.joints import MANO_PARENTS
from ...engine.hand.normals import vertex_normals
from .hand_shape import HandShape, pose_hand

SOFT_CONTACT_M = 0.002
"""Flesh presses in this far where fingers touch; what a pose may hold at most."""
_REACH_M = 0.012
"""More than half a finger: what is deeper is nearer to its other side."""
_BESIDE_DOUBLINGS = 2
"""Skin within 2**2 = 4 edges, about 15 mm, is beside a vertex."""
_WEB_M = 0.025
_OWN_SHARE = 0.7
"""Skin at a finger's root or in a web, which no bone moves by this share, folds with what is this near it at rest."""


class Contact(NamedTuple):
    """Self-penetration of one pose."""

    depth: np.ndarray
    """[V] metres, 0 outside."""
    partner: np.ndarray
    """[V] index of the vertex that each was measured against."""

    @property
    def deepest(self) -> float:
        """Metres."""
        return float(self.depth.max())


@dataclass(frozen=True)
class ContactTest:
    """What may meet what on one hand model, worked out once."""

    faces: np.ndarray
    """[F,3]."""
    parts: np.ndarray
    """[V] the joint that moves each vertex most."""
    may_meet: np.ndarray
    """[V,V] bool, whether the bones of two vertices could meet."""
    apart: np.ndarray
    """[V,V] bool, whether two vertices are far from each other on the skin."""

    def measure(self, vertices: np.ndarray) -> Contact:
        """Self-penetration of posed vertices [V,3]."""
        normals = vertex_normals(vertices, self.faces)
        centred = (vertices - vertices.mean(0)).astype(np.float32)
        squared = (centred**2).sum(1)
        distance = squared[:, None] + squared[None] - 2 * centred @ centred.T
        distance[~self.may_meet] = np.inf
        partner = distance.argmin(1)
        rows = np.arange(len(partner))
        near = (distance[rows, partner] < _REACH_M**2) & self.apart[rows, partner]
        depth = ((vertices[partner] - vertices) * normals[partner]).sum(1)
        facing = (normals * normals[partner]).sum(1) < 0
        return Contact(np.where(near & facing, np.maximum(depth, 0.0), 0.0), partner)


def contact_test(shape: HandShape) -> ContactTest:
    """The test for hands of this mesh and skinning, whatever their betas."""
    parts = shape.weights.argmax(1)
    parents = np.array(MANO_PARENTS)
    bones = np.arange(16)
    neighbours = bones[:, None] == bones
    neighbours |= (parents[:, None] == bones) | (parents[None] == bones[:, None])
    beside = np.eye(len(parts), dtype=np.float32)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        beside[shape.faces[:, a], shape.faces[:, b]] = beside[shape.faces[:, b], shape.faces[:, a]] = 1
    for _ in range(_BESIDE_DOUBLINGS):
        beside = (beside @ beside > 0).astype(np.float32)
    apart = beside == 0
    rooted = (shape.weights.max(1) < _OWN_SHARE) & (shape.weights[:, 0] > 0.05)
    at_rest = np.linalg.norm(shape.vertices[:, None] - shape.vertices, axis=-1)
    apart &= ~((rooted[:, None] | rooted) & (at_rest < _WEB_M))
    apart[shape.wrist_cap] = apart[:, shape.wrist_cap] = False
    return ContactTest(shape.faces, parts, ~neighbours[parts[:, None], parts], apart)


def penetration(shape: HandShape, test: ContactTest, hand_pose: np.ndarray) -> float:
    """Metres that the hand sinks into itself at most in a pose [45]."""
    return test.measure(pose_hand(shape, hand_pose)).deepest
