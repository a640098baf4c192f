"""The sidebar's panel of the hand itself."""

# ruff: noqa: N801  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from .. import rig
from ..operators.avatar import PALM_OT_fit_joints, PALM_OT_import_avatar
from ..selection import selected_hand


class PALM_PT_hand(bpy.types.Panel):
    bl_idname = "PALM_PT_hand"
    bl_label = "PALM Hand"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PALM"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator(PALM_OT_import_avatar.bl_idname, icon="IMPORT")
        hand = selected_hand(context)
        if hand is None:
            layout.label(text="Select a PALM hand to shape it")
            return
        column = layout.column(align=True)
        column.label(text=f"Shape of {hand.name}")
        for index in range(10):
            column.prop(hand, f'["{rig.BETA.format(index)}"]', text=f"Shape {index + 1}")
        layout.operator(PALM_OT_fit_joints.bl_idname)


CLASSES = (PALM_PT_hand,)
