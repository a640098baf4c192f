"""Operators on avatars: importing one, and its shape."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

from pathlib import Path

import bpy
from bpy_extras.io_utils import ImportHelper

from ...engine.avatar.folder import read_avatar
from ...engine.errors import PalmError
from .. import avatar, rig
from ..cleanup import whole_or_nothing
from ..console import one_line_errors
from ..selection import selected_hand


class PALM_OT_import_avatar(bpy.types.Operator, ImportHelper):
    """Import a hand avatar folder (NAME.palmhand) as a rigged, textured hand"""

    bl_idname = "palm.import_avatar"
    bl_label = "Import PALM Hand Avatar"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json;*.palmhand", options={"HIDDEN"})
    use_light: bpy.props.BoolProperty(
        name="Use Photo's Light", description="Replace the scene's world by the light estimated from the photo"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Leave the current mode first: avatars are imported in Object Mode")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        from .. import lighting

        chosen = Path(bpy.path.abspath(self.filepath))
        folder = chosen if chosen.suffix == ".palmhand" else chosen.parent
        try:
            with one_line_errors(), whole_or_nothing():
                source = read_avatar(folder)
                hand = avatar.build_hand(source, folder.stem, context.scene)
                if self.use_light:
                    light = source.image("environment.exr")
                    lighting.set_environment(context.scene, light, name=f"{folder.stem} light")
        except PalmError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for item in context.selected_objects:
            item.select_set(False)
        hand.armature.select_set(True)
        context.view_layer.objects.active = hand.armature
        self.report({"INFO"}, f"Imported {folder.stem}, a {source.handedness} hand")
        return {"FINISHED"}


class PALM_OT_fit_joints(bpy.types.Operator):
    """Move the bones to where the shape sliders put the joints"""

    bl_idname = "palm.fit_joints"
    bl_label = "Fit Bones to Shape"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if selected_hand(context) is None:
            cls.poll_message_set("Select a PALM hand")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            rig.fit_joints(selected_hand(context))
        except PalmError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def _draw_import(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(PALM_OT_import_avatar.bl_idname, text="PALM Hand Avatar (.palmhand)")


CLASSES = (PALM_OT_import_avatar, PALM_OT_fit_joints)


def register() -> None:
    bpy.types.TOPBAR_MT_file_import.append(_draw_import)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(_draw_import)
