"""What is done to whole hands, inside Blender; run by worker.py."""

from __future__ import annotations

import bpy
import numpy as np
from palm_hands.engine.avatar.folder import read_avatar
from palm_hands.engine.hand.pose_files import PoseSequence, load_pose_file
from palm_hands.palm_blender import (
    animate,
    animation,
    avatar_tools,
    joint_limits,
    match_view,
    pose_sequences,
    rig,
    scene,
    skin_tone,
)
from palm_hands.palm_blender import avatar as avatars_in_blender
from rig_jobs import deformed, pose, posed


def counts() -> dict[str, int]:
    """How many data-blocks there are of each kind that a hand is made of."""
    kinds = (
        "objects",
        "armatures",
        "meshes",
        "materials",
        "images",
        "actions",
        "collections",
        "shape_keys",
        "node_groups",
    )
    return {kind: len(getattr(bpy.data, kind)) for kind in kinds}


def mirror(avatar: str, poses: str, betas: list, out: str) -> dict:
    """A hand and its mirror image in mirrored poses; in place of itself, twice, it is the hand it was."""
    sequence = load_pose_file(poses)
    armature = scene.build_scene(avatar, scene.empty_scene()).hand.armature
    rig.set_betas(armature, np.array(betas))
    side = rig.side_of(armature)
    original = posed(armature, sequence)
    animate.import_take(armature, sequence, "take", bpy.context.scene, animate.TakeSettings(start_frame=1))
    twin = avatar_tools.mirror(armature)
    other = rig.side_of(twin)
    bpy.context.scene.frame_set(2)
    played = [deformed(rig.hand_mesh(item)) for item in (armature, twin)]
    twin.animation_data_clear()
    mirrored = posed(twin, pose_sequences.for_side(replace_side(sequence, side), other))
    facts = {
        "sides": [side, other],
        "twin": twin.name,
        "betas": rig.get_betas(twin).tolist(),
        "bones": [bone.name for bone in twin.data.bones],
        "images_shared": images_of(armature) == images_of(twin),
        "outward": [outward_share(rig.hand_mesh(item)) for item in (armature, twin)],
        "uv_kept": uv_by_place(armature, 1.0) == uv_by_place(twin, -1.0),
    }
    avatar_tools.delete(twin)
    armature.animation_data_clear()
    before, name = counts(), armature.name
    once = avatar_tools.mirror(armature, keep_original=False)
    facts["name_kept"] = once.name == name
    back = avatar_tools.mirror(once, keep_original=False)
    facts["counts"] = [before, counts()]
    np.savez(out, original=original, mirrored=mirrored, back=posed(back, sequence), played=np.stack(played))
    return facts


def replace_side(poses: PoseSequence, side: str) -> PoseSequence:
    return PoseSequence(poses.global_orient, poses.hand_pose, poses.transl, poses.betas, side, poses.fps)


def images_of(armature: bpy.types.Object) -> list[str]:
    material = rig.hand_mesh(armature).data.materials[0]
    return sorted(node.image.name for node in material.node_tree.nodes if node.type == "TEX_IMAGE")


def outward_share(mesh: bpy.types.Object) -> float:
    """The mesh's signed volume in cubic metres: positive where faces look outward."""
    points = np.array([vertex.co for vertex in mesh.data.vertices])
    faces = np.array([tuple(polygon.vertices) for polygon in mesh.data.polygons])
    a, b, c = (points[faces[:, k]] for k in range(3))
    return float(np.einsum("fc,fc->", a, np.cross(b, c)) / 6)


def uv_by_place(armature: bpy.types.Object, sign: float) -> list:
    """Texture coordinates with the place of their corner, sorted, so that meshes wound otherwise compare."""
    data = rig.hand_mesh(armature).data
    rows = [
        (*(round(float(v), 5) for v in (sign * co[0], co[1], co[2])), *(round(float(v), 5) for v in uv.vector))
        for co, uv in zip(
            (data.vertices[loop.vertex_index].co for loop in data.loops), data.uv_layers[0].uv, strict=True
        )
    ]
    return sorted(rows)[::37]


