"""A person's hand in Blender whose folds, furrows and blood follow the pose."""

from __future__ import annotations

import bpy
import numpy as np

from .. import avatar, materials
from . import passes
from .fine_hand import FineHand
from .shots import HandPose
from .skin_maps import MovingMaps
from .tissue import SkinWeights

BLANCHED = (0.05, 0.14, 0.17)
"""By how much skin without blood returns more red, green and blue light."""


class LivingHand:
    """A `posed_hand.PosedHand` whose vertices and strengths of maps are written for each pose."""

    def __init__(self, hand: FineHand, maps: MovingMaps, name: str, scene: bpy.types.Scene):
        self.collection = bpy.data.collections.new(name)
        scene.collection.children.link(self.collection)
        self._hand = hand
        self.images = _images(maps, name)
        self._object = avatar.build_mesh(hand.mesh, f"{name} hand", self.collection)
        self._object.matrix_world = avatar.upright()
        for field in SkinWeights._fields:
            self._object.data.attributes.new(field, "FLOAT", "POINT")
        self.material = _living_skin(self.images, maps, name)
        self._object.data.materials.append(self.material)
        self.wrist = hand.mesh.joints[0]
        self.vertices = hand.mesh.vertices
        """[V,3] metres, in the world, as posed last"""

    def pose(self, pose: HandPose) -> np.ndarray:
        """See `PosedHand.pose`."""
        frame, data = self._hand.frame(pose), self._object.data
        data.vertices.foreach_set("co", np.ascontiguousarray(frame.vertices).ravel())
        for field, values in frame.weights._asdict().items():
            data.attributes[field].data.foreach_set("value", np.ascontiguousarray(values, dtype=np.float32))
        self.vertices = frame.vertices
        data.update()
        data.update_tag()
        return frame.keypoints

    def label_material(self) -> bpy.types.Material:
        """See `PosedHand.label_material`."""
        material = passes.label_material(self.images)
        tree = material.node_tree
        (albedo,) = (node for node in tree.nodes if node.label == "albedo")
        _redirect(tree, albedo.outputs["Color"], _blanched)
        return material


def _images(maps: MovingMaps, name: str) -> materials.SkinImages:
    """The normal is not of unit length: what makes it one is added to it first."""
    return materials.SkinImages(
        materials.image_from_array(maps.albedo, f"{name} albedo", "Linear Rec.709"),
        materials.image_from_array(maps.roughness, f"{name} roughness", "Non-Color"),
        materials.image_from_array(0.5 + 0.5 * _with_third(maps.still, 1.0), f"{name} normal", "Non-Color"),
        interpolation="Linear",
    )


def _with_third(slopes: np.ndarray, value: float) -> np.ndarray:
    """[S,S,3] slopes with a third component."""
    return np.concatenate([slopes, np.full_like(slopes[..., :1], value)], axis=-1)


def _living_skin(images: materials.SkinImages, maps: MovingMaps, name: str) -> bpy.types.Material:
    """Skin whose normals are the still ones and, as strong as the pose has them, folds and creases; and that turns pale."""
    material = materials.skin_shader(images, f"{name} skin")
    tree = material.node_tree
    textures = {node.label: node for node in tree.nodes if node.type == "TEX_IMAGE"}
    total = textures["normal"].outputs["Color"]
    for field, slopes in (("fold", maps.fold), ("crease", maps.crease)):
        image = materials.image_from_array(0.5 * _with_third(slopes, 0.0), f"{name} {field}", "Non-Color")
        node = materials.texture_node(tree, image, field, images.interpolation)
        add = tree.nodes.new("ShaderNodeVectorMath")
        add.operation = "MULTIPLY_ADD"
        tree.links.new(node.outputs["Color"], add.inputs[0])
        tree.links.new(_strength(tree, field), add.inputs[1])
        tree.links.new(total, add.inputs[2])
        total = add.outputs["Vector"]
    (bump,) = (node for node in tree.nodes if node.type == "NORMAL_MAP")
    tree.links.new(total, bump.inputs["Color"])
    _redirect(tree, textures["albedo"].outputs["Color"], _blanched)
    return material


def _strength(tree: bpy.types.NodeTree, field: str) -> bpy.types.NodeSocket:
    """A number of each vertex, between them mixed."""
    node = tree.nodes.new("ShaderNodeAttribute")
    node.attribute_type, node.attribute_name = "GEOMETRY", field
    return node.outputs["Fac"]


def _blanched(tree: bpy.types.NodeTree, colour: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """The colour with the blood pressed out of it as far as `blanch` says."""
    factor, product = (tree.nodes.new("ShaderNodeVectorMath") for _ in range(2))
    factor.operation, product.operation = "MULTIPLY_ADD", "MULTIPLY"
    factor.inputs[1].default_value, factor.inputs[2].default_value = BLANCHED, (1.0, 1.0, 1.0)
    tree.links.new(_strength(tree, "blanch"), factor.inputs[0])
    tree.links.new(factor.outputs["Vector"], product.inputs[1])
    tree.links.new(colour, product.inputs[0])
    return product.outputs["Vector"]


def _redirect(tree: bpy.types.NodeTree, colour: bpy.types.NodeSocket, through) -> None:
    """Lead all links that begin at a socket through what `through(tree, socket)` builds."""
    targets = [link.to_socket for link in colour.links]
    changed = through(tree, colour)
    for target in targets:
        tree.links.new(changed, target)
