"""The files of a registered user of the published PALM prior: checkpoints, zips of them, and PCA bases.

A checkpoint is a pickle. torch reads it with `weights_only`, which runs nothing; classes of the training framework that lie
beside the weights (its callbacks' states) are built as inert stand-ins.
"""

from __future__ import annotations

import pickle
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import PriorError
from ..fields.codes import CodeBasis
from .tensor_file import some

PREFIX = "model."
MAX_CHECKPOINT_BYTES = 8 << 30
ORTHONORMAL_TOLERANCE = 1e-3
_FRAMEWORKS = (
    *("pytorch_lightning.", "lightning.", "lightning_fabric.", "lightning_utilities.", "torchmetrics.", "omegaconf."),
    *("pathlib.", "numpy."),
)
_EXPERIMENT = re.compile(r"\d{4}-\d{4}-\d{3}")
_STEP = re.compile(r"(?:step=|it)(\d+)\.ckpt$")


class OfficialCheckpoint(NamedTuple):
    state: dict[str, Tensor]
    """Parameters by their official names, without the prefix `model.`."""
    step: int
    """Optimiser steps done; 0 where the file does not say."""
    file: str
    """Name of the checkpoint, inside its zip where it came in one."""


def read_checkpoint(path: Path | str) -> OfficialCheckpoint:
    """Read a `.ckpt` (or bare `.pt`), or the zip that holds one: the one of most steps where it holds several.

    Raises PriorError: missing, damaged, unsafe, or without weights.
    """
    path = Path(path)
    if not path.is_file():
        raise PriorError(f"checkpoint {path} does not exist: give a .ckpt, or the .zip it came in")
    member = _checkpoint_in_zip(path)
    if member is None:
        return _from_raw(_load(path, str(path)), path.name, str(path))
    with tempfile.TemporaryDirectory() as folder:
        extracted = Path(folder) / "checkpoint.ckpt"
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo(member).file_size > MAX_CHECKPOINT_BYTES:
                    raise PriorError(f"{member} in {path} is larger than 8 GB: not a checkpoint of PALM's")
                with archive.open(member) as source, open(extracted, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
            raise PriorError(f"{member} in {path} cannot be unpacked ({error}): download it again") from error
        return _from_raw(_load(extracted, f"{member} in {path}"), member, f"{member} in {path}")


def _checkpoint_in_zip(path: Path) -> str | None:
    """Name of the checkpoint in a zip of files; None for what is no such zip (torch's own format is a zip too)."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError):
        return None
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return None
    found = [name for name in names if name.endswith(".ckpt") and "__MACOSX" not in name]
    if not found:
        raise PriorError(f"{path} holds no .ckpt: give the prior's zip, or unpack it and give the checkpoint")
    return max(found, key=lambda name: (_step_in_name(name), name))


def _step_in_name(name: str) -> int:
    match = _STEP.search(name)
    return int(match[1]) if match else -1


class _Ignored:
    """Stands for an object of the training framework: takes anything, is nothing."""

    def __init__(self, *_: Any, **__: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _load(path: Path, what: str) -> Any:
    try:
        beside = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        foreign = [name for name in beside if not name.startswith(_FRAMEWORKS)]
        if foreign:
            raise PriorError(f"{what} is refused: it asks for {some(foreign)}, which is not plain data")
        with torch.serialization.safe_globals([(_Ignored, name) for name in beside]):  # type: ignore[list-item]
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise PriorError(f"{what} is refused or damaged ({reason}): download it again") from error
    except PriorError:
        raise
    except Exception as error:
        # a damaged or hostile file can fail anywhere inside torch's reader
        raise PriorError(
            f"{what} is no checkpoint that can be read ({type(error).__name__}): download it again"
        ) from error


def _from_raw(raw: Any, file: str, what: str) -> OfficialCheckpoint:
    whole = isinstance(raw, Mapping) and isinstance(raw.get("state_dict"), Mapping)
    state = raw["state_dict"] if whole else raw
    if not isinstance(state, Mapping) or not any(isinstance(value, Tensor) for value in state.values()):
        raise PriorError(f"{what} holds no weights (state_dict): give PALM's checkpoint")
    step = raw.get("global_step", 0) if whole else 0
    tensors = {str(name).removeprefix(PREFIX): value for name, value in state.items() if isinstance(value, Tensor)}
    return OfficialCheckpoint(tensors, step if isinstance(step, int) and step >= 0 else 0, file)


def read_pca(path: Path | str, kind: str, code_width: int) -> CodeBasis:
    """A PCA basis: a `.npy` of orthonormal rows [components, code_width]; it has no mean.

    kind: "shape" or "appearance", against which the file's name is held. Raises PriorError.
    """
    path = Path(path)
    other = "appearance" if kind == "shape" else "shape"
    if f".{other}." in path.name:
        raise PriorError(f"{path} is named as the {other} basis: give the {kind} basis with --{kind}-pca")
    try:
        with open(path, "rb") as stream:
            rows = np.lib.format.read_array(stream, allow_pickle=False)
    except OSError as error:
        raise PriorError(f"cannot read {kind} basis {path} ({error.strerror}): check the path") from error
    except (ValueError, EOFError, MemoryError) as error:
        raise PriorError(f"{kind} basis {path} is no .npy of numbers ({error}): download it again") from error
    if rows.ndim != 2 or rows.shape[1] != code_width or not 1 <= len(rows) <= code_width or rows.dtype.kind != "f":
        raise PriorError(
            f"{kind} basis {path} has shape {rows.shape}, not (components, {code_width}): download it again"
        )
    if not np.isfinite(rows).all():
        raise PriorError(f"{kind} basis {path} holds NaN or infinite numbers: download it again")
    if not np.allclose(rows.astype(float) @ rows.T.astype(float), np.eye(len(rows)), atol=ORTHONORMAL_TOLERANCE):
        raise PriorError(f"{kind} basis {path} has rows that are not orthonormal: it is no PCA basis")
    components = torch.from_numpy(rows.astype(np.float32))
    return CodeBasis(torch.zeros(code_width), components)


def experiment_of(path: Path | str) -> str | None:
    """The experiment id (MMDD-HHMM-SSf) nearest to a file in its path; None where there is none."""
    for part in reversed(Path(path).parts):
        match = _EXPERIMENT.search(part)
        if match:
            return match[0]
    return None
