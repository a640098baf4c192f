"""The rays of a personalisation: batches that are drawn once, and which of them a step takes.

Everything follows from the seed, so the direct and the encoded path see the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..lighting.sphere_sampling import stratified_sphere
from ..rendering.ray_sets import pixel_rays
from ..training.batch import BATCH_SLOT, Patch, RayBatch, has_patch
from ..training.sampling import PixelMaps, choose_pixels, frames_at, generator_for, pixel_maps
from .palm_config import PersonaliseConfig
from .palm_photo import PalmPhoto

PLAN_SLOT = 400_009
"""Place of the generator that chooses what of a batch is rendered physically, and under which directions."""


class RayPlan(NamedTuple):
    """One batch of rays, and what of it is rendered physically."""

    batch: RayBatch
    """`hand` tells the photo, `places` names the photos it has rays of; the background is black until a step gives it one."""
    physical: Tensor
    """[P] int64 rays of the batch, on the mask, in rising order."""
    directions: Tensor
    """[D,3] unit world directions towards the light, one in each of D equal strata of the sphere."""


def plan_rays(photos: Sequence[PalmPhoto], config: PersonaliseConfig, like: Tensor) -> tuple[RayPlan, ...]:
    """The `config.batches` batches, in the dtype and on the device of `like`."""
    maps = [pixel_maps(photo.mask.cpu(), config.pixels.box_margin_px) for photo in photos]
    return tuple(_plan(number, photos, maps, config, like) for number in range(config.batches))


def batch_at(step: int, config: PersonaliseConfig) -> int:
    """Which batch a step takes: a new shuffle of all of them each time they are used up."""
    return frames_at(step, config.batches, 1, config.seed)[0]


def background_at(step: int, config: PersonaliseConfig, like: Tensor) -> Tensor:
    """[3] linear: the random colour behind the hand at a step, so that nothing can be explained by it."""
    return torch.rand(3, generator=generator_for(config.seed, step, BATCH_SLOT)).to(like)


def _plan(
    number: int, photos: Sequence[PalmPhoto], maps: Sequence[PixelMaps], config: PersonaliseConfig, like: Tensor
) -> RayPlan:
    parts: list[tuple[Tensor, ...]] = []
    patches: list[Patch] = []
    count = 0
    for draw in range(config.draws):
        place = number * config.draws + draw
        which = place % len(photos)
        generator = generator_for(config.seed, number, draw)
        pixels = choose_pixels(maps[which], config.pixels, has_patch(draw, config.pixels), generator)
        parts.append(_rays(photos[which], pixels.columns, pixels.rows, which, like))
        count += len(pixels.columns)
        if pixels.patch:
            patches.append(Patch(count - pixels.patch**2, pixels.patch))
    origins, directions, hand, image, inside = (torch.cat(column) for column in zip(*parts, strict=True))
    batch = RayBatch(
        origins,
        directions,
        hand,
        tuple(sorted({(number * config.draws + draw) % len(photos) for draw in range(config.draws)})),
        image,
        inside,
        torch.full_like(image, torch.nan),
        tuple(patches),
        len(patches),
        like.new_zeros(3),
    )
    generator = generator_for(config.seed, number, PLAN_SLOT)
    on_mask = torch.nonzero(inside > 0)[:, 0]
    chosen = torch.randperm(len(on_mask), generator=generator)[: config.physical_rays].sort().values
    render = config.render
    towards = stratified_sphere(1, render.light_rows, render.light_columns, generator)[0]
    return RayPlan(batch, on_mask[chosen.to(on_mask.device)], towards.to(like))


def _rays(photo: PalmPhoto, columns: Tensor, rows: Tensor, hand: int, like: Tensor) -> tuple[Tensor, ...]:
    centres = (torch.stack([columns, rows], dim=1) + 0.5).to(like)
    origins, directions = pixel_rays(photo.intrinsics, photo.world_to_camera, centres)
    rows, columns = rows.to(photo.mask.device), columns.to(photo.mask.device)
    owner = torch.full((len(columns),), hand, device=like.device)
    colors, inside = photo.image_srgb[rows, columns], photo.mask[rows, columns]
    return origins, directions, owner, colors.to(like), inside.to(like)
