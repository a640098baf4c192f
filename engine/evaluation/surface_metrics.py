"""How far one surface is from another, wherever their vertices are. Pure functions; metres in, millimetres out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..hand.signed_distance import signed_distance, surface_points

MM = 1000.0
SAMPLES = 4000
"""Of a surface: 2 mm apart on a hand."""


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


def surface_error(
    vertices: Tensor, faces: Tensor, true_vertices: Tensor, true_faces: Tensor, samples: int = SAMPLES, seed: int = 0
) -> SurfaceError:
    """Both ways between two meshes in one frame, at points spread evenly over each. vertices [V,3]; faces [F,3] int64."""
    generator = torch.Generator().manual_seed(seed)
    ours = surface_points(vertices, faces, samples, generator)
    theirs = surface_points(true_vertices, true_faces, samples, generator)
    there = point_to_surface_mm(ours, true_vertices, true_faces)
    back = point_to_surface_mm(theirs, vertices, faces)
    return SurfaceError(float(there.mean()), float(back.mean()), float(torch.maximum(there.max(), back.max())))
