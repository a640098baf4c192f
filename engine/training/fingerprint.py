"""What a training was told, in a form that can be compared when it goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..datasets.palm import PalmFrame

DIFFERENCES_LISTED = 3


def frames_digest(frames: Sequence[PalmFrame]) -> str:
    """SHA-256 of frames' annotations and of the sizes of their files; where the files lie does not matter."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.subject}/{frame.frame}/{frame.camera}/{frame.width}x{frame.height}".encode())
        numbers = (frame.intrinsics, frame.world_to_camera, frame.betas)
        for values in (*numbers, frame.global_orient, frame.hand_pose, frame.transl):
            digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        for path in (frame.image, frame.mask, frame.mano, frame.normal):
            digest.update(b"-" if path is None else str(path.stat().st_size).encode())
    return digest.hexdigest()


def differences(before: Any, now: Any, name: str) -> list[str]:
    """Where two JSON values differ: "name.part (was 1, now 2)" of each."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        parts = dict.fromkeys([*before, *now])
        return [line for part in parts for line in differences(before.get(part), now.get(part), f"{name}.{part}")]
    if before == now:
        return []
    shown = [str(value) if isinstance(value, str | int | float | bool | None) else "…" for value in (before, now)]
    return [name if shown[0] == shown[1] or max(map(len, shown)) > 40 else f"{name} (was {shown[0]}, now {shown[1]})"]


def described(lines: Sequence[str]) -> str:
    """The first few differences, and how many more there are."""
    more = len(lines) - DIFFERENCES_LISTED
    return ", ".join(lines[:DIFFERENCES_LISTED]) + (f" and {more} more" if more > 0 else "")
