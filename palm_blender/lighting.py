"""The world's light: the avatar's estimated environment, one of Blender's own eight, or a file."""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import numpy as np

from ..engine.errors import InputError
from . import compat, materials
from .cleanup import whole_or_nothing

SUFFIXES = (".exr", ".hdr", ".png", ".jpg", ".jpeg", ".tif", ".tiff")

LEAST_MAP, MOST_MAP = 256, 2048
"""Texels across the map by which Cycles chooses directions of light: the picture's own, within these."""


def environment_names() -> list[str]:
    """Names of the environments that Blender brings."""
    return sorted(path.stem for path in compat.studio_lights().glob("*.exr"))


def find_environment(name: str) -> Path:
    """The file of an environment given by name or path. Raises InputError."""
    bundled = compat.studio_lights() / f"{name}.exr"
    if Path(name).name == name and bundled.is_file():
        return bundled
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"environment {name} is no file and no known name: give an .exr or .hdr, or one of "
            + ", ".join(environment_names())
        )
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"environment {name} is no picture: give an equirectangular .exr or .hdr")
    return path


@whole_or_nothing()
def set_environment(
    scene: bpy.types.Scene, path: Path, rotation: float = 0.0, strength: float = 1.0, name: str = "Environment"
) -> bpy.types.World:
    """Light the scene with an equirectangular picture file.

    rotation: radians about +Z, counter-clockwise seen from above; strength ≥ 0. Raises InputError for a file that
    Blender cannot decode.
    """
    colour_space = "Linear Rec.709" if path.suffix.lower() in (".exr", ".hdr") else "sRGB"
    world = environment_world(materials.load_image(path, colour_space), rotation, strength, name)
    scene.world = world
    return world


def environment_world(
    image: bpy.types.Image, rotation: float = 0.0, strength: float = 1.0, name: str = "Environment"
) -> bpy.types.World:
    """A world that shines as an equirectangular image does; arguments as for `set_environment`."""
    world = bpy.data.worlds.new(name)
    tree = compat.enable_nodes(world)
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputWorld")
    background = tree.nodes.new("ShaderNodeBackground")
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    mapping = tree.nodes.new("ShaderNodeMapping")
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    for column, node in enumerate((coordinates, mapping, texture, background, output)):
        node.location = (250 * column - 800, 0)
    texture.image, texture.projection = image, "EQUIRECTANGULAR"
    mapping.vector_type = "POINT"
    tree.links.new(coordinates.outputs["Generated"], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
    tree.links.new(texture.outputs["Color"], background.inputs["Color"])
    tree.links.new(background.outputs["Background"], output.inputs["Surface"])
    # left to itself, Cycles samples a map of 4096 by 2048 anew whenever the light changes: 2 s
    world.cycles.sampling_method = "MANUAL"
    world.cycles.sample_map_resolution = min(max(image.size[0], LEAST_MAP), MOST_MAP)
    turn_environment(world, rotation, strength)
    return world


def is_environment(world: bpy.types.World | None) -> bool:
    """Whether a world is made as those here are, so that it can be turned."""
    tree = world.node_tree if world is not None else None
    kinds = [node.type for node in tree.nodes] if tree is not None else []
    return all(kinds.count(kind) == 1 for kind in ("MAPPING", "BACKGROUND", "TEX_ENVIRONMENT"))


def rotation_of(world: bpy.types.World) -> float:
    """Radians about +Z by which a world made by `environment_world` is turned."""
    return -next(node for node in world.node_tree.nodes if node.type == "MAPPING").inputs["Rotation"].default_value[2]


def strength_of(world: bpy.types.World) -> float:
    """How bright such a world is: 1 as its picture says."""
    return next(node for node in world.node_tree.nodes if node.type == "BACKGROUND").inputs["Strength"].default_value


def turn_environment(world: bpy.types.World, rotation: float, strength: float) -> None:
    """Change how a world made by `set_environment` is hung and how bright it is."""
    nodes = {node.type: node for node in world.node_tree.nodes}
    # the mapping turns the looked-up direction, so the light turns the other way
    turn, shine = nodes["MAPPING"].inputs["Rotation"], nodes["BACKGROUND"].inputs["Strength"]
    wanted = np.float32([-rotation, strength])
    if (np.float32([turn.default_value[2], shine.default_value]) != wanted).any():
        turn.default_value, shine.default_value = (0.0, 0.0, -rotation), strength


def direction_to_uv(directions: np.ndarray) -> np.ndarray:
    """Where an equirectangular picture shows directions [*,3] of Blender's world: u from the left, v from the top.

    Blender's own mapping; a test compares it with Cycles.
    """
    x, y, z = np.moveaxis(np.asarray(directions, dtype=float), -1, 0)
    u = 0.5 - np.arctan2(y, x) / (2 * math.pi)
    v = np.arccos(np.clip(z / np.linalg.norm(directions, axis=-1), -1, 1)) / math.pi
    return np.stack([u, v], axis=-1)
