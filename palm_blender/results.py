"""Where avatars go, and the photo that they are made from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bpy

from ..engine.errors import InputError, OutputError
from . import paths
from .job_queue import free_name
from .preferences import preferences, user_folder

SUFFIX = ".palmhand"
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


def output_folder() -> Path:
    """The preferences' folder, else the saved Blender file's, else the add-on's own; the first that can be written in.

    Raises OutputError where none can.
    """
    chosen = preferences().output_folder
    places = [paths.absolute(chosen)] if chosen else []
    places += [Path(bpy.data.filepath).parent] if bpy.data.filepath and not chosen else []
    places += [] if chosen else [user_folder() / "avatars"]
    for place in places:
        if can_write(place):
            return place
    raise OutputError(f"cannot write in {places[0]}: choose a folder for results in the add-on's preferences")


def can_write(folder: Path) -> bool:
    """Whether a file can be made there; the folder is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def avatar_path(photo: Path, taken: Sequence[Path]) -> Path:
    """A new avatar's folder, named after its photo; never one that exists or that another job will write."""
    return free_name(output_folder(), photo.stem, SUFFIX, taken)


def photo_file(path: str) -> Path:
    """A photo on the disk as the user named it. Raises InputError."""
    if not path.strip():
        raise InputError("no photo is chosen: choose one, or drop it onto the 3D view")
    photo = paths.absolute(path)
    if not photo.is_file():
        raise InputError(f"{photo} does not exist: choose the photo again")
    return photo


def photo_of_image(name: str, folder: Path) -> Path:
    """An image of this Blender file as a file: its own where that is up to date, else a PNG in `folder`. Raises InputError."""
    image = bpy.data.images.get(name)
    if image is None:
        raise InputError(f'this Blender file has no image "{name}": choose one')
    source = Path(bpy.path.abspath(image.filepath, library=image.library))
    on_disk = image.source == "FILE" and image.packed_file is None and not image.is_dirty
    if (
        on_disk
        and image.filepath
        and source.suffix.lower() in PHOTO_SUFFIXES
        and source.is_absolute()
        and source.is_file()
    ):
        return source
    if image.source not in ("FILE", "GENERATED") or not (image.has_data or image.packed_file or image.pixels):
        raise InputError(f'the image "{name}" is no still picture: choose another')
    stem = os.path.splitext(image.name)[0] or "image"
    if image.packed_file is not None and not image.is_dirty and source.suffix.lower() in PHOTO_SUFFIXES:
        target = free_name(folder, stem, source.suffix.lower())
        target.write_bytes(image.packed_file.data)
        return target
    return _saved_png(image, free_name(folder, stem, ".png"))


def _saved_png(image: bpy.types.Image, target: Path) -> Path:
    """As its pixels are now, by way of a copy: saving would tie the user's image to the new file."""
    width, height = image.size
    if not width or not height:
        raise InputError(f'the image "{image.name}" has no pixels: choose another')
    copy = bpy.data.images.new("palm photo", width, height, alpha=image.channels == 4)
    try:
        import numpy as np

        from .synthesis.display import srgb_encoded

        pixels = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(pixels)
        given = pixels.reshape(-1, image.channels)
        grid = np.ones((width * height, 4), np.float32)
        grid[:, :3] = given[:, : 3 if image.channels >= 3 else 1]
        if image.channels == 4:
            grid[:, 3] = given[:, 3]
        if image.is_float:
            # Blender keeps these linear, and a photo's numbers are not; what is no number becomes black
            grid[:, :3] = srgb_encoded(np.nan_to_num(grid[:, :3]))
        copy.pixels.foreach_set(grid.ravel())
        copy.filepath_raw, copy.file_format = str(target), "PNG"
        copy.save()
    except RuntimeError as error:
        raise InputError(
            f'the image "{image.name}" cannot be saved ({error}): save it yourself and choose the file'
        ) from error
    finally:
        bpy.data.images.remove(copy)
    return target
