"""Headless Blender: an avatar folder becomes a scene or a render.

    python build.py scene NAME.palmhand -o scene.blend
    python build.py render NAME.palmhand -o out.png [--pose FILE] [--frame N] [--env NAME|FILE] [--camera turntable]
    blender -b -P build.py -- render NAME.palmhand -o out.png

The first two need the `bpy` package (`make setup`), the third Blender itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TextIO

ROOT = Path(__file__).resolve().parent
PACKAGE = "palm_hands"


def load_package(name: str = PACKAGE) -> ModuleType:
    """This folder as the Python package `name`, as Blender loads it under its extension name.

    Inside it all imports are relative, so that the code is the same under any name.
    """
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        package = importlib.util.module_from_spec(spec)
        sys.modules[name] = package
        spec.loader.exec_module(package)
    return sys.modules[name]


def own_arguments(argv: list[str]) -> list[str]:
    """What follows `--` where Blender is the program, else everything after the script's name."""
    return argv[argv.index("--") + 1 :] if "--" in argv else argv[1:]


def say(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def main() -> int:
    load_package()
    commands = importlib.import_module(f"{PACKAGE}.palm_blender.commands")
    return commands.main(
        own_arguments(sys.argv),
        report=lambda label, value: say(sys.stdout, f"{label:>8}: {value}"),
        complain=lambda line: say(sys.stderr, line),
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        # `blender -P` would print this and still exit 0
        traceback.print_exception(error)
        raise SystemExit(1) from error
