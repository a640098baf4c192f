"""Data sets by the add-on's operators; run by worker.py."""

from __future__ import annotations

import bpy
from relight_jobs import refused

SMALL = {"subjects": 1, "poses": 1, "cameras": 2, "width": 48, "height": 40, "samples": 1, "device": "cpu"}


def render(out: str, dry_run: bool, whole: bool) -> dict:
    """Refusals first; then a tiny set is timed, rendered, and asked for once more."""
    from palm_hands import register, unregister
    from palm_hands.palm_blender import dataset_jobs
    from palm_hands.palm_blender.operators.dataset import absolute_settings

    bpy.ops.wm.read_factory_settings(use_empty=True)
    register()
    scene = bpy.context.scene
    settings = scene.palm_dataset
    facts: dict = {"no_folder": refused("render_dataset"), "nothing_to_open": refused("open_dataset")}
    facts["places"] = places(settings)
    settings.out = f"{out}/"
    settings.verb = "animate"
    facts["no_avatar"] = refused("render_dataset")
    settings.verb = "cohort"
    for name, value in SMALL.items():
        setattr(settings, name, value)
    settings.light, settings.light_file = "file", f"{out}/none.exr"
    facts["no_file"] = refused("render_dataset")
    settings.light = "city"
    facts["counted"] = dataset_jobs.count_in_words(settings)
    facts["command"] = dataset_jobs.command(absolute_settings(scene))[1:]
    facts["in_motion"] = in_motion(settings)
    said = bpy.context.window_manager
    if dry_run:
        facts["timed"] = sorted(bpy.ops.palm.render_dataset(dry_run=True)), said.palm_dataset_said
        settings.seed = 0  # whatever is set again, the old timing is forgotten
        facts["forgotten"] = said.palm_dataset_said == ""
    if whole:
        facts["rendered"] = sorted(bpy.ops.palm.render_dataset()), said.palm_dataset_said
        facts["again"] = sorted(bpy.ops.palm.render_dataset()), said.palm_dataset_said
        settings.seed = 7
        facts["other_set"] = refused("render_dataset")
    unregister()
    facts["left_over"] = [
        hasattr(bpy.types.Scene, "palm_dataset"),
        hasattr(bpy.types.WindowManager, "palm_dataset_said"),
    ]
    return facts


def in_motion(settings: bpy.types.PropertyGroup) -> list:
    """The kind of moving hands: its own numbers of frames and cameras, more than the ring's; avatar folders are not written."""
    from palm_hands.palm_blender import dataset_jobs
    from palm_hands.palm_blender.operators.dataset import absolute_settings

    settings.verb, settings.moments, settings.around, settings.avatars = "sequence", 3, 30, True
    words = dataset_jobs.command(absolute_settings(bpy.context.scene))
    counted = dataset_jobs.count_in_words(settings)
    settings.verb, settings.avatars = "cohort", False
    return [counted, "--sequences" in words, "--cameras=30" in words, "--frames=3" in words, "--avatars" in words]


def places(settings: bpy.types.PropertyGroup) -> dict[str, str]:
    """What becomes of folders that are not given whole; no job may be begun with them as they are."""
    from palm_hands.palm_blender.operators.dataset import absolute_settings

    settings.out = "//beside the file"
    found = {"unsaved": refused("render_dataset"), "unsaved_open": refused("open_dataset")}
    for name, given in (("relative", "my dataset/"), ("home", "~/my dataset"), ("option", "-x")):
        settings.out = given
        found[name] = absolute_settings(bpy.context.scene).out
    return found
