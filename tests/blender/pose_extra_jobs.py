"""Extra correctives and pose-driven maps inside Blender; run by worker.py."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from export_jobs import leave_safely
from hand_tool_jobs import counts
from palm_hands.engine.hand.pose_files import PoseSequence, load_pose_file
from palm_hands.palm_blender import (
    avatar_tools,
    correctives,
    export_hand,
    pose_maps,
    pose_sequences,
    render,
    rig,
    scene,
)
from rig_jobs import deformed, duplicate_by_operator, only_armature, pose


def shown(armature: bpy.types.Object, poses: PoseSequence) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [T,V,3] and maps' weights [T,K] at each pose, as Blender evaluates them."""
    mesh = rig.hand_mesh(armature)
    points, weights = [], []
    for index in range(len(poses)):
        pose(armature, poses, index)
        points.append(deformed(mesh))
        weights.append(pose_maps.weights_of(mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())))
    return np.stack(points), np.array(weights)


def complex_weights(mesh: bpy.types.Object) -> list[str]:
    curves = mesh.animation_data.drivers
    return [c.data_path for c in curves if not (c.driver.is_simple_expression and c.driver.is_valid)]


def life(avatar: str, poses: str, work: str, out: str) -> dict:
    """The hand at every pose: built, reopened without scripts, copied by hand, mirrored, made finer, exported; then deleted."""
    sequence = load_pose_file(poses)
    before = counts()
    built = scene.build_scene(avatar, scene.empty_scene())
    result = {}
    result["built"], result["built_weights"] = shown(built.hand.armature, sequence)
    facts: dict = {
        "complex": correctives.complex_drivers(built.hand.mesh) + complex_weights(built.hand.mesh),
        "keys": len(built.hand.mesh.data.shape_keys.key_blocks),
    }
    scene.save_scene(Path(work) / "hand.blend")
    bpy.ops.wm.open_mainfile(filepath=str(Path(work) / "hand.blend"), use_scripts=False)
    armature = only_armature()
    result["reopened"], result["reopened_weights"] = shown(armature, sequence)
    facts["autoexec_fail"] = bpy.app.autoexec_fail

    copy = duplicate_by_operator(armature)
    pose(armature, sequence, 0)
    result["copied"], result["copied_weights"] = shown(copy, sequence)
    avatar_tools.delete(copy)

    side = {"right": "left", "left": "right"}[rig.side_of(armature)]
    twin = avatar_tools.mirror(armature)
    result["mirrored"], result["mirrored_weights"] = shown(twin, pose_sequences.for_side(sequence, side))
    facts["mirrored_follows"] = pose_maps.follow_pose(rig.hand_mesh(twin).data.materials[0])
    avatar_tools.delete(twin)

    avatar_tools.set_density(armature, "FINE")
    result["finer"], result["finer_weights"] = shown(armature, sequence)
    np.savez(out, **result)
    avatar_tools.set_density(armature, "MEDIUM")
    settings = export_hand.ExportSettings(animation=False)
    written = export_hand.export(armature, Path(work) / "hand.glb", settings, bpy.context.scene)
    facts["notes"] = list(written.notes)
    pictures = [image.name for image in bpy.data.images if image.name.startswith(("normal_", "albedo_"))]
    avatar_tools.delete(armature)
    left = [name for name in pictures if name in bpy.data.images]
    facts |= {"pictures": len(pictures), "left": left, "groups": len(bpy.data.node_groups), "before": before}
    return leave_safely(facts)


def albedo_and_normal(avatar: str, poses: str) -> dict:
    """Mean linear albedo and world normals over the hand at each pose, from Cycles' own passes, a few samples each."""
    sequence = load_pose_file(poses)
    built = scene.build_scene(avatar, scene.empty_scene())
    current = bpy.context.scene
    render.use_cycles(current, 4, denoise=False)
    current.render.resolution_x, current.render.resolution_y, current.render.resolution_percentage = 96, 120, 100
    material = built.hand.material
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    output = next(node for node in material.node_tree.nodes if node.type == "OUTPUT_MATERIAL")
    emission = material.node_tree.nodes.new("ShaderNodeEmission")
    found: dict[str, list] = {}
    for name, source in (
        ("albedo", shader.inputs["Base Color"].links[0].from_socket),
        ("normal", shader.inputs["Normal"].links[0].from_node.inputs["Color"].links[0].from_socket),
    ):
        material.node_tree.links.new(source, emission.inputs["Color"])
        material.node_tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
        found[name] = []
        for index in range(len(sequence)):
            pose(built.hand.armature, sequence, index)
            path = Path(avatar).with_name(f"{name}{index}.exr")
            render.render_image(current, path)
            found[name].append(mean_inside(path))
    return found


def mean_inside(path: Path) -> list[float]:
    """Mean linear colour where the picture is covered."""
    image = bpy.data.images.load(str(path))
    pixels = np.empty(4 * image.size[0] * image.size[1], dtype=np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(-1, 4)
    inside = pixels[:, 3] > 0.999
    return [float(value) for value in pixels[inside, :3].mean(0)]
