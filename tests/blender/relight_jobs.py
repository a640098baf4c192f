"""Light, lamps and the photo's view by the add-on's operators; run by worker.py."""

from __future__ import annotations

import math
import re
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector


def use_all(avatar: str, work: str) -> dict:
    """Every operator of the panel once, in a scene with one hand."""
    from palm_hands import register, unregister
    from palm_hands.palm_blender import lighting, match_view, studio_light
    from palm_hands.palm_blender.synthesis.environments import BUNDLED

    bpy.ops.wm.read_factory_settings(use_empty=True)
    register()
    scene = bpy.context.scene
    facts: dict = {
        "same_names": list(BUNDLED) == lighting.environment_names(),
        "refused_without_hand": refused("light_photo"),
    }
    bpy.ops.palm.import_avatar(filepath=f"{avatar}/avatar.json")
    hand = bpy.context.object
    facts["photo"] = sorted(bpy.ops.palm.light_photo(rotation=0.5, strength=2.0))
    facts["photo_light"] = light(scene.world)
    for name in ("city", "sunset", "city"):
        bpy.ops.palm.light_environment(environment=name, rotation=0.3)
    facts["worlds"] = sorted(world.name for world in bpy.data.worlds)
    scene.world.palm_rotation, scene.world.palm_strength = -1.0, 0.25
    facts["turned"] = [*light(scene.world), scene.world.palm_rotation, scene.world.palm_strength]
    picture = bpy.data.images.new("sky", 8, 4, float_buffer=True)
    picture.filepath_raw, picture.file_format = f"{work}/sky.hdr", "HDR"
    picture.save()
    facts["file"] = sorted(bpy.ops.palm.light_file(filepath=f"{work}/sky.hdr"))
    Path(f"{work}/broken.hdr").write_bytes(b"no picture")
    facts["broken"] = refused("light_file", filepath=f"{work}/broken.hdr")
    facts["kept"] = scene.world.name
    bpy.ops.palm.mark_light_asset()
    facts["asset"] = scene.world.asset_data is not None and all(image.packed_file for image in images(scene.world))
    facts["asset_elsewhere"] = refused("light_asset")
    facts |= studio(scene, hand, studio_light)
    facts |= view(scene, hand, match_view)
    facts["tooltips"], facts["operators"] = tooltips(), len(dir(bpy.ops.palm))
    bpy.ops.wm.save_as_mainfile(filepath=f"{work}/with light.blend")
    library = Path(f"{work}/with light.blend")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    from palm_hands.palm_blender import relight

    relight.use_world_of_file(bpy.context.scene, library, facts["kept"])
    facts["from_library"] = bpy.context.scene.world.name
    unregister()
    facts["left_over"] = [name for name in ("palm_rotation", "palm_strength") if hasattr(bpy.types.World, name)]
    return facts


def light(world: bpy.types.World) -> list:
    from palm_hands.palm_blender import lighting

    return [lighting.rotation_of(world), lighting.strength_of(world)]


def images(world: bpy.types.World) -> list:
    return [node.image for node in world.node_tree.nodes if node.type == "TEX_ENVIRONMENT"]


def refused(name: str, **arguments: object) -> str:
    """What an operator says when it does not work."""
    try:
        getattr(bpy.ops.palm, name)(**arguments)
    except RuntimeError as error:
        return str(error).strip()
    return ""


