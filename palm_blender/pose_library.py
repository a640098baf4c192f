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


def pose_action(name: str, hand_pose: np.ndarray, side: str, bases: np.ndarray) -> bpy.types.Action:
    """An action that puts the fingers of a hand of this side into a pose [45]; the wrist is left alone.

    bases [16,3,3]: rest axes of the bones that it is meant for.
    """
    rotations = bone_math.to_bone_rotations(hand_pose.reshape(15, 3), bases[1:])
    action, curves = compat.loose_action(name, f"{side} hand")
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
    return _make(gestures or poses.gesture_names(), side, rig.rest_bases(armature))


def _make(gestures: Sequence[str], side: str, bases: np.ndarray) -> list[str]:
    pictures = preview_pictures()
    made = []
    for gesture in gestures:
        name = f"{title_of(gesture)} ({side})"
        held = bpy.data.actions.get(name)
        if held is not None and held.asset_data is not None:
            continue
        hand_pose = poses.load_gesture(gesture)
        if side == "left":
            hand_pose = bone_math.mirror_axis_angle(hand_pose.reshape(15, 3)).ravel()
        action = pose_action(name, hand_pose, side, bases)
        picture = pictures.get(gesture)
        make_asset(action, gesture, side, picture if side == "right" or picture is None else picture[:, ::-1])
        made.append(action.name)
    return made


def preview_pictures() -> dict[str, np.ndarray]:
    """Each gesture's picture [H,W,4], first row at the bottom; none where the sheet is missing or of other gestures."""
    names = poses.gesture_names()
    if not PREVIEWS.is_file():
        return {}
    with quiet_blender(errors=True):
        sheet = bpy.data.images.load(str(PREVIEWS))
    size = sheet.size[0] // PREVIEW_COLUMNS
    rows = -(-len(names) // PREVIEW_COLUMNS)
    pixels = np.empty(4 * sheet.size[0] * sheet.size[1], dtype=np.float32)
    if len(pixels):
        sheet.pixels.foreach_get(pixels)
    pixels = pixels.reshape(sheet.size[1], sheet.size[0], 4)
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

    The open file is left as it was. Raises OutputError.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = gestures or poses.gesture_names()
    made: list[str] = []
    clashes = [action for action in bpy.data.actions if action.asset_data is not None]
    names = [(action, action.name) for action in clashes]
    for action in clashes:
        action.name = f".{action.name}"
    try:
        for side in ("right", "left"):
            made += _make(chosen, side, mean_bases(side))
        blocks = {bpy.data.actions[name] for name in made}
        path = folder / FILE_NAME
        with atomic_file(path) as temporary:
            temporary.unlink()
            bpy.data.libraries.write(str(temporary), blocks, fake_user=True, compress=True)
    except RuntimeError as error:
        raise OutputError(f"Blender could not write {folder} ({error}): check the disk and the folder") from error
    finally:
        bpy.data.batch_remove([bpy.data.actions[name] for name in made])
        for action, name in names:
            action.name = name
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
