"""How far one surface is from another, wherever their vertices are. Pure functions; metres in, millimetres out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..hand.signed_distance import signed_distance, surface_points

MM = 1000.0
SAMPLES = 4000
"""Of a surface: 2 mm apart on a hand."""


CUT_M = 0.010
"""From the wrist's lid, within which surfaces are not compared: where exactly a hand was cut is no one's doing."""


class SurfaceError(NamedTuple):
    """Point-to-surface distances in mm."""

    there_mm: float
    """Mean from the found surface to the true one."""
    back_mm: float
    """Mean from the true surface to the found one: parts that are missing count here alone."""
    largest_mm: float
    """Of both: the Hausdorff distance of the samples."""

    @property
    def mean_mm(self) -> float:
        """Of both ways."""
        return (self.there_mm + self.back_mm) / 2


def point_to_surface_mm(points: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """[N] exact distances from points [N,3] to the triangles of a mesh, open or closed. Raises HandModelError for no mesh."""
    return MM * signed_distance(vertices, faces, points).abs()


class Spread(NamedTuple):
    """Of distances, mm."""

    mean_mm: float
    p95_mm: float


class Cut(NamedTuple):
    """A plane; what lies behind it is not compared."""

    point: Tensor
    """[3] metres"""
    normal: Tensor
    """[3] unit, towards what is."""

    def keeps(self, points: Tensor) -> Tensor:
        """[N] bool, of points [N,3]."""
        return (points - self.point) @ self.normal > 0


def wrist_cut(vertices: Tensor, lid: Tensor, distance_m: float = CUT_M) -> Cut:
    """The plane of a posed hand's lid, moved into the hand. vertices [V,3] metres; lid [L] int64, its vertices.

    Raises ValueError where the lid has fewer than three vertices.
    """
    if len(lid) < 3:
        raise ValueError("a lid of fewer than three vertices has no plane")
    border = vertices[lid]
    centre = border.mean(0)
    normal = torch.linalg.svd((border - centre).double(), full_matrices=False).Vh[2].to(vertices)
    inward = normal * torch.sign(normal @ (vertices.mean(0) - centre))
    return Cut(centre + distance_m * inward, inward)


def surface_distances(
    vertices: Tensor,
    faces: Tensor,
    true_vertices: Tensor,
    true_faces: Tensor,
    cut: Cut | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Distances in mm from the found surface to the true one, and from the true one to the found one (XHand's P2S: of a scan).

    Of points spread evenly over each, those that `cut` keeps; arguments as of `surface_error`. Distances are to whole surfaces.
    """
    generator = torch.Generator().manual_seed(seed)
    ours = surface_points(vertices, faces, samples, generator)
    theirs = surface_points(true_vertices, true_faces, samples, generator)
    if cut is not None:
        ours, theirs = ours[cut.keeps(ours)], theirs[cut.keeps(theirs)]
    return point_to_surface_mm(ours, true_vertices, true_faces), point_to_surface_mm(theirs, vertices, faces)


def surface_error(
    vertices: Tensor, faces: Tensor, true_vertices: Tensor, true_faces: Tensor, samples: int = SAMPLES, seed: int = 0
) -> SurfaceError:
    """Both ways between two meshes in one frame, at points spread evenly over each. vertices [V,3]; faces [F,3] int64."""
    there, back = surface_distances(vertices, faces, true_vertices, true_faces, None, samples, seed)
    return SurfaceError(float(there.mean()), float(back.mean()), float(torch.maximum(there.max(), back.max())))


def spread(distances: Tensor) -> Spread:
    """Mean and 95th percentile of distances [N] mm. Raises ValueError for none."""
    if not len(distances):
        raise ValueError("the spread of no distances means nothing")
    return Spread(float(distances.mean()), float(torch.quantile(distances.float(), 0.95)))
