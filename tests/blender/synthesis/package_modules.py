"""The repository loaded as the extension's package, where modules import each other relatively; no Blender in it."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[3]


def module(name: str) -> ModuleType:
    """A module by its place in the repository: module("palm_blender.synthesis.people")."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    return importlib.import_module(f"{build.load_package().__name__}.{name}")
