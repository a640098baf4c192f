"""One hand into other programs: glTF, FBX, USD and Alembic through Blender's exporters, with settings that keep its deformation.

Each exporter loses a driven hand in its own way when a setting or the hand is not as it expects; `preflight` names what would
be lost. The file appears under its name only when it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import bpy

from ..engine.errors import InputError, OutputError
from ..engine.files import atomic_file
from . import animate, animation, avatar_tools, compat, export_keys, export_skin, pose_maps, rig
from .console import quiet_blender


class Format(NamedTuple):
    """A kind of file."""

    label: str
    suffixes: tuple[str, ...]
    keeps: str
    """What arrives, in words."""


FORMATS = {
    "GLTF": Format("glTF", (".glb",), "skeleton, weights, correctives and animation as morph targets, textures"),
    "FBX": Format("FBX", (".fbx",), "skeleton, weights, correctives and animation, textures; no live sliders"),
    "USD": Format(
        "USD", (".usdz", ".usdc", ".usda"), "skeleton, weights, correctives as blend shapes, animation, textures"
    ),
    "ALEMBIC": Format("Alembic", (".abc",), "the moving surface alone: no skeleton, no skin"),
}


PACKED_USD = ".usdz"
"""Holds its own textures; Blender writes those of .usdc and .usda into one folder beside all files, over each other."""


@dataclass(frozen=True)
class ExportSettings:
    """What goes into the file."""

    format: str = "GLTF"
    animation: bool = True
    """All frames of the hand's action, or of the scene where it has none; else the pose that is shown, as one frame."""
    textures: bool = True


class Exported(NamedTuple):
    """What was written."""

    path: Path
    bytes: int
    frames: tuple[int, int]
    notes: tuple[str, ...]


def preflight(armature: bpy.types.Object, settings: ExportSettings) -> tuple[list[str], list[str]]:
    """(what must be mended before this hand can be exported, what the user should know)."""
    problems: list[str] = []
    notes: list[str] = []
    try:
        mesh = rig.hand_mesh(armature)
    except InputError as error:
        bound = (item for item in bpy.data.objects if item.type == "MESH" and item.find_armature() == armature)
        stray = next(bound, None)
        if stray is None:
            return [str(error)], []
        return [f"{stray.name} is no direct child of {armature.name}: parent it to the armature (Object)"], []
    keys = mesh.data.shape_keys
    muted = [key.name for key in keys.key_blocks if key.mute] if keys else []
    if keys is None:
        problems.append(f"{mesh.name} has lost its shape keys: import the avatar again")
    if muted:
        problems.append(f"{len(muted)} shape keys are muted ({muted[0]}): unmute them, or all correctives stay behind")
    drivers = keys.animation_data.drivers if keys and keys.animation_data else []
    broken = [curve.data_path for curve in drivers if curve.mute or not curve.driver.is_valid]
    if broken:
        problems.append(f"{len(broken)} drivers of shape keys are muted or broken: import the avatar again")
    if mesh.parent_type != "OBJECT":
        problems.append(f"{mesh.name} is no direct child of {armature.name}: parent it to the armature (Object)")
    if not any(modifier.type == "ARMATURE" and modifier.show_viewport for modifier in mesh.modifiers):
        problems.append(f"{mesh.name}'s Armature modifier is off: switch it on")
    extra = [modifier.name for modifier in mesh.modifiers if modifier.type not in ("ARMATURE", "SUBSURF")]
    if extra and settings.format != "ALEMBIC":
        notes.append(f"modifiers stay behind: {', '.join(extra)}")
    most = most_influences(mesh) if settings.format == "GLTF" else 0
    if most > 4:
        notes.append(f"up to {most} bones move a vertex: programs that read only 4 bend the skin a little otherwise")
    if (
        settings.format != "ALEMBIC"
        and settings.textures
        and any(slot.material is not None and pose_maps.follow_pose(slot.material) for slot in mesh.material_slots)
    ):
        notes.append("maps that change with the pose stay behind: the skin looks as in the mean pose")
    if any(abs(scale - 1) > 1e-4 for scale in armature.matrix_world.to_scale()):
        notes.append("the armature is scaled: apply its scale, or lengths differ in other programs")
    return problems, notes


def most_influences(mesh: bpy.types.Object) -> int:
    """The greatest number of bones that move one vertex."""
    return max((sum(element.weight > 0 for element in vertex.groups) for vertex in mesh.data.vertices), default=0)


