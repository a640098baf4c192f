"""The sidebar's panel of light."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from .. import lighting, match_view, studio_light
from ..operators.relight import (
    PALM_OT_add_studio,
    PALM_OT_light_environment,
    PALM_OT_light_file,
    PALM_OT_light_photo,
    PALM_OT_mark_light_asset,
    PALM_OT_match_view,
    PALM_OT_remove_studio,
    PALM_OT_restore_view,
)


class PALM_PT_relight(bpy.types.Panel):
    bl_idname = "PALM_PT_relight"
    bl_label = "Relight"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PALM"
    bl_order = 4
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        _draw_environment(layout, context)
        layout.separator()
        _draw_studio(layout, context)
        layout.separator()
        column = layout.column(align=True)
        column.operator(PALM_OT_match_view.bl_idname, icon="CAMERA_DATA")
        if match_view.is_matched(context.scene):
            column.operator(PALM_OT_restore_view.bl_idname, icon="LOOP_BACK")


def _draw_environment(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    column = layout.column(align=True)
    column.operator(PALM_OT_light_photo.bl_idname, icon="IMAGE_DATA")
    column.operator_menu_enum(PALM_OT_light_environment.bl_idname, "environment", icon="WORLD")
    column.operator(PALM_OT_light_file.bl_idname, icon="FILE_FOLDER")
    layout.template_ID(context.scene, "world")
    world = context.scene.world
    if world is None:
        return
    column = layout.column(align=True)
    if lighting.is_environment(world):
        column.prop(world, "palm_rotation")
        column.prop(world, "palm_strength")
    else:
        column.label(text="This world has its own settings", icon="INFO")
    if world.asset_data is None:
        column.operator(PALM_OT_mark_light_asset.bl_idname, icon="ASSET_MANAGER")


def _draw_studio(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    column = layout.column(align=True)
    column.operator(PALM_OT_add_studio.bl_idname, icon="LIGHT_AREA")
    studio = studio_light.find_studio(context.scene)
    if studio is None:
        return
    for name, lamp in studio_light.lamps(studio).items():
        column.prop(lamp.data, "energy", text=name.capitalize())
    column.operator(PALM_OT_remove_studio.bl_idname, icon="TRASH")


CLASSES = (PALM_PT_relight,)
