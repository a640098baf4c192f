"""What is done to whole hands: duplicate, mirror, make finer or coarser, delete, and choose among them."""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.errors import InputError
from . import (
    animation,
    avatar,
    compat,
    hand_geometry,
    hand_reading,
    joint_limits,
    match_view,
    photo,
    pose_maps,
    pose_sequences,
    rig,
    take_record,
)

DENSITIES = ("COARSE", "MEDIUM", "FINE")
"""An open hand's 1.7, 6.7 and 27 thousand vertices; of another mesh, what comes nearest by quartering."""
VERTICES = {"COARSE": 1_700, "MEDIUM": 6_700, "FINE": 27_000}


def all_hands(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The armatures of the scene's hands, by name."""
    found = [item for item in scene.objects if item.type == "ARMATURE" and rig.SIDE in item]
    return sorted(found, key=lambda item: item.name.casefold())


def show_hand(armature: bpy.types.Object, alone: bool = False) -> None:
    """Make a hand the selected and active one, and visible. alone: hide the scene's other hands, in renders too.

    Raises InputError where its collection is left out of the view layer.
    """
    layer = bpy.context.view_layer
    if armature.name not in layer.objects:
        raise InputError(f"{armature.name} is not in this view layer: include its collection first")
    leave_modes()
    if alone:
        for other in all_hands(bpy.context.scene):
            if other != armature:
                _set_hidden(other, True)
    _set_hidden(armature, False)
    for item in layer.objects:
        item.select_set(item == armature)
    layer.objects.active = armature


def leave_modes() -> None:
    """Back to Object Mode, which changing selections and meshes needs."""
    active = bpy.context.view_layer.objects.active
    if active is not None and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")


def _set_hidden(armature: bpy.types.Object, hidden: bool) -> None:
    for item in (armature, *(child for child in armature.children if child.type == "MESH")):
        item.hide_viewport = item.hide_render = hidden
        if item.name in bpy.context.view_layer.objects:
            item.hide_set(hidden)


def duplicate(armature: bpy.types.Object) -> bpy.types.Object:
    """A second hand that shares nothing that one would change: its own mesh, skin and action. Returns its armature."""
    leave_modes()
    copy = rig.duplicate_hand(armature)
    mesh = rig.hand_mesh(copy)
    for slot in mesh.material_slots:
        if slot.material is not None:
            slot.material = slot.material.copy()
    _own_action(copy)
    return copy


def _own_action(armature: bpy.types.Object) -> None:
    held = animation.action_of(armature)
    if held is not None:
        compat.use_action(armature, held.copy())


def mirror(armature: bpy.types.Object, keep_original: bool = True) -> bpy.types.Object:
    """The other hand: mesh, weights, correctives, bones, pose and animation mirrored in the armature's X = 0.

    keep_original: the mirrored hand is a new one beside it; else it takes its place and its name. Bones and shape keys that
    were added by hand are not carried over. Returns the new armature.
    """
    leave_modes()
    side = "left" if rig.side_of(armature) == "right" else "right"
    source = hand_geometry.mirrored(hand_reading.read_mesh(armature))
    old_mesh = rig.hand_mesh(armature)
    parent = armature.users_collection[0]
    collection = avatar.own_collection(f"{_stem(armature)} {side}", bpy.context.scene) if keep_original else parent
    betas = np.array(armature[rig.FITTED_BETAS], dtype=float)
    made, mesh = avatar.assemble_hand(source, side, betas, f"{_stem(armature)} {side}", collection)
    _carry_over(armature, made)
    for index, slot in enumerate(old_mesh.material_slots):
        material = slot.material
        mesh.data.materials.append(material.copy() if keep_original and material else material)
        mesh.material_slots[index].material = mesh.data.materials[index]
    pose_maps.mirror_weights(old_mesh, mesh)
    _copy_levels(old_mesh, mesh)
    rig.set_betas(made, rig.get_betas(armature))
    made.matrix_world = armature.matrix_world.copy()
    pose = pose_sequences.for_side(animation.read_pose(armature), side)
    animation.apply_pose(made, pose.global_orient[0], pose.hand_pose[0], pose.transl[0])
    _mirror_action(armature, made)
    if joint_limits.are_on(armature):
        joint_limits.set_limits(made, True)
    if not keep_original:
        _take_place(armature, made, old_mesh, mesh)
    bpy.context.view_layer.update()
    show_hand(made)
    return made


def _stem(armature: bpy.types.Object) -> str:
    """The hand's own name: "anna rig.001" → "anna"."""
    return armature.name.partition(" rig")[0]


def _carry_over(old: bpy.types.Object, new: bpy.types.Object) -> None:
    """What is known of the hand, but for what building has written in mirrored form, and the photo, which shows the other
    hand; its light stays."""
    of_photo = {photo.PICTURE, photo.SIZE, photo.INTRINSICS, photo.WORLD_TO_CAMERA}
    for key in old.keys():  # noqa: SIM118  an object is no dict
        if key.startswith("palm_") and key not in new and key not in of_photo:
            value = old[key]
            new[key] = value.to_list() if hasattr(value, "to_list") else value
    new[avatar.BONES] = [bone.name for bone in rig.joint_bones(new)]


def _copy_levels(old: bpy.types.Object, new: bpy.types.Object) -> None:
    for modifier in old.modifiers:
        twin = new.modifiers.get(modifier.name)
        if modifier.type == "SUBSURF" and twin is not None and twin.type == "SUBSURF":
            twin.levels, twin.render_levels = modifier.levels, modifier.render_levels


_FLIPPED = {"rotation_quaternion": (2, 3), "rotation_euler": (1, 2), "location": (0,)}
"""Components that change sign: with mirrored bone axes a bone's own rotation R becomes M R M, too."""


def _mirror_action(old: bpy.types.Object, new: bpy.types.Object) -> None:
    held = animation.action_of(old)
    if held is None:
        return
    action = held.copy()
    compat.use_action(new, action)
    names = {f'["{a.name}"]': f'["{b.name}"]' for a, b in zip(rig.joint_bones(old), rig.joint_bones(new), strict=True)}
    for curve in compat.action_curves(action):
        bone, _, channel = curve.data_path.partition("].")
        own = next((name for name in names if f"{bone}]".endswith(name)), None)
        if own is None:
            continue
        curve.data_path = curve.data_path.replace(own, names[own])
        if curve.array_index in _FLIPPED.get(channel, ()):
            _negate(curve)
    take_record.forget(action)


def _negate(curve: bpy.types.FCurve) -> None:
    for field in ("co", "handle_left", "handle_right"):
        points = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
        curve.keyframe_points.foreach_get(field, points)
        points[1::2] *= -1
        curve.keyframe_points.foreach_set(field, points)
    curve.update()


def _take_place(
    old: bpy.types.Object, new: bpy.types.Object, old_mesh: bpy.types.Object, new_mesh: bpy.types.Object
) -> None:
    if old.parent is not None:
        new.parent, new.parent_type, new.parent_bone = old.parent, old.parent_type, old.parent_bone
        new.matrix_parent_inverse = old.matrix_parent_inverse.copy()
        new.matrix_basis = old.matrix_basis.copy()
    names = [(new, old.name), (new.data, old.data.name), (new_mesh, old_mesh.name), (new_mesh.data, old_mesh.data.name)]
    for child in old.children:
        if child != old_mesh:
            child.parent = new
    delete(old)
    for block, name in names:
        block.name = name


def density_of(armature: bpy.types.Object) -> int:
    """Vertices of the hand's mesh before modifiers."""
    return len(rig.hand_mesh(armature).data.vertices)


def set_density(armature: bpy.types.Object, density: str) -> int:
    """Make the mesh itself finer or coarser, its skinning, shape keys and correctives with it.

    density: one of DENSITIES. A coarser mesh forgets what the vertices between held; finer ones are interpolated. Returns the
    number of vertices. Raises InputError for a mesh that has no coarser version inside.
    """
    leave_modes()
    source = hand_reading.read_mesh(armature)
    wanted, before = np.log(VERTICES[density]), len(source.vertices)
    # a quarter or four times as many is one step; whatever is nearer than half a step stays
    while np.log(len(source.vertices)) - wanted > np.log(2):
        source = hand_geometry.coarser(source)
    while wanted - np.log(len(source.vertices)) > np.log(2):
        source = hand_geometry.finer(source)
    if len(source.vertices) != before:
        hand_reading.replace_mesh(armature, source)
    return len(source.vertices)


def delete(armature: bpy.types.Object) -> int:
    """Remove a hand and whatever only it used: mesh, keys, drivers, action, skin, textures, its photo's camera, and the
    collection that was made for it where nothing else is in it.

    Data that others use, or that has a fake user, stays. A scene that is seen as the hand's photo was gets its view from
    before back. Returns how many data-blocks were removed.
    """
    leave_modes()
    camera = match_view.photo_camera(armature)
    for scene in bpy.data.scenes:
        if camera is not None and scene.camera == camera and match_view.is_matched(scene):
            match_view.restore_view(scene)
    try:
        mesh = rig.hand_mesh(armature)
    except InputError:
        mesh = None
    objects = [item for item in (mesh, camera, armature) if item is not None]
    collections = {collection for item in objects for collection in item.users_collection}
    materials = [slot.material for slot in mesh.material_slots if slot.material] if mesh else []
    trees = [material.node_tree for material in materials if material.node_tree]
    nodes = [node for tree in trees for node in tree.nodes]
    nodes += [inner for node in nodes if node.type == "GROUP" and node.node_tree for inner in node.node_tree.nodes]
    images = {node.image for node in nodes if node.type == "TEX_IMAGE" and node.image}
    images |= {armature[key] for key in (photo.LIGHT, photo.PICTURE) if isinstance(armature.get(key), bpy.types.Image)}
    groups = {node.node_tree for node in nodes if node.type == "GROUP" and node.node_tree}
    actions = {item.animation_data.action for item in objects if item.animation_data and item.animation_data.action}
    data = [item.data for item in objects]
    removed = len(objects)
    bpy.data.batch_remove(objects)
    for blocks in (data, materials, groups, images, actions):
        unused = list({block for block in blocks if _is_unused(block)})
        removed += len(unused)
        bpy.data.batch_remove(unused)
    for collection in collections:
        if avatar.OWN_COLLECTION in collection and not collection.objects and not collection.children:
            bpy.data.collections.remove(collection)
            removed += 1
    return removed


def _is_unused(block: bpy.types.ID) -> bool:
    """Whether nothing holds a data-block. Blender 4.2 counts the node group of a copied material twice: who uses it decides."""
    if isinstance(block, bpy.types.NodeTree) and not block.use_fake_user:
        return not bpy.data.user_map(subset={block})[block]
    return bool(block.users == 0)