def export(armature: bpy.types.Object, path: Path, settings: ExportSettings, scene: bpy.types.Scene) -> Exported:
    """Write the hand alone to a file of the settings' format.

    Selection, frame, materials and frame range are put back. Raises InputError for what `preflight` refuses, OutputError.
    """
    path = Path(path)
    if settings.format not in FORMATS:
        raise InputError(f"format {settings.format!r} is unknown: choose one of {', '.join(FORMATS)}")
    kind = FORMATS[settings.format]
    if path.suffix.lower() not in kind.suffixes:
        raise OutputError(f"{path.name}: {kind.label} is written as {' or '.join(kind.suffixes)}; give such a name")
    if settings.format == "USD" and settings.textures and path.suffix.lower() != PACKED_USD:
        raise InputError(
            f"{path.name}: textures go into {PACKED_USD} alone, others share a folder; give such a name, or leave them out"
        )
    problems, notes = preflight(armature, settings)
    if problems:
        raise InputError(problems[0])
    if settings.format == "ALEMBIC":
        notes.append("Alembic holds the moving surface alone: no skeleton, no skin")
    frames = frame_range(armature, scene) if settings.animation else (scene.frame_current, scene.frame_current)
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic_file(path))
        stack.enter_context(_alone(armature))
        stack.enter_context(_pose_kept(armature, scene))
        stack.enter_context(_framed(scene, frames))
        if not settings.animation or not _is_animated(armature):
            stack.enter_context(_pose_as_action(armature, scene))
        if settings.format != "ALEMBIC":
            stack.enter_context(export_keys.positive_keys(armature))
            stack.enter_context(export_skin.plain_skin(rig.hand_mesh(armature), settings.textures))
        temporary.unlink()
        _run(_WRITERS[settings.format], temporary, settings, frames, kind.label)
    return Exported(path, path.stat().st_size, frames, tuple(notes))


