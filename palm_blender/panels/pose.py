"""The sidebar's panel of one pose."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from .. import joint_limits, pose_tools
from ..operators.pose import (
    PALM_OT_add_pose_assets,
    PALM_OT_apply_gesture,
    PALM_OT_copy_pose,
    PALM_OT_install_pose_library,
    PALM_OT_limit_joints,
    PALM_OT_mirror_pose,
    PALM_OT_paste_pose,
    PALM_OT_reset_pose,
)
from ..selection import selected_hand


class PALM_PT_pose(bpy.types.Panel):
    bl_idname = "PALM_PT_pose"
    bl_label = "Pose"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PALM"
    bl_order = 2
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        hand = selected_hand(context)
        if hand is None:
            layout.label(text="Select a PALM hand to pose it")
            return
        layout.operator_menu_enum(PALM_OT_apply_gesture.bl_idname, "gesture", text="Gestures", icon="VIEW_PAN")
        column = layout.column(align=True)
        for finger in pose_tools.fingers():
            column.prop(hand.palm_fingers, finger, slider=True)
        column = layout.column(align=True)
        column.prop(hand.palm_fingers, "spread", slider=True)
        column.prop(hand.palm_fingers, "aside", slider=True)
        limited = joint_limits.are_on(hand)
        icon = "CHECKBOX_HLT" if limited else "CHECKBOX_DEHLT"
        layout.operator(PALM_OT_limit_joints.bl_idname, icon=icon, depress=limited).on = not limited
        row = layout.row(align=True)
        row.operator(PALM_OT_mirror_pose.bl_idname, text="Mirror to Other", icon="MOD_MIRROR")
        row.operator(PALM_OT_reset_pose.bl_idname, text="Reset", icon="LOOP_BACK")
        row = layout.row(align=True)
        row.operator(PALM_OT_copy_pose.bl_idname, text="Copy MANO", icon="COPYDOWN")
        row.operator(PALM_OT_paste_pose.bl_idname, text="Paste MANO", icon="PASTEDOWN")
        header, body = layout.panel("PALM_pose_library", default_closed=True)
        header.label(text="Pose Library")
        if body is not None:
            body.operator(PALM_OT_add_pose_assets.bl_idname, icon="ASSET_MANAGER")
            body.operator(PALM_OT_install_pose_library.bl_idname, icon="IMPORT")


CLASSES = (PALM_PT_pose,)
