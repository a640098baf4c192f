"""Videos followed by a stand-in for the engine, through the operators and the panel; run by worker.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bpy
from job_jobs import FAKE, end, tick_until
from operator_jobs import Layout
from palm_hands import register, unregister
from palm_hands.palm_blender import animation, jobs
from palm_hands.palm_blender.panels import job_list
from relight_jobs import refused


def follow(avatar: str, work: str) -> dict:
    """One video to its end while its hand gets another name and another scene is looked at; then one that fails, and one
    that is cancelled. What the panel shows of each."""
    folder, facts = Path(work), {}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    os.environ.pop("PALM_HANDS_PYTHON", None)
    register()
    try:
        bpy.ops.palm.import_avatar(filepath=f"{avatar}/avatar.json")
        hand = bpy.context.object
        facts["no_engine"] = refused("follow_video", filepath=video(folder, "wave"))
        os.environ["PALM_HANDS_PYTHON"] = str(stand_in(folder))
        facts["no_video"] = refused("follow_video", filepath=str(folder / "none.mp4"))
        facts["begun"] = sorted(bpy.ops.palm.follow_video(filepath=video(folder, "wave"), start_frame=3))
        job = jobs.session().queue.running
        facts["running"] = panel()
        hand.name = "another name"
        scene, other = bpy.context.scene, bpy.data.scenes.new("other")
        bpy.context.window.scene = other
        end(job)
        facts["done"] = [job.state, job.message, list(animation.action_of(hand).frame_range), other.frame_end]
        bpy.context.window.scene = scene
        facts["undisturbed"] = scene.frame_end
        for name in ("bad", "long"):
            bpy.ops.palm.follow_video(filepath=video(folder, name))
            job = jobs.session().queue.running
            if name == "long":
                tick_until(lambda job=job: job.message.startswith("doing"))
                bpy.ops.palm.cancel_job(number=job.number)
            end(job)
            jobs.tick()
            facts[name] = [job.state, *panel()]
        facts["actions"] = len(bpy.data.actions)
    finally:
        unregister()
    return facts


def video(folder: Path, name: str) -> str:
    path = folder / f"{name} é.mp4"
    path.touch()
    return str(path)


def stand_in(folder: Path) -> Path:
    """A program that is called as the engine's Python is."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" follow "$@"\n')
    path.chmod(0o755)
    return path


def panel() -> list[list[str]]:
    """Texts and operators of the Animate panel as it is drawn now."""
    layout = Layout()
    # without a window there is no width to wrap lines to
    job_list.line_length = lambda: 200

    class Drawn:
        pass

    drawn = Drawn()
    drawn.layout = layout
    bpy.types.PALM_PT_animate.draw(drawn, bpy.context)
    return [layout.texts, layout.operators]
