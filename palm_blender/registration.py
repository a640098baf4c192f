"""Everything that the add-on adds to Blender, in order, and taking it out again."""

from __future__ import annotations

import importlib
import logging
import sys
from contextlib import ExitStack

import bpy

LOG = logging.getLogger(__name__)

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


_added: list[str] = []
"""Modules whose own register() has come to its end."""


def register() -> None:
    """Add all modules; where one fails, those before it are taken out again."""
    try:
        for name in MODULES:
            _add(name)
    except Exception:
        unregister()
        raise


def unregister() -> None:
    """Take all modules out, last first; one that cannot be taken out is logged, and the others go all the same."""
    for name in reversed(MODULES):
        try:
            _remove(name)
        except Exception:
            LOG.exception("%s is not taken out of Blender whole", name)


def _add(name: str) -> None:
    module = importlib.import_module(f".{name}", __package__)
    for item in module.CLASSES:
        bpy.utils.register_class(item)
    if hasattr(module, "register"):
        module.register()
    _added.append(name)


def _remove(name: str) -> None:
    module = sys.modules.get(f"{__package__}.{name}")
    if module is None:
        return
    with ExitStack() as all_of_these:
        for item in module.CLASSES:
            if item.is_registered:
                all_of_these.callback(bpy.utils.unregister_class, item)
        # one that failed halfway does not know what it has added
        if name in _added:
            _added.remove(name)
            if hasattr(module, "unregister"):
                module.unregister()
