"""Every operator on hands, as a script calls it, without a window; run by worker.py."""

from __future__ import annotations

import importlib
import json
import logging
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from export_jobs import leave_safely
from hand_tool_jobs import counts
from palm_hands.engine.avatar.folder import read_avatar
from palm_hands.engine.errors import PalmError
from palm_hands.engine.hand.pose_files import load_pose_file
from palm_hands.palm_blender import animation, avatar, avatar_tools, compat, registration, rig, scene
from rig_jobs import deformed

OWN = ("avatar", "pose", "animate", "export")
"""The operator modules that this job goes through."""


class Layout:
    """Stands where Blender's layout would, and takes whatever a panel asks of it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.operators: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("texts", "operators"):
            object.__setattr__(self, name, value)

    def __call__(self, *arguments: Any, **named: Any) -> Layout:
        return self

    def panel(self, *arguments: Any, **named: Any) -> tuple[Layout, Layout]:
        return self, self

    def label(self, text: str = "", **named: Any) -> None:
        self.texts.append(text)

    def prop(self, owner: Any, name: str, **named: Any) -> None:
        # what a real layout would look up
        owner.path_resolve(name)

    def operator(self, name: str, **named: Any) -> Layout:
        self.operators.append(name)
        return self


def all_operators(right: str, left: str, poses: str, work: str) -> dict:
    """Call each operator in a sensible order, with undo pushed around them; what they returned, by name."""
    import palm_hands

    folder = Path(work)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    palm_hands.register()
    try:
        facts = _refusals_without_a_hand()
        facts["done"] = _each(right, left, poses, folder)
        facts |= _undo(right)
    finally:
        palm_hands.unregister()
    return leave_safely(facts)


def _names() -> list[str]:
    """The operators of the modules in question."""
    package = registration.__name__.rpartition(".")[0]
    modules = [importlib.import_module(f"{package}.operators.{name}") for name in OWN]
    return [item.bl_idname for module in modules for item in module.CLASSES if issubclass(item, bpy.types.Operator)]


def _operator(name: str) -> Any:
    return getattr(bpy.ops.palm, name.removeprefix("palm."))


def _refusals_without_a_hand() -> dict:
    """Without a hand each operator that needs one refuses by its poll, in words, and panels still draw."""
    refused = {}
    for name in _names():
        if not _operator(name).poll():
            try:
                _operator(name)()
            except RuntimeError as error:
                refused[name] = str(error).strip().splitlines()[-1]
    return {"names": _names(), "refused": refused, "drawn_without": _draw_panels()}


def _draw_panels() -> dict[str, list[str]]:
    drawn = {}
    for name in ("PALM_PT_hand", "PALM_PT_pose", "PALM_PT_animate", "PALM_PT_export"):
        layout = Layout()

        class Drawn:
            pass

        panel = Drawn()
        panel.layout = layout
        getattr(bpy.types, name).draw(panel, bpy.context)
        drawn[name] = layout.texts
    return drawn


def _each(right: str, left: str, poses: str, folder: Path) -> dict[str, list[str]]:
    palm, done = bpy.ops.palm, {}

    def run(name: str, **arguments: Any) -> None:
        done[f"palm.{name}"] = sorted(getattr(palm, name)("EXEC_DEFAULT", **arguments))

    run("import_avatar", filepath=f"{right}/avatar.json")
    hand = bpy.context.object.name
    run("import_avatar", filepath=f"{left}/avatar.json")
    run("show_hand", hand=hand, alone=True)
    assert bpy.context.object.name == hand
    run("duplicate_hand")
    run("delete_hand")
    run("show_hand", hand=hand)
    run("adjust_skin", melanin=0.4, roughness=0.1)
    run("set_density", density="COARSE")
    run("fit_joints")
    run("apply_gesture", gesture="fist")
    curled = bpy.data.objects[hand].palm_fingers.index
    assert curled > 0.7, curled
    bpy.data.objects[hand].palm_fingers.index = 0.25
    assert abs(bpy.data.objects[hand].palm_fingers.index - 0.25) < 1e-5
    run("limit_joints", on=True)
    run("mirror_pose", wrist=True)
    run("copy_pose")
    run("reset_pose")
    run("paste_pose", block=f"{hand} MANO")
    assert abs(bpy.data.objects[hand].palm_fingers.index - 0.25) < 1e-3
    run("limit_joints", on=False)
    run("add_pose_assets")
    run("install_pose_library", folder=str(folder / "library"))
    libraries = len(bpy.context.preferences.filepaths.asset_libraries)
    run("remove_pose_library", folder=str(folder / "library"))
    assert len(bpy.context.preferences.filepaths.asset_libraries) == libraries - 1
    # a model that is not there matters only to poses that are relative to its mean
    run("import_poses", filepath=poses, start_frame=5, smoothing=0.5, mano_model="/no/such/MANO_RIGHT.pkl")
    assert "MANO_RIGHT" in _said("import_poses", filepath=poses, convention="MEAN", mano_model="/no/MANO_RIGHT.pkl")
    run("export_poses", filepath=str(folder / "out.json"))
    for kind, suffix in (("GLTF", ".glb"), ("FBX", ".fbx"), ("USD", ".usdz"), ("ALEMBIC", ".abc")):
        run("export_hand", filepath=str(folder / f"hand{suffix}"), format=kind, animation=False)
        assert (folder / f"hand{suffix}").stat().st_size > 10_000
    run("mirror_hand", keep=False)
    assert rig.side_of(bpy.context.object) == "left"
    _draw_panels()
    return done


def _said(name: str, **arguments: Any) -> str:
    """The error of an operator that is to be refused."""
    try:
        getattr(bpy.ops.palm, name)("EXEC_DEFAULT", **arguments)
    except RuntimeError as error:
        return str(error)
    return ""


def _undo(avatar_folder: str) -> dict:
    """Build, undo, build, redo, with operators' undo steps: counts return to the start, and nothing stale is held."""
    scene.empty_scene()
    bpy.ops.ed.undo_push(message="start")
    start = counts()
    bpy.ops.palm.import_avatar(filepath=f"{avatar_folder}/avatar.json")
    bpy.ops.ed.undo_push(message="import")
    built = counts()
    bpy.ops.palm.mirror_hand()
    bpy.ops.ed.undo_push(message="mirror")
    mirrored = counts()
    bpy.ops.palm.delete_hand()
    bpy.ops.ed.undo_push(message="delete")
    found = [start, built, mirrored, counts()]
    bpy.ops.ed.undo()
    undone = [counts()]
    shape = deformed(rig.hand_mesh(avatar_tools.all_hands(bpy.context.scene)[0])).shape
    bpy.ops.ed.undo()
    undone.append(counts())
    bpy.ops.ed.undo()
    undone.append(counts())
    bpy.ops.palm.import_avatar(filepath=f"{avatar_folder}/avatar.json")
    bpy.ops.ed.undo_push(message="again")
    again = counts()
    bpy.ops.ed.undo()
    bpy.ops.ed.redo()
    return {"counts": found, "undone": undone, "again": again, "redone": counts(), "vertices": shape[0]}


