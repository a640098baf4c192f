"""Numbered pictures to an H.264 video, by the encoder that Blender brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bpy

from ...engine.errors import InputError, OutputError
from ...engine.files import atomic_file
from .. import compat
from ..console import quiet_blender
from ..render import use_photo_colours


def encode(pictures: Sequence[Path], fps: float, path: Path) -> None:
    """Write `path` (.mp4) from pictures of one size, even in width and height, shown at `fps` a second.

    Raises InputError for no pictures, OutputError where the encoder or the disk fails; nothing half-written stays.
    """
    if not pictures:
        raise InputError(f"{path} would have no pictures: give a pose file with frames")
    if not bpy.app.build_options.codec_ffmpeg:
        raise OutputError(f"this Blender cannot write {path.name}: give a folder as --out and encode its images")
    scene = bpy.data.scenes.new("video")
    try:
        width, height = _fill(scene, pictures)
        if width % 2 or height % 2:
            raise InputError(f"pictures of {width}x{height} cannot be a video: give an even width and height")
        render = scene.render
        render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
        render.fps, render.fps_base = max(1, round(fps)), max(1, round(fps)) / fps
        scene.frame_start, scene.frame_end = 1, len(pictures)
        render.use_sequencer, render.use_compositing, render.dither_intensity = True, False, 0.0
        use_photo_colours(scene)
        compat.set_video_output(render)
        _write(scene, path)
    finally:
        bpy.data.scenes.remove(scene)


def _fill(scene: bpy.types.Scene, pictures: Sequence[Path]) -> tuple[int, int]:
    """Lay the pictures into the scene's sequencer; their width and height."""
    editor = scene.sequence_editor_create()
    scene.sequencer_colorspace_settings.name = "sRGB"
    strips = compat.sequencer_strips(editor)
    strip = strips.new_image("pictures", str(pictures[0].absolute()), 1, 1)
    for picture in pictures[1:]:
        strip.elements.append(str(picture.absolute().relative_to(pictures[0].absolute().parent)))
    image = bpy.data.images.load(str(pictures[0].absolute()))
    size = (int(image.size[0]), int(image.size[1]))
    bpy.data.images.remove(image)
    return size


def _write(scene: bpy.types.Scene, path: Path) -> None:
    with atomic_file(path) as temporary:
        scene.render.filepath, scene.render.use_file_extension = str(temporary.absolute()), False
        try:
            with quiet_blender():
                bpy.ops.render.render(animation=True, scene=scene.name)
        except RuntimeError as error:
            raise OutputError(f"Blender could not encode {path} ({error}): check the disk's free space") from error
        if temporary.stat().st_size == 0:
            raise OutputError(f"Blender wrote nothing to {path}: check the disk's free space")