def studio(scene: bpy.types.Scene, hand: bpy.types.Object, studio_light) -> dict:
    """Two studios one after the other; how the lamps stand to the hand; and what is left when they go."""
    before = len(bpy.data.objects), len(bpy.data.lights), len(bpy.data.collections)
    bpy.ops.palm.add_studio()
    bpy.ops.palm.add_studio(key=2.0)
    lamps = studio_light.lamps(studio_light.find_studio(scene))
    bpy.context.view_layer.update()
    from palm_hands.palm_blender import cameras, rig

    centre, radius = cameras.bounding_sphere(rig.hand_mesh(hand))
    ways = {name: Vector(centre) - lamp.matrix_world.translation for name, lamp in lamps.items()}
    straight = [
        float((lamp.matrix_world.to_3x3() @ Vector((0, 0, -1))).angle(ways[name])) for name, lamp in lamps.items()
    ]
    facts = {
        "lamps": sorted(lamps),
        "off_axis_deg": math.degrees(max(straight)),
        "distances_in_radii": [way.length / radius for way in ways.values()],
        "key_irradiance": lamps["key"].data.energy / (math.pi * ways["key"].length ** 2),
        "studios": len([item for item in bpy.data.collections if studio_light.STUDIO in item]),
    }
    bpy.ops.palm.remove_studio()
    facts["studio_gone"] = (len(bpy.data.objects), len(bpy.data.lights), len(bpy.data.collections)) == before
    facts["refused_without_studio"] = refused("remove_studio")
    return facts


def view(scene: bpy.types.Scene, hand: bpy.types.Object, match_view) -> dict:
    """The photo's view of a hand that was moved and turned since, compared with the pinhole camera."""
    from palm_hands.engine.hand.cameras import project
    from palm_hands.palm_blender import photo
    from palm_hands.palm_blender.cameras import read_camera

    render = scene.render
    render.resolution_x, render.resolution_y = 640, 360
    hand.location, hand.rotation_euler = (0.3, -0.2, 0.1), (0.4, 0.2, -1.0)
    bpy.context.view_layer.update()
    facts = {"matched": sorted(bpy.ops.palm.match_view()), "size": [render.resolution_x, render.resolution_y]}
    bpy.ops.palm.match_view()  # once more changes nothing
    bpy.context.view_layer.update()
    facts["cameras"] = len(bpy.data.cameras)
    facts["behind"] = [item.image.name for item in scene.camera.data.background_images]
    # joints in the hand's own space are points of the photo's frame
    source = photo.camera_of(hand)
    joints = np.array([bone.head for bone in hand.pose.bones])
    world = np.array([hand.matrix_world @ bone.head for bone in hand.pose.bones])
    intrinsics, world_to_camera = read_camera(scene, scene.camera)
    seen = project(np.stack([world[:, 0], -world[:, 2], world[:, 1]], 1), intrinsics, world_to_camera)
    facts["off_px"] = float(np.abs(seen - project(joints, source.intrinsics, source.world_to_camera)).max())
    bpy.ops.palm.restore_view()
    facts["restored"] = [render.resolution_x, render.resolution_y, scene.camera is None]
    facts["refused_twice"] = refused("restore_view")
    return facts


def tooltips() -> list[str]:
    """Operators of ours that search (F3) or a button shows badly: without a tooltip or with a full stop at its end, without
    a label or with another's, or with a setting that is called as in the code."""
    names = [name for name in dir(bpy.ops.palm) if not name.startswith("_")]
    kinds = {name: getattr(bpy.ops.palm, name).get_rna_type() for name in names}
    wrong = [name for name, kind in kinds.items() if not kind.description or re.search(r"\.\s*$", kind.description)]
    wrong += [
        f"{name}: label" for name, kind in kinds.items() if not kind.name[:1].isupper() or kind.name.endswith(".")
    ]
    searched = {
        name: kind for name, kind in kinds.items() if "INTERNAL" not in getattr(bpy.types, kind.identifier).bl_options
    }
    labels = [kind.name for kind in searched.values()]
    wrong += [f"{name}: another's label" for name, kind in searched.items() if labels.count(kind.name) > 1]
    for name, kind in searched.items():
        shown = [item for item in kind.properties if item.identifier != "rna_type" and not item.is_hidden]
        wrong += [f"{name}.{item.identifier}" for item in shown if item.name in ("", item.identifier)]
    return sorted(wrong)