def takes(right: str, poses: str, other: str, work: str) -> dict:
    """Sequences onto actions and back into files, in every timing."""
    from palm_hands.palm_blender import animate

    folder = Path(work)
    start = scene.empty_scene()
    start.render.fps = 30
    armature = avatar.build_hand(read_avatar(right), "hand", start).armature
    sequence = load_pose_file(poses)
    facts: dict[str, Any] = {}
    take = animate.import_take(armature, sequence, "take", start, animate.TakeSettings(start_frame=10))
    facts["take"] = [take.frames, take.last_frame, start.frame_end, list(take.notes)]
    animate.export_take(armature, folder / "back.npz", start)
    animate.export_take(armature, folder / "back.json", start)
    start.frame_set(12, subframe=0.5)
    facts["shown"] = animation.read_pose(armature).hand_pose[0].tolist()
    # one key moved by hand: its pose is written as it is now, the others with their own numbers
    bone = armature.pose.bones["index1.R"]
    bone.rotation_quaternion = (1, 0, 0, 0)
    bone.keyframe_insert("rotation_quaternion", frame=10)
    animate.export_take(armature, folder / "edited.npz", start)
    for timing in ("RESAMPLE", "FRAMES"):
        settings = animate.TakeSettings(start_frame=1, timing=timing)
        take = animate.import_take(armature, sequence, timing, start, settings)
        facts[timing] = [take.frames, take.last_frame]
        animate.export_take(armature, folder / f"{timing}.npz", start)
    # what a file keeps of the takes that were replaced
    facts["kept"] = {item.name: item.use_fake_user for item in bpy.data.actions}
    facts["said"] = list(take.notes)
    settings = animate.TakeSettings(wrist="STAY", use_betas=True)
    before = animation.read_pose(armature).transl.tolist()
    animate.import_take(armature, load_pose_file(other), "left", start, settings)
    start.frame_set(1)
    facts["stayed"] = [before, animation.read_pose(armature).transl.tolist()]
    facts["betas"] = rig.get_betas(armature).tolist()
    frames = [
        {"global_orient": o.tolist(), "hand_pose": p.tolist(), "transl": t.tolist()}
        for o, p, t in zip(sequence.global_orient[:3], sequence.hand_pose[:3], sequence.transl[:3], strict=True)
    ]
    captured = {
        "schema_version": 1,
        "handedness": "right",
        "fps": 30.0,
        "frames": [None, frames[0], frames[1], frames[2]],
    }
    (folder / "captures.json").write_text(json.dumps(captured))
    take = animate.follow_captures(armature, folder / "captures.json", start, animate.TakeSettings(), "video")
    start.frame_set(3)
    facts["followed"] = [take.action.name, take.frames, animation.read_pose(armature).hand_pose[0].tolist()]
    compat.use_action(armature, bpy.data.actions["left"])
    animate.export_take(armature, folder / "mirrored.npz", start)
    return facts


