"""A hand's skin made lighter, darker, redder or duller without touching its textures.

Tone works as pigment does: it multiplies the linear colour by what light is left after passing more, or less, of it. A node
group between the textures and the shader holds the sliders, so that they can be undone, keyed and found in the shader editor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import bpy

from ..engine.errors import InputError
from . import rig

GROUP = "PALM skin tone"
LIGHTNESS_GAIN = 0.7
"""Natural logarithm by which lightness 1 brightens all channels: about twice as bright."""
MELANIN_DEPTH = (0.68, 0.90, 1.17)
"""Optical depth that melanin 1 adds in red, green and blue, set by eye and by the colours of fair and of brown skin. Melanin's
own absorption (wavelength^-3.33, Jacques, omlc.org/spectra/melanin) is steeper and alone would turn skin olive: in skin, light
also passes between the grains."""
REDNESS_DEPTH = (0.04, 0.40, 0.36)
"""Optical depth that redness 1 adds: haemoglobin lets red pass and takes green and blue (omlc.org/spectra/hemoglobin)."""
TONES = ("Lightness", "Melanin", "Redness")
ROUGHNESS = "Roughness Shift"


@dataclass(frozen=True)
class SkinTone:
    """The sliders; all 0 is the skin as it was captured."""

    lightness: float = 0.0
    """-1 to 1."""
    melanin: float = 0.0
    """-1 to 1."""
    redness: float = 0.0
    """-1 to 1."""
    roughness: float = 0.0
    """-0.5 to 0.5, added to the texture's."""


def factors(tone: SkinTone) -> tuple[float, float, float]:
    """What red, green and blue of the linear colour are multiplied by."""
    depth = zip(MELANIN_DEPTH, REDNESS_DEPTH, strict=True)
    red, green, blue = (
        math.exp(LIGHTNESS_GAIN * tone.lightness - tone.melanin * m - tone.redness * r) for m, r in depth
    )
    return red, green, blue


def skin_of(armature: bpy.types.Object) -> bpy.types.Material:
    """The material of a hand. Raises InputError where it was taken away or replaced by one without a Principled shader."""
    slots = rig.hand_mesh(armature).material_slots
    material = slots[0].material if slots else None
    if material is None or principled(material) is None:
        raise InputError(f"{armature.name} has no skin of ours: give it its material back, or import the avatar again")
    return material


def principled(material: bpy.types.Material) -> bpy.types.ShaderNode | None:
    """The shader that holds subsurface scattering; None where a material has none."""
    nodes = material.node_tree.nodes if material.node_tree else []
    return next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)


def tone_node(material: bpy.types.Material) -> bpy.types.ShaderNodeGroup | None:
    """The sliders' node, where they were added."""
    nodes = material.node_tree.nodes if material.node_tree else []
    return next((node for node in nodes if node.type == "GROUP" and node.label == GROUP), None)


def tone_of(material: bpy.types.Material) -> SkinTone:
    """The sliders as they stand."""
    node = tone_node(material)
    if node is None:
        return SkinTone()
    return SkinTone(*(float(node.inputs[name].default_value) for name in (*TONES, ROUGHNESS)))


def set_tone(material: bpy.types.Material, tone: SkinTone) -> None:
    """Move the sliders, which are added where they are not there yet."""
    node = add_tone(material)
    values = (tone.lightness, tone.melanin, tone.redness, tone.roughness)
    for name, value in zip((*TONES, ROUGHNESS), values, strict=True):
        socket = node.inputs[name]
        socket.default_value = value


def add_tone(material: bpy.types.Material) -> bpy.types.ShaderNodeGroup:
    """Put the sliders, at rest, between the textures and the shader. Does nothing where they are. Raises InputError."""
    held = tone_node(material)
    if held is not None:
        return held
    shader, tree = principled(material), material.node_tree
    if shader is None:
        raise InputError(f"{material.name} has no Principled shader: import the avatar again")
    node = tree.nodes.new("ShaderNodeGroup")
    # a group of its own name is taken over from other skins, so that a file holds it once
    node.node_tree = bpy.data.node_groups.get(GROUP) or _make_group()
    node.label, node.location = GROUP, (shader.location[0] - 200, shader.location[1] + 220)
    for name, source in (("Color", "Base Color"), ("Roughness", "Roughness")):
        into = shader.inputs[source]
        if into.is_linked:
            tree.links.new(into.links[0].from_socket, node.inputs[name])
        else:
            node.inputs[name].default_value = into.default_value
        tree.links.new(node.outputs[name], into)
    return node


def _make_group() -> bpy.types.NodeTree:
    tree = bpy.data.node_groups.new(GROUP, "ShaderNodeTree")
    interface = tree.interface
    interface.new_socket("Color", in_out="INPUT", socket_type="NodeSocketColor")
    interface.new_socket("Roughness", in_out="INPUT", socket_type="NodeSocketFloat")
    for name, reach in ((TONES[0], 1.0), (TONES[1], 1.0), (TONES[2], 1.0), (ROUGHNESS, 0.5)):
        socket = interface.new_socket(name, in_out="INPUT", socket_type="NodeSocketFloat")
        socket.min_value, socket.max_value, socket.default_value = -reach, reach, 0.0
    interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
    interface.new_socket("Roughness", in_out="OUTPUT", socket_type="NodeSocketFloat")
    inputs, outputs = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    inputs.location, outputs.location = (-900, 0), (700, 0)
    apart, together = tree.nodes.new("ShaderNodeSeparateColor"), tree.nodes.new("ShaderNodeCombineColor")
    apart.location, together.location = (-600, 300), (450, 300)
    tree.links.new(inputs.outputs["Color"], apart.inputs[0])
    for channel in range(3):
        height = 200 - 250 * channel
        sum_ = _math(tree, "MULTIPLY", (-600, height), inputs.outputs["Lightness"], LIGHTNESS_GAIN)
        for step, (name, depth) in enumerate((("Melanin", MELANIN_DEPTH), ("Redness", REDNESS_DEPTH))):
            sum_ = _math(tree, "MULTIPLY_ADD", (-400 + 200 * step, height), inputs.outputs[name], -depth[channel], sum_)
        left = _math(tree, "EXPONENT", (0, height), sum_)
        tree.links.new(_math(tree, "MULTIPLY", (200, height), left, apart.outputs[channel]), together.inputs[channel])
    tree.links.new(together.outputs[0], outputs.inputs["Color"])
    rough = _math(tree, "ADD", (200, -600), inputs.outputs["Roughness"], inputs.outputs[ROUGHNESS])
    rough.node.use_clamp = True
    tree.links.new(rough, outputs.inputs["Roughness"])
    return tree


def _math(
    tree: bpy.types.NodeTree, operation: str, location: tuple[int, int], *values: bpy.types.NodeSocket | float
) -> bpy.types.NodeSocket:
    """A math node fed with sockets or constants; its output."""
    node = tree.nodes.new("ShaderNodeMath")
    node.operation, node.location = operation, location
    for index, value in enumerate(values):
        if isinstance(value, float):
            node.inputs[index].default_value = value
        else:
            tree.links.new(value, node.inputs[index])
    return node.outputs[0]
