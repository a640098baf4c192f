"""The two sizes of the fields, as frozen dataclasses: the published prior's and the one for bundled priors and CPUs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..hand.canonical import OFFICIAL_BOX, OPEN_BOX, CanonicalBox


class GridLevel(NamedTuple):
    """One resolution of a hash grid."""

    scale: float
    """Cells per unit length; a float32 value, as tiny-cuda-nn computes it."""
    resolution: int
    """Vertices per axis."""
    entries: int
    offset: int
    """Entries of all coarser levels."""
    hashed: bool
    """Whether vertices share entries; then `entries` is a power of two."""


@dataclass(frozen=True)
class HashGridConfig:
    """A multi-resolution hash grid (Müller et al. 2022) in tiny-cuda-nn's layout.

    The table holds level after level, in each entry after entry, in each its features.
    """

    levels: int
    log2_table_size: int
    per_level_scale: float
    base_resolution: int = 16
    features_per_level: int = 2

    def __post_init__(self) -> None:
        if self.features_per_level != 2:
            raise ValueError(f"hash grids here have 2 features per level, not {self.features_per_level}")
        if self.levels < 1 or self.base_resolution < 2 or self.per_level_scale <= 1:
            raise ValueError("a hash grid needs a level or more, a base resolution of 2 or more and a scale above 1")
        if not 3 <= self.log2_table_size <= 28:
            raise ValueError(f"log2_table_size must lie in 3…28, not {self.log2_table_size}")

    @property
    def level_table(self) -> tuple[GridLevel, ...]:
        """The levels, coarse to fine. scale_L = base · per_level_scale^L − 1 in float32; ceil(scale_L) + 1 vertices per axis."""
        return _level_table(self)

    @property
    def encoding_width(self) -> int:
        """Features of a point."""
        return self.levels * self.features_per_level

    @property
    def entry_count(self) -> int:
        """Entries of all levels."""
        return sum(level.entries for level in self.level_table)

    @property
    def parameter_count(self) -> int:
        """Numbers in the table."""
        return self.entry_count * self.features_per_level


@lru_cache(maxsize=32)
def _level_table(grid: HashGridConfig) -> tuple[GridLevel, ...]:
    log2_scale = np.log2(np.float32(grid.per_level_scale))
    table, offset = [], 0
    for level in range(grid.levels):
        scale = np.exp2(np.float32(level) * log2_scale) * np.float32(grid.base_resolution) - np.float32(1)
        resolution = int(np.ceil(scale)) + 1
        vertices = resolution**3
        entries = min((vertices + 7) // 8 * 8, 2**grid.log2_table_size)
        table.append(GridLevel(float(scale), resolution, entries, offset, hashed=vertices > entries))
        offset += entries
    return tuple(table)


@dataclass(frozen=True)
class FieldsConfig:
    """Sizes of PALM-Net's fields. Two priors are compatible where these are equal."""

    name: str
    geometry_grid: HashGridConfig
    radiance_grid: HashGridConfig
    box: CanonicalBox
    hidden_width: int = 64
    feature_width: int = 13
    """Outputs of the geometry network; the first is the signed distance."""
    pose_width: int = 32
    code_width: int = 32
    """Of the shape code and of the appearance code."""
    initial_density_width: float = 0.3
    """Metres: the density's beta of freshly built fields."""


_OFFICIAL_GRID = HashGridConfig(levels=32, log2_table_size=19, per_level_scale=1.447269237440378)

OFFICIAL = FieldsConfig("official", _OFFICIAL_GRID, _OFFICIAL_GRID, OFFICIAL_BOX)
"""The published prior: 58.8 M numbers in the grids, 59.6 M with its 263 subjects' codes and pose corrections."""

OPEN = FieldsConfig(
    "open",
    # cells of 1.2 mm carry a hand's shape, of 0.3 mm its skin, which is what a pixel sees of it in a close photo
    geometry_grid=HashGridConfig(levels=8, log2_table_size=17, per_level_scale=2 ** (4 / 7)),
    radiance_grid=HashGridConfig(levels=10, log2_table_size=17, per_level_scale=2 ** (6 / 9)),
    box=OPEN_BOX,
    initial_density_width=0.005,
)
"""7 MB in float16 with both grids: small enough to bundle and to train on a CPU."""

CONFIGS = {config.name: config for config in (OFFICIAL, OPEN)}