def pose_assets(right: str, left: str, work: str, out: str) -> dict:
    """Gestures as assets of the file and of a library; what applying one from the library gives, against setting it."""
    from palm_hands.palm_blender import pose_library, pose_tools

    start = scene.empty_scene()
    hands = [avatar.build_hand(read_avatar(path), name, start).armature for path, name in ((right, "r"), (left, "l"))]
    chosen = ["fist", "victory"]
    made = pose_library.add_to_file(hands[0], chosen)
    facts: dict[str, Any] = {"made": made, "again": pose_library.add_to_file(hands[0], chosen)}
    # a pose of another file, whose name nobody can change here
    other = Path(work).with_name("other.blend")
    bpy.data.libraries.write(str(other), {bpy.data.actions[made[0]]}, fake_user=True)
    with bpy.data.libraries.load(str(other), link=True) as (source, target):
        target.actions = source.actions
    before = [(action.name, action.library, action.as_pointer()) for action in bpy.data.actions]
    path = pose_library.write_library(Path(work), chosen)
    facts["refused"] = _failing_midway(pose_library)
    facts["undisturbed"] = before == [(action.name, action.library, action.as_pointer()) for action in bpy.data.actions]
    bpy.data.actions.remove(next(action for action in bpy.data.actions if action.library is not None))
    facts["files"] = sorted(item.name for item in Path(work).iterdir())
    facts["catalogues"] = (Path(work) / "blender_assets.cats.txt").read_text().splitlines()
    with bpy.data.libraries.load(str(path), link=False, assets_only=True) as (source, target):
        facts["library"] = sorted(source.actions)
        target.actions = source.actions
    library = {action.name: action for action in target.actions}
    facts["tags"] = sorted(tag.name for tag in next(iter(library.values())).asset_data.tags)
    facts["previews"] = [tuple(action.preview.image_size) if action.preview else None for action in library.values()]
    shown = {}
    for hand, side in zip(hands, ("right", "left"), strict=True):
        mesh = rig.hand_mesh(hand)
        pose_tools.apply_gesture(hand, "fist")
        shown[f"{side}_set"] = deformed(mesh)
        pose_tools.reset(hand)
        shown[f"{side}_flat"] = deformed(mesh)
        (action,) = (item for name, item in library.items() if name.startswith(f"Fist ({side})"))
        hand.pose.apply_pose_from_action(action)
        shown[f"{side}_applied"] = deformed(mesh)
    pose_tools.reset(hands[0])
    hands[0].pose.apply_pose_from_action(bpy.data.actions[made[0]])
    shown["right_own"] = deformed(rig.hand_mesh(hands[0]))
    np.savez(out, **shown)
    return facts


