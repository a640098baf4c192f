"""Numbers from files that others made: checked once, refused in one line. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import PalmError


def numbers(value: Any, what: str, error: type[PalmError], shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Finite float64 numbers of a given shape (any, when none is given).

    what: names the file and the field, and starts the message. Raises `error` with one line.
    """
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError, RecursionError) as cause:
        raise error(f"{what} holds no numbers: write it again") from cause
    if not np.isfinite(array).all():
        raise error(f"{what} holds NaN or infinite numbers: write it again")
    if shape is not None and array.shape != shape:
        wanted = "one number" if shape == () else f"{'×'.join(map(str, shape))} numbers"
        raise error(f"{what} has shape {array.shape}, not {wanted}: write it again")
    return array
