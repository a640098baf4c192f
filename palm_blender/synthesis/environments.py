"""The lights that hands are photographed in: our own capture rig, Blender's eight, files, and folders of files. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ...engine.avatar.image_headers import is_whole_image
from ...engine.errors import InputError
from .exr_files import write_rgb

RIG = "rig"
BUNDLED = ("city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset")
"""The CC0 environments that every Blender from 4.2 brings."""
LIGHT_SUFFIXES = (".exr", ".hdr")
RIG_ROWS = 256

RIG_PANELS = (
    *((math.radians(36 * k), math.radians(12)) for k in range(10)),
    *((math.radians(36 * k + 18), math.radians(48)) for k in range(10)),
    *((math.radians(36 * k + 18), math.radians(-28)) for k in range(10)),
)
"""Azimuth and elevation of the soft boxes."""


def environment_names() -> tuple[str, ...]:
    """Names that need no file."""
    return (RIG, *BUNDLED)


def candidates(name: str) -> tuple[str, ...]:
    """The environments that a name stands for: itself, or all .exr and .hdr files of a folder, sorted by name.

    Raises InputError for what is no name, no file and no folder with such files.
    """
    if name in environment_names():
        return (name,)
    path = Path(name)
    if path.is_dir():
        # hidden ones are a system's notes on files, or half a download
        found = (file for file in path.rglob("*") if not file.name.startswith("."))
        files = sorted(str(file) for file in found if file.suffix.lower() in LIGHT_SUFFIXES and file.is_file())
        if not files:
            raise InputError(f"environment folder {name} has no .exr or .hdr file: give a folder of HDRIs")
        return tuple(files)
    if not path.is_file():
        raise InputError(
            f"environment {name} is no file and no known name: give an .exr or .hdr, a folder of them, or one of "
            + ", ".join(environment_names())
        )
    return (name,)


def check_kept_names(lights: Iterable[str]) -> None:
    """Raises InputError where two lights of a set would be told apart neither by their records nor by their copies."""
    kept: dict[str, str] = {}
    for light in lights:
        name = f"{light}.exr" if light in environment_names() else Path(light).name
        if kept.setdefault(name.lower(), light) != light:
            raise InputError(f"environments {kept[name.lower()]} and {light} have the same name: rename one of them")


def rig_radiance(height: int) -> np.ndarray:
    """[H,2H,3] linear: soft boxes all round in a bright room, neutral white, as in a volume made for capture.

    Scaled so that a white sheet facing anywhere near the horizon returns about 0.9.
    """
    polar = math.pi * (np.arange(height) + 0.5) / height
    azimuth = 2 * math.pi * (0.5 - (np.arange(2 * height) + 0.5) / (2 * height))
    elevation = math.pi / 2 - polar[:, None]
    # a room whose walls return light, brighter above than below
    radiance = 0.45 + 0.25 * np.sin(elevation) + np.zeros((height, 2 * height))
    for centre, middle in RIG_PANELS:
        closeness = np.sin(elevation) * math.sin(middle) + np.cos(elevation) * math.cos(middle) * np.cos(
            azimuth - centre
        )
        angle = np.arccos(np.clip(closeness, -1, 1))
        radiance += 1.6 / (1 + np.exp((angle - math.radians(11)) / math.radians(1.5)))
    return np.repeat(radiance[..., None], 3, axis=2).astype(np.float32)


def write_rig(path: Path) -> Path:
    """The capture rig's light as an OpenEXR file, the same bytes every time."""
    write_rgb(path, rig_radiance(RIG_ROWS))
    return path


def check_light_file(path: Path) -> None:
    """Raises InputError for an .exr that is cut off or whose structure is damaged, and an .hdr that is none."""
    try:
        if path.suffix.lower() == ".hdr":
            broken = _head(path)[:2] != b"#?"
        else:
            broken = path.suffix.lower() == ".exr" and _is_scanline(path) and not is_whole_image(path)
    except OSError as error:
        raise InputError(f"environment {path} cannot be read ({error.strerror}): check its rights") from error
    if broken:
        raise InputError(f"environment {path} is damaged: download or copy it again")


def _is_scanline(path: Path) -> bool:
    head = _head(path)
    return not (head[:4] == b"\x76\x2f\x31\x01" and len(head) == 8 and head[5] & 0x1A)


def _head(path: Path) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(8)
