"""How finely the volume renderer looks, and with how much memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RenderConfig:
    """Sampling of primary rays, of light and of secondary rays. The defaults are PALM's unless a line says otherwise."""

    step_m: float = 0.3 * 3**0.5 / 128
    """Metres between lattice points on primary rays."""
    band_m: float = 0.015
    """Reach of the occupancy grid around the posed hand."""
    importance_rounds: int = 2
    importance_samples: int = 16
    """Inserted on every ray in each round."""
    weight_cutoff: float = 1e-4
    """Intervals with a smaller share of their ray's opacity are not shaded (ours; PALM shades all)."""
    light_rows: int = 16
    light_columns: int = 32
    """rows × columns light directions a ray, on equal areas of the sphere."""
    secondary_step_m: float = 0.008
    """Metres between lattice points on shadow rays (ours; PALM's 23.8 mm step over fingers)."""
    secondary_distance_m: float = 1.5
    bounce: bool = True
    """Whether what blocks a shadow ray shines with the radiance field's colour; otherwise it is black."""
    memory_budget_bytes: int = 1 << 30
    """What one chunk of an image's rays may take; training is not chunked."""

    def __post_init__(self) -> None:
        positive = ("step_m", "band_m", "light_rows", "light_columns", "secondary_step_m", "memory_budget_bytes")
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("importance_rounds", "importance_samples", "weight_cutoff"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")

    @property
    def light_samples(self) -> int:
        return self.light_rows * self.light_columns
