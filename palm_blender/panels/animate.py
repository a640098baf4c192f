"""The sidebar's panel of animation."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from ..animation import action_of
from ..capture_jobs import FOLLOW
from ..operators.animate import PALM_OT_export_poses, PALM_OT_follow_video, PALM_OT_import_poses
from ..selection import selected_hand
from .job_list import draw_job


class PALM_PT_animate(bpy.types.Panel):
    bl_idname = "PALM_PT_animate"
    bl_label = "Animate"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PALM"
    bl_order = 3
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        hand = selected_hand(context)
        if hand is None:
            self.layout.label(text="Select a PALM hand to animate it")
        else:
            _draw_hand(self.layout, hand)
        # also where another hand is selected by now, or none
        for job in context.window_manager.palm.jobs:
            if job.kind == FOLLOW:
                draw_job(self.layout, job)


def _draw_hand(layout: bpy.types.UILayout, hand: bpy.types.Object) -> None:
    layout.operator(PALM_OT_import_poses.bl_idname, icon="ANIM")
    layout.operator(PALM_OT_follow_video.bl_idname, icon="FILE_MOVIE")
    action = action_of(hand)
    if action is not None:
        first, last = action.frame_range
        layout.label(text=f"{action.name}: frames {first:.0f} to {last:.0f}")
    layout.operator(PALM_OT_export_poses.bl_idname, icon="EXPORT")


CLASSES = (PALM_PT_animate,)
