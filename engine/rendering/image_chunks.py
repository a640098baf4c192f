"""Whole pictures of an implicit hand, a few rays at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .ray_sampling import lattice_intervals
from .ray_sets import image_pixels, pixel_rays, to_root_space
from .render_config import RenderConfig
from .scene import ImplicitScene

RAYS_AT_ONCE = 1 << 17
"""Rays that are tested against the occupancy grid together."""

BYTES_PER_SAMPLE = 12_000
"""Of peak memory for one lattice point or inserted sample of a ray, without gradient (on the safe side)."""


def ray_chunks(
    scene: ImplicitScene,
    origins_w: Tensor,
    directions_w: Tensor,
    hand: Tensor,
    config: RenderConfig,
    extra_bytes_per_ray: int = 0,
) -> Iterator[Tensor]:
    """Indices [n] of the rays that meet occupied space, in chunks that keep to the memory budget (but one ray at least)."""
    inserted = config.importance_rounds * config.importance_samples
    for rows in torch.arange(len(origins_w), device=origins_w.device).split(RAYS_AT_ONCE):
        origins, directions = to_root_space(scene.root, hand[rows], origins_w[rows], directions_w[rows])
        ray = lattice_intervals(origins, directions, hand[rows], scene.occupancy, config.step_m).ray
        hits, counts = torch.unique_consecutive(ray, return_counts=True)
        cost = torch.cumsum((counts + inserted) * BYTES_PER_SAMPLE + extra_bytes_per_ray, dim=0)
        first = 0
        while first < len(hits):
            spent = cost[first - 1] if first else cost.new_zeros(())
            last = int(torch.searchsorted(cost, spent + config.memory_budget_bytes, right=True))
            last = max(last, first + 1)
            yield rows[hits[first:last]]
            first = last


@torch.no_grad()
def render_maps(
    scene: ImplicitScene,
    intrinsics: Tensor,
    world_to_camera: Tensor,
    height: int,
    width: int,
    config: RenderConfig,
    hand: int,
    extra_bytes_per_ray: int,
    render: Callable[[Tensor, Tensor, Tensor], tuple[Tensor | None, ...]],
) -> list[Tensor | None]:
    """Pictures [height,width,*] of what `render` (origins, directions, hands of n rays) returns, [n,*] each; zero elsewhere."""
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {width}×{height} pixels cannot be rendered")
    origins, directions = pixel_rays(intrinsics, world_to_camera, image_pixels(height, width, scene.root))
    owner = torch.full((len(origins),), hand, dtype=torch.int64, device=origins.device)
    # An empty set of rays shows which maps there are and what shape their pixels have.
    empty = render(origins[:0], directions[:0], owner[:0])
    pictures = [None if m is None else m.new_zeros(height * width, *m.shape[1:]) for m in empty]
    for rows in ray_chunks(scene, origins, directions, owner, config, extra_bytes_per_ray):
        for picture, values in zip(pictures, render(origins[rows], directions[rows], owner[rows]), strict=True):
            if picture is not None and values is not None:
                picture[rows] = values
    return [None if picture is None else picture.unflatten(0, (height, width)) for picture in pictures]
