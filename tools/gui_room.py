"""A folder that holds a small Debian with Blender and an X server, and commands run inside it.

Each command gets mounts of its own (Linux mount namespaces): they vanish with it, however it ends, so that nothing stays
mounted in the folder. Standard library only; needs root on Linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PACKAGES = (
    *("blender", "python3-numpy", "xvfb", "imagemagick", "fonts-dejavu-core", "ca-certificates"),
    *("libgl1", "libegl1", "libgles2", "libgl1-mesa-dri", "libglib2.0-0t64", "libsm6", "libice6", "libx11-6"),
    *("libxext6", "libxrender1", "libxxf86vm1", "libxfixes3", "libxi6", "libxkbcommon0"),
)
"""Blender, its screen and a camera for that, and what the engine's libraries load."""

ENTER = """
set -e
room=$1; shift
mount -t proc proc "$room/proc"
mount -t tmpfs tmpfs "$room/dev/shm"
while [ "$1" != -- ]; do
  mkdir -p "$room$1"
  mount --bind "$1" "$room$1"
  shift
done
shift
exec chroot "$room" "$@"
"""
"""Mounts what a program needs, and each named folder at its own path; then becomes the program."""


@dataclass(frozen=True)
class Room:
    """A Debian release with the Blender that it packages."""

    name: str
    blender: str
    """version it starts with"""
    suite: str
    packages: tuple[str, ...]
    options: tuple[str, ...] = ()
    """what this Blender's command line needs for software OpenGL"""

    @property
    def folder(self) -> Path:
        return ROOT / f".gui-blender{self.name}"

    @property
    def stamp(self) -> Path:
        """Written last: the folder is whole where it holds this room's description."""
        return self.folder / ".setup-stamp"

    def is_ready(self) -> bool:
        return self.stamp.is_file() and self.stamp.read_text(encoding="utf-8") == repr(self)


ROOMS = {
    "43": Room("43", "4.3.", "trixie", PACKAGES),
    "52": Room("52", "5.", "sid", (*PACKAGES, "python3-cattr", "python3-requests"), ("--gpu-backend", "opengl")),
}


def cannot_enter() -> str | None:
    """Why this machine or user cannot run commands in a room; None where it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "root is needed on Linux: run `sudo make test-gui`"
    missing = [name for name in ("unshare", "chroot", "mount") if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} was not found: install util-linux"
    probe = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return "mounting is forbidden here: allow it (in a container: --cap-add SYS_ADMIN)"
    return None


def enter(room: Path, command: Sequence[str], folders: Sequence[Path] = ()) -> list[str]:
    """The command line that runs `command` inside, with `folders` of the machine seen there at their own paths."""
    return [
        *("unshare", "--mount", "--propagation", "private", "--", "sh", "-c", ENTER, "enter", str(room)),
        *(str(folder.absolute()) for folder in folders),
        *("--", *command),
    ]


def inside_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables for a program inside: none of the user's own, software OpenGL, UTF-8."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        **(more or {}),
    }
