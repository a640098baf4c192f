"""The sidebar's panel of animation."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from ..operators.animate import PALM_OT_export_poses, PALM_OT_follow_video, PALM_OT_import_poses
from ..selection import selected_hand


class PALM_PT_animate(bpy.types.Panel):
    bl_idname = "PALM_PT_animate"
    bl_label = "Animate"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PALM"
    bl_order = 3
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        hand = selected_hand(context)
        if hand is None:
            layout.label(text="Select a PALM hand to animate it")
            return
        layout.operator(PALM_OT_import_poses.bl_idname, icon="ANIM")
        layout.operator(PALM_OT_follow_video.bl_idname, icon="FILE_MOVIE")
        action = hand.animation_data.action if hand.animation_data else None
        if action is not None:
            first, last = action.frame_range
            layout.label(text=f"{action.name}: frames {first:.0f} to {last:.0f}")
        layout.operator(PALM_OT_export_poses.bl_idname, icon="EXPORT")


CLASSES = (PALM_PT_animate,)