def _reckoned(hand: bpy.types.Object, pose_tools: Any) -> list[int]:
    """How often the joints' angles are worked out as a panel reads its sliders twice, and again after another pose."""
    counts_of_work = []
    for curl in (0.1, 0.9):
        pose_tools.set_finger_curl(hand, "ring", curl)
        before = pose_tools.angles_of_matrices.cache_info().misses
        for _ in range(2):
            read = [pose_tools.finger_curl(hand, finger) for finger in pose_tools.fingers()]
            read += [pose_tools.spread(hand), pose_tools.thumb_aside(hand)]
        counts_of_work.append(pose_tools.angles_of_matrices.cache_info().misses - before)
    started = time.perf_counter()
    for _ in range(100):
        pose_tools.finger_curl(hand, "ring")
    logging.getLogger(__name__).warning("a slider: %.3f ms", 10 * (time.perf_counter() - started))
    return counts_of_work


def _failing_midway(pose_library: Any) -> str:
    """Names of which the second is no gesture, added to the open file."""
    hand = avatar_tools.all_hands(bpy.context.scene)[0]
    try:
        pose_library.add_to_file(hand, ["point", "no such gesture"])
    except PalmError as error:
        return str(error)
    return "not refused"


def pose_sliders(right: str, left: str) -> dict:
    """Each slider reads back what was written, moves its own finger alone, and mirrors."""
    from palm_hands.palm_blender import joint_limits, pose_tools

    start = scene.empty_scene()
    facts: dict[str, Any] = {"curls": {}, "spread": {}, "aside": {}, "others": []}
    poses = {}
    for path, side in ((right, "right"), (left, "left")):
        hand = avatar.build_hand(read_avatar(path), side, start).armature
        pose_tools.reset(hand)
        for finger in pose_tools.fingers():
            before = animation.read_pose(hand).hand_pose[0].reshape(15, 3)
            facts["curls"][f"{side} {finger}"] = []
            for value in (0.7, -0.5, 0.3):
                pose_tools.set_finger_curl(hand, finger, value)
                facts["curls"][f"{side} {finger}"].append(pose_tools.finger_curl(hand, finger) - value)
            moved = np.abs(animation.read_pose(hand).hand_pose[0].reshape(15, 3) - before).max(1) > 1e-6
            own = np.zeros(15, bool)
            own[joint_limits.finger_joints(finger)] = True
            facts["others"].append(bool((moved & ~own).any()))
        for value in (0.6, -0.4):
            pose_tools.set_spread(hand, value)
            facts["spread"][f"{side} {value}"] = pose_tools.spread(hand) - value
            pose_tools.set_thumb_aside(hand, value)
            facts["aside"][f"{side} {value}"] = pose_tools.thumb_aside(hand) - value
        poses[side] = animation.read_pose(hand)
    facts["mirrored"] = float(
        np.abs(poses["right"].hand_pose.reshape(15, 3) * (1, -1, -1) - poses["left"].hand_pose.reshape(15, 3)).max()
    )
    facts["reckoned"] = _reckoned(hand, pose_tools)
    recording = start.tool_settings
    recording.use_keyframe_insert_auto = True
    pose_tools.key_if_recording(hand, start)
    facts["keyed"] = hand.animation_data.action.frame_range[0] == start.frame_current
    text = json.dumps({"hand_pose": [float("nan")] * 45})
    facts["refusals"] = [_refusal(bad) for bad in ("", "no json", "{}", "[1, 2]", text, '{"hand_pose": [[0, 0]]}')]
    return facts


def _refusal(text: str) -> str:
    from palm_hands.engine.errors import PoseFileError
    from palm_hands.palm_blender import pose_text

    try:
        pose_text.from_text(text, "the clipboard")
    except PoseFileError as error:
        return str(error)
    return "not refused"
