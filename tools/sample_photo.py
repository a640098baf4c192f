"""Make `assets/samples/hand.jpg`, the photo-like picture that `make demo` starts from.

    .venv/bin/python -m tools.sample_photo

The open hand with a procedural skin, photographed by Cycles under one of Blender's own environments. It is ours, hence
CC0: real photos of people's hands bring rights of their own.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import bpy
import numpy as np
import torch
from mathutils import Euler, Matrix, Vector

from engine.hand.mano import hand_forward
from engine.hand.model import HandModel, open_hand_model
from engine.hand.subdivide import subdivide_model

OUTPUT = Path(__file__).parents[1] / "assets" / "samples" / "hand.jpg"
BETAS = (0.4, -0.5, 0.3, 0.2, -0.3, 0.0, 0.2, 0.0, 0.0, 0.0)
DORSAL = np.array([0.49, 0.29, 0.2])
PALMAR = np.array([0.66, 0.40, 0.31])
KNUCKLE = np.array([0.45, 0.22, 0.16])
NAIL = np.array([0.72, 0.46, 0.39])


def skin_colours(model: HandModel) -> np.ndarray:
    """Linear albedo [V,3]: lighter, redder palm; redder knuckles and fingertips; nails."""
    palm = model.palm_weight[:, None].numpy()
    colour = DORSAL * (1 - palm) + PALMAR * palm
    joints = (model.joint_regressor @ model.v_template).numpy()
    vertices = model.v_template.numpy()
    for joint in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15):
        distance = np.linalg.norm(vertices - joints[joint], axis=1)
        amount = 0.55 * np.exp(-((distance / 0.011) ** 2))[:, None]
        colour = colour * (1 - amount) + KNUCKLE * np.array([1.25, 1.1, 1.1]) * amount
    for tip in model.tip_vertices.tolist():
        amount = 0.4 * np.exp(-((np.linalg.norm(vertices - vertices[tip], axis=1) / 0.014) ** 2))[:, None]
        colour = colour * (1 - amount) + PALMAR * np.array([1.05, 0.8, 0.8]) * amount
    return np.where(model.nail_vertices[:, None].numpy(), NAIL, colour)


def hand_object(model: HandModel) -> bpy.types.Object:
    """A relaxed open hand, its back to the camera, fingers up, as a Blender object with a colour attribute."""
    pose = torch.zeros(15, 3)
    pose[:12] = model.joint_axes[:12, 0] * torch.tensor([[0.10], [0.18], [0.10]]).repeat(4, 1)
    pose[12:] = model.joint_axes[12:, 0] * torch.tensor([[0.05], [0.10], [0.12]])
    posed = hand_forward(model, torch.tensor(BETAS), torch.zeros(3), pose.reshape(45)).vertices.numpy()
    mesh = bpy.data.meshes.new("hand")
    mesh.from_pydata(posed.tolist(), [], model.faces.tolist())
    mesh.shade_smooth()
    colours = mesh.color_attributes.new("skin", "FLOAT_COLOR", "POINT")
    values = np.concatenate([skin_colours(model), np.ones((len(posed), 1))], axis=1)
    colours.data.foreach_set("color", values.astype(np.float32).ravel())
    nails = mesh.attributes.new("nail", "FLOAT", "POINT")
    nails.data.foreach_set("value", model.nail_vertices.float().numpy())
    hand = bpy.data.objects.new("hand", mesh)
    bpy.context.collection.objects.link(hand)
    # rest fingers (-X) up (+Z), back of the hand (+Y) towards the camera at -Y
    upright = Matrix(((0, 0, -1), (0, -1, 0), (-1, 0, 0))).to_4x4()
    hand.matrix_world = Euler((0.06, 0.16, -0.12)).to_matrix().to_4x4() @ upright
    hand.modifiers.new("smooth", "SUBSURF").render_levels = 2
    mesh.materials.append(skin_material())
    return hand


def skin_material() -> bpy.types.Material:
    material = bpy.data.materials.new("skin")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    principled = nodes["Principled BSDF"]
    principled.subsurface_method = "RANDOM_WALK_SKIN"
    principled.inputs["Subsurface Weight"].default_value = 1.0
    principled.inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.2)
    principled.inputs["Subsurface Scale"].default_value = 0.0025

    def node(kind: str, **inputs: float) -> bpy.types.Node:
        created = nodes.new(kind)
        for name, value in inputs.items():
            created.inputs[name.replace("_", " ")].default_value = value
        return created

    skin, nail, place = node("ShaderNodeAttribute"), node("ShaderNodeAttribute"), node("ShaderNodeTexCoord")
    skin.attribute_name, nail.attribute_name = "skin", "nail"
    mottle = node("ShaderNodeTexNoise", Scale=170.0, Detail=6.0, Roughness=0.65)
    fine = node("ShaderNodeTexNoise", Scale=900.0, Detail=3.0)
    cells = node("ShaderNodeTexVoronoi", Scale=1100.0)
    for texture in (mottle, fine, cells):
        links.new(place.outputs["Object"], texture.inputs["Vector"])

    shade = node("ShaderNodeMapRange")
    shade.inputs["To Min"].default_value, shade.inputs["To Max"].default_value = 0.72, 1.25
    links.new(mottle.outputs["Fac"], shade.inputs["Value"])
    colour = node("ShaderNodeVectorMath")
    colour.operation = "SCALE"
    links.new(skin.outputs["Color"], colour.inputs[0])
    links.new(shade.outputs["Result"], colour.inputs["Scale"])
    links.new(colour.outputs["Vector"], principled.inputs["Base Color"])

    gloss = node("ShaderNodeMapRange")
    gloss.inputs["To Min"].default_value, gloss.inputs["To Max"].default_value = 0.52, 0.3
    links.new(nail.outputs["Fac"], gloss.inputs["Value"])
    links.new(gloss.outputs["Result"], principled.inputs["Roughness"])

    first, second = node("ShaderNodeBump", Strength=0.35, Distance=0.0006), node("ShaderNodeBump", Strength=0.3)
    second.inputs["Distance"].default_value = 0.0003
    links.new(mottle.outputs["Fac"], first.inputs["Height"])
    links.new(cells.outputs["Distance"], second.inputs["Height"])
    links.new(first.outputs["Normal"], second.inputs["Normal"])
    links.new(second.outputs["Normal"], principled.inputs["Normal"])
    return material


def photograph(path: Path, samples: int) -> None:
    """Render to `path`: a plain grey wall, an 80 mm lens, the studio environment."""
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_plane_add(size=8, location=(0, 0.6, 0), rotation=(math.pi / 2, 0, 0))
    wall = bpy.data.materials.new("wall")
    wall.use_nodes = True
    wall.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.42, 0.45, 0.46, 1)
    wall.node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.9
    bpy.context.object.data.materials.append(wall)

    world = scene.world or bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    environment = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    lights = Path(bpy.utils.resource_path("LOCAL")) / "datafiles" / "studiolights" / "world"
    environment.image = bpy.data.images.load(str(lights / "studio.exr"))
    background = world.node_tree.nodes["Background"]
    background.inputs["Strength"].default_value = 1.0
    world.node_tree.links.new(environment.outputs["Color"], background.inputs["Color"])

    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.lens = 80
    camera.location, camera.rotation_euler = (0.0, -0.6, 0.0), (math.pi / 2, 0, 0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.seed, scene.cycles.use_denoising = samples, 1, True
    scene.render.resolution_x, scene.render.resolution_y = 1000, 1000
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "JPEG"
    scene.render.image_settings.quality = 92
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--samples", type=int, default=40)
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    hand = hand_object(subdivide_model(open_hand_model("right"), 1))
    corners = np.array([hand.matrix_world @ vertex.co for vertex in hand.data.vertices])
    hand.location -= Vector((corners.min(0) + corners.max(0)) / 2)
    photograph(args.output.resolve(), args.samples)


if __name__ == "__main__":
    main()
