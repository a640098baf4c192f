"""Small Cycles renders that pin cameras, light and materials; run by worker.py."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from palm_hands.palm_blender import cameras, compat, lighting, render, scene


def _pixels(path: Path) -> np.ndarray:
    """[H,W,4] linear or display values as stored, first row on top."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    values = np.empty(len(image.pixels), dtype=np.float32)
    image.pixels.foreach_get(values)
    width, height = image.size
    return values.reshape(height, width, 4)[::-1]


def _glowing(colour: tuple[float, float, float]) -> bpy.types.Material:
    material = bpy.data.materials.new("glow")
    tree = compat.enable_nodes(material)
    tree.nodes.clear()
    emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    emission.inputs["Color"].default_value = (*colour, 1.0)
    tree.links.new(emission.outputs[0], output.inputs["Surface"])
    return material


def project_dots(intrinsics: list, world_to_camera: list, image_size: list, dots: list, size: int, work: str) -> dict:
    """Render small glowing balls at OpenCV world points; where their centres appear, and the camera as read back."""
    current = scene.empty_scene()
    camera = cameras.add_camera(
        "camera", np.array(intrinsics), np.array(world_to_camera), tuple(image_size), current.collection
    )
    colours = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    for (x, y, z), colour in zip(dots, colours, strict=True):
        bpy.ops.mesh.primitive_uv_sphere_add(radius=0.004, location=(x, z, -y), segments=24, ring_count=12)
        bpy.context.object.data.materials.append(_glowing(colour))
    cameras.frame_scene(current, camera, tuple(image_size), size)
    bpy.context.view_layer.update()
    read_intrinsics, read_pose = cameras.read_camera(current, camera)
    render.use_cycles(current, 64, denoise=False)
    render.use_photo_colours(current)
    path = Path(work) / "dots.exr"
    render.render_image(current, path)
    picture = _pixels(path)
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    centres = [
        [
            float((columns * picture[..., k]).sum() / picture[..., k].sum()),
            float((rows * picture[..., k]).sum() / picture[..., k].sum()),
        ]
        for k in range(3)
    ]
    return {
        "centres": centres,
        "size": [width, height],
        "intrinsics": read_intrinsics.tolist(),
        "pose": read_pose.tolist(),
    }


def look_around(environment: str, rotation: float, directions: list, work: str) -> dict:
    """The light that Cycles shows in some directions: a mirror ball seen from afar, and each direction looked at."""
    current = scene.empty_scene()
    lighting.set_environment(current, Path(environment), rotation)
    render.use_cycles(current, 4, denoise=False)
    render.use_photo_colours(current)
    seen = []
    data = bpy.data.cameras.new("probe")
    data.lens, data.clip_start = 2000.0, 0.01
    probe = bpy.data.objects.new("probe", data)
    current.collection.objects.link(probe)
    current.render.pixel_aspect_x = current.render.pixel_aspect_y = 1.0
    current.render.resolution_x = current.render.resolution_y = 4
    current.camera = probe
    from mathutils import Vector

    for index, direction in enumerate(directions):
        probe.rotation_euler = Vector(direction).to_track_quat("-Z", "Y").to_euler()
        path = Path(work) / f"look{index}.exr"
        render.render_image(current, path, transparent=False)
        seen.append(_pixels(path)[..., :3].mean((0, 1)).tolist())
    # the ball: a perfect mirror at the origin, looked at along +Y as the photo's camera does
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.1, segments=128, ring_count=64)
    ball = bpy.context.object
    ball.data.shade_smooth()
    mirror = bpy.data.materials.new("mirror")
    tree = compat.enable_nodes(mirror)
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Metallic"].default_value, shader.inputs["Roughness"].default_value = 1.0, 0.0
    shader.inputs["Base Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    ball.data.materials.append(mirror)
    data.type, data.ortho_scale = "ORTHO", 0.22
    probe.location, probe.rotation_euler = (0.0, -1.0, 0.0), (np.pi / 2, 0.0, 0.0)
    current.render.resolution_x = current.render.resolution_y = 110
    current.cycles.samples = 16
    path = Path(work) / "ball.exr"
    render.render_image(current, path)
    np.save(Path(work) / "ball.npy", _pixels(path))
    return {"seen": seen}


def skin_settings(avatar: str) -> dict:
    """What the skin's shader was set to."""
    built = scene.build_scene(avatar, scene.empty_scene())
    tree = built.hand.material.node_tree
    (shader,) = (node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    linked = {s.name: s.links[0].from_node for s in shader.inputs if s.is_linked}
    normal = linked["Normal"].inputs["Color"].links[0].from_node.image
    images = {"Base Color": linked["Base Color"].image, "Roughness": linked["Roughness"].image, "Normal": normal}
    return {
        "method": shader.subsurface_method,
        "weight": shader.inputs["Subsurface Weight"].default_value,
        "deepest_mm": 1000
        * shader.inputs["Subsurface Scale"].default_value
        * max(shader.inputs["Subsurface Radius"].default_value),
        "spaces": {name: image.colorspace_settings.name for name, image in images.items()},
        "files": {name: Path(image.filepath).name for name, image in images.items()},
        "packed": all(image.packed_file for image in images.values()),
        "unit_scale": bpy.context.scene.unit_settings.scale_length,
        "background": [slot.image.name for slot in built.capture_camera.data.background_images],
        "subdivision": [m.render_levels for m in built.hand.mesh.modifiers if m.type == "SUBSURF"],
        "materials": [m.name for m in built.hand.mesh.data.materials],
        "viewport_color": list(built.hand.material.diffuse_color),
    }


def environment_names() -> dict:
    return {"names": lighting.environment_names()}
