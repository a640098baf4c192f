"""The skin as other programs read it: pictures straight into a Principled shader, the tone baked into the albedo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np

from . import compat, materials, skin_tone
from .synthesis.display import srgb_decoded, srgb_encoded


@contextmanager
def plain_skin(mesh: bpy.types.Object, textures: bool) -> Iterator[None]:
    """While the block runs, the mesh wears a simple copy of its skin; afterwards its own, and nothing is left over.

    Exporters follow a picture only where it is linked straight to the shader. Without `textures` one colour stands for it.
    """
    slots = [(slot, slot.material) for slot in mesh.material_slots]
    made: list[bpy.types.ID] = []
    try:
        for slot, material in slots:
            if material is not None and skin_tone.principled(material) is not None:
                slot.material = _simple(material, textures, made)
        yield
    finally:
        for slot, material in slots:
            slot.material = material
        bpy.data.batch_remove(made)


def _simple(material: bpy.types.Material, textures: bool, made: list[bpy.types.ID]) -> bpy.types.Material:
    copy = bpy.data.materials.new(material.name)
    made.append(copy)
    tree = compat.enable_nodes(copy)
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    original = skin_tone.principled(material)
    for name in ("Roughness", "IOR", "Base Color"):
        shader.inputs[name].default_value = original.inputs[name].default_value
    try:
        images = materials.skin_images_of(material)
    except (KeyError, ValueError):
        return copy
    tone = skin_tone.tone_of(material)
    albedo = _toned(images.albedo, tone, _gloss_of(material), made)
    if not textures:
        shader.inputs["Base Color"].default_value = _mean_colour(albedo)
        return copy
    roughness = _shifted(images.roughness, tone.roughness, made)
    for image, label, target in ((albedo, "albedo", "Base Color"), (roughness, "roughness", "Roughness")):
        node = materials.texture_node(tree, image, label, "Linear")
        tree.links.new(node.outputs["Color"], shader.inputs[target])
    normal = materials.texture_node(tree, images.normal, "normal", "Linear")
    bump = tree.nodes.new("ShaderNodeNormalMap")
    bump.uv_map = "UVMap"
    tree.links.new(normal.outputs["Color"], bump.inputs["Color"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    return copy


def _gloss_of(material: bpy.types.Material) -> float:
    """The grey that `materials.skin_shader` takes off the albedo."""
    nodes = (node for node in material.node_tree.nodes if node.type == "VECT_MATH" and node.operation == "SUBTRACT")
    node = next(nodes, None)
    return float(node.inputs[1].default_value[0]) if node is not None else 0.0


def _toned(image: bpy.types.Image, tone: skin_tone.SkinTone, gloss: float, made: list[bpy.types.ID]) -> bpy.types.Image:
    """The albedo as the shader sees it: less its gloss, times its tone."""
    factors = np.array(skin_tone.factors(tone), dtype=np.float32)
    if not gloss and np.all(factors == 1.0):
        return image
    pixels = _pixels(image)
    # an 8-bit image's pixels are as stored, a float image's are linear
    colour = pixels[..., :3] if image.is_float else srgb_decoded(pixels[..., :3])
    colour = np.maximum(colour - gloss, 0.5 * colour) * factors
    pixels[..., :3] = np.clip(colour if image.is_float else srgb_encoded(colour), 0.0, 1.0)
    return _image_of(pixels, image, "albedo", made)


def _shifted(image: bpy.types.Image, shift: float, made: list[bpy.types.ID]) -> bpy.types.Image:
    if not shift:
        return image
    pixels = _pixels(image)
    pixels[..., :3] = np.clip(pixels[..., :3] + shift, 0.0, 1.0)
    return _image_of(pixels, image, "roughness", made)


def _mean_colour(image: bpy.types.Image) -> tuple[float, float, float, float]:
    pixels = _pixels(image)[..., :3]
    colour = (pixels if image.is_float else srgb_decoded(pixels)).reshape(-1, 3).mean(0)
    return (*(float(value) for value in colour), 1.0)


def _pixels(image: bpy.types.Image) -> np.ndarray:
    pixels = np.empty(4 * image.size[0] * image.size[1], dtype=np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(image.size[1], image.size[0], 4)


def _image_of(pixels: np.ndarray, source: bpy.types.Image, name: str, made: list[bpy.types.ID]) -> bpy.types.Image:
    """8 bits are enough for what leaves Blender, and what every program reads."""
    image = bpy.data.images.new(f"{source.name} {name}", source.size[0], source.size[1], alpha=False)
    made.append(image)
    image.colorspace_settings.name = source.colorspace_settings.name
    if source.is_float and source.colorspace_settings.name == "sRGB":
        pixels = pixels.copy()
        pixels[..., :3] = srgb_encoded(pixels[..., :3])
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    image.pack()
    return image
