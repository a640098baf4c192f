"""Cycles renders to hold the engine's light transport against; run by worker.py."""

from __future__ import annotations

import time
from pathlib import Path

import bpy
import numpy as np
from palm_hands.palm_blender import cameras, compat, lighting, materials, render, scene
from render_jobs import _pixels


def _plain_transport(current: bpy.types.Scene, samples: int, bounces: int) -> None:
    """Cycles without what makes pictures nicer but untrue: no denoising, clamping, glossy filter or wide pixel filter."""
    render.use_cycles(current, samples, denoise=False)
    render.use_photo_colours(current, "Raw")
    cycles = current.cycles
    cycles.use_adaptive_sampling, cycles.blur_glossy = False, 0.0
    cycles.sample_clamp_direct = cycles.sample_clamp_indirect = cycles.light_sampling_threshold = 0.0
    cycles.max_bounces = cycles.diffuse_bounces = cycles.glossy_bounces = bounces
    cycles.pixel_filter_type = "BOX"


def _timed_picture(current: bpy.types.Scene, path: Path) -> float:
    """Render into path (.npy: [H,W,4] linear, premultiplied); seconds that it took."""
    start = time.monotonic()
    picture = path.with_suffix(".exr")
    render.render_image(current, picture)
    np.save(path, _pixels(picture))
    return time.monotonic() - start


def _shaded_mesh(path: str) -> tuple[bpy.types.Object, bpy.types.ShaderNodeBsdfPrincipled]:
    """The mesh of an .npz (vertices in OpenCV axes, faces), smooth, with a Principled shader at its defaults."""
    with np.load(path) as file:
        vertices, faces = file["vertices"], file["faces"]
    data = bpy.data.meshes.new("mesh")
    data.from_pydata(np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], 1).tolist(), [], faces.tolist())
    data.shade_smooth()
    target = bpy.data.objects.new("mesh", data)
    bpy.context.scene.collection.objects.link(target)
    material = bpy.data.materials.new("skin")
    shader = next(node for node in compat.enable_nodes(material).nodes if node.type == "BSDF_PRINCIPLED")
    data.materials.append(material)
    return target, shader


def lit_mesh(
    mesh: str,
    environment: str,
    intrinsics: list,
    world_to_camera: list,
    image_size: list,
    surfaces: list,
    samples: int,
    bounces: int,
    work: str,
) -> dict:
    """Pictures work/0.npy, … of a mesh, one for each surface {"roughness", "metallic", "albedo", "ior"}."""
    current = scene.empty_scene()
    _, shader = _shaded_mesh(mesh)
    lighting.set_environment(current, Path(environment))
    camera = cameras.add_camera(
        "camera", np.array(intrinsics), np.array(world_to_camera), tuple(image_size), current.collection
    )
    cameras.frame_scene(current, camera, tuple(image_size), None)
    _plain_transport(current, samples, bounces)
    for index, surface in enumerate(surfaces):
        shader.inputs["Roughness"].default_value = surface["roughness"]
        shader.inputs["Metallic"].default_value = surface["metallic"]
        shader.inputs["IOR"].default_value = surface["ior"]
        shader.inputs["Base Color"].default_value = (*surface["albedo"], 1.0)
        _timed_picture(current, Path(work) / f"{index}.npy")
    return {"default_ior_level": shader.inputs["Specular IOR Level"].default_value}


def lit_avatar(
    avatar: str, environment: str, size: int, samples: int, bounces: int, work: str, smoothed: bool = False
) -> dict:
    """Picture work/cycles.npy of an avatar in its capture camera, as the add-on builds it but for subsurface scattering.

    smoothed: keep the subdivision that the add-on adds for renders.
    """
    current = scene.empty_scene()
    built = scene.build_scene(avatar, current)
    (shader,) = (node for node in built.hand.material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Subsurface Weight"].default_value = 0.0
    if not smoothed:
        built.hand.mesh.modifiers["Subdivision"].render_levels = 0
    lighting.set_environment(current, Path(environment))
    width, height = cameras.frame_scene(current, built.capture_camera, built.avatar.capture.image_size, size)
    _plain_transport(current, samples, bounces)
    seconds = _timed_picture(current, Path(work) / "cycles.npy")
    intrinsics, world_to_camera = cameras.read_camera(current, built.capture_camera)
    return {
        "seconds": seconds,
        "size": [width, height],
        "intrinsics": intrinsics.tolist(),
        "world_to_camera": world_to_camera.tolist(),
        "ior": shader.inputs["IOR"].default_value,
        "gloss_in_albedo": materials.GLOSS_IN_ALBEDO.get(built.avatar.method, 0.0),
    }


def skin_optics(avatar: str) -> dict:
    """What decides the gloss of the add-on's skin."""
    built = scene.build_scene(avatar, scene.empty_scene())
    (shader,) = (node for node in built.hand.material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    names = ("IOR", "Specular IOR Level", "Metallic", "Coat Weight", "Sheen Weight")
    return {name: shader.inputs[name].default_value for name in names}
