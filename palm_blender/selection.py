"""Which hand the user means."""

from __future__ import annotations

import bpy

from . import rig


def selected_hand(context: bpy.types.Context) -> bpy.types.Object | None:
    """The armature of the hand that is active, whether its mesh or its armature is."""
    active = context.object
    for item in (active, active.parent if active else None):
        if item is not None and item.type == "ARMATURE" and rig.SIDE in item:
            return item
    return None
