"""A real photo made into a hand inside Blender; run by worker.py."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import bpy
import numpy as np
from palm_hands import register, unregister
from palm_hands.palm_blender import jobs, rig
from palm_hands.palm_blender.job_queue import ENDED


def personalize_sample(photo: str, folder: str, method: str) -> dict:
    """A real photo through the operators, as a script does it: the hand stands in the scene, and a tick stays short.

    The photo is deleted while the engine works; the file is opened where neither avatar nor photo is, without the add-on.
    """
    facts: dict = {}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/scène.blend")
    register()
    try:
        bpy.ops.ed.undo_push(message="start")
        done = bpy.ops.palm.personalize(filepath=photo, method=method, quality="draft", wait=False)
        job = jobs.session().queue.running
        heard, slowest, wall, before = [], 0.0, 0.0, resident_mb()
        memory = before
        previews_seen = 0
        while job.state not in ENDED:
            # other programs share the machine: what is ours is the processor's time of this thread
            started, ours = time.perf_counter(), time.thread_time()
            jobs.tick()
            took, ours = time.perf_counter() - started, time.thread_time() - ours
            if job.state not in ENDED:
                slowest, wall = max(slowest, ours), max(wall, took)
                memory = max(memory, resident_mb())
            heard.append(job.fraction)
            if job.fraction > 0.3:
                Path(photo).unlink(missing_ok=True)
            previews_seen = max(previews_seen, len(list(job.folder.glob("shown-*"))))
            time.sleep(0.02)
        facts |= {"begun": sorted(done), "state": job.state, "message": job.message, "slowest_ms": 1000 * slowest}
        facts |= {"adding_ms": 1000 * took, "slowest_wall_ms": 1000 * wall, "grown_mb": memory - before}
        facts["steps"], facts["rising"] = len(set(heard)), heard == sorted(heard)
        facts["previews"] = previews_seen
        facts["objects"] = sorted(item.type for item in bpy.data.objects)
        facts["beside"] = sorted(item.name for item in Path(folder).iterdir())
        bpy.ops.ed.undo()
        facts["after_undo"] = len(bpy.data.objects)
        bpy.ops.ed.redo()
        bpy.ops.wm.save_mainfile()
    finally:
        unregister()
    facts["elsewhere"] = opened_elsewhere(Path(folder))
    return facts


def opened_elsewhere(folder: Path) -> dict:
    """What a saved scene holds on a machine that has nothing but the file."""
    elsewhere = folder / "another machine"
    elsewhere.mkdir()
    scene = shutil.copy(folder / "scène.blend", elsewhere)
    for beside in folder.glob("*.palmhand"):
        shutil.rmtree(beside)
    bpy.ops.wm.open_mainfile(filepath=str(scene))
    hand = next(item for item in bpy.data.objects if item.type == "ARMATURE")
    skin = next(item for item in bpy.data.objects if item.type == "MESH")
    at_rest = drawn_vertices(skin)
    rig.joint_bones(hand)[2].rotation_quaternion = (0.9, 0.0, 0.0, 0.435)
    bpy.context.view_layer.update()
    return {
        "pictures": sorted((min(item.size), item.packed_file is not None) for item in bpy.data.images if item.users),
        "bends_mm": 1000 * float(abs(drawn_vertices(skin) - at_rest).max()),
    }


def drawn_vertices(skin: bpy.types.Object) -> np.ndarray:
    """[V,3] vertices as they are drawn."""
    mesh = skin.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", vertices)
    return vertices.reshape(-1, 3)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
