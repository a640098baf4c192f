"""A hand through Blender's exporters and back into an empty file; run by worker.py."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import bpy
import numpy as np
from palm_hands.engine.errors import PalmError
from palm_hands.engine.hand.pose_files import load_pose_file
from palm_hands.palm_blender import animate, export_hand, pose_tools, scene, skin_tone
from worker import MARKER

SUFFIX = {"GLTF": ".glb", "FBX": ".fbx", "USD": ".usdz", "ALEMBIC": ".abc"}


def in_world(mesh: bpy.types.Object) -> np.ndarray:
    """Evaluated vertices [V,3], metres, in the world."""
    bpy.context.view_layer.update()
    evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    data = evaluated.to_mesh()
    points = np.empty(3 * len(data.vertices), dtype=np.float32)
    data.vertices.foreach_get("co", points)
    matrix = np.array(evaluated.matrix_world)
    evaluated.to_mesh_clear()
    return points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def played(mesh: bpy.types.Object, frames: range) -> np.ndarray:
    """Vertices [T,V,3] in the world at these frames."""
    shown = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        shown.append(in_world(mesh))
    return np.stack(shown)


def read_back(path: Path) -> None:
    """Import a file into an empty Blender."""
    scene.empty_scene()
    # importers may bring another frame rate; seconds must mean the same frames
    bpy.context.scene.render.fps = 24
    suffix = path.suffix
    if suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(path))
    elif suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(path), automatic_bone_orientation=False)
    elif suffix == ".abc":
        bpy.ops.wm.alembic_import(filepath=str(path), as_background_job=False, always_add_cache_reader=True)
    else:
        bpy.ops.wm.usd_import(filepath=str(path))


def round_trip(avatar: str, poses: str, work: str, formats: list, count: int, textures: bool = True) -> dict:
    """Poses as frames, exported and read back in each format; vertices go into NAME.npz in `work`.

    count: poses; 1 exports the pose that is shown, without the hand's animation.
    """
    facts: dict[str, dict] = {}
    for name in formats:
        built = scene.build_scene(avatar, scene.empty_scene())
        armature, mesh = built.hand.armature, built.hand.mesh
        bpy.context.scene.render.fps = 24
        sequence = load_pose_file(poses)
        animate.import_take(armature, sequence, "take", bpy.context.scene, animate.TakeSettings(start_frame=0))
        frames = range(count)
        original = played(mesh, frames)
        bpy.context.scene.frame_set(3)
        # a pose that is not keyed, which playing the scene would lose
        pose_tools.set_finger_curl(armature, "index", 0.5)
        if count == 1:
            original = in_world(mesh)[None]
        before, pose = facts_of_scene(mesh), in_world(mesh)
        path = Path(work) / f"hand é{SUFFIX[name]}"
        settings = export_hand.ExportSettings(name, animation=count > 1, textures=textures)
        written = export_hand.export(armature, path, settings, bpy.context.scene)
        undisturbed = before == facts_of_scene(mesh) and bool(np.array_equal(pose, in_world(mesh)))
        left = sorted(item.name for item in Path(work).iterdir() if item.name.startswith("."))
        read_back(path)
        meshes = [item for item in bpy.data.objects if item.type == "MESH" and len(item.data.vertices) > 1000]
        first = bpy.context.scene.frame_start
        again = max(meshes, key=lambda item: len(item.data.vertices))
        # Blender's FBX importer puts the first frame on frame 1
        at = 3 if count == 1 else 1 if name == "FBX" else 0
        shown = played(again, range(at, at + count))
        np.savez(Path(work) / f"{name}.npz", original=original, back=shown)
        keys = again.data.shape_keys
        skins = [image.name for image in bpy.data.images if image.size[0] > 0]
        facts[name] = {
            "bytes": written.bytes, "frames": written.frames, "notes": list(written.notes),
            "undisturbed": undisturbed, "left": left, "meshes": len(meshes), "first": first,
            "keys": len(keys.key_blocks) if keys else 0,
            "extra_keys": sum("extra" in key.name for key in keys.key_blocks) if keys else 0,
            "bones": sum(len(item.data.bones) for item in bpy.data.objects if item.type == "ARMATURE"),
            "images": len(skins), "materials": [material.name for material in again.data.materials if material],
        }  # fmt: skip
    return leave_safely(facts)


def leave_safely(facts: dict) -> dict:
    """What a job returns. The `bpy` module of 4.2 crashes as its process ends, once its glTF exporter has run: there the
    result is printed as worker.py prints it, and the process left at once."""
    if bpy.app.version[:2] == (4, 2):
        sys.stdout.write(f"\n{MARKER}{json.dumps(facts)}\n")
        sys.stdout.flush()
        os._exit(0)
    return facts


def facts_of_scene(mesh: bpy.types.Object) -> list:
    """What an export must leave as it was."""
    current = bpy.context.scene
    blocks = sorted(f"{type(block).__name__} {block.name}" for block in bpy.data.user_map())
    active = bpy.context.view_layer.objects.active
    selected = sorted(item.name for item in bpy.context.view_layer.objects if item.select_get())
    return [
        blocks, current.frame_start, current.frame_end, current.frame_current, active.name if active else "", selected,
        mesh.material_slots[0].material.name,
    ]  # fmt: skip


def two_skins(avatars: list, work: str) -> dict:
    """Two hands into one folder as USD: each wears its own skin, and nothing but the files is there."""
    folder, facts = Path(work), {}
    for index, path in enumerate(avatars):
        built = scene.build_scene(path, scene.empty_scene())
        armature = built.hand.armature
        skin_tone.set_tone(skin_tone.skin_of(armature), skin_tone.SkinTone(lightness=0.8 * index))
        settings = export_hand.ExportSettings("USD", animation=False)
        try:
            export_hand.export(armature, folder / f"hand{index}.usdc", settings, bpy.context.scene)
        except PalmError as error:
            facts["refused"] = str(error)
        export_hand.export(armature, folder / f"hand{index}.usdz", settings, bpy.context.scene)
        plain = export_hand.ExportSettings("USD", animation=False, textures=False)
        export_hand.export(armature, folder / f"hand{index}.usda", plain, bpy.context.scene)
    facts["files"] = sorted(item.name for item in folder.iterdir())
    facts["means"] = []
    for index in range(len(avatars)):
        read_back(folder / f"hand{index}.usdz")
        image = next(item for item in bpy.data.images if "albedo" in item.name)
        facts["means"].append(float(np.mean(image.pixels[:])))
    return facts


def refusals(avatar: str, work: str) -> dict:
    """Hands that an exporter would lose something of without a word, and names that it cannot use."""
    built = scene.build_scene(avatar, scene.empty_scene())
    armature, mesh = built.hand.armature, built.hand.mesh
    settings = export_hand.ExportSettings("GLTF", animation=False)
    good = Path(work) / "hand.glb"
    good.write_bytes(b"what was there")

    def refused(path: Path, chosen: export_hand.ExportSettings = settings) -> str:
        try:
            export_hand.export(armature, path, chosen, bpy.context.scene)
        except PalmError as error:
            return str(error)
        return "not refused"

    found = {"suffix": refused(Path(work) / "hand.png"), "folder": refused(Path(work) / "none" / "hand.glb")}
    key = mesh.data.shape_keys.key_blocks[20]
    key.mute = True
    found["muted"] = refused(good)
    key.mute = False
    other = bpy.data.objects.new("between", None)
    bpy.context.scene.collection.objects.link(other)
    other.parent, mesh.parent = armature, other
    found["parent"] = refused(good)
    mesh.parent = armature
    found["kept"] = good.read_bytes().decode()
    skin_tone.set_tone(skin_tone.skin_of(armature), skin_tone.SkinTone(melanin=0.5, roughness=0.1))
    found["then"] = refused(good)
    found["bytes"] = good.stat().st_size
    found["left"] = sorted(item.name for item in Path(work).iterdir())
    return found
