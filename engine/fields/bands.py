"""Coarse to fine: which resolutions and which angular bands the fields use at a step of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .config import FieldsConfig
from .direction_encoding import SH_COUNT


class Bands(NamedTuple):
    """Weights in [0,1]; a grid level of weight 0 costs nothing."""

    geometry_levels: Tensor
    """[levels of the geometry grid]."""
    radiance_levels: Tensor
    """[levels of the radiance grid]."""
    sh: Tensor
    """[16] spherical harmonics of the view."""


@dataclass(frozen=True)
class BandSchedule:
    """When bands open; the defaults are the published prior's. Counted in optimiser steps."""

    first_levels: int = 4
    """Grid levels from the start on."""
    start: int = 3000
    """Where the opening begins."""
    level_every: int = 500
    """Steps from one grid level to the next."""
    sh_steps: int = 15000
    """Steps in which the four bands of spherical harmonics open, one after the other."""


def all_bands(config: FieldsConfig, device: torch.device | str = "cpu") -> Bands:
    """Everything open: personalisation, rendering."""
    return Bands(
        torch.ones(config.geometry_grid.levels, device=device),
        torch.ones(config.radiance_grid.levels, device=device),
        torch.ones(SH_COUNT, device=device),
    )


def bands_at(
    step: int,
    config: FieldsConfig,
    geometry_open: bool = True,
    schedule: BandSchedule | None = None,
    device: torch.device | str = "cpu",
) -> Bands:
    """The bands at an optimiser step ≥ 0.

    Grid levels: first_levels + max(step − start, 0) // level_every. Harmonics of degree k: (1 − cos(π clip(a − k, 0, 1))) / 2
    with a = 4 max(step − start, 0) / sh_steps, so that before `start` not even the constant one is on. geometry_open: whether all
    levels of the geometry grid are on at any step, as they are once it has been trained on signed distances.
    """
    schedule = schedule or BandSchedule()
    if step < 0:
        raise ValueError(f"a step of training cannot be {step}")
    past = max(step - schedule.start, 0)
    levels = schedule.first_levels + past // max(schedule.level_every, 1)

    def open_levels(count: int) -> Tensor:
        return (torch.arange(count, device=device) < levels).float()

    progress = 4 * past / max(schedule.sh_steps, 1)
    degrees = [0] + [1] * 3 + [2] * 5 + [3] * 7
    sh = [(1 - math.cos(math.pi * min(max(progress - degree, 0.0), 1.0))) / 2 for degree in degrees]
    geometry = open_levels(config.geometry_grid.levels)
    return Bands(
        torch.ones_like(geometry) if geometry_open else geometry,
        open_levels(config.radiance_grid.levels),
        torch.tensor(sh, device=device),
    )
