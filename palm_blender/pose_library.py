"""The gestures as pose assets: in the open file, or as a library of their own that every file can use.

A pose asset is an action with one key a bone. Right and left hands have their own, as their bones are called differently; the
asset browser can also flip them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import bpy
import numpy as np

from ..engine.errors import OutputError
from ..engine.files import atomic_file
from ..engine.hand.model_file import read_model_file
from . import animation, bone_math, compat, joint_limits, rig
from .cleanup import whole_or_nothing
from .console import quiet_blender
from .synthesis import poses

PREVIEWS = poses.POSES / "previews.png"
"""Pictures of all gestures of a right hand, in the order of their names, in rows of PREVIEW_COLUMNS squares."""
PREVIEW_COLUMNS = 8
LIBRARY_NAME = "PALM Hands"
FILE_NAME = "palm_hand_poses.blend"
_NAMESPACE = uuid.UUID("6c1b3cf2-51d4-4d6e-9f1c-8a0f6f0d5a11")


def title_of(gesture: str) -> str:
    """ "pinch_all" → "Pinch All"."""
    return gesture.replace("_", " ").title()


def catalogue(side: str) -> str:
    """The asset catalogue of a side's poses: always the same identifier."""
    return str(uuid.uuid5(_NAMESPACE, side))


@lru_cache(maxsize=2)
def mean_bases(side: str) -> np.ndarray:
    """Rest axes [16,3,3] of the mean open hand's bones, for poses that are nobody's own."""
    fields = read_model_file(joint_limits.OPEN_HAND)
    flip = np.array([-1.0, 1.0, 1.0]) if side == "left" else np.ones(3)
    vertices = fields["v_template"] * flip
    joints = fields["J_regressor"] @ vertices
    return bone_math.bone_bases(joints, bone_math.bone_tails(joints, vertices, fields["weights"]), side)


def pose_action(
    name: str, hand_pose: np.ndarray, side: str, bases: np.ndarray, data: bpy.types.BlendData | None = None
) -> bpy.types.Action:
    """An action that puts the fingers of a hand of this side into a pose [45]; the wrist is left alone.

    bases [16,3,3]: rest axes of the bones that it is meant for. data: where it is made, the open file by default.
    """
    rotations = bone_math.to_bone_rotations(hand_pose.reshape(15, 3), bases[1:])
    action, curves = compat.loose_action(name, f"{side} hand", data=data)
    for joint, rotation in enumerate(rotations, start=1):
        path = f'pose.bones["{bone_math.bone_name(joint, side)}"].rotation_quaternion'
        for component in range(4):
            animation.add_curve(curves, path, component, np.ones(1), rotation[component : component + 1])
    return action


def make_asset(action: bpy.types.Action, gesture: str, side: str, picture: np.ndarray | None) -> None:
    """Mark an action as a pose asset. picture [H,W,4] linear in 0..1, first row at the bottom."""
    action.asset_mark()
    data = action.asset_data
    data.catalog_id = catalogue(side)
    data.description = f"{title_of(gesture)}, {side} hand"
    data.author, data.license = "PALM Hands", "CC0"
    for tag in (side, "hand", *gesture.split("_")):
        data.tags.new(tag, skip_if_exists=True)
    if picture is not None:
        preview = action.preview_ensure()
        preview.image_size = picture.shape[1], picture.shape[0]
        preview.image_pixels_float.foreach_set(np.ascontiguousarray(picture, dtype=np.float32).ravel())


def add_to_file(armature: bpy.types.Object, gestures: Sequence[str] | None = None) -> list[str]:
    """Pose assets of this hand's side in the open file, for its own bones; those that are there already are kept.

    gestures: names, None for all. Returns the new actions' names.
    """
    side = rig.side_of(armature)
    held = {action.name for action in bpy.data.actions if action.asset_data is not None and action.library is None}
    wanted = [name for name in gestures or poses.gesture_names() if asset_name(name, side) not in held]
    with whole_or_nothing():
        return [action.name for action in _make(wanted, side, rig.rest_bases(armature))]


