"""The sidebar's panel of data sets."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from .. import dataset_jobs
from ..operators.dataset import PALM_OT_open_dataset, PALM_OT_render_dataset
from .job_list import draw_job, draw_lines

NAMES_BY_VERB = {
    "cohort": ("subjects", "poses", "cameras"),
    "sequence": ("subjects", "moments", "around"),
    "harp-relit": ("sequences", "frames"),
    "animate": ("avatar", "view"),
}


class PALM_PT_dataset(bpy.types.Panel):
    bl_idname = "PALM_PT_dataset"
    bl_label = "Dataset"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PALM"
    bl_order = 5
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.palm_dataset
        layout.use_property_split, layout.use_property_decorate = True, False
        layout.prop(settings, "verb")
        _draw_content(layout.column(), settings)
        _draw_pictures(layout.column(), settings)
        layout.prop(settings, "out")
        said = context.window_manager.palm_dataset_said
        draw_lines(layout, said or dataset_jobs.count_in_words(settings))
        row = layout.row(align=True)
        row.operator(PALM_OT_render_dataset.bl_idname, text="Dry Run", icon="TIME").dry_run = True
        row.operator(PALM_OT_render_dataset.bl_idname, text="Render", icon="RENDER_STILL").dry_run = False
        layout.operator(PALM_OT_open_dataset.bl_idname, icon="FILE_FOLDER")
        for job in context.window_manager.palm.jobs:
            if job.kind == dataset_jobs.KIND:
                draw_job(layout, job)


def _draw_content(column: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    for name in NAMES_BY_VERB[settings.verb]:
        # a pose file says itself how many poses there are
        if name not in ("poses", "moments") or not settings.pose_file:
            column.prop(settings, name)
    column.prop(settings, "pose_file")
    for prefix in ("", "other_") if settings.verb == "harp-relit" else ("",):
        column.prop(settings, f"{prefix}light")
        if getattr(settings, f"{prefix}light") == dataset_jobs.FILE:
            column.prop(settings, f"{prefix}light_file")


def _draw_pictures(column: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    for name in ("width", "height", "samples", "seed", "background", "device", "workers"):
        column.prop(settings, name)
    flags = column.column(heading="Also")
    for name in ("vary_light", "radiance", *(("avatars",) if settings.verb in dataset_jobs.WITH_AVATARS else ())):
        flags.prop(settings, name)


CLASSES = (PALM_PT_dataset,)
