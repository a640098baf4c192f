"""PALM-Net learns the analytic data set end to end: time, memory, novel-pose PSNR, normals; stopped and resumed to the same.

    python benchmarks/prior.py [--out DIR] [--steps N] [--skip-resume]

Trains with `python -m engine train-prior --config open` in processes of its own; prints the asked and the measured numbers and
keeps the priors, whose previews/ are there to be looked at. Exits 1 where a promise is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SECONDS_LIMIT, PSNR_TARGET_DB, NORMALS_LIMIT_DEG = 600.0, 28.0, 12.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "benchmark_prior")
    parser.add_argument("--steps", type=int, help="of training (default: the configuration's)")
    parser.add_argument(
        "--skip-resume", action="store_true", help="leave out the interrupted run, which takes as long again"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data = args.out / "toy"
    if not (data / "train").is_dir():
        make_data(data)
    more = [] if args.steps is None else ["--steps", str(args.steps)]
    seconds, metrics = train(data, args.out / "whole.palmprior", [*more, "--force"])
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    rows = [
        ("seconds, pre-training and evaluation included", "<= 600", f"{seconds:.0f}", seconds <= SECONDS_LIMIT),
        ("novel pose, radiance field, PSNR dB", ">= 28", *at_least(metrics["radiance_psnr"], PSNR_TARGET_DB)),
        ("novel pose, physically rendered, PSNR dB", "told", f"{metrics['physical_psnr']:.2f}", True),
        ("normals, degrees off", "<= 12", *at_most(metrics["normal_error_deg"], NORMALS_LIMIT_DEG)),
        ("outline, IoU", "told", f"{metrics['mask_iou']:.4f}", True),
        ("peak memory, MB", "told", f"{peak_mb:.0f}", True),
    ]
    if not args.skip_resume:
        again = interrupted(data, args.out / "resumed.palmprior", more)
        same = all(again[name] == metrics[name] for name in metrics)
        rows.append(("interrupted and resumed: the same metrics", "equal", "equal" if same else str(again), same))
    for what, asked, found, kept in rows:
        print(f"{what:48} {asked:>8} {found:>10} {'' if kept else '  MISSED'}")
    return 0 if all(row[3] for row in rows) else 1


def at_least(value: float, target: float) -> tuple[str, bool]:
    return f"{value:.2f}", value >= target


def at_most(value: float, target: float) -> tuple[str, bool]:
    return f"{value:.2f}", value <= target


def make_data(folder: Path) -> None:
    from engine.datasets.toy import make_toy_set
    from engine.progress import BarProgress

    started = time.monotonic()
    make_toy_set(folder, progress=BarProgress())
    print(f"made the data set in {time.monotonic() - started:.0f} s")


def command(data: Path, output: Path, more: list[str]) -> list[str]:
    verb = ["train-prior", "--data", str(data), "--config", "open", "-o", str(output), "--progress", "json"]
    return [sys.executable, "-m", "engine", *verb, *more]


def train(data: Path, output: Path, more: list[str]) -> tuple[float, dict[str, float]]:
    """Seconds and the prior's metrics."""
    started = time.monotonic()
    subprocess.run(command(data, output, more), cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - started, json.loads((output / "prior.json").read_text())["metrics"]


def interrupted(data: Path, output: Path, more: list[str]) -> dict[str, float]:
    """Metrics of a run that was told to stop about half-way and then resumed."""
    shutil.rmtree(output, ignore_errors=True)
    running = subprocess.Popen(command(data, output, more), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    for line in running.stdout:
        event = json.loads(line)
        if event.get("fraction", 0) > 0.55:
            os.kill(running.pid, signal.SIGINT)
            break
    for _ in running.stdout:
        pass
    if running.wait() != 130:
        raise RuntimeError("the interrupted run did not stop as it should")
    return train(data, output, [*more, "--resume"])[1]


if __name__ == "__main__":
    sys.exit(main())
