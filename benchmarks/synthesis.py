"""The data-set renderer's speed and memory, measured: a stream of frames against one process a frame.

    .venv/bin/python benchmarks/synthesis.py [--frames N] [--memory-frames N] [--size PX] [--samples N]

Both ways render the same hand from the same camera, denoised, with all labels and files; each process of the second way
is a worker that renders one frame. Two ratios: as it is, where each process makes the skin's maps too (the promise), and
with what it takes to make them left out on both sides; both also by processor time, which other work changes less.
The exit status is 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
ASKED_RATIO = 5.0
ASKED_GROWTH = 0.25
"""Growth of a worker's memory over a run, as a share of what it holds after its first frames."""


class Timed(NamedTuple):
    """One worker's life."""

    seconds: float
    """from its start to its end"""
    cpu: float
    """processor time of all its threads"""
    maps: float
    """of the seconds, planning the unit, making the skin's maps and the hand"""
    maps_cpu: float
    shots: list[dict[str, Any]]
    """its events"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=40, help="of the stream")
    parser.add_argument("--processes", type=int, default=3, help="of one frame each")
    parser.add_argument("--memory-frames", type=int, default=500, help="0: do not measure memory")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16)
    args = parser.parse_args()
    synthesis = _package()
    with tempfile.TemporaryDirectory() as work:
        kept = compare(synthesis, Path(work), args)
        if args.memory_frames:
            kept = watch_memory(synthesis, Path(work), args) and kept
    print("all promises kept" if kept else "A PROMISE IS BROKEN")
    return 0 if kept else 1


def compare(synthesis: Any, work: Path, args: argparse.Namespace) -> bool:
    """The stream against processes of one frame each, alternating, so that both meet the same machine."""
    root = _data_set(synthesis, work / "stream", args.frames, args.size, args.samples)
    shots = synthesis.plan.shot_list(synthesis.recipe.read_recipe(root / "recipe.json"), 0)
    singles = [_serve(synthesis, root, work, shots[:1]) for _ in range(args.processes // 2)]
    stream = _serve(synthesis, root, work, shots)
    singles += [_serve(synthesis, root, work, shots[-1:]) for _ in range(args.processes - len(singles))]
    count = len(shots)
    print(f"{args.size}x{args.size}, {args.samples} samples, denoised, {count} frames")
    ratios = {}
    for name, whole, maps in (("", "seconds", "maps"), (" by processor time", "cpu", "maps_cpu")):
        alone = statistics.median(getattr(single, whole) for single in singles)
        alone_without = statistics.median(getattr(single, whole) - getattr(single, maps) for single in singles)
        streamed = getattr(stream, whole) / count
        streamed_without = (getattr(stream, whole) - getattr(stream, maps)) / count
        print(f"one process a frame{name}: {alone:.2f} s a frame, {alone_without:.2f} s without making the hand")
        print(f"a stream{name}: {streamed:.2f} s a frame, start and end included, {streamed_without:.2f} s likewise")
        ratios[f"each makes the hand{name}"] = alone / streamed
        ratios[f"making the hand left out on both sides{name}"] = alone_without / streamed_without
    stages = {stage: statistics.median(shot[stage] for shot in stream.shots[1:]) for stage in ("take", "write")}
    steady = sum(stages.values())
    print("once it runs: " + ", ".join(f"{stage} {seconds:.3f} s" for stage, seconds in stages.items())
          + f"; {1 / steady:.2f} frames a second")  # fmt: skip
    for name, ratio in ratios.items():
        print(f"ratio, {name}: {ratio:.1f}")
    # what a process per frame does, it does with everything that it needs
    promised = ratios["each makes the hand"]
    print(f"asked >= {ASKED_RATIO:g}: {'met' if promised >= ASKED_RATIO else 'NOT MET'}")
    return promised >= ASKED_RATIO


def watch_memory(synthesis: Any, work: Path, args: argparse.Namespace) -> bool:
    """Memory of one worker over many frames, and of a run that renews its workers."""
    root = _data_set(synthesis, work / "long", args.memory_frames, args.size, 1)
    shots = synthesis.plan.shot_list(synthesis.recipe.read_recipe(root / "recipe.json"), 0)
    held = [shot["memory"] / 2**20 for shot in _serve(synthesis, root, work, shots).shots]
    first, last = statistics.median(held[5:25]), statistics.median(held[-20:])
    growth = last / first - 1
    print(f"memory over {len(held)} frames of one worker: {first:.0f} MiB at first, {last:.0f} MiB at last, "
          f"most {max(held):.0f} MiB; a run renews its workers each 200 frames")  # fmt: skip
    print(f"growth {growth:.1%} (asked <= {ASKED_GROWTH:.0%}: {'met' if growth <= ASKED_GROWTH else 'NOT MET'})")
    return growth <= ASKED_GROWTH


def _data_set(synthesis: Any, root: Path, frames: int, size: int, samples: int) -> Path:
    """An empty data set of one person seen by one camera."""
    recipe = synthesis.recipe.Recipe("cohort", 0, 1, frames, 1, size, size, samples)
    synthesis.controller.prepare_folder(root, recipe, True, (1, 1))
    return root


def _serve(synthesis: Any, root: Path, work: Path, shots: Any) -> Timed:
    """One worker from its start to its end, rendering these shots."""
    start, spent = time.perf_counter(), _children_cpu()
    opening = {"out": str(root), "device": "auto", "threads": 0}
    slot = synthesis.pool.LocalSlot(opening, work / "worker", 1 << 30, 600.0)
    try:
        slot.start()
        events = list(slot.perform(synthesis.task_board.Task(0, tuple(shots))))
    finally:
        slot.close()
    loaded = next(event for event in events if event["event"] == "loaded")
    taken = [event for event in events if event["event"] == "shot"]
    return Timed(
        time.perf_counter() - start, _children_cpu() - spent, loaded["seconds"], loaded["cpu"], taken
    )  # fmt: skip


def _children_cpu() -> float:
    """Processor time of the processes that have ended; seconds."""
    times = os.times()
    return times.children_user + times.children_system


def _package() -> Any:
    """The renderer's package, loaded as build.py loads it."""
    sys.path.insert(0, str(ROOT))
    build = importlib.import_module("build")
    name = f"{build.load_package().__name__}.palm_blender.synthesis"
    for module in ("plan", "recipe", "controller", "pool", "task_board"):
        importlib.import_module(f"{name}.{module}")
    return sys.modules[name]


if __name__ == "__main__":
    sys.exit(main())
