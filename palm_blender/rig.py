"""MANO's skeleton as a Blender armature, and the hand's shape (betas) on it.

The armature object's own space is MANO's rest frame, so pose data is applied as it is. Only the wrist moves; fingers
turn. What the functions need later (side, betas, how joints follow betas) is stored on the armature object as plain
custom properties, so that a saved scene works without the avatar folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils import Vector

from ..engine.avatar.folder import AvatarMesh
from ..engine.errors import InputError
from ..engine.hand.joints import MANO_PARENTS
from . import bone_math

SIDE = "palm_side"
FITTED_BETAS = "palm_fitted_betas"
REST_JOINTS = "palm_rest_joints"
JOINT_SHAPE_BASIS = "palm_joint_shape_basis"
BETA = "beta_{}"
"""Custom properties beta_0..beta_9 of the armature object: the shape sliders, in standard deviations."""

BETA_RANGE = 10.0


def build_rig(
    mesh: AvatarMesh, side: str, betas: np.ndarray, name: str, collection: bpy.types.Collection
) -> bpy.types.Object:
    """An armature object with MANO's 16 joints at the mesh's rest joints, and its shape sliders.

    side: "right" or "left". betas [10]: those of the mesh as it is.
    """
    joints = np.asarray(mesh.joints, dtype=float)
    tails = bone_math.bone_tails(joints, np.asarray(mesh.vertices, float), mesh.skinning_weights)
    bases = bone_math.bone_bases(joints, tails, side)
    armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    collection.objects.link(armature)
    armature.show_in_front = True
    armature.data.display_type = "STICK"
    armature[SIDE] = side
    armature[FITTED_BETAS] = [float(beta) for beta in betas]
    armature[REST_JOINTS] = [float(value) for value in joints.ravel()]
    armature[JOINT_SHAPE_BASIS] = [float(value) for value in mesh.joint_shape_basis.ravel()]
    for index, beta in enumerate(betas):
        _add_beta_slider(armature, index, float(beta))
    with editing(armature):
        for joint, parent in enumerate(MANO_PARENTS):
            bone = armature.data.edit_bones.new(bone_math.bone_name(joint, side))
            bone.head = Vector(joints[joint])
            bone.tail = Vector(tails[joint])
            bone.align_roll(Vector(bases[joint][:, 2]))
            if parent >= 0:
                bone.parent = armature.data.edit_bones[parent]
                bone.use_connect = False
    for joint, bone in enumerate(armature.pose.bones):
        bone.rotation_mode = "QUATERNION"
        bone.lock_location = (joint > 0,) * 3
        bone.lock_scale = (True,) * 3
    return armature


def _add_beta_slider(armature: bpy.types.Object, index: int, value: float) -> None:
    name = BETA.format(index)
    armature[name] = value
    armature.id_properties_ui(name).update(
        min=-BETA_RANGE, max=BETA_RANGE, soft_min=-3.0, soft_max=3.0, default=value, description="Hand shape component"
    )


def side_of(armature: bpy.types.Object) -> str:
    """ "right" or "left". Raises InputError for an armature that this add-on did not make."""
    side = armature.get(SIDE)
    if armature.type != "ARMATURE" or side not in ("right", "left") or len(armature.data.bones) < 16:
        raise InputError(f"{armature.name} is not a PALM hand: choose the armature of an imported hand avatar")
    return str(side)


def joint_bones(armature: bpy.types.Object) -> list[bpy.types.PoseBone]:
    """The 16 pose bones in MANO's order, whatever else was added to the armature."""
    side = side_of(armature)
    names = [bone_math.bone_name(joint, side) for joint in range(16)]
    missing = [name for name in names if name not in armature.pose.bones]
    if missing:
        raise InputError(f"{armature.name} has no bone {missing[0]}: restore its name, or import the avatar again")
    return [armature.pose.bones[name] for name in names]


def rest_bases(armature: bpy.types.Object) -> np.ndarray:
    """Rest axes [16,3,3] as Blender holds them, which is what poses and correctives must be expressed in."""
    return np.array([bone.bone.matrix_local.to_3x3() for bone in joint_bones(armature)], dtype=float)


