"""An avatar folder as objects in the open Blender file: armature, mesh, material, collection."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from ..engine.avatar.folder import Avatar, AvatarMesh
from ..engine.hand.cameras import BLENDER_FROM_OPENCV_WORLD
from . import animation, bone_math, correctives, materials, photo, pose_maps, rig
from .cleanup import whole_or_nothing

BONES = "palm_bones"
"""Custom property of the armature object: the bones' names in MANO's order."""


FINE_VERTICES = 5_000
"""From which on a mesh's own edges, below 4 mm, are not seen."""

OWN_COLLECTION = "palm_hand_collection"
"""Mark of a collection that was made for one hand, and goes with it."""


@dataclass(frozen=True)
class HandObjects:
    """What building an avatar made. Hold it no longer than one operator runs: undo invalidates Blender's objects."""

    collection: bpy.types.Collection
    armature: bpy.types.Object
    mesh: bpy.types.Object
    material: bpy.types.Material


@whole_or_nothing()
def build_hand(avatar: Avatar, name: str, scene: bpy.types.Scene) -> HandObjects:
    """Build the avatar in a collection of its own, posed as in its photo.

    The armature turns the photo camera's frame (y down, z forward) to Blender's (z up); metres.
    Raises InputError for textures that Blender cannot decode, and leaves nothing behind then.
    """
    # first, because a texture may turn out to be damaged
    material = materials.skin_material(avatar, f"{name} skin")
    collection = own_collection(name, scene)
    armature, mesh = assemble_hand(avatar.mesh, avatar.handedness, avatar.betas, name, collection)
    mesh.data.materials.append(material)
    pose_maps.add_pose_maps(avatar, material, mesh)
    _store_provenance(avatar, armature)
    photo.remember(avatar, armature)
    capture = avatar.capture
    animation.apply_pose(armature, capture.global_orient, capture.hand_pose, capture.transl)
    bpy.context.view_layer.update()
    return HandObjects(collection, armature, mesh, material)


def own_collection(name: str, scene: bpy.types.Scene) -> bpy.types.Collection:
    """A new collection of the scene for one hand."""
    collection = bpy.data.collections.new(name)
    collection[OWN_COLLECTION] = True
    scene.collection.children.link(collection)
    return collection


def assemble_hand(
    source: AvatarMesh, side: str, betas: np.ndarray, name: str, collection: bpy.types.Collection
) -> tuple[bpy.types.Object, bpy.types.Object]:
    """Armature and mesh, tied together, at rest and without a material. betas [10]: those of the mesh as it is."""
    armature = rig.build_rig(source, side, betas, f"{name} rig", collection)
    armature.matrix_world = upright()
    mesh = build_deforming_mesh(source, armature, f"{name} hand", collection)
    mesh.parent = armature
    _add_modifiers(mesh, armature)
    return armature, mesh


def build_deforming_mesh(
    source: AvatarMesh, armature: bpy.types.Object, name: str, collection: bpy.types.Collection
) -> bpy.types.Object:
    """The mesh with its weights and driven shape keys, not yet a child of the armature and without modifiers."""
    mesh = build_mesh(source, name, collection)
    add_weights(mesh, source.skinning_weights, [bone.name for bone in rig.joint_bones(armature)])
    correctives.add_shape_keys(mesh, source, armature)
    return mesh


def upright() -> Matrix:
    """Turns the photo camera's frame, y down, to Blender's, +Z up."""
    return Matrix(BLENDER_FROM_OPENCV_WORLD.tolist()).to_4x4()


