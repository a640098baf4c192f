"""The extension under its true name; run by worker.py."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import bpy


def enable_import_undo_disable(repository: str, avatar: str) -> dict:
    """Enable it from a repository folder, import an avatar by its operator, undo, redo, disable."""
    import addon_utils

    bpy.ops.wm.read_factory_settings(use_empty=True)
    repositories = bpy.context.preferences.extensions.repos
    repositories.new(name="Local", module="local", custom_directory=repository, remote_url="")
    name = "bl_ext.local.palm_hands"
    assert addon_utils.enable(name, default_set=False) is not None
    package = sys.modules[name]
    facts = {
        "operator": hasattr(bpy.types, "PALM_OT_import_avatar"),
        "panel": hasattr(bpy.types, "PALM_PT_hand"),
        "same_code": sys.modules[f"{name}.palm_blender.operators.avatar"].__name__.startswith(name),
    }
    # undo needs a first state to return to
    bpy.ops.ed.undo_push(message="start")
    facts["imported"] = sorted(bpy.ops.palm.import_avatar(filepath=f"{avatar}/avatar.json"))
    # operators push no undo step when a script calls them
    bpy.ops.ed.undo_push(message="import")
    facts["active"] = bpy.context.object.type
    armature = bpy.context.object.name
    facts["objects"] = len(bpy.data.objects)
    bpy.ops.ed.undo()
    facts["after_undo"] = len(bpy.data.objects)
    bpy.ops.ed.redo()
    facts["after_redo"] = len(bpy.data.objects)
    hand = bpy.data.objects[armature]
    hand["beta_0"] = 2.0
    bpy.context.view_layer.objects.active = hand
    before = tuple(hand.data.bones[5].head_local)
    facts["fitted"] = sorted(bpy.ops.palm.fit_joints())
    facts["joint_moved"] = before != tuple(hand.data.bones[5].head_local)
    try:
        bpy.ops.palm.import_avatar(filepath=f"{avatar}/none/avatar.json")
    except RuntimeError as error:
        facts["refusal"] = str(error).strip()
    addon_utils.disable(name, default_set=False)
    facts["left_over"] = [
        item for item in ("PALM_OT_import_avatar", "PALM_OT_fit_joints", "PALM_PT_hand") if hasattr(bpy.types, item)
    ]
    assert importlib.import_module(name) is package
    return facts


def import_damaged(avatars: list, sound: str, broken_light: str) -> dict:
    """What avatars that must be refused leave in a scene, and a sound hand whose light turns out broken after it."""
    from palm_hands import register, unregister
    from palm_hands.engine.avatar.folder import read_avatar
    from palm_hands.engine.errors import InputError
    from palm_hands.palm_blender import avatar as avatars_in_blender
    from palm_hands.palm_blender import cleanup, lighting

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.world = bpy.data.worlds.new("sky")
    bpy.ops.mesh.primitive_cube_add()
    register()
    before = scene_facts()
    refusals, after = [], []
    for avatar in avatars:
        try:
            bpy.ops.palm.import_avatar(filepath=f"{avatar}/avatar.json", use_light=True)
        except RuntimeError as error:
            refusals.append(str(error).strip())
        after.append(scene_facts())
    try:
        with cleanup.whole_or_nothing():
            avatars_in_blender.build_hand(read_avatar(sound), "hand", bpy.context.scene)
            lighting.set_environment(bpy.context.scene, Path(broken_light))
    except InputError as error:
        refusals.append(str(error))
    after.append(scene_facts())
    unregister()  # Blender may crash on leaving with the operator still there
    return {"refusals": refusals, "before": before, "after": after}


def scene_facts() -> list:
    """All data-blocks, the world, the active object and the selection, by name."""
    blocks = sorted(f"{type(block).__name__} {block.name}" for block in bpy.data.user_map())
    selected = sorted(item.name for item in bpy.context.selected_objects)
    return [blocks, bpy.context.scene.world.name, bpy.context.object.name, selected]


def stored_provenance(avatar: str) -> dict:
    """The custom properties that building an avatar leaves on its armature."""
    from palm_hands.palm_blender import scene

    armature = scene.build_scene(avatar, scene.empty_scene()).hand.armature
    return {key: armature[key] for key in armature.keys() if key.startswith(("palm_method", "palm_provenance"))}  # noqa: SIM118
