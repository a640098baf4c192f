"""Paths as the user gives them: Blender's own "//", "~", or relative to wherever Blender was started."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..engine.errors import InputError


def absolute(path: str) -> Path:
    """The whole path, which means the same in every process and from every folder.

    Raises InputError for one that is relative to a Blender file that has no place yet, and for an unknown user's "~".
    """
    if path.startswith("//") and not bpy.data.filepath:
        raise InputError(f"{path} lies beside this Blender file, which is not saved: save it, or choose a whole path")
    try:
        return Path(bpy.path.abspath(path)).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"{path}: no such user's folder; choose a whole path") from error
