"""Make the folder with a windowed Blender for `make test-gui`: 4.3.2 of Debian trixie, or 5.x of sid.

    python tools/setup_gui.py [43] [52] [--required]

Idempotent: done at once when the folder is whole. Takes two to three minutes and 1.5 GB of disk the first time. Needs root
and Debian's debootstrap; where they are missing it says so and ends with 0, or with 2 where `--required` is given or
CI is set. Mirror, proxy and certificates are those that the machine's own apt uses. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from gui_room import ROOMS, Room, cannot_enter, enter, inside_environment

CARRIED = re.compile(r"Acquire::(?:\S*::)?(?:Check-|https?\b|Proxy|ForceIP|Retries)\S*", re.IGNORECASE)
"""Settings of the machine's apt that decide how packages are reached and trusted."""


class SetupError(Exception):
    """One line for the user."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["43"], metavar="43|52")
    parser.add_argument("--required", action="store_true", help="fail where the window cannot be made")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(ROOMS))
    if unknown:
        say(f"error: unknown version {unknown[0]}: choose from {', '.join(sorted(ROOMS))}")
        return 2
    required = args.required or bool(os.environ.get("CI"))
    if all(ROOMS[name].is_ready() for name in args.names):
        return 0
    reason = cannot_enter() or _without_debootstrap()
    if reason is not None:
        say(f"{'error: ' if required else ''}NO WINDOW FOR THE GUI TESTS: {reason}")
        return 2 if required else 0
    try:
        for name in args.names:
            set_up(ROOMS[name])
    except (SetupError, OSError) as error:
        say(f"error: {error}")
        return 2
    return 0


def set_up(room: Room) -> None:
    """Make one room unless it is whole: under another name, and renamed when everything in it works."""
    if room.is_ready():
        return
    begun = room.folder.with_name(f"{room.folder.name}.new")
    for folder in (begun, room.folder):
        shutil.rmtree(folder, ignore_errors=True)
    say(f"making {room.folder.name}: Debian {room.suite} with Blender (about 600 MB to download, some minutes)")
    mirror = _mirror()
    command = ["debootstrap", "--variant=minbase", room.suite, str(begun), *([mirror] if mirror else [])]
    _run(command, "the base system could not be installed", environment={**_apt_proxies(), **os.environ})
    _carry_apt_settings(begun)
    packages = " ".join(room.packages)
    script = f"apt-get -qq update && apt-get install -y -qq --no-install-recommends {packages} && apt-get clean"
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    inside = inside_environment({"DEBIAN_FRONTEND": "noninteractive", **proxies})
    _run(enter(begun, ["sh", "-c", script]), "Blender could not be installed", environment=inside)
    version = _run(enter(begun, ["blender", "--version"]), "Blender does not start", environment=inside)
    if not version.startswith(f"Blender {room.blender}"):
        raise SetupError(
            f"Debian {room.suite} has {version.splitlines()[0]}, not {room.blender}: change tools/gui_room.py"
        )
    (begun / room.stamp.name).write_text(repr(room), encoding="utf-8")
    begun.rename(room.folder)
    say(f"{version.splitlines()[0]} is ready in {room.folder.name}")


def _without_debootstrap() -> str | None:
    """Why debootstrap cannot be had; None where it is there, now at the latest."""
    if shutil.which("debootstrap") is None and shutil.which("apt-get"):
        say("installing debootstrap")
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "debootstrap"]):
            subprocess.run(command, check=False, capture_output=True)
    return None if shutil.which("debootstrap") else "debootstrap was not found: install it (Debian and Ubuntu have it)"


def _mirror() -> str | None:
    """Where the machine's apt takes Debian from; None where it is no Debian: debootstrap knows a mirror itself."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    if shutil.which("apt-get") is None:
        return None
    places = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    return next((place for place in places if place.rstrip("/").endswith("/debian")), None)


def _apt_settings() -> dict[str, str]:
    """The machine's apt settings that a room needs too, by name."""
    if shutil.which("apt-config") is None:
        return {}
    lines = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout.splitlines()
    found = (re.fullmatch(r'(\S+) "(.*)";', line) for line in lines)
    return {entry[1]: entry[2] for entry in found if entry and entry[2] and CARRIED.fullmatch(entry[1])}


def _apt_proxies() -> dict[str, str]:
    """apt's proxies as variables: debootstrap downloads with wget."""
    settings = {name.lower(): value for name, value in _apt_settings().items()}
    kinds = {f"{kind}_proxy": settings.get(f"acquire::{kind}::proxy") for kind in ("http", "https")}
    return {name: value for name, value in kinds.items() if value and value != "DIRECT"}


def _carry_apt_settings(folder: Path) -> None:
    """Let apt inside reach and trust what it does outside."""
    settings = _apt_settings()
    lines = [f'{name} "{value}";' for name, value in settings.items()]
    (folder / "etc/apt/apt.conf.d/90machine").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    files = [Path(value) for value in settings.values() if value.startswith("/")]
    for file in (*files, Path("/etc/hosts"), Path("/etc/resolv.conf")):
        if file.is_file():
            copy = folder / file.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def _run(command: list[str], trouble: str, environment: dict[str, str]) -> str:
    """What a command prints. Raises SetupError with the last line of what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise SetupError(
            f"{trouble} ({said[-1].strip() if said else done.returncode}): check network and disk, try again"
        )
    return done.stdout


def say(message: str) -> None:
    print(f"[gui] {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
