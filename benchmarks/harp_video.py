"""HARP on the shared fingerspelling video: minutes, and the paper's numbers in fitted and held-out frames.

    python benchmarks/harp_video.py [VIDEO] [--captures FILE] [-o FOLDER] [--threads 2] [--frames N] [--quality standard]

VIDEO: ../shared/samples/asl_hand_25fps.mp4 by default. Captures it (or reads --captures, which stands for as many seconds as
its capture took: the time is then that of the fit alone), makes the avatar with the command line's own functions, and prints
seconds of wall clock and processor, the stages' seconds, and IoU, L1, MS-SSIM and PSNR by HARP's protocol at 448 pixels.
Asked: 12 minutes from video to avatar on two cores; in fitted frames IoU ≥ 0.93, L1 ≤ 0.018, MS-SSIM ≥ 0.90 (HARP's table 2 on
its own videos: 0.929, 0.018, 0.902). Exits 1 where one is missed. The wall clock is judged; the processor's seconds are printed
as well, for machines that others use.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

ASKED_S = 12 * 60
ASKED = {"iou": 0.93, "l1": 0.018, "ms_ssim": 0.90}
PAPER = {"iou": 0.929, "l1": 0.018, "ms_ssim": 0.902}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "video", type=Path, nargs="?", default=ROOT.parent / "shared" / "samples" / "asl_hand_25fps.mp4"
    )
    parser.add_argument("--captures", type=Path, help="captures.json of the video, made before")
    parser.add_argument("-o", "--output", type=Path, help="folder to keep captures and avatar in")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, help="how many frames, for a quick look")
    parser.add_argument("--quality", choices=("draft", "standard"), default="standard")
    args = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        return run(args, args.output or Path(scratch))


def run(args: argparse.Namespace, folder: Path) -> int:
    from engine.avatar.folder import read_avatar
    from engine.cli import main as engine

    folder.mkdir(parents=True, exist_ok=True)
    wall, processor = time.monotonic(), time.process_time()
    captures = args.captures
    if captures is None:
        captures = folder / "captures.json"
        if engine(["capture", str(args.video), "-o", str(captures), "--force", "--progress", "none"]):
            return 1
    captured = time.monotonic() - wall
    output = folder / "hand.palmhand"
    command = ["personalize", str(captures), "--method", "harp", "-o", str(output), "--force"]
    command += ["--quality", args.quality, "--progress", "none"]
    command += [] if args.frames is None else ["--frames", str(args.frames)]
    if engine(command):
        return 1
    seconds, busy = time.monotonic() - wall, time.process_time() - processor
    avatar = read_avatar(output)
    frames = avatar.provenance["frames"]
    print(f"\nframes: {frames['fitted']} fitted, {frames['held_out']} held out")
    print(
        f"capture {captured:.0f} s, in all {seconds:.0f} s; processor {busy:.0f} s = {busy / args.threads:.0f} s a thread"
    )
    print("stages: " + ", ".join(f"{name} {value:.0f} s" for name, value in avatar.provenance["timings_s"].items()))
    print(f"{'':12}" + "".join(f"{name:>10}" for name in ("IoU", "L1", "MS-SSIM", "PSNR", "in hand")))
    for name, title in (("train", "fitted"), ("held_out", "held out")):
        if f"{name}_iou" in avatar.metrics:
            values = [avatar.metrics[f"{name}_{key}"] for key in ("iou", "l1", "ms_ssim", "psnr_db", "psnr_hand_db")]
            print(f"{title:12}" + "".join(f"{value:10.4f}" for value in values))
    print(f"{'HARP, paper':12}" + "".join(f"{value:10.4f}" for value in PAPER.values()))
    return report(avatar.metrics, seconds)


def report(metrics: Mapping[str, Any], seconds: float) -> int:
    """What was asked for beside what came; 1 where something was missed."""
    checks = {
        f"minutes {seconds / 60:.1f} ≤ {ASKED_S / 60:.0f}": seconds <= ASKED_S,
        f"IoU {metrics['train_iou']:.4f} ≥ {ASKED['iou']}": metrics["train_iou"] >= ASKED["iou"],
        f"L1 {metrics['train_l1']:.4f} ≤ {ASKED['l1']}": metrics["train_l1"] <= ASKED["l1"],
        f"MS-SSIM {metrics['train_ms_ssim']:.4f} ≥ {ASKED['ms_ssim']}": metrics["train_ms_ssim"] >= ASKED["ms_ssim"],
    }
    for words, kept in checks.items():
        print(f"{'ok    ' if kept else 'MISSED'} {words}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
