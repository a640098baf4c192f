"""Which frames a step looks at, and which pixels of each: scattered rays and one dense patch.

Everything follows from (seed, step, place in the batch), never from what was drawn before: a resumed run draws what an
uninterrupted one would have drawn, and a batch is the same however many processes share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class PixelSampling:
    """Rays of one image."""

    scattered: int = 3
    """60 % on the mask, 30 % along its edge, the rest anywhere in the hand's box."""
    patch_px: int = 32
    """Side of the dense patch that the perceptual term sees, in rays."""
    patch_strides: tuple[int, ...] = (2, 4)
    """Pixels between the patch's rays: one of these at random, the largest that fits."""
    patch_every: int = 1
    """Every n-th image of a batch has a patch."""
    box_margin_px: int = 32
    """The hand's box is the mask's, this much wider."""


class PixelMaps(NamedTuple):
    """What sampling needs to know of one mask."""

    inside: Tensor
    """[P] int64 flat pixel indices of the mask."""
    edge: Tensor
    """[Q] int64 of a band along its outline."""
    box: tuple[int, int, int, int]
    """left, top, right, bottom px, end exclusive."""
    width: int


class Pixels(NamedTuple):
    """Chosen pixels of one image."""

    columns: Tensor
    """[R] int64"""
    rows: Tensor
    """[R] int64"""
    patch: int
    """Side of the patch that the last patch² rays make, row-major; 0 without one."""


def generator_for(seed: int, step: int, slot: int) -> torch.Generator:
    """A generator for one place in one batch."""
    mixed = (seed * 1_000_003 + step) * 10_007 + slot
    return torch.Generator().manual_seed((mixed * 0x9E3779B97F4A7C15) % (1 << 63))


def frames_at(step: int, count: int, batch: int, seed: int) -> list[int]:
    """Frame indices of a step's batch: a new shuffle of all `count` frames each time they are used up."""
    chosen: list[int] = []
    position = step * batch
    while len(chosen) < batch:
        epoch, start = divmod(position, count)
        order = torch.randperm(count, generator=generator_for(seed, epoch, 9_999)).tolist()
        part = order[start : start + batch - len(chosen)]
        chosen += part
        position += len(part)
    return chosen


def pixel_maps(mask: Tensor, margin_px: int, edge_px: int = 5) -> PixelMaps:
    """Maps of a mask [H,W] bool. An empty mask makes the whole image its box."""
    height, width = mask.shape
    flag = mask.float()[None, None]
    reach = 2 * edge_px + 1
    wide = torch.nn.functional.max_pool2d(flag, reach, 1, edge_px)
    narrow = -torch.nn.functional.max_pool2d(-flag, reach, 1, edge_px)
    edge = torch.nonzero((wide - narrow).reshape(-1) > 0.5)[:, 0]
    rows, columns = torch.nonzero(mask, as_tuple=True)
    if len(rows) == 0:
        box = (0, 0, width, height)
    else:
        box = (
            max(int(columns.min()) - margin_px, 0),
            max(int(rows.min()) - margin_px, 0),
            min(int(columns.max()) + 1 + margin_px, width),
            min(int(rows.max()) + 1 + margin_px, height),
        )
    return PixelMaps(torch.nonzero(mask.reshape(-1))[:, 0], edge, box, width)


def choose_pixels(maps: PixelMaps, config: PixelSampling, with_patch: bool, generator: torch.Generator) -> Pixels:
    """Scattered pixels, then the patch's. All lie in the image."""
    left, top, right, bottom = maps.box
    on_mask = int(0.6 * config.scattered) if len(maps.inside) else 0
    on_edge = int(0.3 * config.scattered) if len(maps.edge) else 0
    anywhere = config.scattered - on_mask - on_edge
    picked = torch.cat([_pick(maps.inside, on_mask, generator), _pick(maps.edge, on_edge, generator)])
    columns = torch.cat([picked % maps.width, torch.randint(left, right, (anywhere,), generator=generator)])
    rows = torch.cat([picked // maps.width, torch.randint(top, bottom, (anywhere,), generator=generator)])
    if not with_patch or config.patch_px == 0:
        return Pixels(columns, rows, 0)
    room = min(right - left, bottom - top)
    strides = [stride for stride in config.patch_strides if stride * (config.patch_px - 1) < room]
    side = config.patch_px if strides else room
    stride = strides[int(torch.randint(len(strides), (), generator=generator))] if strides else 1
    reach = stride * (side - 1)
    x = int(torch.randint(left, right - reach, (), generator=generator))
    y = int(torch.randint(top, bottom - reach, (), generator=generator))
    across = x + stride * torch.arange(side)
    down = y + stride * torch.arange(side)
    patch_columns, patch_rows = across.repeat(side), down.repeat_interleave(side)
    return Pixels(torch.cat([columns, patch_columns]), torch.cat([rows, patch_rows]), side)


def _pick(candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
    if count == 0:
        return torch.zeros(0, dtype=torch.int64)
    return candidates[torch.randint(len(candidates), (count,), generator=generator)]
