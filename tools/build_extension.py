"""Build the zip that users install in Blender, and let Blender's own tool validate it.

    .venv/bin/python tools/build_extension.py [--out build] [--blender /path/to/blender]

The tool comes with the `bpy` package of the environment, or is that of the Blender given. Standard library only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder for the zip (default: build)")
    parser.add_argument("--blender", help="a Blender whose own command builds it, 4.2 or later")
    args = parser.parse_args()
    tool = [args.blender, "--factory-startup", "--command", "extension"] if args.blender else module_tool()
    if tool is None:
        say("error: the environment has no Blender: run `make setup`, or give --blender")
        return 2
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    package = args.out.absolute() / f"{manifest['id']}-{manifest['version']}.zip"
    package.parent.mkdir(parents=True, exist_ok=True)
    steps = (("build", "--source-dir", str(ROOT), "--output-filepath", str(package)), ("validate", str(package)))
    for step in steps:
        done = subprocess.run([*tool, *step], capture_output=True, text=True, check=False)
        if done.returncode:
            said = " ".join((done.stdout + done.stderr).split())[-600:]
            say(f"error: the extension does not {step[0]}: {said}")
            return 2
    say(f"{package} ({package.stat().st_size / 1e6:.1f} MB), valid")
    return 0


def module_tool() -> list[str] | None:
    """The command of Blender's packaging tool beside the `bpy` module, found without importing that."""
    places = "lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    windows = "Lib/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    found = [*Path(sys.prefix).glob(places), *Path(sys.prefix).glob(windows)]
    return [sys.executable, str(found[0])] if found else None


def say(message: str) -> None:
    print(f"[extension] {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
