"""Cycles renders: settings, device, and writing the picture whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import bpy
import numpy as np

from ..engine.errors import InputError, OutputError
from ..engine.files import atomic_file
from . import compat
from .console import quiet_blender

GPU_BACKENDS = ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")
OUTPUT_SUFFIXES = (".png", ".exr")


def use_cycles(scene: bpy.types.Scene, samples: int, seed: int = 0, denoise: bool = True) -> bool:
    """Pin what a Cycles render depends on, so that a machine repeats its pixels.

    samples ≥ 1; seed ≥ 0. Returns whether renders are denoised: some distributions build Blender without a denoiser.
    """
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.samples, cycles.seed, cycles.use_animated_seed = samples, seed % (1 << 31), False
    cycles.use_adaptive_sampling, cycles.adaptive_threshold = True, 0.01
    cycles.use_denoising = denoise and _choose_denoiser(cycles)
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 8, 4, 4
    cycles.sample_clamp_indirect = 10.0
    scene.render.use_persistent_data = False
    scene.render.use_motion_blur = False
    scene.render.use_compositing = scene.render.use_sequencer = False
    scene.render.dither_intensity = 0.0
    return cycles.use_denoising


def _choose_denoiser(cycles: bpy.types.PropertyGroup) -> bool:
    try:
        cycles.denoiser, cycles.denoising_input_passes = "OPENIMAGEDENOISE", "RGB_ALBEDO_NORMAL"
    except TypeError:
        return False
    return True


def use_photo_colours(scene: bpy.types.Scene, view_transform: str = "Standard") -> None:
    """sRGB without a film look, so that a render can be compared with the photo it came from."""
    scene.display_settings.display_device = "sRGB"
    view = scene.view_settings
    view.view_transform, view.look, view.exposure, view.gamma = view_transform, "None", 0.0, 1.0


def choose_device(scene: bpy.types.Scene, wanted: str = "auto") -> str:
    """Let Cycles render on "cpu", on "gpu", on one of GPU_BACKENDS, or on a GPU where there is one ("auto").

    Returns the device in words. Raises InputError for a GPU on a machine where Cycles finds none.
    """
    addon = bpy.context.preferences.addons.get("cycles")
    backends = GPU_BACKENDS if wanted in ("auto", "gpu") else (wanted.upper(),)
    if wanted != "cpu" and addon is not None:
        for backend in backends:
            names = _enable_gpus(addon.preferences, backend)
            if names:
                scene.cycles.device = "GPU"
                return f"{backend} ({', '.join(names)})"
    if wanted not in ("auto", "cpu"):
        kind = "" if wanted == "gpu" else f" for {wanted.upper()}"
        raise InputError(f"Cycles finds no GPU{kind} on this machine: check the driver, or use --device cpu")
    scene.cycles.device = "CPU"
    return f"CPU ({os.cpu_count() or 1} threads)"


def _enable_gpus(preferences: bpy.types.AddonPreferences, backend: str) -> list[str]:
    """Use all devices of one backend; their names, empty where Blender or the machine lacks it."""
    try:
        preferences.compute_device_type = backend
    except TypeError:
        return []
    preferences.refresh_devices()
    names = []
    for device in preferences.devices:
        device.use = device.type == backend
        if device.use:
            names.append(device.name)
    return names


def check_output_name(path: Path) -> None:
    """Raises OutputError for a picture format that is not written here."""
    if path.suffix.lower() not in OUTPUT_SUFFIXES:
        raise OutputError(f"{path.name}: renders are written as {' or '.join(OUTPUT_SUFFIXES)}; give such a name")


def render_image(scene: bpy.types.Scene, path: Path, transparent: bool = True, behind: Path | None = None) -> None:
    """Render the scene's camera at its current frame into `path` (.png in sRGB, .exr linear).

    behind: a picture to lay behind a transparent .png, stretched to its size.
    """
    check_output_name(path)
    transparent = transparent or behind is not None
    scene.render.film_transparent = transparent
    settings = scene.render.image_settings
    if path.suffix.lower() == ".exr":
        compat.set_exr_output(settings, alpha=transparent)
    else:
        compat.set_png_output(settings, alpha=transparent)
    with atomic_file(path) as temporary:
        scene.render.filepath = str(temporary.absolute())
        scene.render.use_file_extension = False
        try:
            with quiet_blender():
                bpy.ops.render.render(write_still=True, scene=scene.name)
        except RuntimeError as error:
            raise OutputError(f"Blender could not render {path} ({error}): try fewer pixels or --device cpu") from error
        finally:
            scene.render.filepath = ""
        if temporary.stat().st_size == 0:
            raise OutputError(f"Blender wrote nothing to {path}: check the disk's free space")
        if behind is not None:
            _lay_over(temporary, behind)


def _lay_over(picture: Path, behind: Path) -> None:
    """Replace an RGBA picture by itself over another one, both as displayed (sRGB values)."""
    front, back = (bpy.data.images.load(str(path.absolute())) for path in (picture, behind))
    try:
        back.scale(*front.size)
        over, under = (np.empty(len(image.pixels), dtype=np.float32) for image in (front, back))
        front.pixels.foreach_get(over)
        back.pixels.foreach_get(under)
        over, under = over.reshape(-1, 4), under.reshape(-1, 4)
        over[:, :3] = over[:, :3] * over[:, 3:] + under[:, :3] * (1 - over[:, 3:])
        over[:, 3] = 1.0
        front.pixels.foreach_set(over.ravel())
        front.save()
    finally:
        for image in (front, back):
            bpy.data.images.remove(image)
