"""Where a new hand stands and what the user sees of it: it is 20 cm long, in a view that shows 20 m when Blender starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Matrix, Vector

from . import avatar_tools, cameras, rig

LEAST_SHARE = 0.1
"""Of a view's shorter side: what a hand must fill at least to be called seen."""
APART = 0.8
"""Of the sum of two hands' radii: how far apart their centres are at least."""


def scene_record(scene: bpy.types.Scene) -> dict[str, Any]:
    """What finds a scene again while a job runs, though it is renamed, undone, or its file is opened again."""
    return {"scene": scene.name, "scene_uid": scene.session_uid, "scene_file": bpy.data.filepath}


def find_scene(record: Mapping[str, Any], fallback: bpy.types.Scene) -> bpy.types.Scene:
    """The scene of a record; `fallback` where it is gone, or another file is open."""
    uid = record.get("scene_uid")
    same = next((scene for scene in bpy.data.scenes if scene.session_uid == uid), None)
    if same is None and record.get("scene_file") and record["scene_file"] == bpy.data.filepath:
        same = bpy.data.scenes.get(record["scene"])
    return same or fallback


@contextmanager
def in_scene(context: bpy.types.Context, scene: bpy.types.Scene) -> Iterator[None]:
    """While the block runs, the window is in this scene, where Blender's modes work; then in the one from before."""
    window = context.window
    before = window.scene if window is not None else scene
    if before == scene:
        yield
        return
    window.scene = scene
    try:
        yield
    finally:
        window.scene = before


def place(armature: bpy.types.Object, scene: bpy.types.Scene, at: Sequence[float]) -> None:
    """Move a new hand, with all that hangs on it, so that its middle is at a point [3] of the world, metres; beside the
    hands that are there already, towards +X."""
    centre, radius = cameras.bounding_sphere(rig.hand_mesh(armature))
    others = [_sphere(hand) for hand in avatar_tools.all_hands(scene) if hand != armature]
    target = np.array(at, dtype=float)
    while near := [(c, r) for c, r in others if np.linalg.norm(c - target) < APART * (r + radius)]:
        target[0] = max(c[0] + r + radius for c, r in near)
    armature.matrix_world = Matrix.Translation(Vector(target - centre)) @ armature.matrix_world


def _sphere(armature: bpy.types.Object) -> tuple[np.ndarray, float]:
    """Centre and radius of a hand; of nothing where its mesh is gone."""
    mesh = next((child for child in armature.children if child.type == "MESH"), None)
    if mesh is None:
        return np.array(armature.matrix_world.translation, dtype=float), 0.0
    return cameras.bounding_sphere(mesh)


def show_only(context: bpy.types.Context, item: bpy.types.Object) -> None:
    """Select one object alone, make it active, and bring it near in those 3D views of the window that hardly show it.

    Views stay as they are where the user was at work on something else, which a selection in a changed file tells of.
    """
    others = [other for other in context.view_layer.objects.selected if other != item]
    at_work = bool(others) and bool(bpy.data.is_dirty or bpy.data.filepath)
    for other in others:
        other.select_set(False)
    item.select_set(True)
    context.view_layer.objects.active = item
    if bpy.app.background or context.window is None or at_work:
        return
    # an armature's bones end where the skin does not
    parts = [child for child in item.children if child.type == "MESH" and child.visible_get()]
    for part in parts:
        part.select_set(True)
    for area in context.window.screen.areas:
        if area.type == "VIEW_3D" and area.spaces.active.region_3d.view_perspective != "CAMERA":
            region = next(region for region in area.regions if region.type == "WINDOW")
            if not is_seen(parts, region, area.spaces.active.region_3d):
                with context.temp_override(area=area, region=region):
                    bpy.ops.view3d.view_selected()
    for part in parts:
        part.select_set(False)


def is_seen(parts: Sequence[bpy.types.Object], region: bpy.types.Region, view: bpy.types.RegionView3D) -> bool:
    """Whether objects lie inside a view, as they are deformed now, and are not tiny there."""
    graph = bpy.context.evaluated_depsgraph_get()
    shown = [part.evaluated_get(graph) for part in parts]
    corners = [part.matrix_world @ Vector(corner) for part in shown for corner in part.bound_box]
    points = [location_3d_to_region_2d(region, view, corner) for corner in corners]
    if not points or any(point is None for point in points):
        return False
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    size = np.array([region.width, region.height])
    return bool((low >= 0).all() and (high <= size).all() and (high - low).max() >= LEAST_SHARE * size.min())