def frame_range(armature: bpy.types.Object, scene: bpy.types.Scene) -> tuple[int, int]:
    """First and last whole frame of the hand's action; the scene's where it has none."""
    action = animation.action_of(armature)
    if action is None:
        return scene.frame_start, scene.frame_end
    frames = animate.key_frames(action)
    return int(frames[0] // 1), int(-(-frames[-1] // 1))


def _run(
    writer: Callable[..., set[str]], path: Path, settings: ExportSettings, frames: tuple[int, int], label: str
) -> None:
    try:
        with quiet_blender(errors=True):
            done = writer(str(path.absolute()), settings, frames)
    except (RuntimeError, TypeError) as error:
        line = str(error).strip().splitlines()[-1] if str(error).strip() else "no reason given"
        raise OutputError(f"Blender's {label} exporter failed ({line}): see its console output") from error
    if "FINISHED" not in done or not path.is_file() or path.stat().st_size == 0:
        raise OutputError(f"Blender's {label} exporter wrote nothing: check the disk and that the exporter is enabled")


def _write_gltf(path: str, settings: ExportSettings, frames: tuple[int, int]) -> set[str]:
    return _call(
        bpy.ops.export_scene.gltf,
        filepath=path, export_format="GLB", use_selection=True, export_yup=True, export_apply=False,
        # fewer than all influences would move the skin; the pose is kept by sampling what drivers give
        export_skins=True, export_all_influences=True, export_morph=True, export_morph_normal=False,
        export_morph_animation=True, export_try_sparse_sk=True, export_rest_position_armature=True,
        export_animations=True, export_animation_mode="ACTIVE_ACTIONS", export_force_sampling=True,
        export_frame_range=True, export_optimize_animation_size=False, export_current_frame=False,
        export_nla_strips_merged_animation_name="hand", export_def_bones=False, export_cameras=False,
        export_lights=False, export_materials="EXPORT" if settings.textures else "NONE", export_extras=False,
    )  # fmt: skip


def _write_fbx(path: str, settings: ExportSettings, frames: tuple[int, int]) -> set[str]:
    return _call(
        bpy.ops.export_scene.fbx,
        filepath=path, use_selection=True, object_types={"ARMATURE", "MESH"}, add_leaf_bones=False,
        use_mesh_modifiers=False, bake_anim=True, bake_anim_simplify_factor=0.0,
        bake_anim_use_all_actions=False, bake_anim_use_nla_strips=False, bake_anim_force_startend_keying=True,
        primary_bone_axis="Y", secondary_bone_axis="X", apply_scale_options="FBX_SCALE_UNITS",
        path_mode="COPY" if settings.textures else "AUTO", embed_textures=settings.textures, mesh_smooth_type="OFF",
        use_custom_props=False,
    )  # fmt: skip


def _write_usd(path: str, settings: ExportSettings, frames: tuple[int, int]) -> set[str]:
    return _call(
        bpy.ops.wm.usd_export,
        filepath=path, selected_objects_only=True, export_animation=True, export_armatures=True,
        export_shapekeys=True, only_deform_bones=False, export_materials=settings.textures,
        export_textures=settings.textures, export_textures_mode="NEW" if settings.textures else "KEEP",
        generate_preview_surface=True, export_uvmaps=True, export_normals=True, export_subdivision="IGNORE",
        export_cameras=False, export_lights=False, convert_world_material=False, evaluation_mode="VIEWPORT",
    )  # fmt: skip


def _write_alembic(path: str, settings: ExportSettings, frames: tuple[int, int]) -> set[str]:
    return _call(
        bpy.ops.wm.alembic_export,
        filepath=path, selected=True, start=frames[0], end=frames[1], uvs=True, normals=True, face_sets=True,
        apply_subdiv=False, as_background_job=False, evaluation_mode="VIEWPORT",
    )  # fmt: skip


_WRITERS = {"GLTF": _write_gltf, "FBX": _write_fbx, "USD": _write_usd, "ALEMBIC": _write_alembic}


def _call(operator: Callable[..., set[str]], **wanted: object) -> set[str]:
    """Call an exporter with those of the settings that this version of it has."""
    known = operator.get_rna_type().properties.keys()
    return operator(**{name: value for name, value in wanted.items() if name in known})


@contextmanager
def _alone(armature: bpy.types.Object) -> Iterator[None]:
    """Only this hand selected and visible; as it was afterwards."""
    layer = bpy.context.view_layer
    active, selected = layer.objects.active, [item for item in layer.objects if item.select_get()]
    mesh = rig.hand_mesh(armature)
    hidden = [(item, item.hide_viewport, item.hide_get()) for item in (armature, mesh)]
    avatar_tools.leave_modes()
    try:
        for item in (armature, mesh):
            item.hide_viewport = False
            item.hide_set(False)
        for item in layer.objects:
            item.select_set(item in (armature, mesh))
        layer.objects.active = armature
        yield
    finally:
        for item, off, eye in hidden:
            item.hide_viewport = off
            item.hide_set(eye)
        for item in layer.objects:
            item.select_set(item in selected)
        layer.objects.active = active


@contextmanager
def _framed(scene: bpy.types.Scene, frames: tuple[int, int]) -> Iterator[None]:
    """The scene's range on these frames, which exporters take from it; as it was afterwards."""
    before = scene.frame_start, scene.frame_end
    scene.frame_start, scene.frame_end = frames
    try:
        yield
    finally:
        scene.frame_start, scene.frame_end = before


def _is_animated(armature: bpy.types.Object) -> bool:
    return animation.action_of(armature) is not None


@contextmanager
def _pose_as_action(armature: bpy.types.Object, scene: bpy.types.Scene) -> Iterator[None]:
    """The pose that is shown as an action with one key, which every format can carry; the hand's own action afterwards."""
    own = animation.action_of(armature)
    shown = animation.read_pose(armature)
    action = animation.add_action(armature, shown, "pose", scene.frame_current, keep_earlier=False)
    try:
        yield
    finally:
        if own is not None:
            compat.use_action(armature, own)
        else:
            armature.animation_data_clear()
        bpy.data.actions.remove(action)


@contextmanager
def _pose_kept(armature: bpy.types.Object, scene: bpy.types.Scene) -> Iterator[None]:
    """The frame and the bones' channels as they were afterwards, also where a pose was not keyed: exporters play the scene."""
    frame = scene.frame_current, scene.frame_subframe
    names = ("location", "rotation_quaternion", "rotation_euler", "rotation_axis_angle", "scale", "rotation_mode")
    held = [(bone.name, {name: _copied(getattr(bone, name)) for name in names}) for bone in armature.pose.bones]
    try:
        yield
    finally:
        scene.frame_set(frame[0], subframe=frame[1])
        for bone, channels in held:
            for name, value in channels.items():
                setattr(armature.pose.bones[bone], name, value)
        bpy.context.view_layer.update()


def _copied(value: object) -> object:
    return value if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
