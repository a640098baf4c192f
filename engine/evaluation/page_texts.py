"""Settings and notes as a page says them: without the folders of the machine that they were written on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

PATHS = (
    "dataset",
    "output",
    "prior",
    "prior_no_normals",
    "hand_model",
    "masks",
    "vgg16",
    "lpips",
    "alexnet",
    "lpips_alex",
)
"""Settings that are paths."""


def setting_rows(settings: Mapping[str, Any]) -> list[list[str]]:
    """Names and values; of paths the last name."""
    return [[str(name).replace("_", " "), _text(name, value)] for name, value in settings.items()]


def without_folders(text: str, settings: Mapping[str, Any]) -> str:
    """A text in which absolute paths of the settings are their last names."""
    paths = [value for name, value in settings.items() if name in PATHS and isinstance(value, str)]
    for path in sorted(paths, key=len, reverse=True):
        if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute():
            text = text.replace(path, last_name(path))
    return text


def last_name(path: str) -> str:
    """Of a path of any system; one without a name stays as it is."""
    return PureWindowsPath(path).name or path


def _text(name: str, value: Any) -> str:
    if value is None:
        return "–"
    return last_name(str(value)) if name in PATHS else str(value)
