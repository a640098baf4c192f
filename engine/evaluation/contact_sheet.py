"""One sheet a sequence: the truth on top, each method below, pictures and albedo side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..avatar.texture_files import read_png, write_png8
from ..files import atomic_file
from ..methods.preview import label_grid
from .harp_relit import SEEN, UnitResult
from .relit_set import RelitSequence
from .true_frame import true_frame

LARGEST_COLUMNS = 5
"""Evaluation frames that a sheet shows, beside the photo."""


def write_sheet(
    path: Path,
    sequence: RelitSequence,
    results: Sequence[UnitResult],
    pictures: Path,
    longest_px: int | None,
) -> None:
    """Write a sheet from the pictures that the units left under `pictures`/METHOD/.

    Columns: the photo's frame, its albedo, then evaluation frames and the last one's albedo. Raises OutputError.
    """
    names = list(results[0].frames)
    shown = [names[int((k + 0.5) * len(names) / LARGEST_COLUMNS)] for k in range(LARGEST_COLUMNS)]
    shown = list(dict.fromkeys(shown)) if len(names) > LARGEST_COLUMNS else names
    lit = {frame.label: frame for frame in sequence.unseen}
    frames = [sequence.seen, *(lit[name] for name in shown)]
    truths = [true_frame(frame, longest_px) for frame in frames]
    panels = [
        truths[0].image_srgb,
        _albedo_of(truths[0]),
        *(truth.image_srgb for truth in truths[1:]),
        _albedo_of(truths[-1]),
    ]
    labels = ["the photo (light A)", "its albedo", *(f"{name} (light B)" for name in shown), f"albedo of {shown[-1]}"]
    for result in results:
        both = [_halves(pictures / result.method / f"{name}.png") for name in (SEEN, *shown)]
        panels += [both[0][0], both[0][1], *(halves[0] for halves in both[1:]), both[-1][1]]
        scores = [result.seen, *(result.frames[name] for name in shown)]
        texts = [f"{score['psnr_db']:.1f} dB" for score in scores]
        labels += [
            f"{result.method}: {texts[0]}",
            _difference(scores[0].get("delta_e")),
            *texts[1:],
            _difference(scores[-1].get("delta_e")),
        ]
    sheet = label_grid(panels, labels, columns=len(frames) + 2)
    with atomic_file(path) as temporary:
        write_png8(temporary, sheet)


def _albedo_of(truth) -> Tensor:
    return torch.zeros_like(truth.image_srgb) if truth.albedo_srgb is None else truth.albedo_srgb


def _halves(path: Path) -> tuple[Tensor, Tensor]:
    both = torch.as_tensor(np.asarray(read_png(path)))
    half = both.shape[1] // 2
    return both[:, :half], both[:, half:]


def _difference(value: float | None) -> str:
    return "" if value is None else f"dE {value:.1f}"
