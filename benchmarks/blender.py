"""The Blender side's claims, measured: deformation error, playback, and the photo rendered back by Cycles.

    .venv/bin/python benchmarks/blender.py [AVATAR.palmhand …] [--size PX] [--samples N]

With avatars of real photos given, each is rendered through its capture camera and compared with its photo; without,
avatars are made from shared/samples (minutes). Rig and playback are measured on the open hand unless --skip-rig is given.
The asked number stands beside each measured one; the exit status is 1 when one is not met or could not be measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT.parent / "shared" / "samples"
ASKED = {"psnr_db": 20.0, "iou": 0.9}
"""The least that a photo's re-render by Cycles may score. What is asked of the rig stands in tests/blender/test_rig.py."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("avatars", nargs="*", type=Path)
    parser.add_argument("--size", type=int, default=None, help="longer side of the renders (default: the photo's)")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--skip-rig", action="store_true")
    args = parser.parse_args()
    kept = args.skip_rig or measure_rig()
    with tempfile.TemporaryDirectory() as work:
        avatars = args.avatars or personalise_samples(Path(work))
        kept = kept and bool(avatars)
        for avatar in avatars:
            size = args.size or max(json.loads((avatar / "avatar.json").read_text())["capture"]["image_size"])
            picture = Path(work) / f"{avatar.stem}.png"
            build("render", avatar, "-o", picture, "--size", size, "--samples", args.samples)
            kept = judge(avatar.name, compare_with_photo(picture, avatar)) and kept
    print("all promises kept" if kept else "A PROMISE IS BROKEN OR WAS NOT MEASURED")
    return 0 if kept else 1


def judge(name: str, scores: dict[str, float]) -> bool:
    """Print the scores, each with what is asked of it; whether all that is asked is met. NaN meets nothing."""
    met = {score: scores[score] >= least for score, least in ASKED.items()}
    words = [
        f"{score} {value:.3f}"
        + (f" (asked >= {ASKED[score]:g}: {'met' if met[score] else 'NOT MET'})" if score in met else "")
        for score, value in scores.items()
    ]
    print(f"{name}: {', '.join(words)}")
    return all(met.values())


def measure_rig() -> bool:
    """Run the tests that hold the rig's claims and print what they measured; whether they all passed."""
    test = ROOT / "tests/blender/test_rig.py"
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "--log-cli-level=INFO", str(test)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if "measured: " in line:
            print(line.partition("measured: ")[2])
        elif line.startswith(("FAILED", "SKIPPED")):
            print(line)
    if done.returncode != 0:
        print(f"rig: NOT MET, its tests ended with status {done.returncode}")
    return done.returncode == 0


def build(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, str(ROOT / "build.py"), *map(str, arguments)], check=True, stdout=subprocess.DEVNULL
    )


def personalise_samples(work: Path) -> list[Path]:
    """Avatars of both hands of the sample photo, as a user makes them."""
    photo = SAMPLES / "two_hands_dorsal.jpg"
    if not photo.is_file():
        print(f"REAL INPUTS ARE MISSING: {photo} does not exist; give avatar folders instead")
        return []
    avatars = []
    for index in ("0", "1"):
        avatar = work / f"{photo.stem}_{index}.palmhand"
        command = [sys.executable, "-m", "engine", "personalize", str(photo), "-o", str(avatar), "--hand", index]
        subprocess.run([*command, "--method", "harp"], cwd=ROOT, check=True)
        avatars.append(avatar)
    return avatars


def compare_with_photo(picture: Path, avatar: Path) -> dict[str, float]:
    """Scores of a transparent capture-camera render against the avatar's photo and mask, at the render's size.

    psnr_db: over the photo's mask; pixels that the render leaves uncovered count as black.
    psnr_covered_db: over the pixels in both. iou: of the mask and the render's coverage.
    """
    with Image.open(picture) as image:
        render = np.asarray(image.convert("RGBA"), dtype=float) / 255
    size = (render.shape[1], render.shape[0])
    with Image.open(avatar / "photo.png") as image:
        photo = np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS), dtype=float) / 255
    with Image.open(avatar / "mask.png") as image:
        mask = np.asarray(image.convert("L").resize(size, Image.Resampling.BOX), dtype=float) / 255 > 0.5
    covered = render[..., 3] > 0.5
    composed = render[..., :3] * render[..., 3:]
    both = mask & covered
    return {
        "psnr_db": psnr(composed[mask], photo[mask]),
        "psnr_covered_db": psnr(render[both][:, :3], photo[both]),
        "iou": both.sum() / (mask | covered).sum(),
    }


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB for values in [0, 1]."""
    return float(-10 * np.log10(np.mean((a - b) ** 2))) if a.size else float("nan")


if __name__ == "__main__":
    sys.exit(main())
