"""Videos made by each Blender's own encoder; run by worker.py."""

from __future__ import annotations

from pathlib import Path

from palm_hands.palm_blender.synthesis import video


def encode(pictures: list, fps: float, file: str) -> dict:
    video.encode([Path(picture) for picture in pictures], fps, Path(file))
    return {"bytes": Path(file).stat().st_size}


def encode_refused(pictures: list, file: str) -> dict:
    """The one line for pictures that no video can hold."""
    from palm_hands.engine.errors import PalmError

    try:
        video.encode([Path(picture) for picture in pictures], 30.0, Path(file))
    except PalmError as error:
        return {"message": str(error)}
    return {"message": ""}
