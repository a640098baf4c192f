"""Cameras of the scene: the photo's own, with the photo behind it, and a turntable."""

from __future__ import annotations

import math

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..engine.hand.cameras import BlenderCamera, from_blender_camera, to_blender_camera
from . import compat

TURNTABLE_FRAMES = 60
"""Frames of one full turn; frame 0 looks from the photo's side, frame 30 from behind."""

TURNTABLE_LENS_MM = 70.0
TURNTABLE_ELEVATION = math.radians(8.0)
TURNTABLE_MARGIN = 1.05


def add_camera(
    name: str,
    intrinsics: np.ndarray,
    world_to_camera: np.ndarray,
    image_size: tuple[int, int],
    collection: bpy.types.Collection,
) -> bpy.types.Object:
    """A Blender camera that sees what an OpenCV pinhole camera sees.

    intrinsics [3,3] px for image_size (width, height); world_to_camera [4,4], OpenCV axes. Non-square pixels live in
    the scene's render settings: see `frame_scene`.
    """
    camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    aim_camera(camera, intrinsics, world_to_camera, image_size)
    collection.objects.link(camera)
    return camera


def aim_camera(
    camera: bpy.types.Object, intrinsics: np.ndarray, world_to_camera: np.ndarray, image_size: tuple[int, int]
) -> None:
    """Make a camera see what another OpenCV pinhole camera sees; arguments as for `add_camera`."""
    values = to_blender_camera(intrinsics, world_to_camera, *image_size)
    data = camera.data
    data.type, data.sensor_fit = "PERSP", "HORIZONTAL"
    data.sensor_width, data.lens = values.sensor_width_mm, values.focal_mm
    data.shift_x, data.shift_y = values.shift_x, values.shift_y
    data.clip_start, data.clip_end = 0.005, 100.0
    # Blender seeks angles near those that are there, which would leave the last digits to the camera's past
    camera.rotation_euler = (0.0, 0.0, 0.0)
    camera.matrix_world = Matrix(values.matrix_world.tolist())
    camera["palm_pixel_aspect_y"] = values.pixel_aspect_y


def frame_scene(
    scene: bpy.types.Scene, camera: bpy.types.Object, image_size: tuple[int, int], size: int | None
) -> tuple[int, int]:
    """Make `camera` the scene's, rendering the whole picture with its longer side `size` pixels (None: as it is)."""
    scale = 1.0 if size is None else size / max(image_size)
    width, height = (max(1, round(side * scale)) for side in image_size)
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    # rounding to whole pixels changes the picture's shape a little: the pixels' shape makes up for it
    aspect = camera.get("palm_pixel_aspect_y", 1.0) * (image_size[1] / height) / (image_size[0] / width)
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, 1.0 / aspect), max(1.0, aspect)
    scene.camera = camera
    return width, height


def read_camera(scene: bpy.types.Scene, camera: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """(intrinsics [3,3] px, world_to_camera [4,4], OpenCV axes) of a perspective camera at the scene's resolution."""
    render, data = scene.render, camera.data
    width, height = render.resolution_x, render.resolution_y
    aspect = render.pixel_aspect_y / render.pixel_aspect_x
    # Blender measures lens and shifts along the side that its sensor fits: bring them to the horizontal one
    sensor, reach = data.sensor_width, width
    vertical = data.sensor_fit == "VERTICAL" or (data.sensor_fit == "AUTO" and width < height * aspect)
    if vertical:
        reach = height * aspect
        sensor = data.sensor_height if data.sensor_fit == "VERTICAL" else data.sensor_width
    values = BlenderCamera(
        matrix_world=np.array(camera.matrix_world, dtype=float),
        focal_mm=data.lens * width / reach,
        sensor_width_mm=sensor,
        shift_x=data.shift_x * reach / width,
        shift_y=data.shift_y * reach / width,
        pixel_aspect_y=aspect,
    )
    return from_blender_camera(values, width, height)


def show_behind(camera: bpy.types.Object, picture: bpy.types.Image) -> None:
    """Show an image behind everything in the camera's view (renders are not changed)."""
    camera.data.show_background_images = True
    background = camera.data.background_images.new()
    background.image = picture
    background.alpha, background.display_depth, background.frame_method = 1.0, "BACK", "STRETCH"


def add_turntable(name: str, centre: np.ndarray, radius: float, collection: bpy.types.Collection) -> bpy.types.Object:
    """A camera that circles a sphere and keeps it in a square picture, 60 frames a turn, anticlockwise from above.

    centre [3] and radius in metres, Blender's world. The orbit is one animated angle of an empty; frames beyond 0..59
    go on turning.
    """
    pivot = bpy.data.objects.new(f"{name} pivot", None)
    data = bpy.data.cameras.new(name)
    data.sensor_fit, data.lens = "HORIZONTAL", TURNTABLE_LENS_MM
    camera = bpy.data.objects.new(name, data)
    camera.parent = pivot
    camera.rotation_euler = (math.pi / 2 - TURNTABLE_ELEVATION, 0.0, 0.0)
    for item in (pivot, camera):
        collection.objects.link(item)
    aim_turntable(camera, centre, radius)
    _, curves = compat.new_action(f"{name} orbit", pivot)
    turn = curves.new("rotation_euler", index=2)
    turn.keyframe_points.add(2)
    turn.keyframe_points.foreach_set("co", [0.0, 0.0, float(TURNTABLE_FRAMES), 2 * math.pi])
    for point in turn.keyframe_points:
        point.interpolation = "LINEAR"
    turn.extrapolation = "LINEAR"
    turn.update()
    return camera


def aim_turntable(camera: bpy.types.Object, centre: np.ndarray, radius: float) -> None:
    """Move a turntable's orbit around another sphere."""
    data, pivot = camera.data, camera.parent
    distance = TURNTABLE_MARGIN * radius / math.sin(math.atan(data.sensor_width / 2 / data.lens))
    data.clip_start, data.clip_end = distance * 0.01, distance * 100
    pivot.empty_display_size, pivot.location = radius * 0.5, Vector(centre)
    height, reach = math.sin(TURNTABLE_ELEVATION), math.cos(TURNTABLE_ELEVATION)
    camera.location = (0.0, -distance * reach, distance * height)


def bounding_sphere(target: bpy.types.Object) -> tuple[np.ndarray, float]:
    """Centre [3] and radius, in world metres, of a sphere around an object as it is deformed now."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    evaluated = target.evaluated_get(depsgraph)
    data = evaluated.to_mesh()
    points = np.empty(len(data.vertices) * 3, dtype=np.float32)
    data.vertices.foreach_get("co", points)
    matrix = np.array(evaluated.matrix_world, dtype=float)
    evaluated.to_mesh_clear()
    world = points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    centre = (world.min(0) + world.max(0)) / 2
    return centre, float(np.linalg.norm(world - centre, axis=1).max())