def rest_joints(armature: bpy.types.Object) -> np.ndarray:
    """Rest joint locations [16,3] metres, in the armature's space."""
    return np.array([bone.bone.head_local for bone in joint_bones(armature)], dtype=float)


def get_betas(armature: bpy.types.Object) -> np.ndarray:
    """The shape sliders [10]."""
    side_of(armature)
    return np.array([armature[BETA.format(index)] for index in range(10)], dtype=float)


def set_betas(armature: bpy.types.Object, betas: np.ndarray) -> None:
    """Give the hand another shape: sliders, and the rest joints with them.

    betas [10], |beta| ≤ 10. The mesh follows the sliders live by drivers; rest bones cannot be driven, so whoever moves
    a slider by hand calls `fit_joints` afterwards (or this function). The bones keep their axes, which keeps pose data
    and correctives exact.
    """
    betas = np.asarray(betas, dtype=float)
    if betas.shape != (10,) or not np.isfinite(betas).all() or np.abs(betas).max() > BETA_RANGE:
        raise InputError(f"betas must be 10 numbers between -{BETA_RANGE:g} and {BETA_RANGE:g}")
    side_of(armature)
    for index, beta in enumerate(betas):
        armature[BETA.format(index)] = float(beta)
    fit_joints(armature)


def fit_joints(armature: bpy.types.Object) -> None:
    """Move the rest joints to where the shape sliders put them."""
    change = get_betas(armature) - np.array(armature[FITTED_BETAS], dtype=float)
    basis = np.array(armature[JOINT_SHAPE_BASIS], dtype=float).reshape(10, 16, 3)
    joints = np.array(armature[REST_JOINTS], dtype=float).reshape(16, 3) + np.einsum("b,bjc->jc", change, basis)
    names = [bone.name for bone in joint_bones(armature)]
    with editing(armature):
        for name, joint in zip(names, joints, strict=True):
            bone = armature.data.edit_bones[name]
            length = bone.tail - bone.head
            bone.head = Vector(joint)
            bone.tail = Vector(joint) + length
    armature.update_tag()
    bpy.context.view_layer.update()


def hand_mesh(armature: bpy.types.Object) -> bpy.types.Object:
    """The mesh that this armature deforms. Raises InputError where it was deleted."""
    for child in armature.children:
        if child.type == "MESH" and any(m.type == "ARMATURE" and m.object == armature for m in child.modifiers):
            return child
    raise InputError(f"{armature.name} has no hand mesh: import the avatar again")


def duplicate_hand(armature: bpy.types.Object) -> bpy.types.Object:
    """A second, independent hand: armature and mesh together, so that modifier, parent and drivers follow the copy.

    Returns the new armature.
    """
    mesh = hand_mesh(armature)
    new_armature, new_mesh = armature.copy(), mesh.copy()
    new_armature.data, new_mesh.data = armature.data.copy(), mesh.data.copy()
    for old, new in ((armature, new_armature), (mesh, new_mesh)):
        for collection in old.users_collection:
            collection.objects.link(new)
    new_mesh.parent = new_armature
    for modifier in new_mesh.modifiers:
        if modifier.type == "ARMATURE":
            modifier.object = new_armature
    for owner in (new_mesh.data.shape_keys, new_mesh):
        curves = owner.animation_data.drivers if owner.animation_data else ()
        for target in (t for curve in curves for variable in curve.driver.variables for t in variable.targets):
            if target.id == armature:
                target.id = new_armature
    bpy.context.view_layer.update()
    return new_armature


@contextmanager
def editing(armature: bpy.types.Object) -> Iterator[None]:
    """Edit mode on one armature, with the selection and the active object put back afterwards."""
    view_layer = bpy.context.view_layer
    active, selected = view_layer.objects.active, [item for item in view_layer.objects if item.select_get()]
    if active is not None and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    # mirrored editing would move the other side's bones along
    mirrored, armature.data.use_mirror_x = armature.data.use_mirror_x, False
    try:
        yield
    finally:
        armature.data.use_mirror_x = mirrored
        bpy.ops.object.mode_set(mode="OBJECT")
        for item in selected:
            item.select_set(True)
        view_layer.objects.active = active
