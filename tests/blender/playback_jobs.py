"""Import and playback timed inside Blender; run by worker.py."""

from __future__ import annotations

import time

import bpy
from palm_hands.engine.avatar.folder import read_avatar
from palm_hands.engine.hand.pose_sources import load_poses
from palm_hands.palm_blender import animate, avatar, scene


def import_and_play(avatar_folder: str, poses: str) -> dict:
    """Seconds to read and import a pose file, frames a second of playing it with the mesh evaluated, and what a frame
    costs in milliseconds of all threads' time, which other work on the machine hardly touches."""
    start = scene.empty_scene()
    start.render.fps = 30
    hand = avatar.build_hand(read_avatar(avatar_folder), "hand", start)
    began = time.perf_counter()
    take = animate.import_take(hand.armature, load_poses(poses), "take", start, animate.TakeSettings(smoothing=1.0))
    import_s = time.perf_counter() - began
    start.frame_set(1)
    began, cpu = time.perf_counter(), time.process_time()
    frames = range(1, take.frames + 1)
    for frame in frames:
        start.frame_set(frame)
        evaluated = hand.mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
        evaluated.data.vertices[0].co  # noqa: B018  the mesh must be there
    fps = len(frames) / (time.perf_counter() - began)
    cpu_ms = 1000 * (time.process_time() - cpu) / len(frames)
    facts = {"import_s": import_s, "fps": fps, "cpu_ms": cpu_ms, "frames": take.frames}
    return facts | {"vertices": len(evaluated.data.vertices)}
