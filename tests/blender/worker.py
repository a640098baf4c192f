"""Runs one function of a *_jobs.py in a Blender of its own: `python worker.py MODULE.FUNCTION '{"argument": …}'`.

Prints the function's result as JSON behind a marker. torch and its like are blocked: Blender has none of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARKER = "@@result@@"
BLOCKED = ("torch", "cv2", "mediapipe", "scipy", "PIL", "warp", "trimesh", "smplx", "OpenEXR")


class Blocker:
    """An import finder that refuses what Blender's Python does not have."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} must not be imported inside Blender")


def main() -> None:
    sys.meta_path.insert(0, Blocker())
    # only what the jobs name is importable: not the repository's folders as top-level packages
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here / "synthesis")]
    spec = importlib.util.spec_from_file_location("build", ROOT / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    build.load_package()
    module, _, function = sys.argv[1].rpartition(".")
    result = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    assert not any(name in sys.modules for name in BLOCKED)
    assert "engine" not in sys.modules
    sys.stdout.write(f"\n{MARKER}{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
