"""What differs between Blender 4.2 and 5.2, in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

VERSION: tuple[int, int, int] = tuple(bpy.app.version)  # type: ignore[assignment]


def enable_nodes(owner: bpy.types.Material | bpy.types.World) -> bpy.types.NodeTree:
    """The node tree of a material or world, made where it must be asked for (always there from 5.0)."""
    if VERSION < (5, 0, 0):
        owner.use_nodes = True
    return owner.node_tree


def new_action(name: str, owner: bpy.types.ID) -> tuple[bpy.types.Action, Any]:
    """A new action assigned to `owner`, and the collection that its curves are made in with `.new(path, index=i)`.

    From 4.4 an action has slots, and one that is merely assigned may animate nothing: the slot is set explicitly.
    """
    action, curves = loose_action(name, owner.name, owner.id_type)
    animation = owner.animation_data or owner.animation_data_create()
    animation.action = action
    if VERSION >= (4, 4, 0):
        animation.action_slot = action.slots[0]
    return action, curves


def loose_action(
    name: str, slot_name: str, kind: str = "OBJECT", data: bpy.types.BlendData | None = None
) -> tuple[bpy.types.Action, Any]:
    """A new action of nobody yet, such as a pose asset, and the collection that its curves are made in.

    kind: of the data-block that it will animate. data: where it is made, the open file by default.
    """
    action = (data or bpy.data).actions.new(name)
    if VERSION < (4, 4, 0):
        return action, action.fcurves
    slot = action.slots.new(id_type=kind, name=slot_name)
    strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
    return action, strip.channelbag(slot, ensure=True).fcurves


def set_png_output(settings: bpy.types.ImageFormatSettings, alpha: bool, depth: int = 8) -> None:
    """PNG output; from 5.0 the kind of medium comes before the format."""
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format = "PNG"
    settings.color_mode = "RGBA" if alpha else "RGB"
    settings.color_depth = str(depth)
    settings.compression = 15


def set_exr_output(settings: bpy.types.ImageFormatSettings, alpha: bool) -> None:
    """Linear half-float OpenEXR."""
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format = "OPEN_EXR"
    settings.color_mode = "RGBA" if alpha else "RGB"
    settings.color_depth = "16"


def set_multilayer_output(settings: bpy.types.ImageFormatSettings) -> None:
    """All passes in one uncompressed OpenEXR of 32-bit floats."""
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"
    settings.exr_codec, settings.color_depth = "NONE", "32"
    if hasattr(settings, "use_exr_interleave"):
        # else later versions give each pass a part of its own
        settings.use_exr_interleave = True


def set_video_output(render: bpy.types.RenderSettings) -> None:
    """H.264 in an .mp4, near to lossless, without sound."""
    if hasattr(render.image_settings, "media_type"):
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.image_settings.color_mode = "RGB"
    ffmpeg = render.ffmpeg
    ffmpeg.format, ffmpeg.codec, ffmpeg.audio_codec = "MPEG4", "H264", "NONE"
    ffmpeg.constant_rate_factor, ffmpeg.ffmpeg_preset, ffmpeg.gopsize = "PERC_LOSSLESS", "GOOD", 12


def sequencer_strips(editor: bpy.types.SequenceEditor) -> Any:
    """The video editor's strips, made in it with `.new_image(…)`; called sequences before 4.4."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def add_aov(layer: bpy.types.ViewLayer, name: str, kind: str) -> None:
    """A pass of the material's own. kind: COLOR or VALUE."""
    aov = layer.aovs.add()
    aov.name, aov.type = name, kind


def studio_lights() -> Path:
    """The folder of the eight CC0 environments that Blender brings."""
    return Path(bpy.utils.system_resource("DATAFILES", path="studiolights/world"))


def action_curves(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    """All curves of an action, of whatever slot; from 4.4 they lie in layers, strips and channel bags."""
    if VERSION < (4, 4, 0):
        return list(action.fcurves)
    bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
    return [curve for bag in bags for curve in bag.fcurves]


def use_action(owner: bpy.types.ID, action: bpy.types.Action) -> None:
    """Animate `owner` by an action that stands already; from 4.4 by the slot that suits it, which is else left open."""
    animation = owner.animation_data or owner.animation_data_create()
    animation.action = action
    if VERSION >= (4, 4, 0) and animation.action_slot is None and len(animation.action_suitable_slots):
        animation.action_slot = animation.action_suitable_slots[0]
