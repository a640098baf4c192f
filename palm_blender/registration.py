"""Everything that the add-on adds to Blender, in order, and taking it out again."""

from __future__ import annotations

import importlib
from types import ModuleType

import bpy

MODULES = (
    "properties",
    "preferences",
    "previews",
    "jobs",
    "personalize",
    "operators.jobs",
    "operators.engine",
    "operators.personalize",
    "panels.personalize",
    "operators.avatar",
    "panels.avatar",
    "operators.pose",
    "panels.pose",
    "capture_jobs",
    "operators.animate",
    "panels.animate",
    "operators.relight",
    "panels.relight",
    "operators.dataset",
    "panels.dataset",
    "operators.export",
    "panels.export",
)
"""Each has CLASSES, registered in order, and may have register() and unregister() for what is not a class."""


def register() -> None:
    """Add all modules; where one fails, those before it are taken out again."""
    added: list[ModuleType] = []
    try:
        for name in MODULES:
            module = importlib.import_module(f".{name}", __package__)
            added.append(module)
            _add(module)
    except Exception:
        for module in reversed(added):
            _remove(module)
        raise


def unregister() -> None:
    """Take all modules out, last first."""
    for name in reversed(MODULES):
        _remove(importlib.import_module(f".{name}", __package__))


def _add(module: ModuleType) -> None:
    for item in module.CLASSES:
        bpy.utils.register_class(item)
    if hasattr(module, "register"):
        module.register()


def _remove(module: ModuleType) -> None:
    registered = [item for item in module.CLASSES if item.is_registered]
    # a module whose classes did not all get in has not run its own register()
    if hasattr(module, "unregister") and len(registered) == len(module.CLASSES):
        module.unregister()
    for item in reversed(registered):
        bpy.utils.unregister_class(item)
