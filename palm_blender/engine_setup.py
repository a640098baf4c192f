"""Where the engine's Python is, and the job that makes one. No bpy here."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..engine.errors import InputError, MissingDependencyError, OutputError, PalmError
from ..engine.files import read_json
from ..engine.install import NEWEST, OLDEST, STAMP, environment_python, needed_mb

VARIABLE = "PALM_HANDS_PYTHON"
"""Environment variable that names the engine's interpreter, before any preference; for development and tests."""
FOLDER = "engine"
"""Of the extension's user folder."""

__all__ = (
    "FOLDER",
    "NEWEST",
    "OLDEST",
    "VARIABLE",
    "find_interpreter",
    "in_words",
    "install_command",
    "installed",
    "is_usable",
    "needed_mb",
    "remove",
)


def find_interpreter(chosen: str, folder: Path | None) -> Path:
    """The engine's Python: what the variable names, else what the user chose, else the one that was set up in `folder`.

    chosen: an interpreter, or the folder of an environment; "" for none. Raises MissingDependencyError that says what to do.
    """
    for source, named in ((f"{VARIABLE} is", os.environ.get(VARIABLE, "")), ("the preferences name", chosen)):
        if named:
            return _interpreter_at(Path(named), source)
    if folder is not None and is_usable(folder):
        return environment_python(folder)
    raise MissingDependencyError("the engine is not set up: open the add-on's preferences and choose Set Up Engine")


def _interpreter_at(path: Path, source: str) -> Path:
    inside = [path / name for name in ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe")]
    for candidate in inside if path.is_dir() else [path]:
        if candidate.is_file():
            # not resolved: an environment's Python is a link, and knows its packages by where the link lies
            return candidate.absolute()
    raise MissingDependencyError(f"{source} {path}, where no Python is: choose a Python or set the engine up")


def installed(folder: Path) -> dict[str, Any] | None:
    """What `engine.json` says of a finished set-up; None where there is none."""
    with suppress(PalmError):
        return read_json(folder / STAMP, "set-up record")
    return None


def is_usable(folder: Path) -> bool:
    """Whether a set-up was finished and its Python is still there: it is a link to the one that it was made with."""
    return installed(folder) is not None and environment_python(folder).exists()


def in_words(made: dict[str, Any]) -> str:
    """A set-up record in a line, whatever it holds: "CPU build, 2.3 GB"."""
    size = made.get("size_mb")
    build = f"{str(made.get('torch', 'unknown'))[:40].upper()} build"
    return f"{build}, {size / 1000:.1f} GB" if isinstance(size, int | float) and 0 < size < 1e7 else build


def is_begun(folder: Path) -> bool:
    """Whether a set-up was interrupted and would go on."""
    return (folder / "env").is_dir() and not (folder / STAMP).is_file()


def install_command(python: Path | str, folder: Path, build: str) -> Sequence[str]:
    """The job that makes an environment with a base Python; run it with `engine_process.engine_environment()`."""
    command = [str(python), "-s", "-m", "engine.install", "--folder", str(folder), "--torch", build]
    return [*command, "--progress", "json", "--parent-pipe"]


def remove(folder: Path) -> threading.Thread:
    """Take the set-up engine away; at once for everybody, while its tens of thousands of files go in a thread.

    Raises InputError for a folder that no set-up has made, OutputError where it cannot be moved.
    """
    if not (folder / "env").is_dir() and not (folder / STAMP).is_file():
        raise InputError(f"{folder} holds no engine: there is nothing to remove")
    doomed: Path | None = None
    try:
        doomed = Path(tempfile.mkdtemp(prefix=f".{folder.name}-removed-", dir=folder.parent))
        os.replace(folder, doomed / folder.name)
    except OSError as error:
        if doomed is not None:
            doomed.rmdir()
        raise OutputError(f"cannot remove {folder} ({error.strerror}): close what uses it") from error
    # no daemon: Blender's end waits for it rather than leave half of it
    thread = threading.Thread(target=shutil.rmtree, args=(doomed, True), name="remove engine")
    thread.start()
    return thread
