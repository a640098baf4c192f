"""A hand in the open file read back as arrays, and its mesh replaced by other arrays."""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.avatar.folder import AvatarMesh
from ..engine.avatar.pose_extras import ExtraCorrectives
from ..engine.avatar.pose_terms import terms_from_rows
from ..engine.errors import InputError
from . import avatar, bone_math, correctives, rig


def read_mesh(armature: bpy.types.Object) -> AvatarMesh:
    """The hand's mesh and what deforms it, as an avatar folder would hold them: at the shape it was made with.

    Accurate to 32-bit floats. Raises InputError where the mesh was edited so that it is no hand of ours any more.
    """
    data = rig.hand_mesh(armature).data
    bones = [bone.name for bone in rig.joint_bones(armature)]
    if data.shape_keys is None or len(data.loops) != 3 * len(data.polygons):
        raise InputError(f"{data.name} was edited (no shape keys, or not all triangles): import the avatar again")
    faces = np.empty(len(data.loops), dtype=np.int32)
    data.loops.foreach_get("vertex_index", faces)
    if not data.uv_layers:
        raise InputError(f"{data.name} has no texture coordinates: import the avatar again")
    uv = np.empty(2 * len(data.loops), dtype=np.float32)
    data.uv_layers[0].uv.foreach_get("vector", uv)
    cap = np.zeros(len(data.polygons), dtype=bool)
    if "wrist_cap" in data.attributes:
        data.attributes["wrist_cap"].data.foreach_get("value", cap)
    basis = _points(data, "Basis")
    # the transposed axes lead back from the bones' to the rest frame's
    pose_basis = bone_math.to_bone_correctives(
        bone_axes_correctives(armature), rig.rest_bases(armature).transpose(0, 2, 1)
    )
    return AvatarMesh(
        vertices=basis,
        faces=faces.reshape(-1, 3).astype(np.int64),
        uv=uv.reshape(-1, 3, 2),
        skinning_weights=_weights(rig.hand_mesh(armature), bones),
        joints=np.array(armature[rig.REST_JOINTS], dtype=float).reshape(16, 3),
        pose_basis=pose_basis,
        shape_basis=np.stack([_points(data, correctives.SHAPE_KEY.format(index)) - basis for index in range(10)]),
        joint_shape_basis=np.array(armature[rig.JOINT_SHAPE_BASIS], dtype=float).reshape(10, 16, 3),
        cap_faces=cap,
        extra=_extra(data, basis),
    )


def _extra(data: bpy.types.Mesh, basis: np.ndarray) -> ExtraCorrectives | None:
    held = data.get(correctives.EXTRA_TERMS)
    if held is None:
        return None
    terms = terms_from_rows(np.array(held, dtype=float))
    names = (correctives.EXTRA_KEY.format(index) for index in range(len(terms)))
    return ExtraCorrectives(terms, np.stack([_points(data, name) - basis for name in names]))


def bone_axes_correctives(armature: bpy.types.Object) -> np.ndarray:
    """The pose correctives as the shape keys hold them [135,V,3]: metres per entry of R' - I of the bones' own rotations."""
    data = rig.hand_mesh(armature).data
    bones = [bone.name for bone in rig.joint_bones(armature)]
    basis = _points(data, "Basis")
    names = (correctives.POSE_KEY.format(bones[1 + f // 9], f % 9 // 3, f % 3) for f in range(135))
    return np.stack([_points(data, name) - basis for name in names])


def _points(data: bpy.types.Mesh, key: str) -> np.ndarray:
    if key not in data.shape_keys.key_blocks:
        raise InputError(f"{data.name} lacks the shape key {key}: import the avatar again")
    points = np.empty(3 * len(data.vertices), dtype=np.float32)
    data.shape_keys.key_blocks[key].data.foreach_get("co", points)
    return points.reshape(-1, 3).astype(float)


def _weights(mesh: bpy.types.Object, bones: list[str]) -> np.ndarray:
    """Skinning weights [V,16] of the groups that are called as the bones."""
    columns = {group.index: bones.index(group.name) for group in mesh.vertex_groups if group.name in bones}
    weights = np.zeros((len(mesh.data.vertices), 16))
    for vertex in mesh.data.vertices:
        for element in vertex.groups:
            if element.group in columns:
                weights[vertex.index, columns[element.group]] = element.weight
    return weights


def replace_mesh(armature: bpy.types.Object, source: AvatarMesh) -> None:
    """Give the hand other vertices and faces; the object, its modifiers and its materials stay.

    The mesh before is removed where nobody else uses it.
    """
    target = rig.hand_mesh(armature)
    old = target.data
    built = avatar.build_deforming_mesh(source, armature, old.name, target.users_collection[0])
    data = built.data
    for material in old.materials:
        data.materials.append(material)
    target.data = data
    bpy.data.objects.remove(built)
    name = old.name
    if old.users == 0:
        bpy.data.meshes.remove(old)
        data.name = name
    bpy.context.view_layer.update()
