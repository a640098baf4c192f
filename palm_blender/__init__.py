"""The Blender side of PALM Hands: building blocks that need no interface, and a thin interface on top.

Nothing heavy is imported before `register()`; the engine's modules used here need NumPy only.
"""

from __future__ import annotations


def register() -> None:
    """Add the importer and the sidebar to Blender."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Take them out again."""
    from . import registration

    registration.unregister()
