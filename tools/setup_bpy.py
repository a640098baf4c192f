"""Make one environment for each further Blender version that the tests run on: `.venv-bpy42`, `-bpy50`, `-bpy52`.

    .venv/bin/python tools/setup_bpy.py [42 50 52]

Idempotent. Blender 5.1 and later need Python 3.13; where that is not found, 5.2 is left out and said so. Standard
library only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass

from setup_env import ROOT, find_python


@dataclass(frozen=True)
class BlenderWheel:
    """A version of the `bpy` package and the Python that it is built for."""

    version: str
    python: str


WHEELS = {
    "42": BlenderWheel("4.2.23", "3.11"),
    "50": BlenderWheel("5.0.1", "3.11"),
    "52": BlenderWheel("5.2.3", "3.13"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=sorted(WHEELS), metavar="42|50|52")
    names = parser.parse_args().names
    unknown = sorted(set(names) - set(WHEELS))
    if unknown:
        say(f"error: unknown version {unknown[0]}: choose from {', '.join(sorted(WHEELS))}")
        return 2
    return max(0 if set_up(name, WHEELS[name]) else 2 for name in names)


def set_up(name: str, wheel: BlenderWheel) -> bool:
    """Make the environment of one version unless it is there. True unless an installation failed."""
    folder = ROOT / f".venv-bpy{name}"
    stamp = folder / ".setup-stamp"
    if stamp.is_file() and stamp.read_text() == wheel.version:
        return True
    interpreter = find_python(wheel.python)
    if interpreter is None:
        say(f"Python {wheel.python} was not found: Blender {wheel.version} is left out of the tests")
        return True
    say(f"installing Blender {wheel.version} (350 MB) into {folder.name}")
    subprocess.run([interpreter, "-m", "venv", "--clear", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", f"bpy=={wheel.version}"]
    if subprocess.run(install, check=False).returncode:
        say(f"error: Blender {wheel.version} could not be installed: check the network and run this again")
        return False
    probe = subprocess.run([str(python), "-c", "import bpy"], capture_output=True, text=True, check=False, timeout=120)
    if probe.returncode:
        say(f"error: Blender {wheel.version} does not start: {probe.stderr.strip()[-300:]}")
        return False
    stamp.write_text(wheel.version)
    return True


def say(message: str) -> None:
    print(f"[setup] {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
