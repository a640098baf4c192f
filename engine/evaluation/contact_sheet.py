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
from .shots import file_name, picture_file
from .unit import TRUE, UnitResult

LARGEST_COLUMNS = 5
"""Judged pictures that a sheet shows, beside the first one seen."""


def write_sheet(path: Path, results: Sequence[UnitResult], pictures: Path) -> None:
    """Write a sheet of one sequence from what its units left under `pictures`/METHOD/ and `pictures`/_true/.

    Columns: the first picture seen, its albedo, then judged ones and the last one's albedo. Raises OutputError, InputError.
    """
    first = results[0]
    names = list(first.frames)
    shown = [names[int((k + 0.5) * len(names) / LARGEST_COLUMNS)] for k in range(LARGEST_COLUMNS)]
    shown = list(dict.fromkeys(shown)) if len(names) > LARGEST_COLUMNS else names
    labels = [next(iter(first.seen_frames)), *shown]
    panels: list[Tensor] = []
    captions = ["seen", "its albedo", *shown, f"albedo of {shown[-1]}"]
    for folder in (TRUE, *(result.method for result in results)):
        both = [_halves(pictures / file_name(folder) / picture_file(first.pictures[name])) for name in labels]
        panels += [both[0][0], both[0][1], *(halves[0] for halves in both[1:]), both[-1][1]]
    for result in results:
        scores = [result.seen_frames[labels[0]], *(result.frames[name] for name in shown)]
        texts = [f"{score['psnr_db']:.1f} dB" for score in scores]
        captions += [
            f"{result.method}: {texts[0]}",
            _difference(scores[0].get("delta_e")),
            *texts[1:],
            _difference(scores[-1].get("delta_e")),
        ]
    sheet = label_grid(panels, captions, columns=len(labels) + 2)
    with atomic_file(path) as temporary:
        write_png8(temporary, sheet)


def _halves(path: Path) -> tuple[Tensor, Tensor]:
    both = torch.as_tensor(np.asarray(read_png(path)))
    half = both.shape[1] // 2
    return both[:, :half], both[:, half:]


def _difference(value: float | None) -> str:
    return "" if value is None else f"dE {value:.1f}"
