"""What the user can choose or supply in a capture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..hand.model import HandModel, load_hand_model, open_hand_model


@dataclass(frozen=True)
class CaptureOptions:
    """Every part of a capture may be given instead of found."""

    hand: str | None = None
    """"left", "right" or an index (0 = largest); None takes the largest hand."""
    focal_px: float | None = None
    mask: Path | None = None
    """PNG of the photo's size, white on the hand."""
    pose: Path | None = None
    """MANO parameters or HaMeR's output: the articulation is kept, the rest is fitted unless the file brings it."""
    keypoints: Path | None = None
    camera: Path | None = None
    """JSON with K, fx/fy/cx/cy or focal_px."""
    hand_model: Path | None = None
    """A MANO file; None is the bundled open hand."""
    seed: int = 0
    """For callers to record: capture draws no random numbers but OpenCV's, whose seed is fixed."""


def hand_model_for(side: str, options: CaptureOptions) -> HandModel:
    """The chosen model for a side ("right"/"left"), mirrored where its file holds the other one."""
    if options.hand_model is None:
        return open_hand_model(side)
    from ..hand.mirror import mirror_model

    model = load_hand_model(options.hand_model)
    return model if model.side == side else mirror_model(model)


def hand_model_name(options: CaptureOptions) -> str:
    """As recorded in the capture."""
    return "open" if options.hand_model is None else Path(options.hand_model).name