def asset_name(gesture: str, side: str) -> str:
    """ "fist", "right" → "Fist (right)"."""
    return f"{title_of(gesture)} ({side})"


def _make(
    gestures: Sequence[str], side: str, bases: np.ndarray, data: bpy.types.BlendData | None = None
) -> list[bpy.types.Action]:
    pictures = preview_pictures()
    made = []
    for gesture in gestures:
        hand_pose = poses.load_gesture(gesture)
        if side == "left":
            hand_pose = bone_math.mirror_axis_angle(hand_pose.reshape(15, 3)).ravel()
        action = pose_action(asset_name(gesture, side), hand_pose, side, bases, data)
        picture = pictures.get(gesture)
        make_asset(action, gesture, side, picture if side == "right" or picture is None else picture[:, ::-1])
        made.append(action)
    return made


def preview_pictures() -> dict[str, np.ndarray]:
    """Each gesture's picture [H,W,4], first row at the bottom; none where the sheet is missing or of other gestures."""
    names = poses.gesture_names()
    if not PREVIEWS.is_file():
        return {}
    with quiet_blender(errors=True):
        sheet = bpy.data.images.load(str(PREVIEWS))
    try:
        size = sheet.size[0] // PREVIEW_COLUMNS
        rows = -(-len(names) // PREVIEW_COLUMNS)
        pixels = np.empty(4 * sheet.size[0] * sheet.size[1], dtype=np.float32)
        if len(pixels):
            sheet.pixels.foreach_get(pixels)
        pixels = pixels.reshape(sheet.size[1], sheet.size[0], 4)
    finally:
        bpy.data.images.remove(sheet)
    if size == 0 or len(pixels) != rows * size:
        return {}
    found = {}
    for index, name in enumerate(names):
        row, column = rows - 1 - index // PREVIEW_COLUMNS, index % PREVIEW_COLUMNS
        found[name] = pixels[row * size : (row + 1) * size, column * size : (column + 1) * size]
    return found


def write_library(folder: Path, gestures: Sequence[str] | None = None) -> Path:
    """A .blend of all gestures of both sides as pose assets, with its catalogues, in a folder. Returns the file.

    The actions are made in a file of their own, which is never open: names there clash with none of the user's, and nothing
    of them is left here. Raises OutputError.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = gestures or poses.gesture_names()
    path = folder / FILE_NAME
    try:
        with bpy.data.temp_data() as apart, atomic_file(path) as temporary:
            made = [action for side in ("right", "left") for action in _make(chosen, side, mean_bases(side), apart)]
            temporary.unlink()
            apart.libraries.write(str(temporary), set(made), fake_user=True, compress=True)
    except RuntimeError as error:
        raise OutputError(f"Blender could not write {folder} ({error}): check the disk and the folder") from error
    lines = [
        "VERSION 1",
        *(f"{catalogue(side)}:Hands/{side.title()}:Hands-{side.title()}" for side in ("right", "left")),
    ]
    with atomic_file(folder / "blender_assets.cats.txt") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def register_library(folder: Path) -> bool:
    """Let Blender's asset browsers show the folder as a library. Returns whether it was not known before."""
    libraries = bpy.context.preferences.filepaths.asset_libraries
    here = str(Path(folder).absolute())
    if any(Path(item.path) == Path(here) for item in libraries if item.path):
        return False
    libraries.new(name=LIBRARY_NAME, directory=here)
    return True


def unregister_library(folder: Path) -> bool:
    """Take the library out of Blender's preferences again; its files stay. Returns whether it was there."""
    libraries = bpy.context.preferences.filepaths.asset_libraries
    here = Path(folder).absolute()
    found = [item for item in libraries if item.path and Path(item.path) == here]
    for item in found:
        libraries.remove(item)
    return bool(found)


def remove_files(folder: Path) -> bool:
    """Delete what `write_library` wrote, and the folder if nothing else is in it. Returns whether there was anything."""
    folder = Path(folder)
    found = [path for path in (folder / FILE_NAME, folder / "blender_assets.cats.txt") if path.is_file()]
    for path in found:
        path.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return bool(found)
