"""Scenes with closed forms for the volume renderer: unions of spheres of constant look, root space = canonical space."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from engine.fields.model import Materials
from engine.hand.deformer import Canonical
from engine.lighting.sphere_sampling import fibonacci_sphere
from engine.rendering.occupancy import Occupancy, occupancy_grid
from engine.rendering.ray_sets import rotate_to_world
from engine.rendering.scene import Appearance, SurfaceSample


class Spheres(NamedTuple):
    """K spheres, the same for every hand of the batch; the density is the Laplace law's or a constant inside."""

    centres: Tensor
    radii: Tensor
    root: Tensor
    occupancy: Occupancy
    colour: Tensor
    materials: Materials | None = None
    width_m: float = 1e-4
    constant_density: float | None = None

    def distance(self, points: Tensor) -> Tensor:
        return ((points[:, None] - self.centres).norm(dim=2) - self.radii).amin(1)

    def query_sdf(self, points_s: Tensor, hand: Tensor) -> Canonical:
        with torch.no_grad():
            identity = torch.eye(3).to(points_s).expand(len(points_s), 3, 3)
            valid = torch.ones(len(points_s), dtype=torch.bool, device=points_s.device)
            return Canonical(points_s, self.distance(points_s), valid, identity, identity)

    def evaluate(
        self, points_s: Tensor, canonical: Canonical, hand: Tensor, gradient: bool = True, pose_gradient: bool = False
    ) -> SurfaceSample:
        sdf = self.distance(points_s)
        nearest = ((points_s[:, None] - self.centres).norm(dim=2) - self.radii).argmin(1)
        outwards = torch.nn.functional.normalize(points_s - self.centres[nearest], dim=1) if gradient else None
        normals = rotate_to_world(self.root, hand, outwards) if outwards is not None else None
        feature = torch.zeros(len(sdf), 13).to(sdf)
        return SurfaceSample(points_s, hand, canonical.valid, sdf, feature, outwards, outwards, normals)

    def density(self, sdf: Tensor) -> Tensor:
        if self.constant_density is not None:
            return torch.where(sdf < 0, self.constant_density, 0.0).to(sdf)
        tail = 0.5 * torch.exp(-sdf.abs() / self.width_m)
        return torch.where(sdf > 0, tail, 1 - tail) / self.width_m

    def appearance(self, sample: SurfaceSample, directions_w: Tensor | None, materials: bool) -> Appearance:
        count = len(sample.sdf)
        look = None
        if materials and self.materials is not None:
            look = Materials(*(value.expand(count, *value.shape[1:]) for value in self.materials))
        return Appearance(None if directions_w is None else self.colour.expand(count, 3), look)


def spheres(
    centres: list[tuple[float, float, float]],
    radii: list[float],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    root: Tensor | None = None,
    albedo: float = 0.8,
    roughness: float = 0.5,
    **options,
) -> Spheres:
    place = torch.tensor(centres, device=device, dtype=dtype)
    size = torch.tensor(radii, device=device, dtype=dtype)
    shell = fibonacci_sphere(2000, size)
    points = (place[:, None] + size[:, None, None] * shell).reshape(1, -1, 3)
    root = torch.eye(4, device=device, dtype=dtype)[None] if root is None else root
    look = Materials(
        torch.full((1, 3), albedo, device=device, dtype=dtype),
        torch.full((1,), roughness, device=device, dtype=dtype),
        torch.zeros(1, device=device, dtype=dtype),
    )
    grid = occupancy_grid(points.expand(len(root), -1, -1))
    colour = torch.tensor([0.2, 0.5, 0.8], device=device, dtype=dtype)
    return Spheres(place, size, root, grid, colour, look, **options)
