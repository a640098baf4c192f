"""Importance sampling of an equirectangular environment (Pharr et al., Physically Based Rendering, 4th ed., 12.5).

Directions are unit and in the image's own world: Blender's axes and mapping (`environment.py`, +Z up).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from .environment import direction_to_uv, sample_environment

CELL_ROWS = 256
"""Rows that the tables have at least."""


class ImageLight(NamedTuple):
    """An environment and the tables that draw directions in proportion to its light."""

    image: Tensor
    """[H,W,3] linear radiance ≥ 0."""
    density: Tensor
    """[h,w] probability density of a direction in each cell, 1/sr; 1 over the sphere. A cell is a texel, or part of one."""
    row_edges: Tensor
    """[h+1] float64 cumulative probability of the rows, 0 to 1."""
    column_edges: Tensor
    """[h,w+1] float64 cumulative probability within each row, 0 to 1."""


def image_light(image: Tensor) -> ImageLight:
    """Tables for an image [H,W,3] of linear radiance, first row on top. No gradient flows through the tables.

    A cell's weight is the mean over its area of the bilinear look-up of the greatest channel, times its solid angle: so no
    direction that shines has density 0. Texels of a small picture are cut into cells, for the look-up is far from constant in
    them. A black image is drawn from evenly. Raises InputError for another shape, and
    for values that are negative, infinite or not numbers.
    """
    if image.dim() != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 1:
        raise InputError(f"an environment has shape [H,W,3], not {list(image.shape)}: give an equirectangular picture")
    if not bool(torch.isfinite(image).all()) or bool((image < 0).any()):
        raise InputError(
            "the environment holds values that are negative, infinite or not numbers: give linear radiance"
        )
    brightest = _cell_means(image.detach().double().amax(2))
    height, width = brightest.shape
    weight = brightest * _row_solid_angles(height, width, brightest)[:, None]
    if float(weight.sum()) <= 0:
        weight = _row_solid_angles(height, width, brightest)[:, None].expand(height, width)
    probability = weight / weight.sum()
    rows = probability.sum(1)
    density = probability / _row_solid_angles(height, width, brightest)[:, None]
    within = probability / rows.clamp_min(torch.finfo(torch.float64).tiny)[:, None]
    return ImageLight(image, density.to(image), _edges(rows), _edges(within))


def _cell_means(values: Tensor) -> Tensor:
    """Mean over each cell's area of the bilinear interpolant of values [H,W]; wraps around in u."""
    cuts = 2 * math.ceil(CELL_ROWS / (2 * values.shape[0])) if values.shape[0] < CELL_ROWS else 1
    if cuts == 1:
        values = 0.75 * values + 0.125 * (values.roll(1, 1) + values.roll(-1, 1))
        padded = torch.cat([values[:1], values, values[-1:]])
        return 0.75 * values + 0.125 * (padded[:-2] + padded[2:])
    # with an even number of cuts no cell holds a crease of the interpolant, whose mean is then that at the cell's centre
    rows, columns = (_between(size, cuts, values) for size in values.shape)
    last = values.shape[0] - 1
    values = (
        values[rows[0].clamp(0, last)] * (1 - rows[1])[:, None]
        + values[(rows[0] + 1).clamp(0, last)] * rows[1][:, None]
    )
    width = values.shape[1]
    return values[:, columns[0] % width] * (1 - columns[1]) + values[:, (columns[0] + 1) % width] * columns[1]


