"""How finely to draw while something moves, from how long the last frames took."""

from __future__ import annotations

from typing import NamedTuple

from .view_frames import FrameTimes

SCALES = (1.0, 0.75, 0.5, 0.35, 0.25)
"""Of the picture's sides."""
TARGET_S = 0.08
"""Of a frame while something moves: what still looks like motion."""


FAR_TOO_SLOW = 4.0
"""Times the target."""


class Quality(NamedTuple):
    """0 is the finest of both."""

    coarser: int = 0
    """Place in SCALES."""
    detail: int = 0
    """Steps of `ViewHand.mesh`."""

    @property
    def scale(self) -> float:
        return SCALES[self.coarser]


FINEST = Quality()


def next_quality(quality: Quality, times: FrameTimes, coarsest: int, target_s: float = TARGET_S) -> Quality:
    """The quality of the next moving frame. coarsest: steps of detail that the hand has.

    A step in what costs most, several where frames are far too slow; back one at a time, only where there is room for it, so that
    it does not swing.
    """
    least = len(SCALES) - 1
    mesh_costs_more = times.mesh > times.picture
    if times.whole > 1.25 * target_s:
        steps = 1 if times.whole < FAR_TOO_SLOW * target_s else 3
        if quality.detail < coarsest and (mesh_costs_more or quality.coarser == least):
            return quality._replace(detail=min(quality.detail + steps, coarsest))
        return quality._replace(coarser=min(quality.coarser + steps, least))
    if times.whole < 0.45 * target_s:
        if quality.coarser and (not quality.detail or not mesh_costs_more):
            return quality._replace(coarser=quality.coarser - 1)
        return quality._replace(detail=max(quality.detail - 1, 0))
    return quality
