"""A photographer's three lamps, sized and placed by the hand: key, fill and rim, in a collection of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix, Vector

from . import cameras, rig

STUDIO = "palm_studio"
"""Custom property that marks the collection."""
LAMP = "palm_lamp"
"""Custom property of each lamp: which it is."""


@dataclass(frozen=True)
class StudioSettings:
    """Strengths are of the irradiance at the hand: 1 shows light skin at a medium grey."""

    key: float = 1.0
    fill: float = 0.35
    rim: float = 1.2
    turn: float = 0.0
    """radians about +Z by which all three are turned, counter-clockwise seen from above"""
    softness: float = 2.0
    """side of the lamps in radii of the hand"""


@dataclass(frozen=True)
class _Place:
    """Where a lamp stands, seen from the hand: angles in degrees, from the front (-Y) towards the viewer's right."""

    azimuth: float
    elevation: float


PLACES = {"key": _Place(-40.0, 40.0), "fill": _Place(50.0, 10.0), "rim": _Place(165.0, 35.0)}
DISTANCE = 6.0
"""Of the lamps from the hand's centre, in its radii."""
MEDIUM_IRRADIANCE = 2.5
"""W/m² at strength 1: skin of albedo 0.5 then sends out 0.5 · 2.5 / π = 0.4 of white."""


def build_studio(scene: bpy.types.Scene, armature: bpy.types.Object, settings: StudioSettings) -> bpy.types.Collection:
    """Three area lights around the hand as it is posed now, instead of any that stood before."""
    centre, radius = cameras.bounding_sphere(rig.hand_mesh(armature))
    remove_studio(scene)
    collection = bpy.data.collections.new("PALM Studio")
    collection[STUDIO] = True
    scene.collection.children.link(collection)
    for name, place in PLACES.items():
        _add_lamp(name, place, getattr(settings, name), centre, radius, settings, collection)
    return collection


def find_studio(scene: bpy.types.Scene) -> bpy.types.Collection | None:
    """The scene's three lamps."""
    return next((item for item in scene.collection.children_recursive if STUDIO in item), None)


def remove_studio(scene: bpy.types.Scene) -> bool:
    """Take the lamps out, with their data. False where there are none."""
    collection = find_studio(scene)
    if collection is None:
        return False
    for lamp in [item for item in collection.objects if LAMP in item]:
        data = lamp.data
        bpy.data.objects.remove(lamp)
        bpy.data.lights.remove(data)
    # what the user put among them stays
    for other in list(collection.objects):
        if len(other.users_collection) == 1:
            scene.collection.objects.link(other)
    bpy.data.collections.remove(collection)
    return True


def lamps(collection: bpy.types.Collection) -> dict[str, bpy.types.Object]:
    """The studio's lamps that are still there, by name."""
    return {item[LAMP]: item for item in collection.objects if LAMP in item}


def _add_lamp(
    name: str,
    place: _Place,
    strength: float,
    centre: np.ndarray,
    radius: float,
    settings: StudioSettings,
    collection: bpy.types.Collection,
) -> None:
    data = bpy.data.lights.new(f"PALM {name}", "AREA")
    distance = DISTANCE * radius
    data.shape, data.size = "SQUARE", settings.softness * radius
    # a flat lamp of P watts gives P / (π d²) straight ahead
    data.energy = strength * MEDIUM_IRRADIANCE * math.pi * distance**2
    lamp = bpy.data.objects.new(f"PALM {name}", data)
    lamp[LAMP] = name
    azimuth, elevation = math.radians(place.azimuth) + settings.turn, math.radians(place.elevation)
    outwards = Vector(
        (math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation), math.sin(elevation))
    )
    # a lamp shines along its own -Z
    turned = outwards.to_track_quat("Z", "Y").to_matrix().to_4x4()
    lamp.matrix_world = Matrix.Translation(Vector(centre) + distance * outwards) @ turned
    collection.objects.link(lamp)
