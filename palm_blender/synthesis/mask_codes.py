"""Masks as COCO stores them: run lengths down the columns, packed into text as pycocotools does. NumPy only."""

from __future__ import annotations

import numpy as np


def mask_code(mask: np.ndarray) -> dict[str, object]:
    """A mask [H,W] bool as COCO's compressed run-length encoding: {"size": [H, W], "counts": text}."""
    return {"size": list(mask.shape), "counts": _packed(_runs(mask))}


def mask_of(code: dict[str, object]) -> np.ndarray:
    """The inverse of `mask_code`. Raises ValueError for text that is no such encoding."""
    height, width = (int(side) for side in code["size"])
    runs = _unpacked(str(code["counts"]))
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError("the runs do not fill the picture")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return values.reshape(width, height).T


def _runs(mask: np.ndarray) -> list[int]:
    """Lengths of alternating runs of 0 and 1 in column-major order; the first, of zeros, may be 0."""
    values = np.asarray(mask, dtype=bool).T.reshape(-1)
    edges = np.flatnonzero(np.diff(values)) + 1
    runs = np.diff(np.concatenate([[0], edges, [values.size]])).tolist()
    return [0, *runs] if values.size and values[0] else runs


def _packed(runs: list[int]) -> str:
    """Five bits a character from 48 on, the sixth bit says that more follow; from the fourth run on, each stands for
    its difference to the second last."""
    text = []
    for place, run in enumerate(runs):
        rest = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            bits = rest & 0x1F
            rest >>= 5
            more = rest != (-1 if bits & 0x10 else 0)
            text.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(text)


def _unpacked(text: str) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{character!r} is no run length")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the last run length is cut off")
    return runs
