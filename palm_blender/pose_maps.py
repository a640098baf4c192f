"""Skin that changes with the pose: maps blended in the material, as wrinkles come and go with bending.

The weights are custom properties of the mesh object, three to a property, each with a driver; the material reads them as
attributes of the object that it is seen on. So copies of a hand share a skin and wrinkle each for itself, however they were
copied, and neither Python nor the add-on is needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import bpy

from ..engine.avatar.folder import Avatar
from ..engine.avatar.pose_extras import PoseMap, PoseWeight, mirrored_weight, weight_from_json, weight_to_json
from . import materials, pose_drivers, rig

GROUP = "{} pose maps"
LABEL = "PALM pose maps"
WEIGHTS = "palm_pose_weights_{}"
"""Custom properties of the mesh object: weights 3 n to 3 n + 2, because EEVEE knows only eight attributes of an object."""
SOURCE = "palm_pose_maps"
"""Custom property of the mesh object: what its weights are made of, as JSON."""


def add_pose_maps(avatar: Avatar, material: bpy.types.Material, mesh: bpy.types.Object) -> None:
    """Let an avatar's skin follow the pose of its rig, where it learned to.

    Raises InputError for pictures that Blender cannot decode.
    """
    if not avatar.pose_maps:
        return
    _add_group(avatar, material)
    add_weights(mesh, [one.weight for one in avatar.pose_maps])


def add_weights(mesh: bpy.types.Object, weights: Sequence[PoseWeight]) -> None:
    """The weights as driven properties of a hand's mesh, which is its armature's child already."""
    armature = mesh.parent
    bases = rig.rest_bases(armature)
    mesh[SOURCE] = json.dumps([weight_to_json(weight) for weight in weights])
    for index, weight in enumerate(weights):
        name, element = WEIGHTS.format(index // 3), index % 3
        if element == 0:
            mesh[name] = [0.0, 0.0, 0.0]
        expression = pose_drivers.weight_expression(weight, bases)
        pose_drivers.add_driver(mesh, f'["{name}"]', armature, expression, weight.terms, element)


def mirror_weights(old: bpy.types.Object, new: bpy.types.Object) -> None:
    """Give the mirror image of a hand's mesh its weights."""
    if SOURCE in old:
        listed = json.loads(old[SOURCE])
        add_weights(new, [mirrored_weight(weight_from_json(value, f"{old.name}: pose maps")) for value in listed])


def weights_of(mesh: bpy.types.Object) -> list[float]:
    """The weights as they stand, of an evaluated mesh object; none where the skin does not follow the pose."""
    count = len(json.loads(mesh[SOURCE])) if SOURCE in mesh else 0
    return [float(mesh[WEIGHTS.format(index // 3)][index % 3]) for index in range(count)]


def follow_pose(material: bpy.types.Material) -> bool:
    """Whether a material blends maps with the pose."""
    return any(node.label == LABEL for node in material.node_tree.nodes) if material.node_tree else False


def _add_group(avatar: Avatar, material: bpy.types.Material) -> None:
    """Put the blending between the albedo's and the normals' pictures and what reads them."""
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree, node.label, node.location = _blending(avatar, GROUP.format(material.name)), LABEL, (-150, 500)
    for label in ("albedo", "normal"):
        picture = next(n for n in tree.nodes if n.type == "TEX_IMAGE" and n.label == label)
        readers = [link.to_socket for link in picture.outputs["Color"].links]
        tree.links.new(picture.outputs["Color"], node.inputs[label.title()])
        for socket in readers:
            tree.links.new(node.outputs[label.title()], socket)


def _blending(avatar: Avatar, name: str) -> bpy.types.NodeTree:
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    for label in ("Albedo", "Normal"):
        for way in ("INPUT", "OUTPUT"):
            tree.interface.new_socket(label, in_out=way, socket_type="NodeSocketColor")
    start, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    start.location, end.location = (-900, 0), (300 * len(avatar.pose_maps) + 600, 0)
    weights = _weights(tree, len(avatar.pose_maps))
    for label, height in (("Albedo", 0), ("Normal", -700)):
        total = start.outputs[label]
        for index, one in enumerate(avatar.pose_maps):
            total = _added(tree, avatar, one, index, label.lower(), weights[index], total, (300 * index, height))
        if label == "Albedo":
            total = _in_range(tree, total, (300 * len(avatar.pose_maps), height))
        tree.links.new(total, end.inputs[label])
    return tree


def _weights(tree: bpy.types.NodeTree, count: int) -> list[bpy.types.NodeSocket]:
    """The object's weights, a socket each."""
    sockets: list[bpy.types.NodeSocket] = []
    for part in range(-(-count // 3)):
        source, split = tree.nodes.new("ShaderNodeAttribute"), tree.nodes.new("ShaderNodeSeparateXYZ")
        source.attribute_type, source.attribute_name = "OBJECT", WEIGHTS.format(part)
        source.location, split.location = (-900, 300 + 200 * part), (-650, 300 + 200 * part)
        tree.links.new(source.outputs["Vector"], split.inputs["Vector"])
        sockets += list(split.outputs)
    return sockets[:count]


def _added(
    tree: bpy.types.NodeTree,
    avatar: Avatar,
    one: PoseMap,
    index: int,
    kind: str,
    weight: bpy.types.NodeSocket,
    total: bpy.types.NodeSocket,
    location: tuple[int, int],
) -> bpy.types.NodeSocket:
    """total + weight · difference; the total itself where the map has no picture of this kind."""
    reach = one.normal_range if kind == "normal" else one.albedo_range
    if not reach:
        return total
    image = materials.load_image(avatar.image(f"pose_maps/{kind}_{index}.png"), "Non-Color")
    picture = materials.texture_node(tree, image, f"pose {kind} {index}", "Linear", (location[0], location[1] - 250))
    gain, middle, sum_ = (tree.nodes.new(f"ShaderNode{name}") for name in ("Math", "VectorMath", "VectorMath"))
    gain.operation, middle.operation, sum_.operation = "MULTIPLY", "SUBTRACT", "MULTIPLY_ADD"
    gain.location, middle.location, sum_.location = ((location[0] + 100 * k, location[1]) for k in range(3))
    # a picture holds 0.5 + d / (2 range); normals are themselves stored as 0.5 + n / 2
    gain.inputs[1].default_value = reach if kind == "normal" else 2 * reach
    middle.inputs[1].default_value = (0.5, 0.5, 0.5)
    tree.links.new(weight, gain.inputs[0])
    tree.links.new(picture.outputs["Color"], middle.inputs[0])
    tree.links.new(middle.outputs["Vector"], sum_.inputs[0])
    tree.links.new(gain.outputs["Value"], sum_.inputs[1])
    tree.links.new(total, sum_.inputs[2])
    return sum_.outputs["Vector"]


def _in_range(
    tree: bpy.types.NodeTree, colour: bpy.types.NodeSocket, location: tuple[int, int]
) -> bpy.types.NodeSocket:
    """Reflectance lies between 0 and 1."""
    for operation, bound in (("MAXIMUM", 0.0), ("MINIMUM", 1.0)):
        node = tree.nodes.new("ShaderNodeVectorMath")
        node.operation, node.location = operation, location
        node.inputs[1].default_value = (bound,) * 3
        tree.links.new(colour, node.inputs[0])
        colour = node.outputs["Vector"]
    return colour
