"""Draws the pictures of the pose assets, `assets/poses/previews.png`: `python -m tools.gestures.previews [--size PX]`.

All gestures of a right hand, in the order of their names, in rows of squares; Cycles, a plain skin, one light.
"""

from __future__ import annotations

import argparse
import importlib
import math
import tempfile
from pathlib import Path
from types import ModuleType

import bpy
import numpy as np
from mathutils import Matrix, Vector
from PIL import Image

import build

SKIN = (0.62, 0.36, 0.25, 1.0)
"""Linear colour of a fair hand."""
VIEW = (-0.15, -1.0, 0.45)
"""From where the hand is seen in its rest frame: from the palm, a little from the thumb's side."""


def block(name: str) -> ModuleType:
    """A module of the add-on under its package's name."""
    return importlib.import_module(f"{build.PACKAGE}.{name}")


def draw_sheet(size: int, samples: int) -> Image.Image:
    """All gestures, each in a square of `size` pixels."""
    library, tools = block("palm_blender.pose_library"), block("palm_blender.pose_tools")
    gestures = block("palm_blender.synthesis.poses").gesture_names()
    columns = library.PREVIEW_COLUMNS
    sheet = Image.new("RGBA", (columns * size, -(-len(gestures) // columns) * size))
    scene, armature = _set_up(size, samples)
    with tempfile.TemporaryDirectory() as work:
        picture = Path(work) / "gesture.png"
        for index, name in enumerate(gestures):
            tools.reset(armature)
            tools.apply_gesture(armature, name)
            block("palm_blender.render").render_image(scene, picture, transparent=True)
            with Image.open(picture) as tile:
                sheet.paste(tile, (index % columns * size, index // columns * size))
    return sheet


def _set_up(size: int, samples: int) -> tuple[bpy.types.Scene, bpy.types.Object]:
    fields = block("engine.hand.model_file").read_model_file(block("palm_blender.joint_limits").OPEN_HAND)
    mesh = block("palm_blender.synthesis.posed_mesh").shaped_mesh(fields, np.zeros(10))
    scene = block("palm_blender.scene").empty_scene()
    collection = scene.collection
    armature, hand = block("palm_blender.avatar").assemble_hand(mesh, "right", np.zeros(10), "gesture", collection)
    hand.modifiers["Subdivision"].render_levels = 1
    hand.data.materials.append(_skin())
    armature.matrix_world = Matrix.Identity(4)
    centre, up = Vector((-0.005, 0.0, 0.005)), Vector((-1.0, 0.0, 0.0))
    back = Vector(VIEW).normalized()
    right = up.cross(back).normalized()
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    collection.objects.link(camera)
    axes = Matrix((right, back.cross(right), back)).transposed().to_4x4()
    camera.matrix_world = Matrix.Translation(centre + 0.8 * back) @ axes
    camera.data.type, camera.data.ortho_scale = "ORTHO", 0.235
    scene.camera = camera
    for turn, strength in (((0.6, -0.7, 0.0), 3.0), ((0.2, 0.9, 0.0), 0.8)):
        sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
        sun.data.energy, sun.data.angle = strength, math.radians(20)
        sun.matrix_world = camera.matrix_world @ Matrix.Rotation(-turn[0], 4, "X") @ Matrix.Rotation(turn[1], 4, "Y")
        collection.objects.link(sun)
    scene.world = bpy.data.worlds.new("grey")
    tree = block("palm_blender.compat").enable_nodes(scene.world)
    tree.nodes["Background"].inputs["Strength"].default_value = 0.35
    render = block("palm_blender.render")
    render.use_cycles(scene, samples)
    render.use_photo_colours(scene)
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    return scene, armature


def _skin() -> bpy.types.Material:
    material = bpy.data.materials.new("skin")
    tree = block("palm_blender.compat").enable_nodes(material)
    (shader,) = (node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.subsurface_method = "RANDOM_WALK_SKIN"
    values = {"Base Color": SKIN, "Roughness": 0.5, "Subsurface Weight": 1.0, "Subsurface Scale": 0.0008}
    for name, value in values.items():
        shader.inputs[name].default_value = value
    return material


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=96, help="pixels of a square's side")
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("-o", "--output", type=Path, help="picture to write (default: the add-on's)")
    args = parser.parse_args()
    build.load_package()
    output = args.output or block("palm_blender.pose_library").PREVIEWS
    draw_sheet(args.size, args.samples).save(output, optimize=True)
    print(f"{output}: {output.stat().st_size / 1e3:.0f} KB")
