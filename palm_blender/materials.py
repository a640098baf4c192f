"""Skin: a Principled shader with the avatar's textures and subsurface scattering of skin's size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ..engine.avatar.folder import Avatar
from ..engine.errors import InputError
from . import compat
from .console import quiet_blender
from .synthesis.display import srgb_decoded

SUBSURFACE_SCALE_M = 0.0008
"""Mean free path at radius 1; the scene's unit is the metre. Below skin's own 1 to 3 mm, because an albedo taken from
photos is blurred by scattering already."""

SUBSURFACE_RADIUS = (1.0, 0.42, 0.24)
"""Relative mean free paths of red, green and blue light: blood lets red travel farther."""

SKIN_IOR = 1.4

GLOSS_IN_ALBEDO = {"harp": 0.03}
"""Reflectance to take off the albedo of methods that explain a photo by diffuse skin alone: the mean gloss of skin at
IOR 1.4, which their albedo contains and the shader adds once more. XHand's sky holds gloss apart."""


@dataclass(frozen=True)
class SkinImages:
    """What a skin's shader reads at the surface's UVs."""

    albedo: bpy.types.Image
    roughness: bpy.types.Image
    normal: bpy.types.Image
    """tangent space, +Y up, stored as 0.5 + 0.5 n"""
    interpolation: str = "Cubic"
    """"Cubic" smooths what is seen from close up, "Linear" gives back what the pictures hold"""


def skin_material(avatar: Avatar, name: str) -> bpy.types.Material:
    """The avatar's skin; its textures are packed, so that the scene can be moved without the avatar folder."""
    images = load_skin(avatar)
    material = skin_shader(images, name, GLOSS_IN_ALBEDO.get(avatar.method, 0.0))
    # what solid shading shows, which has no textures
    material.diffuse_color = (*mean_color(images.albedo), 1.0)
    return material


def mean_color(image: bpy.types.Image) -> tuple[float, ...]:
    """Mean red, green, blue of a picture's pixels, linear in [0,1]."""
    pixels = np.empty(len(image.pixels), dtype=np.float32)
    image.pixels.foreach_get(pixels)
    colors = pixels.reshape(-1, image.channels)[:, :3]
    if not image.is_float:  # bytes come as they are encoded
        colors = srgb_decoded(colors)
    return tuple(float(value) for value in colors.mean(0))


def load_skin(avatar: Avatar) -> SkinImages:
    """An avatar's textures. Raises InputError for one that Blender cannot decode."""
    return SkinImages(
        load_image(avatar.image("albedo.png"), "sRGB"),
        load_image(avatar.image("roughness.png"), "Non-Color"),
        load_image(avatar.image("normal.png"), "Non-Color"),
    )


def skin_images_of(material: bpy.types.Material) -> SkinImages:
    """The textures of a material made by `skin_material` or `skin_shader`."""
    nodes = {node.label: node for node in material.node_tree.nodes if node.type == "TEX_IMAGE"}
    images = (nodes[name].image for name in ("albedo", "roughness", "normal"))
    return SkinImages(*images, interpolation=nodes["albedo"].interpolation)


def skin_shader(images: SkinImages, name: str, gloss: float = 0.0) -> bpy.types.Material:
    """Skin with these textures. gloss: reflectance to take off the albedo."""
    material = bpy.data.materials.new(name)
    tree = compat.enable_nodes(material)
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    output.location, shader.location = (600, 0), (300, 0)
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    shader.subsurface_method = "RANDOM_WALK_SKIN"
    for socket, value in {
        "Subsurface Weight": 1.0,
        "Subsurface Radius": SUBSURFACE_RADIUS,
        "Subsurface Scale": SUBSURFACE_SCALE_M,
        "Subsurface IOR": SKIN_IOR,
        "Subsurface Anisotropy": 0.0,
        "IOR": SKIN_IOR,
        "Specular IOR Level": 0.5,
        "Metallic": 0.0,
        "Roughness": 0.5,
    }.items():
        shader.inputs[socket].default_value = value
    albedo = texture_node(tree, images.albedo, "albedo", images.interpolation, (-300, 300))
    roughness = texture_node(tree, images.roughness, "roughness", images.interpolation, (-300, 0))
    normal = texture_node(tree, images.normal, "normal", images.interpolation, (-300, -300))
    bump = tree.nodes.new("ShaderNodeNormalMap")
    bump.space, bump.uv_map, bump.location = "TANGENT", "UVMap", (0, -300)
    diffuse = _without_gloss(tree, albedo.outputs["Color"], gloss)
    tree.links.new(diffuse, shader.inputs["Base Color"])
    tree.links.new(roughness.outputs["Color"], shader.inputs["Roughness"])
    tree.links.new(normal.outputs["Color"], bump.inputs["Color"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    return material


def set_subsurface(material: bpy.types.Material, seen: bool) -> None:
    """Let light spread in the skin of a material made here, or leave its surface as it is."""
    (shader,) = (node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Subsurface Weight"].default_value = float(seen)


def texture_node(
    tree: bpy.types.NodeTree, image: bpy.types.Image, label: str, interpolation: str, location: tuple[int, int] = (0, 0)
) -> bpy.types.ShaderNodeTexImage:
    """A node that reads an image at the surface's UVs."""
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image, node.label, node.location, node.interpolation = image, label, location, interpolation
    return node


def image_from_array(values: np.ndarray, name: str, colour_space: str) -> bpy.types.Image:
    """An image in memory, 32-bit float. values: [H,W] or [H,W,3], first row on top; "Non-Color" or linear ones."""
    height, width = values.shape[:2]
    image = bpy.data.images.new(name, width, height, alpha=False, float_buffer=True)
    image.colorspace_settings.name = colour_space
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = values[::-1] if values.ndim == 3 else values[::-1, :, None]
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    return image


def _without_gloss(tree: bpy.types.NodeTree, colour: bpy.types.NodeSocket, gloss: float) -> bpy.types.NodeSocket:
    """The colour less a grey reflectance, but never less than half of it."""
    if not gloss:
        return colour
    less, half, greater = (tree.nodes.new("ShaderNodeVectorMath") for _ in range(3))
    for row, (node, operation) in enumerate(((less, "SUBTRACT"), (half, "MULTIPLY"), (greater, "MAXIMUM"))):
        node.operation, node.location = operation, (0, 500 - 150 * row)
    less.inputs[1].default_value, half.inputs[1].default_value = (gloss,) * 3, (0.5,) * 3
    tree.links.new(colour, less.inputs[0])
    tree.links.new(colour, half.inputs[0])
    tree.links.new(less.outputs["Vector"], greater.inputs[0])
    tree.links.new(half.outputs["Vector"], greater.inputs[1])
    return greater.outputs["Vector"]


def load_image(path: Path, colour_space: str) -> bpy.types.Image:
    """An image file as a data-block of its own, packed into the scene.

    Raises InputError if Blender cannot decode it.
    """
    with quiet_blender(errors=True):
        try:
            image = bpy.data.images.load(str(Path(path).absolute()))
        except RuntimeError as error:
            raise InputError(f"{path} cannot be read: check that it exists and its rights") from error
        image.colorspace_settings.name = colour_space
        decoded = image.size[0] > 0 and image.has_data
    if not decoded:
        bpy.data.images.remove(image)
        raise InputError(f"{path} cannot be decoded: it is damaged, or not a picture that Blender reads")
    image.pack()
    return image
