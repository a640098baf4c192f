"""Headless Blender: an avatar folder becomes a scene or a render; data sets of labelled hands.

    python build.py scene NAME.palmhand -o scene.blend
    python build.py render NAME.palmhand -o out.png [--pose FILE] [--frame N] [--env NAME|FILE] [--camera turntable]
    python build.py cohort --subjects N --out DIR
    python build.py cohort --sequences --frames T --cameras M --out DIR
    python build.py harp-relit --train-env A --eval-env B --out DIR
    python build.py animate NAME.palmhand --poses FILE --out DIR|file.mp4
    blender -b -P build.py -- render NAME.palmhand -o out.png

`python` needs the `bpy` package (`make setup`); the last line is for Blender itself and does the others too.
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
    arguments = own_arguments(sys.argv)
    if arguments[:1] == ["_worker"]:  # started by our own data-set renderer
        return importlib.import_module(f"{PACKAGE}.palm_blender.synthesis.worker").main(Path(arguments[1]))
    commands = importlib.import_module(f"{PACKAGE}.palm_blender.commands")
    return commands.main(
        arguments,
        report=lambda label, value: say(sys.stdout, f"{label:>8}: {value}"),
        complain=lambda line: say(sys.stderr, line),
        stream=sys.stdout,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith(PACKAGE):
            say(sys.stderr, f"error: {error.name} is missing: run `make setup`, then `.venv/bin/python build.py …`")
            raise SystemExit(2) from error
        # `blender -P` would print this and still exit 0
        traceback.print_exception(error)
        raise SystemExit(1) from error
