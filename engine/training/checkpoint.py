"""The state of a training on disk, from which it goes on as if it had never stopped.

    FOLDER/step-001200/state.json            step, optimiser settings, facts
                       tensors.safetensors   parameters, optimiser moments, generators' states

A checkpoint is written under a hidden name, forced to the disk, and renamed: whatever kills the program, a folder called
step-… is whole. The last two are kept.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import CheckpointError, InputError, OutputError
from ..files import read_json
from .tensor_file import broken_tensors, read_tensors, some, write_tensors

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
KEPT = 2
STATE_FILE, TENSORS_FILE = "state.json", "tensors.safetensors"
_TENSOR, _OPTIMISER, _GENERATOR = "tensor.", "optimiser.", "generator."
_NAME = re.compile(r"step-(\d{6,})(?:-(\d+))?")


@dataclass(frozen=True)
class TrainingState:
    """All that a training needs to go on to the same result."""

    step: int
    """Optimiser steps done."""
    tensors: Mapping[str, Tensor]
    """Parameters and buffers by name: the fields, the light."""
    optimiser: Mapping[str, Any] = field(default_factory=dict)
    """`torch.optim.Optimizer.state_dict()`."""
    generators: Mapping[str, Tensor] = field(default_factory=dict)
    """States of random generators, where any lives longer than a step."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON: configuration, subjects, what the metrics were."""


def save_checkpoint(folder: Path | str, state: TrainingState) -> Path:
    """Write a checkpoint into FOLDER (made if need be) and drop all but the last two. Returns its path.

    Raises OutputError when it cannot be written; what was there before is then still there.
    """
    folder = Path(folder)
    temporary: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".step-{state.step:06d}-", dir=folder))
        settings, moments = _split_optimiser(state.optimiser)
        tensors = {_TENSOR + name: value for name, value in state.tensors.items()}
        tensors |= {_OPTIMISER + name: value for name, value in moments.items()}
        tensors |= {_GENERATOR + name: value for name, value in state.generators.items()}
        write_tensors(temporary / TENSORS_FILE, tensors)
        description = {
            "schema_version": SCHEMA_VERSION,
            "step": state.step,
            "tensors": sorted(tensors),
            "optimiser": settings,
            "facts": state.facts,
        }
        (temporary / STATE_FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        for path in (temporary / TENSORS_FILE, temporary / STATE_FILE, temporary):
            _force_to_disk(path)
        final = _free_name(folder, state.step)
        os.replace(temporary, final)
        _force_to_disk(folder)
    except OSError as error:
        raise OutputError(
            f"cannot write a checkpoint in {folder} ({error.strerror}): free space, or go elsewhere"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    _drop_old(folder, final)
    return final


def load_latest(folder: Path | str) -> TrainingState | None:
    """The newest whole checkpoint in FOLDER, on the CPU; None where there is none.

    One whose files are damaged is passed over with a warning. Raises CheckpointError when all are, and when the newest is
    of a newer schema or holds NaN.
    """
    folder = Path(folder)
    found = checkpoints(folder)
    damaged: CheckpointError | None = None
    for path in reversed(found):
        try:
            state = _read(path)
        except CheckpointError as error:
            damaged = damaged or error
            log.warning("%s; trying the one before", error)
            continue
        broken = broken_tensors({**state.tensors, **_split_optimiser(state.optimiser)[1]})
        if broken:
            raise CheckpointError(
                f"checkpoint {path} holds NaN or infinite numbers in {some(broken)}: delete it to go on from the one before"
            )
        return state
    if damaged is not None:
        raise damaged
    return None


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    if not folder.is_dir():
        return []
    named = [(match, path) for path in folder.iterdir() if path.is_dir() and (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(named, key=lambda item: (int(item[0][1]), int(item[0][2] or 1)))]


def _free_name(folder: Path, step: int) -> Path:
    """step-000120, or step-000120-2 where that exists: replacing a folder cannot be done in one stroke."""
    name, count = folder / f"step-{step:06d}", 1
    while name.exists():
        count += 1
        name = folder / f"step-{step:06d}-{count}"
    return name


def _drop_old(folder: Path, newest: Path) -> None:
    for path in checkpoints(folder)[:-KEPT]:
        if path != newest:
            shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".step-*"):  # what a killed run left
        shutil.rmtree(path, ignore_errors=True)


def _force_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some file systems do not synchronise folders
            raise
    finally:
        os.close(handle)


def _read(path: Path) -> TrainingState:
    try:
        values = read_json(path / STATE_FILE, "checkpoint's state")
    except InputError as error:
        raise CheckpointError(str(error)) from error
    version, step, names = (values.get(name) for name in ("schema_version", "step", "tensors"))
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise CheckpointError(
            f"checkpoint {path} has schema {version}, newer than this version reads: update PALM Hands"
        )
    if not isinstance(step, int) or not isinstance(names, list) or not isinstance(values.get("facts"), dict):
        raise CheckpointError(f"checkpoint {path}: {STATE_FILE} lacks step, tensors or facts; delete it")
    tensors = read_tensors(path / TENSORS_FILE, CheckpointError)
    missing = [str(name) for name in names if name not in tensors]
    if missing:
        raise CheckpointError(f"checkpoint {path} lacks {some(missing)}: delete it to go on from the one before")

    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    optimiser = _join_optimiser(values.get("optimiser"), under(_OPTIMISER), path)
    return TrainingState(step, under(_TENSOR), optimiser, under(_GENERATOR), values["facts"])


def _split_optimiser(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """An optimiser's state as (JSON, tensors named PARAMETER.NAME)."""
    numbers: dict[str, dict[str, Any]] = {}
    tensors: dict[str, Tensor] = {}
    for parameter, values in state.get("state", {}).items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{parameter}.{name}"] = value
            else:
                numbers.setdefault(str(parameter), {})[name] = value
    return {"groups": list(state.get("param_groups", ())), "numbers": numbers}, tensors


def _join_optimiser(settings: Any, tensors: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """The inverse of `_split_optimiser`; an empty state where there was no optimiser."""
    if not isinstance(settings, dict) or not isinstance(settings.get("groups"), list):
        raise CheckpointError(f"checkpoint {path}: {STATE_FILE} has no optimiser settings; delete it")
    try:
        state: dict[int, dict[str, Any]] = {int(key): dict(value) for key, value in settings.get("numbers", {}).items()}
        for name, value in tensors.items():
            parameter, _, key = name.partition(".")
            state.setdefault(int(parameter), {})[key] = value
        # JSON knows no tuples, which Adam's betas are
        groups = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in settings["groups"]]
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"checkpoint {path}: the optimiser's state cannot be read ({error}); delete it"
        ) from error
    return {"state": state, "param_groups": groups} if groups else {}
