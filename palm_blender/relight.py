"""Changing the light that a hand stands in: the photo's own, one of Blender's, a file, or a world of an asset library."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..engine.errors import InputError
from . import lighting, photo
from .cleanup import whole_or_nothing

SOURCE = "palm_light_source"
"""Custom property of a world made here: what it shows, so that the same light is not loaded twice."""


def use_photo_light(
    scene: bpy.types.Scene, armature: bpy.types.Object, rotation: float = 0.0, strength: float = 1.0
) -> bpy.types.World:
    """The light that was estimated from the hand's photo. rotation: radians about +Z. Raises InputError without one."""
    image = photo.light_of(armature)
    source = f"photo: {image.name}"
    world = _standing(source)
    if world is None:
        world = lighting.environment_world(image, name=f"{armature.name.removesuffix(' rig')} light")
        world[SOURCE] = source
    return _use(scene, world, rotation, strength)


@whole_or_nothing()
def use_environment(scene: bpy.types.Scene, name: str, rotation: float = 0.0, strength: float = 1.0) -> bpy.types.World:
    """One of Blender's eight environments by name, or an equirectangular picture file. Raises InputError."""
    path = lighting.find_environment(name)
    source = f"file: {path.absolute()}"
    world = _standing(source)
    if world is None:
        world = lighting.set_environment(scene, path, name=path.stem)
        world[SOURCE] = source
    return _use(scene, world, rotation, strength)


@whole_or_nothing()
def use_world_of_file(scene: bpy.types.Scene, library: Path, name: str) -> bpy.types.World:
    """A copy of the world `name` in another .blend, as an asset browser finds it. Raises InputError."""
    if not library.is_file():
        raise InputError(f"{library} is not there: refresh the asset browser")
    try:
        with bpy.data.libraries.load(str(library), link=False) as (there, wanted):
            wanted.worlds = [item for item in there.worlds if item == name]
    except OSError as error:
        raise InputError(f"{library} cannot be read as a .blend: open and save it in this Blender") from error
    if not wanted.worlds:
        raise InputError(f"{library} has no world {name}: refresh the asset browser")
    scene.world = wanted.worlds[0]
    return scene.world


def offer_as_asset(world: bpy.types.World) -> None:
    """Show the world in the asset browser, with the light's pictures inside the file."""
    for node in world.node_tree.nodes if world.node_tree is not None else ():
        image = getattr(node, "image", None)
        if image is not None and image.packed_file is None and image.source == "FILE":
            image.pack()
    world.asset_mark()
    world.asset_data.description = "Light for PALM hands"
    if "PALM" not in world.asset_data.tags:
        world.asset_data.tags.new("PALM")


def _standing(source: str) -> bpy.types.World | None:
    """The world made earlier from the same source, unless the user has rebuilt it since."""
    found = (world for world in bpy.data.worlds if world.get(SOURCE) == source)
    return next((world for world in found if lighting.is_environment(world)), None)


def _use(scene: bpy.types.Scene, world: bpy.types.World, rotation: float, strength: float) -> bpy.types.World:
    lighting.turn_environment(world, rotation, strength)
    scene.world = world
    return world