def _between(size: int, cuts: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Of the centres of size · cuts cells: the texel centre before each, −1 … size − 1, and the way to the next, 0 to 1."""
    place = (torch.arange(size * cuts, device=like.device).to(like) + 0.5) / cuts - 0.5
    before = torch.floor(place)
    return before.long(), place - before


def _row_solid_angles(height: int, width: int, like: Tensor) -> Tensor:
    """[H] solid angle of one texel of each row."""
    edges = torch.cos(torch.arange(height + 1, device=like.device).to(like) * math.pi / height)
    return (edges[:-1] - edges[1:]) * 2 * math.pi / width


def _edges(probability: Tensor) -> Tensor:
    total = probability.cumsum(-1)
    total = total / total[..., -1:].clamp_min(torch.finfo(torch.float64).tiny)
    return torch.cat([torch.zeros_like(total[..., :1]), total], dim=-1)


def sample(light: ImageLight, u: Tensor) -> tuple[Tensor, Tensor]:
    """Directions [N,3] and their densities [N] 1/sr, from u [N,2] evenly distributed in [0,1]."""
    height, width = light.density.shape
    # a stratum's float32 jitter may round up to 1, which lies beyond all that has light: its density would be 0
    exact = u.detach().double().clamp_max(1 - 1e-9)
    row = torch.searchsorted(light.row_edges[1:].contiguous(), exact[:, 0].contiguous(), right=True)
    row = row.clamp_max(height - 1)
    # Rows laid end to end make one increasing table, so that one search finds every sample's column.
    start = torch.arange(height, device=u.device).double()[:, None]
    table = (light.column_edges[:, 1:] + start).reshape(-1)
    column = torch.searchsorted(table, exact[:, 1] + row, right=True) - row * width
    column = column.clamp(0, width - 1)
    down = _fraction(exact[:, 0], light.row_edges[row], light.row_edges[row + 1])
    along = _fraction(exact[:, 1], light.column_edges[row, column], light.column_edges[row, column + 1])
    # Even in solid angle within a row: the height z, not the angle, is what is interpolated.
    above, below = (torch.cos((row + k) * (math.pi / height)) for k in (0, 1))
    z = above + down * (below - above)
    azimuth = (0.5 - (column + along) / width) * 2 * math.pi
    radius = torch.sqrt((1 - z * z).clamp_min(0))
    directions = torch.stack([radius * torch.cos(azimuth), radius * torch.sin(azimuth), z], dim=1)
    return directions.to(light.image), light.density[row, column]


def _fraction(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return ((value - low) / (high - low).clamp_min(torch.finfo(torch.float64).tiny)).clamp(0, 1)


def pdf(light: ImageLight, directions: Tensor) -> Tensor:
    """Density [N] 1/sr with which `sample` draws unit directions [N,3]."""
    height, width = light.density.shape
    uv = direction_to_uv(directions)
    column = (uv[:, 0] * width).long() % width
    row = (uv[:, 1] * height).long().clamp(0, height - 1)
    return light.density[row, column]


def radiance(light: ImageLight, directions: Tensor) -> Tensor:
    """Bilinear radiance [N,3] along unit directions [N,3], as Cycles looks an environment up. Carries gradients."""
    return sample_environment(light.image, directions)


def mean_radiance(light: ImageLight) -> Tensor:
    """[3] mean of the texels over the sphere, weighted by solid angle."""
    height, width = light.image.shape[:2]
    solid_angles = _row_solid_angles(height, width, light.image)[:, None, None]
    return (light.image * solid_angles).sum((0, 1)) / (4 * math.pi)


def from_palm_image(image: Tensor, mapping: str = "opencv") -> Tensor:
    """The image [H,W,C] of the published relighting code as an environment of this project (spec of its two mappings).

    "opencv": u = atan2(x, z) / 2π + ½, v = asin(y) / π + ½ in OpenCV's axes, whose picture differs from ours by a quarter
    turn; "blender": ours. Raises InputError for another name.
    """
    return _turned(image, 0.25, mapping)


def to_palm_image(image: Tensor, mapping: str = "opencv") -> Tensor:
    """The inverse of `from_palm_image`."""
    return _turned(image, -0.25, mapping)


def _turned(image: Tensor, turn: float, mapping: str) -> Tensor:
    """image shifted left by `turn` of its width; between columns where the width is no multiple of four."""
    if mapping not in ("opencv", "blender"):
        raise InputError(f"unknown environment mapping {mapping!r}: give 'opencv' or 'blender'")
    if mapping == "blender":
        return image
    shift = turn * image.shape[1]
    whole = math.floor(shift)
    share = shift - whole
    near = image.roll(-whole, 1)
    return near if share == 0 else near * (1 - share) + image.roll(-whole - 1, 1) * share
