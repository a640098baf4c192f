"""A hand's mesh mirrored, made finer and made coarser, with all that deforms it. NumPy only.

Skinning, shape and correctives of a finer mesh are the linear interpolation of the coarse ones, so that the coarse
vertices stay where they were at every pose. A mesh made finer this way can be made coarser again by the same rule read
backwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from ..engine.avatar.folder import AvatarMesh
from ..engine.avatar.pose_extras import ExtraCorrectives
from ..engine.avatar.pose_terms import mirrored_term
from ..engine.errors import InputError

_FLIP = np.array([-1.0, 1.0, 1.0])
LARGEST_VERTICES = 120_000
"""A finer mesh than this would take gigabytes: 145 shape keys of three numbers a vertex."""


def mirrored(mesh: AvatarMesh) -> AvatarMesh:
    """The other hand: the mirror image in X at every pose, with M = diag(-1, 1, 1) and rotations R as M R M.

    Faces are rewound so that they still look outward; texture coordinates, weights and betas keep their meaning.
    """
    feature_sign = np.tile(np.outer(_FLIP, _FLIP).ravel(), 15)
    return dataclasses.replace(
        mesh,
        vertices=mesh.vertices * _FLIP,
        faces=mesh.faces[:, ::-1],
        uv=mesh.uv[:, ::-1],
        joints=mesh.joints * _FLIP,
        pose_basis=mesh.pose_basis * _FLIP * feature_sign[:, None, None],
        shape_basis=mesh.shape_basis * _FLIP,
        joint_shape_basis=mesh.joint_shape_basis * _FLIP,
        extra=_mirrored_extra(mesh.extra),
    )


def _mirrored_extra(extra: ExtraCorrectives | None) -> ExtraCorrectives | None:
    if extra is None:
        return None
    return ExtraCorrectives(tuple(map(mirrored_term, extra.terms)), extra.basis * _FLIP)


def _with_basis(extra: ExtraCorrectives | None, changed: Callable[[np.ndarray], np.ndarray]) -> ExtraCorrectives | None:
    return extra and dataclasses.replace(extra, basis=changed(extra.basis))


def finer(mesh: AvatarMesh) -> AvatarMesh:
    """Every triangle split into three at its corners and one in the middle; four times as many.

    Raises InputError for more vertices than a Blender file should hold.
    """
    faces = np.asarray(mesh.faces, dtype=np.int64)
    count = len(mesh.vertices)
    corners = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1)
    edges, index = np.unique(np.sort(corners, axis=-1).reshape(-1, 2), axis=0, return_inverse=True)
    if count + len(edges) > LARGEST_VERTICES:
        raise InputError(
            f"a mesh of {count + len(edges)} vertices is too fine for 145 shape keys: raise the Subdivision modifier's levels"
        )
    middles = index.reshape(-1, 3) + count

    def refined(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, values[edges].mean(1)])

    def refined_basis(basis: np.ndarray) -> np.ndarray:
        return np.concatenate([basis, basis[:, edges].mean(2)], axis=1)

    return dataclasses.replace(
        mesh,
        vertices=refined(mesh.vertices),
        faces=_split(faces, middles).reshape(-1, 3),
        uv=_split(mesh.uv, (mesh.uv + np.roll(mesh.uv, -1, axis=1)) / 2).reshape(-1, 3, 2),
        skinning_weights=refined(mesh.skinning_weights),
        pose_basis=refined_basis(mesh.pose_basis),
        shape_basis=refined_basis(mesh.shape_basis),
        cap_faces=np.repeat(mesh.cap_faces, 4),
        extra=_with_basis(mesh.extra, refined_basis),
    )


def _split(corners: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """Values at corners [F,3,*] and at the middles of the edges that follow them → the four triangles' [F,4,3,*]."""
    (a, b, c), (ab, bc, ca) = np.moveaxis(corners, 1, 0), np.moveaxis(middles, 1, 0)
    return np.stack([np.stack(t, 1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))], axis=1)


def is_refined(mesh: AvatarMesh) -> bool:
    """Whether the mesh's triangles come in fours as `finer` makes them, so that `coarser` can undo it."""
    return _coarse_faces(np.asarray(mesh.faces), len(mesh.vertices)) is not None


def coarser(mesh: AvatarMesh) -> AvatarMesh:
    """The inverse of `finer`: a quarter of the triangles. The detail that the other vertices held is lost.

    Raises InputError for a mesh that was not made by splitting each triangle in four.
    """
    found = _coarse_faces(np.asarray(mesh.faces), len(mesh.vertices))
    if found is None:
        raise InputError("this mesh is as coarse as it was made: it has no coarser version inside")
    faces, slots = found
    count = int(faces.max()) + 1
    quads = mesh.uv.reshape(-1, 4, 3, 2)
    rows = np.arange(len(quads))[:, None]
    return dataclasses.replace(
        mesh,
        vertices=mesh.vertices[:count],
        faces=faces,
        uv=quads[rows, slots[..., 0], slots[..., 1]],
        skinning_weights=mesh.skinning_weights[:count],
        pose_basis=mesh.pose_basis[:, :count],
        shape_basis=mesh.shape_basis[:, :count],
        cap_faces=mesh.cap_faces[::4],
        extra=_with_basis(mesh.extra, lambda basis: basis[:, :count]),
    )


def _coarse_faces(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Triangles [F/4,3] of the coarse mesh, and where their corners stand [F/4,3,2] as (face of four, corner).

    None where the faces are not such a mesh's. Works for either winding, as mirroring changes it.
    """
    if len(faces) == 0 or len(faces) % 4:
        return None
    fours = faces.reshape(-1, 4, 3)
    # the corner of each outer triangle that the middle one does not share
    own = ~(fours[:, :3, :, None] == fours[:, 3, None, None, :]).any(-1)
    if not (own.sum(-1) == 1).all():
        return None
    corner = own.argmax(-1)
    rows = np.arange(len(fours))
    coarse = np.stack([fours[rows, k, corner[:, k]] for k in range(3)], axis=1)
    # the next corner of triangle 0 lies towards triangle 1, or the winding is the other way round
    following = fours[rows, 0, (corner[:, 0] + 1) % 3]
    ahead = (following[:, None] == fours[:, 1]).any(1)
    order = np.where(ahead[:, None], (0, 1, 2), (0, 2, 1))
    coarse = np.take_along_axis(coarse, order, axis=1)
    slots = np.stack([order, np.take_along_axis(corner, order, axis=1)], axis=-1)
    middles = fours[:, 3]
    whole = coarse.max() < middles.min() and middles.max() == count - 1 and len(np.unique(coarse)) == coarse.max() + 1
    return (coarse, slots) if whole else None
