"""The sidebar's panel of export."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from .. import export_hand
from ..operators.export import PALM_OT_export_hand
from ..selection import selected_hand


class PALM_PT_export(bpy.types.Panel):
    bl_idname = "PALM_PT_export"
    bl_label = "Export"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PALM"
    bl_order = 6
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        hand = selected_hand(context)
        if hand is None:
            layout.label(text="Select a PALM hand to export it")
            return
        column = layout.column(align=True)
        for name, kind in export_hand.FORMATS.items():
            column.operator(PALM_OT_export_hand.bl_idname, text=kind.label, icon="EXPORT").format = name
        problems, notes = export_hand.preflight(hand, export_hand.ExportSettings("ALEMBIC"))
        for line in problems:
            layout.label(text=line, icon="ERROR")
        for line in notes:
            layout.label(text=line, icon="INFO")


CLASSES = (PALM_PT_export,)
