"""What the add-on promises of a hand in Blender, measured: playback, import, and exports that come back deforming alike.

    .venv/bin/python benchmarks/addon.py [--skip-exports]

Playback is measured without a window: `frame_set` for each frame with the mesh evaluated, which is all that Blender computes
for a frame, on two threads. A window draws the mesh besides (and waits for the screen), so it shows at most that many.
The asked number stands beside each measured one; the exit status is 1 when one is not met or could not be measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "takes": ROOT / "tests/blender/test_playback.py",
    "exports": ROOT / "tests/blender/test_export_hand.py",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-exports", action="store_true", help="measure import and playback only")
    args = parser.parse_args()
    chosen = [TESTS["takes"], *([] if args.skip_exports else [TESTS["exports"]])]
    kept = measure(chosen)
    print("all promises kept" if kept else "A PROMISE IS BROKEN OR WAS NOT MEASURED")
    return 0 if kept else 1


def measure(tests: list[Path]) -> bool:
    """Run the tests that hold the promises and print what they measured; whether all passed and none was skipped."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "--log-cli-level=INFO", *map(str, tests)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found: list[str] = []
    skipped = False
    for line in done.stdout.splitlines():
        if "INFO" in line and "measured: " in line:
            found.append(line.partition("measured: ")[2])
        elif line.startswith(("FAILED", "SKIPPED")):
            print(line)
            skipped = skipped or line.startswith("SKIPPED")
    # a failing test's lines come twice
    print("\n".join(dict.fromkeys(found)))
    return done.returncode == 0 and not skipped


if __name__ == "__main__":
    sys.exit(main())
