"""Operators on one pose: gestures, limits, mirroring, resetting, MANO parameters; and the finger sliders."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy

from ...engine.errors import InputError
from .. import animation, avatar_tools, joint_limits, pose_library, pose_text, pose_tools, rig
from ..preferences import user_folder
from ..selection import selected_hand
from ..synthesis import poses as gestures
from .avatar import OnHand, hand_of
from .reporting import reported


def gesture_items(owner: object, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    """The gestures for a menu; kept, because Blender does not keep the strings of a menu made on the fly."""
    if not _ITEMS:
        names = gestures.gesture_names()
        _ITEMS.extend((name, pose_library.title_of(name), f"Put the fingers into {name!r}") for name in names)
    return _ITEMS


_ITEMS: list[tuple[str, str, str]] = []


def _slider(
    name: str, description: str, read: Callable[[bpy.types.Object], float],
    write: Callable[[bpy.types.Object, float], None], least: float = -1.0,
) -> object:  # fmt: skip
    """A number that is read from the bones and written to them; nothing is stored, so it is always true."""

    def get(self: bpy.types.PropertyGroup) -> float:
        hand = self.id_data
        return read(hand) if rig.SIDE in hand else 0.0

    def put(self: bpy.types.PropertyGroup, value: float) -> None:
        if rig.SIDE in self.id_data:
            write(self.id_data, value)
            pose_tools.key_if_recording(self.id_data, bpy.context.scene)

    return bpy.props.FloatProperty(
        name=name, description=description, min=least, max=1.0, get=get, set=put, options={"SKIP_SAVE"}
    )


def _curl(finger: str) -> object:
    return _slider(
        finger.title(),
        f"Bend of the {finger}: 0 is straight, 1 as far as it goes",
        lambda hand: pose_tools.finger_curl(hand, finger),
        lambda hand, value: pose_tools.set_finger_curl(hand, finger, value),
    )


class PALM_PG_fingers(bpy.types.PropertyGroup):
    """Sliders of the active hand's fingers."""

    thumb: _curl("thumb")
    index: _curl("index")
    middle: _curl("middle")
    ring: _curl("ring")
    pinky: _curl("pinky")
    spread: _slider("Spread", "Fan the fingers out; negative crosses them", pose_tools.spread, pose_tools.set_spread)
    aside: _slider(
        "Thumb Out", "Thumb away from the palm; negative across it", pose_tools.thumb_aside, pose_tools.set_thumb_aside
    )


class PALM_OT_apply_gesture(OnHand, bpy.types.Operator):
    """Put the fingers into one of the gestures; the wrist stays"""

    bl_idname = "palm.apply_gesture"
    bl_label = "Apply Gesture"
    bl_options = {"REGISTER", "UNDO"}

    gesture: bpy.props.EnumProperty(name="Gesture", items=gesture_items)
    amount: bpy.props.FloatProperty(
        name="Amount", description="How far towards the gesture", min=0, max=1, default=1, subtype="FACTOR"
    )

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        pose_tools.apply_gesture(hand, self.gesture, self.amount)
        pose_tools.key_if_recording(hand, context.scene)
        return f"{hand.name}: {pose_library.title_of(self.gesture)}"


class PALM_OT_limit_joints(OnHand, bpy.types.Operator):
    """Let the fingers turn only as far as joints do, or freely; the skin's correctives follow what the limits leave"""

    bl_idname = "palm.limit_joints"
    bl_label = "Limit Joints"
    bl_options = {"REGISTER", "UNDO"}

    on: bpy.props.BoolProperty(name="On", description="Limit the joints, or set them free", default=True)

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        joint_limits.set_limits(hand, self.on)
        return f"{hand.name}: joint limits are {'on' if self.on else 'off'}"


class PALM_OT_reset_pose(OnHand, bpy.types.Operator):
    """Flatten the hand"""

    bl_idname = "palm.reset_pose"
    bl_label = "Reset Pose"
    bl_options = {"REGISTER", "UNDO"}

    wrist: bpy.props.BoolProperty(name="Wrist Too", description="Also put the wrist where the hand was built")

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        pose_tools.reset(hand, self.wrist)
        pose_tools.key_if_recording(hand, context.scene)
        return f"{hand.name} is flat"


