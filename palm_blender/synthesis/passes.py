"""What is rendered of a hand: the picture, and in a scene of its own the labels, one ray through each pixel's centre.

Each render goes through one uncompressed multilayer OpenEXR, without Blender's compositor.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import bpy
import numpy as np

from ...engine.errors import OutputError
from ...engine.hand.cameras import BLENDER_FROM_OPENCV_WORLD
from .. import compat, materials, render
from ..console import quiet_blender
from .display import Picture
from .exr_files import read_channels

LAYER = "hand"
SKY_M = 1e6
"""Depths beyond it belong to rays that hit nothing."""

BORDER_PX = 8
"""Around the hand's box, more than the pixel filter reaches."""


class Labels(NamedTuple):
    """See `shots.FramePixels`."""

    mask: np.ndarray
    depth: np.ndarray
    normals: np.ndarray
    albedo: np.ndarray
    roughness: np.ndarray


def label_material(images: materials.SkinImages) -> bpy.types.Material:
    """A surface that tells its albedo, roughness and smooth normal."""
    material = bpy.data.materials.new("labels")
    tree = compat.enable_nodes(material)
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    # rays would pass through a surface that neither glows nor reflects
    glow = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(glow.outputs["Emission"], output.inputs["Surface"])
    albedo = materials.texture_node(tree, images.albedo, "albedo", images.interpolation)
    roughness = materials.texture_node(tree, images.roughness, "roughness", images.interpolation)
    geometry = tree.nodes.new("ShaderNodeNewGeometry")
    for name, value in (("albedo", albedo.outputs["Color"]), ("normal", geometry.outputs["Normal"])):
        tree.links.new(value, _aov_output(tree, name).inputs["Color"])
    tree.links.new(roughness.outputs["Color"], _aov_output(tree, "roughness").inputs["Value"])
    return material


def _aov_output(tree: bpy.types.NodeTree, name: str) -> bpy.types.ShaderNodeOutputAOV:
    node = tree.nodes.new("ShaderNodeOutputAOV")
    node.aov_name = name
    return node


def label_scene(collection: bpy.types.Collection, camera: bpy.types.Object) -> bpy.types.Scene:
    """A scene that shares the hand and the camera with the picture's, lit by nothing.

    Its one sample lies within a hundredth of a pixel around the pixel's centre. It runs on the CPU, so that labels are the
    same whatever renders the pictures.
    """
    scene = bpy.data.scenes.new("labels")
    scene.collection.children.link(collection)
    scene.collection.objects.link(camera)
    scene.camera, scene.world = camera, None
    render.use_cycles(scene, 1, denoise=False)
    cycles = scene.cycles
    cycles.device, cycles.use_adaptive_sampling = "CPU", False
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01
    layer = scene.view_layers[0]
    layer.name, layer.use_pass_z = LAYER, True
    for name, kind in (("albedo", "COLOR"), ("normal", "COLOR"), ("roughness", "VALUE")):
        compat.add_aov(layer, name, kind)
    scene.render.use_persistent_data = True
    compat.set_multilayer_output(scene.render.image_settings)
    return scene


def set_border(scene: bpy.types.Scene, mask: np.ndarray | None) -> None:
    """Let Cycles work on the box around the hand alone; the picture keeps its size. mask [H,W] bool; None: everywhere."""
    settings = scene.render
    settings.use_border, settings.use_crop_to_border = mask is not None and bool(mask.any()), False
    if not settings.use_border:
        return
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    left, right = max(0, columns[0] - BORDER_PX), min(width, columns[-1] + 1 + BORDER_PX)
    top, bottom = max(0, rows[0] - BORDER_PX), min(height, rows[-1] + 1 + BORDER_PX)
    settings.border_min_x, settings.border_max_x = left / width, right / width
    settings.border_min_y, settings.border_max_y = 1 - bottom / height, 1 - top / height


def render_layers(scene: bpy.types.Scene, path: Path) -> dict[str, np.ndarray]:
    """Render the scene's camera through the file `path`; {pass.component: [H,W]}. Raises OutputError."""
    scene.render.filepath, scene.render.use_file_extension = str(path.absolute()), False
    path.unlink(missing_ok=True)
    try:
        with quiet_blender():
            bpy.ops.render.render(write_still=True, scene=scene.name)
        if not path.is_file() or not path.stat().st_size:
            raise OutputError(f"Blender wrote nothing to {path.parent}: check the disk's free space")
        channels = read_channels(path)
    except RuntimeError as error:
        raise OutputError(f"Blender could not render ({error}): try fewer pixels or --device cpu") from error
    finally:
        path.unlink(missing_ok=True)
    return {name.split(".", 1)[-1]: values for name, values in channels.items()}


def read_picture(passes: dict[str, np.ndarray]) -> Picture:
    radiance = np.stack([passes[f"Combined.{name}"] for name in "RGB"], axis=-1)
    return Picture(radiance, passes["Combined.A"])


def read_labels(passes: dict[str, np.ndarray], world_to_camera: np.ndarray) -> Labels:
    """world_to_camera [4,4], OpenCV axes. Raises OutputError where a pass is missing."""
    depth = _pass(passes, "Depth", "Z", "V")[..., 0]
    mask = depth < SKY_M
    normals = _pass(passes, "normal", "RGB", "XYZ")
    turn = world_to_camera[:3, :3] @ BLENDER_FROM_OPENCV_WORLD.T
    normals = normals @ turn.T.astype(np.float32)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = np.where(mask[..., None], normals / np.maximum(length, 1e-6), 0).astype(np.float32)
    albedo = np.where(mask[..., None], _pass(passes, "albedo", "RGB", "XYZ"), 0).astype(np.float32)
    roughness = np.where(mask, _pass(passes, "roughness", "X", "V")[..., 0], 0).astype(np.float32)
    return Labels(mask, np.where(mask, depth, 0).astype(np.float32), normals, albedo, roughness)


def _pass(passes: dict[str, np.ndarray], name: str, *components: str) -> np.ndarray:
    """[H,W,C] of a pass whose components may have one of several sets of one-letter names."""
    for letters in components:
        found = [passes[f"{name}.{letter}"] for letter in letters if f"{name}.{letter}" in passes]
        if len(found) == len(letters):
            return np.stack(found, axis=-1)
    raise OutputError(f"this Blender gave no {name} pass (only {', '.join(sorted(passes))}): use Blender 4.2 to 5.2")
