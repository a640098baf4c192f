"""Named tensors in safetensors files, with the project's errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import PalmError

NAMES_LISTED = 4


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors [any shape and device] as a safetensors file. Raises OSError when the disk refuses."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    seen: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, value in tensors.items():
        whole = value.detach().cpu().contiguous()
        memory = whole.untyped_storage().data_ptr()
        # the format refuses two tensors in the same memory
        apart[name] = whole.clone() if memory in seen else whole
        seen.add(memory)
    try:
        save_file(apart, str(path))
    except SafetensorError as error:
        raise OSError(5, str(error), str(path)) from error


def read_tensors(path: Path, error: type[PalmError]) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU. Raises `error` in one line when it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except (SafetensorError, OSError, ValueError, KeyError, MemoryError) as cause:
        raise error(f"{path} cannot be read ({cause}): copy it again") from cause


def broken_tensors(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of floating-point tensors with a NaN or infinite number."""
    # a sum is far quicker than a test of each number, and misses nothing: what is not finite makes the sum so
    suspects = [name for name, value in tensors.items() if value.is_floating_point() and value.numel()]
    suspects = [name for name in suspects if not bool(torch.isfinite(tensors[name].sum(dtype=torch.float64)))]
    return [name for name in suspects if not bool(torch.isfinite(tensors[name]).all())]


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - NAMES_LISTED
    return ", ".join(names[:NAMES_LISTED]) + (f" and {more} more" if more > 0 else "")
