"""What happens at which step, as pure functions of the step (PALM, supplement 4; the published code's thresholds).

Every threshold is a share of the run, so that a short run goes through the same stages as the paper's 24,000 steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

PAPER_STEPS = 24_000


@dataclass(frozen=True)
class Schedule:
    """When the parts of a prior's training begin, as shares of its length."""

    total_steps: int = PAPER_STEPS
    warm_up: float = 1_000 / PAPER_STEPS
    """The learning rate rises linearly from 1 % to 100 %."""
    importance: float = 1_000 / PAPER_STEPS
    """Until here only the regular samples along a ray are used."""
    geometry: float = 6_000 / PAPER_STEPS
    """Until here the pre-trained geometry, its pose encoder and the shape codes stay fixed."""
    physical: float = 12_000 / PAPER_STEPS
    """From here pictures are also rendered physically."""
    fall: float = 1.0
    """From here the learning rate falls (the paper's stays constant)."""
    final_rate: float = 1.0
    """What it falls to by the end, as a factor."""

    def begin(self, share: float) -> int:
        """The first step after a share of the run."""
        return round(share * self.total_steps)


class Stage(NamedTuple):
    """What is on at one step."""

    importance: bool
    geometry: bool
    physical: bool

    @property
    def title(self) -> str:
        """For the progress bar."""
        if self.physical:
            return "radiance, geometry, material and light"
        return "radiance and geometry" if self.geometry else "radiance on fixed geometry"


def stage_at(step: int, schedule: Schedule) -> Stage:
    """The stage of a step, counted from 0."""
    return Stage(
        importance=step >= schedule.begin(schedule.importance),
        geometry=step >= schedule.begin(schedule.geometry),
        physical=step >= schedule.begin(schedule.physical),
    )


def paper_step(step: int, schedule: Schedule) -> int:
    """The step of the paper's run that lies at the same share: what the bands of encodings are scheduled by."""
    return round(step * PAPER_STEPS / max(schedule.total_steps, 1))


def rate_factor(step: int, schedule: Schedule) -> float:
    """Of the learning rate: linear warm-up from 0.01 to 1, constant, then half a cosine down to the final rate."""
    length = schedule.begin(schedule.warm_up)
    if step < length:
        return 0.01 + 0.99 * step / length
    share = step / max(schedule.total_steps, 1)
    if share <= schedule.fall:
        return 1.0
    fallen = min((share - schedule.fall) / (1 - schedule.fall), 1.0)
    return schedule.final_rate + (1 - schedule.final_rate) * (1 + math.cos(math.pi * fallen)) / 2


def linear_between(start: float, end: float, share: float) -> float:
    """start at share 0, end at share 1 and beyond."""
    return start + (end - start) * min(max(share, 0.0), 1.0)


def normal_weight(step: int, schedule: Schedule, start: float = 0.5, end: float = 0.1) -> float:
    """Weight of the normal term: falls from `start` to `end` over the whole run (supplement, table 1)."""
    return linear_between(start, end, step / max(schedule.total_steps, 1))
