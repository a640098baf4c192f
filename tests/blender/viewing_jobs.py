"""Where new hands are put, and into which scene; run by worker.py."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from job_jobs import end, fake
from palm_hands import register, unregister
from palm_hands.engine.hand.cameras import project
from palm_hands.palm_blender import avatar_tools, cameras, jobs, match_view, personalize, photo, rig, viewing


def places(avatar: str, work: str) -> dict:
    """Hands imported by a script, at the 3D cursor, and once more at the same place; one of a job whose scene is no longer
    looked at, in this file and as it is opened again."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    register()
    try:
        facts = {"script": where(imported(avatar))}
        bpy.context.scene.cursor.location = (3.0, -2.0, 1.0)
        hand = imported(avatar, at_cursor=True)
        facts["cursor"] = where(hand)
        facts["beside"] = [where(imported(avatar, at_cursor=True)) for _ in range(2)]
        facts["radius"] = cameras.bounding_sphere(rig.hand_mesh(hand))[1]
        facts["off_px"] = off_px(hand)
        facts |= other_scene(avatar, Path(work))
    finally:
        unregister()
    return facts


def imported(avatar: str, **arguments: object) -> bpy.types.Object:
    bpy.ops.palm.import_avatar(filepath=f"{avatar}/avatar.json", **arguments)
    bpy.context.view_layer.update()
    return bpy.context.object


def where(hand: bpy.types.Object) -> list[float]:
    """The hand's middle."""
    return cameras.bounding_sphere(rig.hand_mesh(hand))[0].tolist()


def off_px(hand: bpy.types.Object) -> float:
    """How far joints are from where the photo shows them, seen by the photo's camera."""
    camera = match_view.match_view(bpy.context.scene, hand)
    bpy.context.view_layer.update()
    source = photo.camera_of(hand)
    joints = np.array([bone.head for bone in hand.pose.bones])
    world = np.array([hand.matrix_world @ bone.head for bone in hand.pose.bones])
    intrinsics, world_to_camera = cameras.read_camera(bpy.context.scene, camera)
    seen = project(np.stack([world[:, 0], -world[:, 2], world[:, 1]], 1), intrinsics, world_to_camera)
    match_view.restore_view(bpy.context.scene)
    return float(np.abs(seen - project(joints, source.intrinsics, source.world_to_camera)).max())


def other_scene(avatar: str, folder: Path) -> dict:
    """Jobs given in a scene of their own, which end while another one is looked at."""
    asked, looked_at = bpy.data.scenes.new("asked"), bpy.context.scene
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "two scenes.blend"))
    before = len(looked_at.objects)
    record = viewing.scene_record(asked)
    asked.name = "renamed"
    end(jobs.add(personalize.PERSONALIZE, "hand", fake("work", 2), Path(avatar), **record))
    facts = {
        "asked": len(avatar_tools.all_hands(asked)),
        "looked_at": [len(looked_at.objects) - before, bpy.context.scene == looked_at],
    }
    asked.name = "asked"
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    facts["found"] = [viewing.find_scene(record, bpy.context.scene).name]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    facts["found"].append(viewing.find_scene(record, bpy.context.scene).name)
    return facts