def build_mesh(source: AvatarMesh, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """Rest mesh with one UV corner a loop and smooth shading; vertices keep the avatar's order."""
    count, faces = len(source.vertices), np.ascontiguousarray(source.faces, dtype=np.int32)
    data = bpy.data.meshes.new(name)
    data.vertices.add(count)
    data.vertices.foreach_set("co", np.ascontiguousarray(source.vertices, dtype=np.float32).ravel())
    data.loops.add(faces.size)
    data.loops.foreach_set("vertex_index", faces.ravel())
    data.polygons.add(len(faces))
    data.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    layer = data.uv_layers.new(name="UVMap", do_init=False)
    layer.uv.foreach_set("vector", np.ascontiguousarray(source.uv, dtype=np.float32).ravel())
    data.update(calc_edges=True)
    data.shade_smooth()
    cap = data.attributes.new("wrist_cap", "BOOLEAN", "FACE")
    cap.data.foreach_set("value", np.ascontiguousarray(source.cap_faces, dtype=bool))
    _sharpen(data, cap_rim(faces, np.asarray(source.cap_faces, dtype=bool)))
    target = bpy.data.objects.new(name, data)
    collection.objects.link(target)
    return target


def cap_rim(faces: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """Vertex pairs [E,2], sorted, of the edges between the wrist's lid and the skin. faces [F,3], cap [F] bool."""
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1), axis=-1)
    lid, skin = (np.unique(edges[chosen].reshape(-1, 2), axis=0) for chosen in (cap, ~cap))
    both, count = np.unique(np.concatenate([lid, skin]), axis=0, return_counts=True)
    return both[count == 2]


def _sharpen(data: bpy.types.Mesh, rim: np.ndarray) -> None:
    """Keep edges sharp under smooth shading and subdivision: the wrist's cut must not look like a melted roll."""
    pairs = np.empty(2 * len(data.edges), dtype=np.int32)
    data.edges.foreach_get("vertices", pairs)
    pairs = np.sort(pairs.reshape(-1, 2).astype(np.int64), axis=1)
    count = len(data.vertices)
    chosen = np.isin(pairs @ [count, 1], rim.astype(np.int64) @ [count, 1])
    data.attributes.new("sharp_edge", "BOOLEAN", "EDGE").data.foreach_set("value", chosen)
    data.attributes.new("crease_edge", "FLOAT", "EDGE").data.foreach_set("value", chosen.astype(np.float32))


def add_weights(target: bpy.types.Object, weights: np.ndarray, names: list[str]) -> None:
    """Every non-zero skinning weight: pruning to a few bones a vertex, as game engines do, would shift the skin."""
    for joint, name in enumerate(names):
        group = target.vertex_groups.new(name=name)
        column = np.asarray(weights[:, joint], dtype=float)
        for vertex in np.flatnonzero(column > 0):
            group.add((int(vertex),), column[vertex], "REPLACE")


def _add_modifiers(target: bpy.types.Object, armature: bpy.types.Object) -> None:
    """Linear blend skinning, as MANO's; then smoothing of coarse meshes, for renders only, so that playback stays fast."""
    skinning = target.modifiers.new("Armature", "ARMATURE")
    skinning.object = armature
    skinning.use_deform_preserve_volume = False
    skinning.use_vertex_groups, skinning.use_bone_envelopes = True, False
    smooth = target.modifiers.new("Subdivision", "SUBSURF")
    # a fine mesh is drawn as its normal map was made for it: smoothing would make creases harder than they are
    smooth.levels, smooth.render_levels = 0, int(len(target.data.vertices) < FINE_VERTICES)
    # the limit surface of triangles costs seconds a frame and moves them by hundredths of a millimetre
    smooth.use_limit_surface = False
    smooth.show_only_control_edges = False


def _store_provenance(avatar: Avatar, armature: bpy.types.Object) -> None:
    """Plain custom properties: they stay readable without the add-on."""
    armature["palm_method"] = _storable(avatar.method)
    armature["palm_pose_convention"] = "MANO axis-angle, flat hand = 0"
    armature[BONES] = [bone_math.bone_name(joint, avatar.handedness) for joint in range(16)]
    for key, value in avatar.provenance.items():
        if isinstance(value, str | int | float):
            name = "palm_provenance_" + str(key).encode("ascii", "replace").decode()[:40]
            armature[name] = value if isinstance(value, float) else _storable(str(value))


def _storable(text: str) -> str:
    """JSON may hold lone surrogates, which Blender's strings cannot."""
    return text.encode("utf-8", "replace").decode()
