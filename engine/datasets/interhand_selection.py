"""The 12 sequences of InterHand2.6M by which PALM's paper compares methods (its supplement, table 2).

Every sequence is one camera's view of one recording, 20 pictures at equal distances: the first to personalise from, all to
judge novel poses by.
"""

from __future__ import annotations

from typing import NamedTuple

_STARTS_AND_STEPS = {
    ("0", "ROM03_RT_No_Occlusion"): (12966, 114),
    ("0", "ROM04_RT_Occlusion"): (17746, 42),
    ("0", "ROM05_RT_Wrist_ROM"): (19583, 24),
    ("1", "ROM03_RT_No_Occlusion"): (21646, 114),
    ("1", "ROM04_RT_Occlusion"): (17468, 42),
    ("1", "ROM05_RT_Wrist_ROM"): (24004, 24),
}
_CAMERAS = {
    ("0", "ROM03_RT_No_Occlusion"): ("400262", "400451"),
    ("0", "ROM04_RT_Occlusion"): ("400275", "400418"),
    ("0", "ROM05_RT_Wrist_ROM"): ("400270", "400488"),
    ("1", "ROM03_RT_No_Occlusion"): ("400456", "400486"),
    ("1", "ROM04_RT_Occlusion"): ("400266", "400439"),
    ("1", "ROM05_RT_Wrist_ROM"): ("400314", "400469"),
}
PICTURES = 20


class PalmSelection(NamedTuple):
    """One sequence of the table."""

    name: str
    """As the table has it."""
    capture: str
    sequence: str
    camera: str
    numbers: tuple[int, ...]
    """Of its images; the first is the one to personalise from."""
    hand: str = "right"


PALM_SEQUENCES: tuple[PalmSelection, ...] = tuple(
    PalmSelection(
        f"c{capture}_{sequence}_{camera}",
        capture,
        sequence,
        camera,
        tuple(start + step * index for index in range(PICTURES)),
    )
    for (capture, sequence), (start, step) in _STARTS_AND_STEPS.items()
    for camera in _CAMERAS[capture, sequence]
)
"""In the table's order."""
