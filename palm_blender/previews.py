"""The running job's latest picture as an icon that a panel can show large."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

MOST_PIXELS = 300_000
"""Larger pictures, as the sheet at the end, would hold Blender up as they are decoded: 35 ms for 1.5 megapixels."""


class _Shown:
    """The one picture that is kept."""

    def __init__(self) -> None:
        self.icons: Any = bpy.utils.previews.new()
        self.number, self.source, self.count = 0, None, 0
        self.key = ""


_shown: list[_Shown] = []


def follow(number: int, source: Path | None, folder: Path) -> None:
    """Take over a job's new picture, into the job's own folder: the engine removes its own as it goes on."""
    if not _shown or source is None:
        return
    shown = _shown[-1]
    if (shown.number, shown.source) == (number, source):
        return
    shown.number, shown.source = number, source
    copy = folder / f"shown-{shown.count}{source.suffix}"
    try:
        if not 0 < png_pixels(source) <= MOST_PIXELS:
            return
        shutil.copyfile(source, copy)
    except OSError:
        # gone already: the next one comes
        return
    shown.count += 1
    shown.icons.clear()
    shown.key = f"{number}-{shown.count}"
    # read now, from a file that stays until the next
    tuple(shown.icons.load(shown.key, str(copy), "IMAGE").image_size)
    for old in folder.glob("shown-*"):
        if old != copy:
            with suppress(OSError):  # Windows holds on to what is still read; it goes with the folder
                old.unlink(missing_ok=True)


def png_pixels(path: Path) -> int:
    """Width times height by a PNG's header; 0 for what is none. Raises OSError."""
    with open(path, "rb") as stream:
        head = stream.read(24)
    if len(head) < 24 or head[:8] != b"\x89PNG\r\n\x1a\n":
        return 0
    return int.from_bytes(head[16:20], "big") * int.from_bytes(head[20:24], "big")


def icon_of(number: int) -> int:
    """The icon of a job's latest picture; 0 where there is none."""
    if not _shown or _shown[-1].number != number or not _shown[-1].key:
        return 0
    picture = _shown[-1].icons.get(_shown[-1].key)
    return picture.icon_id if picture is not None else 0


CLASSES = ()


def register() -> None:
    _shown.append(_Shown())


def unregister() -> None:
    while _shown:
        bpy.utils.previews.remove(_shown.pop().icons)
