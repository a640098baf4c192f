"""Make the analytic data set and a contact sheet of it, and say what it is.

.venv/bin/python benchmarks/toy_data.py FOLDER [--seed 0] [--size 128]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.datasets.palm import PalmDataset, load_frame, read_palm_folder
from engine.datasets.toy import ToyConfig, make_toy_set
from engine.progress import BarProgress


def contact_sheet(dataset: PalmDataset) -> np.ndarray:
    """uint8 picture: a row for each subject and camera, a column for each pose."""
    rows: dict[tuple[str, str], list[np.ndarray]] = {}
    for frame in dataset.frames:
        pixels = load_frame(frame)
        tile = pixels.image_srgb.numpy() * pixels.mask.numpy()[..., None]
        rows.setdefault((frame.subject, frame.camera), []).append(tile)
    sheet = np.concatenate([np.concatenate(rows[key], axis=1) for key in sorted(rows)], axis=0)
    return (sheet * 255 + 0.5).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, metavar="PX")
    parser.add_argument("--force", action="store_true")
    args = parser.parse_args()
    bar = BarProgress()
    started = time.monotonic()
    make_toy_set(args.folder, replace(ToyConfig(), seed=args.seed, size_px=args.size), bar, args.force)
    bar.close()
    seconds = time.monotonic() - started
    for part in ("train", "val"):
        dataset = read_palm_folder(args.folder / part, np.zeros(45))
        share = np.mean([float(load_frame(frame).mask.float().mean()) for frame in dataset.frames])
        sheet = args.folder / f"{part}.png"
        Image.fromarray(contact_sheet(dataset)).save(sheet)
        print(f"{part}: {len(dataset.subjects)} subjects, {len(dataset.frames)} pictures, {share:.0%} hand, {sheet}")
    print(f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
