"""Operators on light: environments, a studio of three lamps, and the photo's own view."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import math
from pathlib import Path

import bpy
from bpy_extras.io_utils import ImportHelper

from .. import lighting, match_view, paths, photo, relight, studio_light
from ..selection import selected_hand
from ..synthesis.environments import BUNDLED
from .avatar import OnHand
from .reporting import reported


class Turned:
    """How an environment is hung."""

    rotation: bpy.props.FloatProperty(
        name="Rotation", description="Turn the light about the vertical axis", subtype="ANGLE", default=0.0
    )
    strength: bpy.props.FloatProperty(
        name="Strength", description="Brightness of the light", default=1.0, min=0.0, soft_max=5.0
    )


class PALM_OT_light_photo(OnHand, bpy.types.Operator, Turned):
    """Light the scene as the hand's photo was lit, as far as that could be estimated"""

    bl_idname = "palm.light_photo"
    bl_label = "Use Photo's Light"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if photo.LIGHT not in selected_hand(context):
            cls.poll_message_set("This hand has no light of a photo: import its avatar again")
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = selected_hand(context)
        relight.use_photo_light(context.scene, hand, self.rotation, self.strength)
        return f"{context.scene.name} is lit as the photo of {hand.name}"


class PALM_OT_light_environment(bpy.types.Operator, Turned):
    """Light the scene with one of the environments that Blender brings"""

    bl_idname = "palm.light_environment"
    bl_label = "Use Environment"
    bl_options = {"REGISTER", "UNDO"}

    environment: bpy.props.EnumProperty(
        name="Environment",
        description="One of Blender's own eight",
        items=[(name, name.capitalize(), f"Light of Blender's {name} environment") for name in BUNDLED],
    )

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        relight.use_environment(context.scene, self.environment, self.rotation, self.strength)
        return f"{context.scene.name} is lit by {self.environment}"


class PALM_OT_light_file(bpy.types.Operator, ImportHelper, Turned):
    """Light the scene with a panorama from a file (equirectangular, .exr or .hdr for true brightness)"""

    bl_idname = "palm.light_file"
    bl_label = "Use Environment File"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: bpy.props.StringProperty(
        default=";".join(f"*{suffix}" for suffix in lighting.SUFFIXES), options={"HIDDEN"}
    )

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        path = paths.absolute(self.filepath)
        relight.use_environment(context.scene, str(path), self.rotation, self.strength)
        return f"{context.scene.name} is lit by {path.name}"


class PALM_OT_mark_light_asset(bpy.types.Operator):
    """Offer the scene's light in the asset browser, to be used in other files"""

    bl_idname = "palm.mark_light_asset"
    bl_label = "Mark Light as Asset"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene.world is None:
            cls.poll_message_set("The scene has no world")
            return False
        if context.scene.world.library is not None:
            cls.poll_message_set("The world belongs to another file")
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        relight.offer_as_asset(context.scene.world)
        return f"{context.scene.world.name} is an asset now: save this file in an asset library"


class PALM_OT_light_asset(bpy.types.Operator):
    """Light the scene with the world that is chosen in the asset browser"""

    bl_idname = "palm.light_asset"
    bl_label = "Light Scene with This World"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        asset = getattr(context, "asset", None)
        if asset is None or asset.id_type != "WORLD":
            cls.poll_message_set("Choose a world in an asset browser")
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        asset = context.asset
        if asset.local_id is not None:
            context.scene.world = asset.local_id
        else:
            relight.use_world_of_file(context.scene, Path(asset.full_library_path), asset.name)
        return f"{context.scene.name} is lit by {context.scene.world.name}"


