"""Operators on avatars: importing, choosing, copying, mirroring, deleting, their shape, mesh and skin."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy
from bpy_extras.io_utils import ImportHelper

from ...engine.avatar.folder import read_avatar
from ...engine.errors import InputError
from .. import avatar, avatar_tools, paths, relight, rig, skin_tone, viewing
from ..cleanup import whole_or_nothing
from ..selection import selected_hand
from .reporting import reported

DENSITY_ITEMS = (
    ("COARSE", "Coarse", "About 1,700 vertices; detail between them is lost"),
    ("MEDIUM", "Medium", "About 6,700 vertices, as avatars are made"),
    ("FINE", "Fine", "About 27,000 vertices; new ones lie between the others"),
)


def hand_of(context: bpy.types.Context) -> bpy.types.Object:
    """The hand that the user means. Raises InputError where none is selected."""
    hand = selected_hand(context)
    if hand is None:
        raise InputError("no PALM hand is selected: select its armature or its mesh")
    return hand


class OnHand:
    """An operator that needs a hand."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if selected_hand(context) is None:
            cls.poll_message_set("Select a PALM hand")
            return False
        return True


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

    at_cursor: bpy.props.BoolProperty(
        name="At 3D Cursor",
        description="Put the hand at the 3D cursor, or beside the hands there; else where the photo's camera saw it",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.properties.is_property_set("at_cursor"):
            self.at_cursor = True
        return ImportHelper.invoke(self, context, event)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Leave the current mode first: avatars are imported in Object Mode")
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        chosen = paths.absolute(self.filepath)
        folder = chosen if chosen.suffix == ".palmhand" else chosen.parent
        with whole_or_nothing():
            source = read_avatar(folder)
            hand = avatar.build_hand(source, folder.stem, context.scene)
            if self.at_cursor:
                viewing.place(hand.armature, context.scene, context.scene.cursor.location)
            if self.use_light:
                relight.use_photo_light(context.scene, hand.armature)
        viewing.show_only(context, hand.armature)
        return f"Imported {folder.stem}, a {source.handedness} hand"


class PALM_OT_fit_joints(OnHand, bpy.types.Operator):
    """Move the bones to where the shape sliders put the joints"""

    bl_idname = "palm.fit_joints"
    bl_label = "Fit Bones to Shape"
    bl_options = {"REGISTER", "UNDO"}

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        rig.fit_joints(hand)
        return f"The bones of {hand.name} fit its shape"


class PALM_OT_show_hand(bpy.types.Operator):
    """Select this hand and make it active. Shift: hide the scene's other hands"""

    bl_idname = "palm.show_hand"
    bl_label = "Show Hand"
    bl_options = {"REGISTER", "UNDO"}

    hand: bpy.props.StringProperty(name="Hand", description="Name of the hand's armature")
    alone: bpy.props.BoolProperty(name="Alone", description="Hide the scene's other hands, in renders too")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.alone = event.shift
        return self.execute(context)

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        found = context.scene.objects.get(self.hand)
        if found is None or rig.SIDE not in found:
            raise InputError(f"there is no hand {self.hand!r} in {context.scene.name}: choose one of the list")
        avatar_tools.show_hand(found, self.alone)
        return f"{found.name} is active" + (", the others are hidden" if self.alone else "")


class PALM_OT_duplicate_hand(OnHand, bpy.types.Operator):
    """Make a second hand with its own mesh, skin and action"""

    bl_idname = "palm.duplicate_hand"
    bl_label = "Duplicate Hand"
    bl_options = {"REGISTER", "UNDO"}

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        with whole_or_nothing():
            copy = avatar_tools.duplicate(hand_of(context))
        avatar_tools.show_hand(copy)
        return f"{copy.name} is a copy that shares nothing but its textures"


class PALM_OT_mirror_hand(OnHand, bpy.types.Operator):
    """Make the other hand, right from left or left from right: mesh, weights, correctives, bones, pose and animation mirrored"""

    bl_idname = "palm.mirror_hand"
    bl_label = "Mirror to Other Hand"
    bl_options = {"REGISTER", "UNDO"}

    keep: bpy.props.BoolProperty(
        name="As New Hand", description="Keep this hand, and make its mirror image beside it", default=True
    )

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        with whole_or_nothing():
            made = avatar_tools.mirror(hand_of(context), keep_original=self.keep)
        return f"{made.name} is a {rig.side_of(made)} hand"


class PALM_OT_delete_hand(OnHand, bpy.types.Operator):
    """Delete the hand with its mesh, skin, textures and action, where nothing else uses them"""

    bl_idname = "palm.delete_hand"
    bl_label = "Delete Hand"
    bl_options = {"REGISTER", "UNDO"}

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        name = hand.name
        removed = avatar_tools.delete(hand)
        others = avatar_tools.all_hands(context.scene)
        if others:
            avatar_tools.show_hand(others[0])
        return f"Deleted {name}: {removed} data-blocks"


class PALM_OT_set_density(OnHand, bpy.types.Operator):
    """Make the mesh finer or coarser, with its skinning and correctives; for more smoothness alone raise the levels instead"""

    bl_idname = "palm.set_density"
    bl_label = "Change Mesh Density"
    bl_options = {"REGISTER", "UNDO"}

    density: bpy.props.EnumProperty(name="Density", items=DENSITY_ITEMS, default="MEDIUM")

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        with whole_or_nothing():
            count = avatar_tools.set_density(hand, self.density)
        return f"{hand.name} has {count:,} vertices"


class PALM_OT_adjust_skin(OnHand, bpy.types.Operator):
    """Change the skin's tone without touching its textures"""

    bl_idname = "palm.adjust_skin"
    bl_label = "Adjust Skin"
    bl_options = {"REGISTER", "UNDO"}

    lightness: bpy.props.FloatProperty(name="Lightness", description="All colours brighter or darker", min=-1, max=1)
    melanin: bpy.props.FloatProperty(name="Melanin", description="More or less of skin's brown pigment", min=-1, max=1)
    redness: bpy.props.FloatProperty(name="Redness", description="More or less blood", min=-1, max=1)
    roughness: bpy.props.FloatProperty(
        name="Roughness", description="Duller (positive) or more oily skin", min=-0.5, max=0.5
    )

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        material = skin_tone.skin_of(hand_of(context))
        with whole_or_nothing():
            tone = skin_tone.SkinTone(self.lightness, self.melanin, self.redness, self.roughness)
            skin_tone.set_tone(material, tone)
        return f"{material.name} has sliders of its own in the Avatar panel"


def _draw_import(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(PALM_OT_import_avatar.bl_idname, text="PALM Hand Avatar (.palmhand)")


CLASSES = (
    PALM_OT_import_avatar,
    PALM_OT_fit_joints,
    PALM_OT_show_hand,
    PALM_OT_duplicate_hand,
    PALM_OT_mirror_hand,
    PALM_OT_delete_hand,
    PALM_OT_set_density,
    PALM_OT_adjust_skin,
)


def register() -> None:
    bpy.types.TOPBAR_MT_file_import.append(_draw_import)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(_draw_import)
