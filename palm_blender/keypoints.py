"""A photo's 21 keypoints as things in the 3D view: named rings over the picture, joined by lines, moved with G as usual.

The board is a picture whose longer side is 1 m, upright in the XZ plane of its own, far from the user's objects; a camera of
its own, that no render uses, looks straight at it. Positions on it are fractions of that longer side about the centre.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..engine.errors import InputError
from ..engine.files import read_json, write_json
from ..engine.hand.joints import KEYPOINT_NAMES, KEYPOINT_PARENTS
from ..engine.outside import numbers
from . import keypoint_marks
from .cleanup import whole_or_nothing
from .results import photo_file

COLLECTION = "PALM Keypoints"
"""Name of the collection, and of the custom property by which it is known."""
POINT = "palm_keypoint"
"""Custom property of a point: its index."""
BOARD = "palm_board"
"""Custom property of a board: its own token, which a job remembers."""
VIEW = "palm_view"
"""Custom property of a board: how the 3D view was drawn before it was turned to the photo."""
PLACE = (0.0, 0.0, 100.0)
"""Of the board, metres: away from what is in the scene, and inside every view's clipping."""
POINT_SIZE = 0.010
MOVED_PX = 0.75
"""Below this, a point is where the detector saw it: Blender's positions are single-precision."""
COLOURS = {
    "thumb": (0.91, 0.30, 0.20, 1.0),
    "index": (0.94, 0.65, 0.12, 1.0),
    "middle": (0.25, 0.75, 0.30, 1.0),
    "ring": (0.15, 0.55, 0.90, 1.0),
    "pinky": (0.55, 0.30, 0.85, 1.0),
    "wrist": (0.95, 0.95, 0.95, 1.0),
}


@dataclass(frozen=True)
class Look:
    """What the engine saw in a photo (engine/capture/look_command.py), read and checked."""

    picture: Path
    size: tuple[int, int]
    """(width, height) px of the upright photo."""
    keypoints: np.ndarray
    """[21,2] px, the project's order."""
    handedness: str
    found: bool
    message: str


def read_look(folder: Path) -> Look:
    """Raises InputError for what the engine has not written."""
    raw = read_json(folder / "look.json", "look at a photo")
    size = numbers(raw.get("image_size"), f"{folder}: image_size", InputError, (2,))
    keypoints = numbers(raw.get("keypoints"), f"{folder}: keypoints", InputError, (21, 2))
    if not (size >= 1).all() or raw.get("handedness") not in ("right", "left"):
        raise InputError(f"{folder} is not what the engine writes of a photo: check the photo again")
    seen = folder / "seen.png"
    picture = seen if seen.is_file() else folder / "photo.png"
    found, message = raw.get("found") is True, str(raw.get("message", ""))[:300]
    return Look(picture, (int(size[0]), int(size[1])), keypoints, raw["handedness"], found, message)


