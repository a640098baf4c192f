"""How long a job holds Blender up: the longest look at a running job, and how Blender's memory grows meanwhile.

    python benchmarks/stall.py [--photo hand.jpg] [--method harp] [--quality draft]

Asked: at most 50 ms, and at most 200 MB. Runs the add-on in the `bpy` module with a real engine beside it and calls its timer
as a window would. tests/gui/test_personalize_window.py measures the same in a real window, with drawing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
BETWEEN_S = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=ROOT / "assets" / "samples" / "hand.jpg")
    parser.add_argument("--method", default="palm", choices=("palm", "harp"))
    parser.add_argument("--quality", default="draft")
    args = parser.parse_args()
    os.environ.setdefault("PALM_HANDS_PYTHON", sys.executable)

    import build

    package = build.load_package()
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    with tempfile.TemporaryDirectory(prefix="palm stall ") as folder:
        bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/scene.blend")
        package.register()
        try:
            measure(args)
        finally:
            package.unregister()
    return 0


def measure(args: argparse.Namespace) -> None:
    import bpy
    from palm_hands.palm_blender import jobs

    started, before = time.perf_counter(), resident_mb()
    bpy.ops.palm.personalize(filepath=str(args.photo.resolve()), method=args.method, quality=args.quality, wait=False)
    begun = time.perf_counter() - started
    job = jobs.session().queue.running
    looks, own, most, adding = [], [], before, 0.0
    while job.process is not None and job.state == "running":
        time.sleep(BETWEEN_S)
        started, worked = time.perf_counter(), time.thread_time()
        jobs.tick()
        took, worked = time.perf_counter() - started, time.thread_time() - worked
        if job.state == "running":
            looks.append(took)
            own.append(worked)
        else:
            adding = took
        most = max(most, resident_mb() if job.state == "running" else 0)
    looks.sort()
    print(f"job: {job.state} {job.message} after {job.elapsed_s:.0f} s, {len(looks)} looks")
    print(f"starting it: {1000 * begun:.1f} ms")
    print(f"a look: median {1000 * looks[len(looks) // 2]:.2f} ms, longest {1000 * looks[-1]:.1f} ms (asked: 50)")
    print(f"of which its own work, without waiting for other programs: longest {1000 * max(own):.1f} ms")
    print(f"memory grown while it ran: {most - before:.1f} MB (asked: 200)")
    print(f"adding the hand to the scene, once: {1000 * adding:.0f} ms, its own work {1000 * worked:.0f} ms")


def resident_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