def densities(avatar: str, poses: str, out: str) -> dict:
    """The hand made coarser, then finer than it was; at every pose."""
    sequence = load_pose_file(poses)
    armature = scene.build_scene(avatar, scene.empty_scene()).hand.armature
    result, facts = {"MEDIUM": posed(armature, sequence)}, {"vertices": [avatar_tools.density_of(armature)]}
    before = counts()
    for density in ("COARSE", "MEDIUM", "FINE"):
        facts["vertices"].append(avatar_tools.set_density(armature, density))
        result[f"then_{density}"] = posed(armature, sequence)
        mesh = rig.hand_mesh(armature)
        facts[f"{density}_drivers"] = len(mesh.data.shape_keys.animation_data.drivers)
        facts[f"{density}_materials"] = [material.name for material in mesh.data.materials]
        facts[f"{density}_volume"] = outward_share(mesh)
    try:
        avatar_tools.set_density(armature, "COARSE")
        avatar_tools.hand_geometry.coarser(avatar_tools.hand_reading.read_mesh(armature))
    except avatar_tools.InputError as error:
        facts["refusal"] = str(error)
    facts["counts"] = [before, counts()]
    np.savez(out, **result)
    return facts


def two_hands(right: str, left: str, poses: str, out: str) -> dict:
    """Two hands and a copy: each keeps its own pose, skin and shape; deleting one leaves the others and no data."""
    sequence = load_pose_file(poses)
    start = scene.empty_scene()
    first = avatars_in_blender.build_hand(read_avatar(right), "first", start).armature
    shelf = bpy.data.collections.new("the user's")
    start.collection.children.link(shelf)
    one = counts()
    second = avatars_in_blender.build_hand(read_avatar(left), "second", start).armature
    two = counts()
    pose(first, sequence, 0)
    pose(second, sequence, 1)
    before = [deformed(rig.hand_mesh(item)) for item in (first, second)]
    copy = avatar_tools.duplicate(first)
    rig.set_betas(copy, np.full(10, 1.5))
    pose(copy, sequence, 2)
    skin_tone.set_tone(skin_tone.skin_of(copy), skin_tone.SkinTone(melanin=0.8))
    facts = {
        "hands": [item.name for item in avatar_tools.all_hands(start)],
        "skins": len({rig.hand_mesh(item).data.materials[0].name for item in (first, second, copy)}),
        "first_tone": skin_tone.tone_of(skin_tone.skin_of(first)).melanin,
    }
    after = [deformed(rig.hand_mesh(item)) for item in (first, second)]
    avatar_tools.show_hand(second, alone=True)
    facts["active"] = bpy.context.view_layer.objects.active == second
    facts["hidden"] = [item.hide_get() for item in (first, copy, second)]
    avatar_tools.show_hand(first)
    facts["shown"] = not first.hide_get() and not rig.hand_mesh(first).hide_get() and first.select_get()
    avatar_tools.delete(copy)
    facts["after_copy"] = [two, counts()]
    for item in (second, rig.hand_mesh(second)):
        shelf.objects.link(item)
    before_view = start.render.resolution_x, start.camera
    match_view.match_view(start, second)
    avatar_tools.delete(second)
    facts["after_second"] = [one, counts()]
    facts["view"] = [
        before_view == (start.render.resolution_x, start.camera), match_view.is_matched(start), len(bpy.data.cameras),
        [item.name for item in bpy.data.collections], [item.name for item in bpy.data.images if "photo" in item.name],
    ]  # fmt: skip
    pose(first, sequence, 0)
    after.append(deformed(rig.hand_mesh(first)))
    np.savez(
        out, first=before[0], second=before[1], after_first=after[0], after_second=after[1], last=after[2]
    )  # fmt: skip
    return facts


def limits(avatar: str, poses: str, wild: str, out: str) -> dict:
    """Limits leave poses within the joints' ranges alone, stop others, and the skin follows what they leave."""
    inside, outside = load_pose_file(poses), load_pose_file(wild)
    armature = scene.build_scene(avatar, scene.empty_scene()).hand.armature
    mesh = rig.hand_mesh(armature)
    free = posed(armature, inside)
    joint_limits.set_limits(armature, True)
    limited = posed(armature, inside)
    stopped, shown = [], []
    for index in range(len(outside)):
        pose(armature, outside, index)
        stopped.append(deformed(mesh))
        shown.append(animation.read_pose(armature, as_shown=True))
    facts = {"on": joint_limits.are_on(armature), "constraints": sum(len(b.constraints) for b in armature.pose.bones)}
    joint_limits.set_limits(armature, True)
    facts["twice"] = sum(len(bone.constraints) for bone in armature.pose.bones)
    joint_limits.set_limits(armature, False)
    facts["off"] = [joint_limits.are_on(armature), sum(len(bone.constraints) for bone in armature.pose.bones)]
    np.savez(
        out, free=free, limited=limited, stopped=np.stack(stopped),
        hand_pose=np.concatenate([p.hand_pose for p in shown]),
        global_orient=np.concatenate([p.global_orient for p in shown]),
        transl=np.concatenate([p.transl for p in shown]),
    )  # fmt: skip
    return facts