class PALM_OT_add_studio(OnHand, bpy.types.Operator):
    """Put three lamps around the hand, sized and placed by it; those of an earlier studio are replaced"""

    bl_idname = "palm.add_studio"
    bl_label = "Add Three-Light Studio"
    bl_options = {"REGISTER", "UNDO"}

    key: bpy.props.FloatProperty(name="Key", description="Main light, front left", default=1.0, min=0.0, soft_max=5.0)
    fill: bpy.props.FloatProperty(name="Fill", description="Softens shadows", default=0.35, min=0.0, soft_max=5.0)
    rim: bpy.props.FloatProperty(name="Rim", description="Edge from behind", default=1.2, min=0.0, soft_max=5.0)
    turn: bpy.props.FloatProperty(name="Turn", description="Turn the studio around the hand", subtype="ANGLE")
    softness: bpy.props.FloatProperty(
        name="Softness", description="Size of the lamps, in hands", default=2.0, min=0.05, soft_max=6.0
    )

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        settings = studio_light.StudioSettings(self.key, self.fill, self.rim, self.turn, self.softness)
        hand = selected_hand(context)
        studio_light.build_studio(context.scene, hand, settings)
        return f"Three lamps stand around {hand.name}"


class PALM_OT_remove_studio(bpy.types.Operator):
    """Take the three lamps out of the scene"""

    bl_idname = "palm.remove_studio"
    bl_label = "Remove Studio"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if studio_light.find_studio(context.scene) is None:
            cls.poll_message_set("There is no studio in this scene")
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        studio_light.remove_studio(context.scene)
        return "The studio's lamps are gone"


class PALM_OT_match_view(OnHand, bpy.types.Operator):
    """Look at the hand as the photo did: its camera and resolution, and the photo behind to compare with"""

    bl_idname = "palm.match_view"
    bl_label = "Match Photo's View"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if photo.SIZE not in selected_hand(context):
            cls.poll_message_set("This hand has no camera of a photo: import its avatar again")
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        camera = match_view.match_view(context.scene, selected_hand(context))
        _look(context, "CAMERA")
        return f"{context.scene.name} is seen by {camera.name}"


class PALM_OT_restore_view(bpy.types.Operator):
    """Go back to the camera and resolution from before"""

    bl_idname = "palm.restore_view"
    bl_label = "Back to Earlier View"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not match_view.is_matched(context.scene):
            cls.poll_message_set("The scene is not seen as a photo")
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        match_view.restore_view(context.scene)
        _look(context, "PERSP")
        return "Camera and resolution are as they were"


def _look(context: bpy.types.Context, perspective: str) -> None:
    """Let the 3D view that the operator was called in look through the camera or not; none is needed."""
    region = getattr(context.space_data, "region_3d", None)
    if region is not None:
        region.view_perspective = perspective


def _rotation(world: bpy.types.World) -> float:
    return lighting.rotation_of(world) if lighting.is_environment(world) else 0.0


def _set_rotation(world: bpy.types.World, value: float) -> None:
    if lighting.is_environment(world):
        lighting.turn_environment(world, value, lighting.strength_of(world))


def _strength(world: bpy.types.World) -> float:
    return lighting.strength_of(world) if lighting.is_environment(world) else 1.0


def _set_strength(world: bpy.types.World, value: float) -> None:
    if lighting.is_environment(world):
        lighting.turn_environment(world, lighting.rotation_of(world), value)


def _draw_asset_menu(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(PALM_OT_light_asset.bl_idname)


CLASSES = (
    PALM_OT_light_photo,
    PALM_OT_light_environment,
    PALM_OT_light_file,
    PALM_OT_mark_light_asset,
    PALM_OT_light_asset,
    PALM_OT_add_studio,
    PALM_OT_remove_studio,
    PALM_OT_match_view,
    PALM_OT_restore_view,
)


def register() -> None:
    bpy.types.World.palm_rotation = bpy.props.FloatProperty(
        name="Rotation", description="Turn the light about the vertical axis", subtype="ANGLE",
        soft_min=-math.pi, soft_max=math.pi, get=_rotation, set=_set_rotation,
    )  # fmt: skip
    bpy.types.World.palm_strength = bpy.props.FloatProperty(
        name="Strength", description="Brightness of the light", min=0.0, soft_max=5.0, get=_strength, set=_set_strength
    )
    bpy.types.ASSETBROWSER_MT_context_menu.append(_draw_asset_menu)


def unregister() -> None:
    bpy.types.ASSETBROWSER_MT_context_menu.remove(_draw_asset_menu)
    del bpy.types.World.palm_strength
    del bpy.types.World.palm_rotation