def board_positions(keypoints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[21,2] px of a picture (w, h) → [21,3] metres on the board: x right, z up."""
    width, height = size
    longer = max(size)
    flat = np.zeros((len(keypoints), 3))
    flat[:, 0] = (keypoints[:, 0] - width / 2) / longer
    flat[:, 2] = (height / 2 - keypoints[:, 1]) / longer
    return flat


def picture_positions(board: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The inverse of `board_positions`: [21,3] metres → [21,2] px."""
    width, height = size
    longer = max(size)
    return np.stack([board[:, 0] * longer + width / 2, height / 2 - board[:, 2] * longer], axis=1)


def board() -> bpy.types.Object | None:
    """The picture of the keypoints in the open scene; None where there is none."""
    collection = _collection()
    if collection is None:
        return None
    return next((item for item in collection.objects if "palm_photo" in item), None)


def _collection() -> bpy.types.Collection | None:
    return next((item for item in bpy.context.scene.collection.children if COLLECTION in item), None)


@whole_or_nothing()
def build(look: Look, photo: Path, settings: dict[str, str]) -> bpy.types.Object:
    """Show a photo and its points; returns the board, which keeps the photo's path and settings as custom properties.

    A board that was there before is removed. Raises InputError for a picture that Blender cannot read.
    """
    remove()
    scene = bpy.context.scene
    collection = bpy.data.collections.new(COLLECTION)
    collection[COLLECTION] = True
    scene.collection.children.link(collection)
    picture = _picture(look.picture)
    base = _empty("PALM Photo", collection, "IMAGE", 1.0)
    base.data, base.empty_image_depth, base.empty_image_side = picture, "BACK", "DOUBLE_SIDED"
    base.hide_select, base.hide_render = True, True
    # image empties lie in XY: this stands them up, as the points' own frame does
    base.matrix_world = Matrix.Translation(PLACE) @ Matrix.Rotation(np.pi / 2, 4, "X")
    frame = _empty("PALM Keypoint Frame", collection, "PLAIN_AXES", 0.01)
    frame.hide_viewport = frame.hide_render = frame.hide_select = True
    frame.location = PLACE
    for name, value in {**settings, "photo": str(photo), "handedness": look.handedness, "found": look.found}.items():
        base[f"palm_{name}"] = value
    base[BOARD] = uuid.uuid4().hex
    base["palm_size"], base["palm_seen"] = list(look.size), look.keypoints.ravel().tolist()
    positions = board_positions(look.keypoints, look.size)
    mesh = keypoint_marks.ring_mesh(POINT_SIZE)
    points = [_point(index, positions[index], mesh, frame, collection) for index in range(len(KEYPOINT_NAMES))]
    lines = keypoint_marks.strips(points, KEYPOINT_PARENTS)
    lines.parent = frame
    collection.objects.link(lines)
    _camera(look.size, collection)
    return base


def _picture(path: Path) -> bpy.types.Image:
    """Packed, for the file lies in a folder that goes with Blender's session."""
    try:
        image = bpy.data.images.load(str(path))
        image.name = "PALM Photo"
        image.pack()
    except RuntimeError as error:
        raise InputError(f"{path} cannot be shown ({error}): check the photo again") from error
    return image


def _empty(name: str, collection: bpy.types.Collection, display: str, size: float) -> bpy.types.Object:
    item = bpy.data.objects.new(name, None)
    collection.objects.link(item)
    item.empty_display_type, item.empty_display_size = display, size
    return item


def _point(
    index: int, position: np.ndarray, mesh: bpy.types.Mesh, frame: bpy.types.Object, collection: bpy.types.Collection
) -> bpy.types.Object:
    name = KEYPOINT_NAMES[index]
    point = bpy.data.objects.new(name.replace("_", " "), mesh)
    collection.objects.link(point)
    point.parent, point.location = frame, position
    point[POINT] = index
    point.scale = (1.5 if name == "wrist" else 1.0,) * 3
    point.lock_location[1] = True
    point.lock_rotation, point.lock_scale = (True,) * 3, (True,) * 3
    point.show_in_front, point.hide_render = True, True
    point.show_name = name.endswith("_tip") or name == "wrist"
    point.color = COLOURS[name.rstrip("123").removesuffix("_tip")]
    return point


def _camera(size: tuple[int, int], collection: bpy.types.Collection) -> None:
    data = bpy.data.cameras.new("PALM Photo Camera")
    data.type, data.ortho_scale = "ORTHO", 1.05 * _frame_size(size)
    data.clip_start, data.clip_end = 0.5, 2.0
    camera = bpy.data.objects.new("PALM Photo Camera", data)
    collection.objects.link(camera)
    camera.location = (PLACE[0], PLACE[1] - 1.0, PLACE[2])
    camera.rotation_euler = (np.pi / 2, 0, 0)
    camera.hide_select, camera.hide_render, camera.hide_viewport = True, True, False


def _frame_size(size: tuple[int, int]) -> float:
    """Metres of the camera frame's longer side, in the scene's own aspect, that hold a whole photo (w, h)."""
    render = bpy.context.scene.render
    aspect = (render.resolution_x * render.pixel_aspect_x) / (render.resolution_y * render.pixel_aspect_y)
    width, height = size[0] / max(size), size[1] / max(size)
    return max(width, height * aspect) if aspect >= 1 else max(height, width / aspect)


def read_points(base: bpy.types.Object) -> np.ndarray:
    """[21,2] px where the points are now. Raises InputError where one was deleted."""
    bpy.context.view_layer.update()
    found = {item[POINT]: item for item in base.users_collection[0].objects if POINT in item}
    missing = [name for index, name in enumerate(KEYPOINT_NAMES) if index not in found]
    if missing:
        raise InputError(f"the keypoint {missing[0]} was deleted: undo, or check the photo again")
    places = np.array([found[index].matrix_world.translation for index in range(21)]) - np.array(PLACE)
    return picture_positions(places, tuple(base["palm_size"]))


def were_moved(base: bpy.types.Object) -> bool:
    """Whether a person moved a point away from where the engine put it."""
    seen = np.array(base["palm_seen"]).reshape(21, 2)
    return bool(np.abs(read_points(base) - seen).max() > MOVED_PX)


def write_keypoints(path: Path, keypoints: np.ndarray, handedness: str) -> Path:
    """The engine's --keypoints file."""
    write_json(path, {"order": "palm", "handedness": handedness, "keypoints": keypoints.round(3).tolist()})
    return path


def photo_of(base: bpy.types.Object) -> Path:
    """The photo that the points belong to. Raises InputError where it is gone."""
    return photo_file(str(base["palm_photo"]))


def remove() -> bool:
    """Take the board, its points and all that was made for them out of the file; False where there was none."""
    collection = _collection()
    if collection is None:
        return False
    doomed: set[Any] = set()
    members = set(collection.objects)
    users = bpy.data.user_map(subset={item.data for item in members if item.data is not None})
    for item in members:
        doomed.add(item)
        if item.data is not None and all(user in members for user in users[item.data]):
            doomed.add(item.data)
    bpy.data.batch_remove([*doomed, collection])
    return True


def record(base: bpy.types.Object) -> dict[str, Any]:
    """What a job keeps of the points that it is given, to know them again once its hand is there."""
    return {"board": base.get(BOARD, ""), "points": read_points(base)}


def take_used(context: bpy.types.Context, used: dict[str, Any] | None) -> bool:
    """Take a job's points out of the scene, as its hand comes in; other points, and those moved since, stay."""
    base = board()
    if base is None or used is None or base.get(BOARD, "") != used["board"]:
        return False
    try:
        moved = np.abs(read_points(base) - used["points"]).max() > MOVED_PX
    except InputError:  # one was deleted: they are of no use to anybody
        moved = False
    if moved:
        return False
    leave_camera(context)
    return remove()


def look_through_camera(context: bpy.types.Context) -> None:
    """Turn the context's 3D view to the photo, through a camera of this view alone; the scene's camera stays."""
    space, camera = _space(context), _own_camera()
    if space is None or camera is None:
        return
    space.use_local_camera, space.camera = True, camera
    space.region_3d.view_perspective = "CAMERA"
    space.overlay.show_overlays = space.overlay.show_extras = True
    region = next(region for region in context.area.regions if region.type == "WINDOW")
    if not bpy.app.background:
        with context.temp_override(area=context.area, region=region):
            bpy.ops.view3d.view_center_camera()
    base = board()
    if base is not None:
        base[VIEW] = _drawing(space)
        # a dashed line from each point to what it hangs on would hide the photo
        space.overlay.show_relationship_lines = False
        space.shading.type, space.shading.light, space.shading.color_type = "SOLID", "FLAT", "OBJECT"


def _drawing(space: bpy.types.SpaceView3D) -> dict[str, Any]:
    """How a view draws what the board changes in it."""
    shading = space.shading
    return {
        "relations": space.overlay.show_relationship_lines,
        "type": shading.type, "light": shading.light, "color": shading.color_type,
    }  # fmt: skip


def leave_camera(context: bpy.types.Context) -> None:
    """Give the 3D views that look at the keypoints their own camera back, and a view from where the user works.

    Call it before `remove`, after which nothing tells those views.
    """
    base, camera = board(), _own_camera()
    drawn = {} if base is None else dict(base.get(VIEW, {}))
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            space = area.spaces.active
            if area.type == "VIEW_3D" and space.use_local_camera and space.camera in (camera, None):
                space.use_local_camera = False
                space.overlay.show_relationship_lines = bool(drawn.get("relations", True))
                space.shading.light, space.shading.color_type = (
                    drawn.get("light", "STUDIO"),
                    drawn.get("color", "MATERIAL"),
                )
                space.shading.type = drawn.get("type", "SOLID")
                if space.region_3d.view_perspective == "CAMERA":
                    space.region_3d.view_perspective = "PERSP"


def _own_camera() -> bpy.types.Object | None:
    """The camera that looks at the board, whatever its name is."""
    collection = _collection()
    return None if collection is None else next((item for item in collection.objects if item.type == "CAMERA"), None)


def _space(context: bpy.types.Context) -> bpy.types.SpaceView3D | None:
    area = context.area
    return area.spaces.active if area is not None and area.type == "VIEW_3D" else None
