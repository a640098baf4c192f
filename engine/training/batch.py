"""A step's rays and what they should show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..datasets.palm import PalmFrame
from ..lighting.color import linear_to_srgb
from ..rendering.ray_sets import pixel_rays
from .frames import FrameStore, LoadedFrame
from .sampling import PixelSampling, choose_pixels, generator_for

BATCH_SLOT = 100_003
"""Place of the generator that belongs to a whole batch, beyond every image's."""


class Patch(NamedTuple):
    """Rays start … start + side² of a batch, row-major."""

    start: int
    side: int


class RayBatch(NamedTuple):
    """R rays of B images."""

    origins: Tensor
    """[R,3] world, metres."""
    directions: Tensor
    """[R,3] unit."""
    hand: Tensor
    """[R] int64, which of the B images' hands."""
    places: tuple[int, ...]
    """B places of the images in the whole batch."""
    image_srgb: Tensor
    """[R,3]"""
    inside: Tensor
    """[R] 0 or 1."""
    normals_w: Tensor
    """[R,3] unit world normals, NaN where unknown."""
    patches: tuple[Patch, ...]
    patch_count: int
    """Of the whole batch."""
    background: Tensor
    """[3] linear, the same for the whole batch."""

    def target_srgb(self) -> Tensor:
        """[R,3] the picture over the batch's background."""
        inside = self.inside[:, None]
        return self.image_srgb * inside + linear_to_srgb(self.background) * (1 - inside)


def has_patch(place: int, config: PixelSampling) -> bool:
    """Whether the image at this place of the whole batch has a patch."""
    return config.patch_px > 0 and place % config.patch_every == 0


def gather_rays(
    store: FrameStore,
    chosen: Sequence[tuple[int, int]],
    batch_size: int,
    config: PixelSampling,
    seed: int,
    step: int,
    device: torch.device,
) -> RayBatch:
    """Rays of this process's images. chosen: (place in the whole batch, frame index) of each."""
    parts: list[tuple[Tensor, ...]] = []
    patches: list[Patch] = []
    count = 0
    for owner, (place, index) in enumerate(chosen):
        generator = generator_for(seed, step, place)
        loaded = store.get(index)
        pixels = choose_pixels(loaded.maps, config, has_patch(place, config), generator)
        rays = _rays_of(store.frames[index], loaded, pixels.columns, pixels.rows, owner)
        if pixels.patch:
            patches.append(Patch(count + len(pixels.columns) - pixels.patch**2, pixels.patch))
        count += len(pixels.columns)
        parts.append(rays)
    origins, directions, hand, image, inside, normals = (
        torch.cat(column).to(device) for column in zip(*parts, strict=True)
    )
    return RayBatch(
        origins,
        directions,
        hand,
        tuple(place for place, _ in chosen),
        image,
        inside,
        normals,
        patches=tuple(patches),
        patch_count=sum(has_patch(place, config) for place in range(batch_size)),
        background=torch.rand(3, generator=generator_for(seed, step, BATCH_SLOT)).to(device),
    )


def _rays_of(frame: PalmFrame, loaded: LoadedFrame, columns: Tensor, rows: Tensor, hand: int) -> tuple[Tensor, ...]:
    world_to_camera = torch.as_tensor(np.asarray(frame.world_to_camera), dtype=torch.float32)
    intrinsics = torch.as_tensor(np.asarray(frame.intrinsics), dtype=torch.float32)
    centres = torch.stack([columns, rows], dim=1) + 0.5
    origins, directions = pixel_rays(intrinsics, world_to_camera, centres)
    image = loaded.image[rows, columns].float() / 255
    inside = loaded.mask[rows, columns].float()
    if loaded.normals is None:
        normals = torch.full_like(image, torch.nan)
    else:
        normals = loaded.normals[rows, columns].float() @ world_to_camera[:3, :3]
        normals = torch.where(inside[:, None] > 0, normals, torch.nan)
    return origins, directions, torch.full((len(columns),), hand), image, inside, normals
