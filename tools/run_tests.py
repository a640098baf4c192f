"""All tests, the engine's beside Blender's: each half leaves a core idle for most of its time.

python tools/run_tests.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--durations=15")


def main() -> int:
    """0 when both halves passed. Blender's half is shown as it runs, the engine's when it has ended."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        engine = subprocess.Popen([*PYTEST, "tests/engine"], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        try:
            blender = subprocess.run([*PYTEST, "tests/blender"], cwd=ROOT, check=False).returncode
            status = engine.wait()
        finally:
            engine.kill()
        said.seek(0)
        sys.stdout.write(said.read())
    return int(bool(blender or status))


if __name__ == "__main__":
    sys.exit(main())
