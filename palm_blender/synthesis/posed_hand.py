"""The hand in front of the camera, in Blender: a synthetic person's, posed here, or an avatar's, posed by its rig."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import bpy
import numpy as np

from ...engine.avatar.folder import Avatar, AvatarMesh
from .. import animation, avatar, materials
from . import passes
from .posed_mesh import pose_points, rest_hand
from .shots import HandPose
from .skin_maps import SkinMaps

TIP_JOINTS = (15, 3, 6, 12, 9)
"""The last joint of each finger, in the order of the fingertips."""
MODEL_FITS_M = 1e-3
"""A hand whose joints lie this close to the model's has its fingertips where the model has them."""


class PosedHand(Protocol):
    """What the studio asks of a hand."""

    collection: bpy.types.Collection
    images: materials.SkinImages
    material: bpy.types.Material
    wrist: np.ndarray
    """[3] metres, the joint at rest"""

    def pose(self, pose: HandPose) -> np.ndarray:
        """Put the hand into a pose; its keypoints [21,3] in metres, in the world."""
        ...

    def label_material(self) -> bpy.types.Material:
        """A surface that tells the hand's albedo, roughness and smooth normal."""
        ...


class PersonHand:
    """A mesh whose vertices are written for each pose."""

    def __init__(self, mesh: AvatarMesh, tips: np.ndarray, maps: SkinMaps, name: str, scene: bpy.types.Scene):
        """mesh: of `posed_mesh.shaped_mesh`, already as fine as it is rendered; tips [5] vertices."""
        self.collection = bpy.data.collections.new(name)
        scene.collection.children.link(self.collection)
        self.images = skin_images(maps, name)
        self._object = avatar.build_mesh(mesh, f"{name} hand", self.collection)
        self._object.matrix_world = avatar.upright()
        self.material = materials.skin_shader(self.images, f"{name} skin")
        self._object.data.materials.append(self.material)
        self._rest, self._tips = rest_hand(mesh), tips
        self.wrist = mesh.joints[0]

    def pose(self, pose: HandPose) -> np.ndarray:
        """See `PosedHand.pose`."""
        vertices, joints = pose_points(self._rest, pose)
        data = self._object.data
        data.vertices.foreach_set("co", np.ascontiguousarray(vertices, dtype=np.float32).ravel())
        data.update()
        data.update_tag()
        return np.concatenate([joints, vertices[self._tips]])

    def label_material(self) -> bpy.types.Material:
        """See `PosedHand.label_material`."""
        return passes.label_material(self.images)


class AvatarHand:
    """An avatar on its rig."""

    def __init__(self, source: Avatar, tips: np.ndarray, name: str, scene: bpy.types.Scene):
        """tips [5]: vertices of the avatar's mesh (`fingertips`)."""
        built = avatar.build_hand(source, name, scene)
        self.collection, self._armature = built.collection, built.armature
        self.material, self.wrist = built.material, source.mesh.joints[0]
        self.images = materials.skin_images_of(built.material)
        self._tips = rest_hand(source.mesh, tips)

    def pose(self, pose: HandPose) -> np.ndarray:
        """See `PosedHand.pose`."""
        animation.apply_pose(self._armature, pose.global_orient, pose.hand_pose, pose.transl)
        tips, joints = pose_points(self._tips, pose)
        return np.concatenate([joints, tips])

    def label_material(self) -> bpy.types.Material:
        """See `PosedHand.label_material`."""
        return passes.label_material(self.images)


def skin_images(maps: SkinMaps, name: str) -> materials.SkinImages:
    """A person's maps as images in memory, read without smoothing."""
    return materials.SkinImages(
        materials.image_from_array(maps.albedo, f"{name} albedo", "Linear Rec.709"),
        materials.image_from_array(maps.roughness, f"{name} roughness", "Non-Color"),
        materials.image_from_array(0.5 + 0.5 * maps.normal, f"{name} normal", "Non-Color"),
        interpolation="Linear",
    )


def fingertips(mesh: AvatarMesh, fields: Mapping[str, np.ndarray], betas: np.ndarray, side: str) -> np.ndarray:
    """[5] vertices of an avatar's mesh, thumb to little finger.

    The nearest ones to the hand model's own fingertips where the avatar has the model's joints; else, as for any hand
    model without them, the farthest of the skin that each last joint moves.
    """
    mirror = np.array([-1.0 if side == "left" else 1.0, 1.0, 1.0])
    rest = (fields["v_template"] + fields["shapedirs"][..., : len(betas)] @ betas) * mirror
    joints = fields["J_regressor"] @ rest
    if np.abs(joints - mesh.joints).max() < MODEL_FITS_M:
        wanted = rest[fields["tip_vertices"]]
        return np.array([np.linalg.norm(mesh.vertices - tip, axis=1).argmin() for tip in wanted])
    owners = np.argmax(mesh.skinning_weights, axis=1)
    distance = [np.linalg.norm(mesh.vertices - mesh.joints[joint], axis=1) for joint in TIP_JOINTS]
    return np.array([np.where(owners == j, d, -1.0).argmax() for j, d in zip(TIP_JOINTS, distance, strict=True)])
