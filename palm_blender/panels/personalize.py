"""The sidebar's panel that turns a photo into a hand."""

# ruff: noqa: N801  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from ...engine.errors import PalmError
from .. import jobs, keypoints, preferences
from ..job_queue import ENDED
from ..personalize import LOOK, PERSONALIZE
from .job_list import draw_job, draw_lines


class PALM_PT_personalize(bpy.types.Panel):
    bl_idname = "PALM_PT_personalize"
    bl_label = "Personalize"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PALM"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, context.window_manager.palm
        if not _draw_missing_engine(layout):
            _draw_choices(layout, state)
            if keypoints.board() is None:
                column = layout.column()
                column.operator("palm.check_photo", icon="VIEWZOOM")
                column.operator("palm.personalize", icon="PLAY")
            else:
                _draw_keypoints(layout)
        for job in state.jobs:
            if job.kind in (PERSONALIZE, LOOK):
                draw_job(layout, job)


def _draw_missing_engine(layout: bpy.types.UILayout) -> bool:
    """What to do where there is no engine yet; the rest of the add-on works without."""
    try:
        preferences.interpreter()
    except PalmError as error:
        column = layout.column()
        draw_lines(column, str(error)[0].upper() + str(error)[1:])
        column.operator(
            "preferences.addon_show", text="Open Preferences", icon="PREFERENCES"
        ).module = preferences.PACKAGE
        return True
    return False


def _draw_choices(layout: bpy.types.UILayout, state: bpy.types.PropertyGroup) -> None:
    layout.row().prop(state, "source", expand=True)
    if state.source == "file":
        row = layout.row(align=True)
        row.prop(state, "filepath", text="")
        row.operator("palm.choose_photo", text="", icon="FILE_IMAGE")
    else:
        layout.prop_search(state, "image", bpy.data, "images", text="")
    column = layout.column()
    column.use_property_split, column.use_property_decorate = True, False
    for name in ("method", "quality", "hand", "use_light"):
        column.prop(state, name)


def _draw_keypoints(layout: bpy.types.UILayout) -> None:
    box = layout.box()
    base = keypoints.board()
    if _in_use(base):
        draw_lines(box, "The hand is being made from these keypoints. They stay until it is added.")
        return
    if base["palm_found"]:
        draw_lines(box, f"A {base['palm_handedness']} hand. Move points that are wrong with G, then go on.")
    else:
        draw_lines(box, "No hand was found. Put each point on its joint with G, then go on.", alert=True)
    column = box.column()
    if base["palm_found"]:
        column.operator("palm.use_keypoints", icon="PLAY")
    else:
        for side in ("left", "right"):
            column.operator(
                "palm.use_keypoints", text=f"Use These Keypoints: {side.title()} Hand", icon="PLAY"
            ).hand = side
    column.operator("palm.discard_keypoints", icon="X")


def _in_use(base: bpy.types.Object) -> bool:
    """Whether a job that has not ended was given these points."""
    used = (job.details.get("used") for job in jobs.session().queue if job.state not in ENDED)
    return any(item is not None and item["board"] == base.get(keypoints.BOARD, "") for item in used)


CLASSES = (PALM_PT_personalize,)
