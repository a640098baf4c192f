"""What tells one picture, or one file of weights, from another: digests of all that avatars and scores are made from."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import DatasetError, InputError
from ..files import sha256_of
from .known_capture import KnownFrame
from .relit_set import FrameLight

FILES = ("image", "mask", "mano", "silhouette", "normal")
NUMBERS = ("intrinsics", "world_to_camera", "betas", "global_orient", "hand_pose", "transl", "keypoints_3d")
"""Fields of frames."""
DECIMALS = 5
"""Of numbers (px, metres, radians): what is nearer is the same, because sums differ with the machine."""


def frame_digest(frame: KnownFrame, light: FrameLight | None = None, albedo: Path | None = None) -> dict[str, str]:
    """By part: of a picture's files, of its camera and hand, and of its true light and albedo where they are known.

    Raises DatasetError for a file that cannot be read.
    """
    files = {name: getattr(frame, name, None) for name in FILES} | {"albedo": albedo}
    found = {name: _file(path) for name, path in files.items() if path is not None}
    for name in NUMBERS:
        values = getattr(frame, name, None)
        if values is not None:
            found[name] = _numbers(values)
    if light is not None:
        found["light"] = _file(light.environment) + _numbers([light.rotation, light.strength])
    return found


def weights_digest(path: Path | None) -> str | None:
    """Of a file of weights, read once as long as it stays as it is; None for none. Raises InputError."""
    if path is None:
        return None
    try:
        stat = path.stat()
        return _weights(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a file of weights") from error


@lru_cache(maxsize=8)
def _weights(path: Path, size: int, changed_ns: int) -> str:
    return sha256_of(path)


def _file(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): copy the set again") from error


def _numbers(values: object) -> str:
    rounded = np.round(np.asarray(values, dtype=np.float64), DECIMALS) + 0.0  # −0 is 0
    return hashlib.sha256(rounded.tobytes()).hexdigest()
