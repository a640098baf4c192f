"""What the tests do inside Blender. Each function runs in a fresh process (worker.py) on one of the Blender versions.

Functions return JSON values; arrays go into .npz files that the test names.
"""

from __future__ import annotations

import time
from pathlib import Path

import bpy
import numpy as np
from palm_hands.engine.hand.pose_files import PoseSequence, load_pose_file
from palm_hands.palm_blender import animation, correctives, rig, scene


def deformed(mesh: bpy.types.Object) -> np.ndarray:
    """Vertices [V,3] as Blender evaluates them now, in the object's own space (MANO's rest frame)."""
    bpy.context.view_layer.update()
    evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    data = evaluated.to_mesh()
    points = np.empty(len(data.vertices) * 3, dtype=np.float32)
    data.vertices.foreach_get("co", points)
    evaluated.to_mesh_clear()
    return points.reshape(-1, 3)


def pose(armature: bpy.types.Object, poses: PoseSequence, index: int) -> None:
    animation.apply_pose(armature, poses.global_orient[index], poses.hand_pose[index], poses.transl[index])


def posed(armature: bpy.types.Object, poses: PoseSequence) -> np.ndarray:
    """Vertices [T,V,3] of the armature's mesh at each pose."""
    mesh = rig.hand_mesh(armature)
    frames = []
    for index in range(len(poses)):
        pose(armature, poses, index)
        frames.append(deformed(mesh))
    return np.stack(frames)


def only_armature() -> bpy.types.Object:
    (armature,) = (item for item in bpy.data.objects if item.type == "ARMATURE")
    return armature


def rig_through_life(avatar: str, poses: str, work: str, out: str) -> dict:
    """The hand at every pose: as built, saved and reopened, duplicated in two ways, appended to another file."""
    sequence = load_pose_file(poses)
    blend = Path(work) / "hand.blend"
    built = scene.build_scene(avatar, scene.empty_scene())
    result = {"built": posed(built.hand.armature, sequence)}
    drivers = built.hand.mesh.data.shape_keys.animation_data.drivers
    facts = {
        "drivers": len(drivers),
        "longest_expression": max(len(curve.driver.expression) for curve in drivers),
        "complex": correctives.complex_drivers(built.hand.mesh),
        "keys": len(built.hand.mesh.data.shape_keys.key_blocks),
        "bones": len(built.hand.armature.data.bones),
    }
    scene.save_scene(blend)

    bpy.ops.wm.open_mainfile(filepath=str(blend), use_scripts=False)
    result["reopened"] = posed(only_armature(), sequence)
    facts["autoexec_fail"] = bpy.app.autoexec_fail
    facts["complex_reopened"] = correctives.complex_drivers(rig.hand_mesh(only_armature()))

    # the copy and the original hold different poses at once
    original = only_armature()
    copy = rig.duplicate_hand(original)
    result["duplicated"], result["beside_duplicate"] = posed_apart(copy, original, sequence)
    result["duplicated_by_blender"], result["beside_duplicate_by_blender"] = posed_apart(
        duplicate_by_operator(original), original, sequence
    )

    scene.empty_scene()
    with bpy.data.libraries.load(str(blend), link=False) as (source, target):
        target.objects = [name for name in source.objects if name.endswith("hand")]
    for item in [*target.objects, only_armature()]:
        bpy.context.scene.collection.objects.link(item)
    result["appended"] = posed(only_armature(), sequence)
    np.savez(out, **result)
    return facts


def posed_apart(
    copy: bpy.types.Object, original: bpy.types.Object, poses: PoseSequence
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the copy through the poses, and of the original, which meanwhile takes them in reverse order."""
    meshes = rig.hand_mesh(copy), rig.hand_mesh(original)
    frames = []
    for index in range(len(poses)):
        pose(copy, poses, index)
        pose(original, poses, len(poses) - 1 - index)
        frames.append([deformed(mesh) for mesh in meshes])
    return np.stack([a for a, _ in frames]), np.stack([b for _, b in frames[::-1]])


def duplicate_by_operator(armature: bpy.types.Object) -> bpy.types.Object:
    """Shift+D on armature and mesh together, as a user does it."""
    bpy.ops.object.select_all(action="DESELECT")
    for item in (armature, rig.hand_mesh(armature)):
        item.select_set(True)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.duplicate(linked=False)
    (copy,) = (item for item in bpy.context.selected_objects if item.type == "ARMATURE")
    return copy


def reshape(avatar: str, betas: list, poses: str, out: str) -> dict:
    """Another shape by `set_betas`, at every pose; and read back."""
    sequence = load_pose_file(poses)
    built = scene.build_scene(avatar, scene.empty_scene())
    armature = built.hand.armature
    bases = rig.rest_bases(armature)
    rig.set_betas(armature, np.array(betas))
    vertices = posed(armature, sequence)
    joints = rig.rest_joints(armature)
    turned = float(np.abs(rig.rest_bases(armature) - bases).max())
    armature["beta_0"] = betas[0] + 1.0
    armature.update_tag()
    moved = float(np.abs(deformed(built.hand.mesh) - vertices[-1]).max())
    np.savez(out, vertices=vertices, joints=joints)
    return {"betas": rig.get_betas(armature).tolist(), "axes_turned": turned, "slider_moved_m": moved}


def play(avatar: str, poses: str, out: str) -> dict:
    """A sequence as an action: time to write it, vertices at some frames, frames a second of playback."""
    sequence = load_pose_file(poses)
    built = scene.build_scene(avatar, scene.empty_scene())
    started = time.perf_counter()
    animation.add_action(built.hand.armature, sequence, "take")
    wrote_s = time.perf_counter() - started
    frames = [0, len(sequence) // 2, len(sequence) - 1]
    vertices = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        vertices.append(deformed(built.hand.mesh))
    np.savez(out, vertices=np.stack(vertices), frames=frames)
    count = min(len(sequence), 240)
    started = time.perf_counter()
    for frame in range(count):
        bpy.context.scene.frame_set(frame)
        built.hand.mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.vertices[0].co  # noqa: B018
    fps = count / (time.perf_counter() - started)
    bones = rig.joint_bones(built.hand.armature)
    bpy.context.scene.frame_set(frames[1])
    read = animation.read_pose(built.hand.armature)
    return {
        "wrote_s": wrote_s,
        "fps": fps,
        "vertices": len(vertices[0]),
        "modes": sorted({bone.rotation_mode for bone in bones}),
        "read_pose": read.hand_pose[0].tolist(),
        "read_orient": read.global_orient[0].tolist(),
        "read_transl": read.transl[0].tolist(),
    }