class PALM_OT_mirror_pose(OnHand, bpy.types.Operator):
    """Give the other hand this hand's pose, mirrored: the other selected hand, or the only one of the other side"""

    bl_idname = "palm.mirror_pose"
    bl_label = "Mirror Pose to Other Hand"
    bl_options = {"REGISTER", "UNDO"}

    wrist: bpy.props.BoolProperty(name="Wrist Too", description="Also mirror where the hand is and how it is turned")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if pose_tools.other_hand(selected_hand(context), avatar_tools.all_hands(context.scene)) is None:
            cls.poll_message_set("Select the other hand as well, or mirror this avatar to make one")
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        other = pose_tools.other_hand(hand, avatar_tools.all_hands(context.scene))
        if other is None:
            raise InputError("there is no other hand: select it as well, or mirror this avatar to make one")
        pose_tools.mirror_pose(hand, other, self.wrist)
        pose_tools.key_if_recording(other, context.scene)
        return f"{other.name} has the pose of {hand.name}"


class PALM_OT_copy_pose(OnHand, bpy.types.Operator):
    """Copy the pose's MANO parameters as JSON, to the clipboard and to a text block"""

    bl_idname = "palm.copy_pose"
    bl_label = "Copy MANO Parameters"
    bl_options = {"REGISTER", "UNDO"}

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        text = pose_text.as_text(animation.read_pose(hand, as_shown=joint_limits.are_on(hand)))
        block = pose_text.to_block(f"{hand.name} MANO", text)
        context.window_manager.clipboard = text
        return f"Copied the pose of {hand.name}; the text block {block.name!r} has it, too"


class PALM_OT_paste_pose(OnHand, bpy.types.Operator):
    """Put the hand into MANO parameters from the clipboard or a text block; the other hand's are mirrored"""

    bl_idname = "palm.paste_pose"
    bl_label = "Paste MANO Parameters"
    bl_options = {"REGISTER", "UNDO"}

    block: bpy.props.StringProperty(name="Text Block", description="Read this text block; empty for the clipboard")
    wrist: bpy.props.BoolProperty(name="Wrist Too", description="Also where the hand is and how it is turned")

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        if self.block:
            found = bpy.data.texts.get(self.block)
            if found is None:
                raise InputError(f"there is no text block {self.block!r}: choose another one")
            poses = pose_text.from_text(found.as_string(), f"text block {self.block!r}")
        else:
            poses = pose_text.from_text(context.window_manager.clipboard, "the clipboard")
        notes = pose_tools.set_pose(hand, poses, self.wrist)
        pose_tools.key_if_recording(hand, context.scene)
        return "; ".join((f"{hand.name} is posed", *notes))


class PALM_OT_add_pose_assets(OnHand, bpy.types.Operator):
    """Add all gestures to this file as pose assets for this hand, seen in the asset browser and in Pose Mode's shelf"""

    bl_idname = "palm.add_pose_assets"
    bl_label = "Add Gestures as Pose Assets"
    bl_options = {"REGISTER", "UNDO"}

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        made = pose_library.add_to_file(hand_of(context))
        return f"Added {len(made)} pose assets" if made else "All gestures are pose assets of this file already"


class PALM_OT_install_pose_library(bpy.types.Operator):
    """Write the gestures of both hands as an asset library that every file can use, and enter it in Blender's preferences"""

    bl_idname = "palm.install_pose_library"
    bl_label = "Install Pose Library"
    bl_options = {"REGISTER"}

    folder: bpy.props.StringProperty(
        name="Folder", description="Where the library is written; empty for the add-on's own folder", subtype="DIR_PATH"
    )

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        folder = library_folder(self.folder)
        path = pose_library.write_library(folder)
        pose_library.register_library(folder)
        return f"The pose library is {path}"


class PALM_OT_remove_pose_library(bpy.types.Operator):
    """Take the pose library out of Blender's preferences and delete its file"""

    bl_idname = "palm.remove_pose_library"
    bl_label = "Remove Pose Library"
    bl_options = {"REGISTER"}

    folder: bpy.props.StringProperty(name="Folder", description="Empty for the add-on's own", subtype="DIR_PATH")

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        folder = library_folder(self.folder)
        known = pose_library.unregister_library(folder)
        removed = pose_library.remove_files(folder)
        return "The pose library was removed" if known or removed else "There was no pose library"


def library_folder(chosen: str) -> Path:
    """Where the pose library lies."""
    return Path(bpy.path.abspath(chosen)) if chosen else user_folder() / "poses"


CLASSES = (
    PALM_PG_fingers,
    PALM_OT_apply_gesture,
    PALM_OT_limit_joints,
    PALM_OT_reset_pose,
    PALM_OT_mirror_pose,
    PALM_OT_copy_pose,
    PALM_OT_paste_pose,
    PALM_OT_add_pose_assets,
    PALM_OT_install_pose_library,
    PALM_OT_remove_pose_library,
)


def register() -> None:
    bpy.types.Object.palm_fingers = bpy.props.PointerProperty(type=PALM_PG_fingers)


def unregister() -> None:
    del bpy.types.Object.palm_fingers
