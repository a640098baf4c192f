"""Monocular sequences with known truth for HARP: one still camera, a hard light, with and without a tattoo.

    .venv/bin/python benchmarks/harp_sequences.py --avatar HAND.palmhand --out DIR
        [--train 40] [--test 15] [--size 448] [--samples 8]

HAND.palmhand: a hand with clean textures, as `build.py harp-relit --avatars` writes them. Four sets come of it, in our layout
(`engine.datasets.palm` reads them: pictures, exact masks, true poses and camera):

    DIR/hard_light/train, test     a small sun and a dim sky: fingers cast hard shadows on the palm
    DIR/tattoo/train, test         the same poses and light, the skin tattooed
    DIR/hard_light.palmhand, tattoo.palmhand    the true hands;  DIR/tattoo.png: the texels that differ;  DIR/sun.exr: the light

The training frames turn the hand over and bend the fingers, as in HARP's synthetic set; the test frames hold other gestures.
"""

from __future__ import annotations

import argparse
import importlib
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.avatar.texture_files import read_png, write_environment, write_png8, write_png16  # noqa: E402
from engine.lighting.environment import lamp_environment  # noqa: E402
from engine.lighting.lamp import LampLight  # noqa: E402

SETS = ("hard_light", "tattoo")
TO_SUN = (-0.40, -0.80, -0.50)
"""In the camera's OpenCV axes: from above, from the left, from behind the camera."""
SUN_RADIUS_DEG = 1.5
SUN = 1.4
"""Irradiance over pi of skin that faces the sun."""
SKY = 0.14
"""The same of the light from all around: a shadow is eleven times darker than skin that faces the sun."""
TEST_GESTURES = (
    "claw", "victory", "count_three", "ok", "grasp_ball", "horns", "half_closed", "cupped", "pinch_middle", "thumb_across",
    "love_you", "hook_fist", "grasp_bottle", "call_me", "vulcan",
)  # fmt: skip
INK, RED, BLUE = (22, 26, 40), (176, 24, 38), (20, 78, 150)
"""sRGB."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--avatar", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    for name, default in (("train", 40), ("test", 15), ("size", 448), ("samples", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if not (args.out / "sun.exr").is_file():
        write_sun(args.out / "sun.exr")
    poses = write_poses(args.avatar, args.out, args.train, args.test, args.size)
    for name in SETS:
        avatar = args.out / f"{name}.palmhand"
        if not avatar.is_dir():
            shutil.copytree(args.avatar, avatar)
        if name == "tattoo":
            tattoo(avatar / "albedo.png", args.avatar / "albedo.png", args.out / "tattoo.png")
        for part, path in poses.items():
            render(avatar, path, args.out / "sun.exr", args.out / name / part, args)
    return 0


def render(avatar: Path, poses: Path, light: Path, out: Path, args: argparse.Namespace) -> None:
    """One set, gone on with where an earlier run stopped."""
    out.parent.mkdir(exist_ok=True)
    command = [
        sys.executable, str(ROOT / "build.py"), "animate", str(avatar), "--poses", str(poses), "--env", str(light),
        "--out", str(out), "--size", f"{args.size}x{args.size}", "--samples", str(args.samples),
    ]  # fmt: skip
    subprocess.run([*command, "--resume"] if out.exists() else command, check=True)


def write_sun(path: Path, rows: int = 512) -> None:
    """The light as an equirectangular picture in Blender's world: a small disc in an even sky."""
    light = LampLight(torch.full((3,), SKY), torch.full((3,), SUN), torch.tensor(TO_SUN))
    write_environment(path, lamp_environment(light, rows, math.radians(SUN_RADIUS_DEG)).numpy())


def write_poses(avatar: Path, out: Path, train: int, test: int, size: int) -> dict[str, Path]:
    """Pose files of both parts, placed once for all before the avatar's own camera: {part: path}."""
    pose_files = importlib.import_module(f"{_package()}.engine.hand.pose_files")
    animation, placement, views = map(_synthesis, ("animation_plan", "placement", "views"))
    truth = importlib.import_module(f"{_package()}.engine.avatar.folder").read_avatar(avatar)
    shape = animation.avatar_shape(truth)
    camera = animation.scaled_camera(truth.capture, size, size)
    held = {"train": _training(train), "test": _testing(test, truth.betas)}
    moved = {
        part: [placement.moved_rigidly(shape, pose, turn, -turn @ shape.joints[0]) for turn, pose in frames]
        for part, frames in held.items()
    }
    everything = [pose for poses in moved.values() for pose in poses]
    points = np.concatenate([views.outermost(placement.placed_vertices(shape, pose), camera) for pose in everything])
    shift = views.shift_into_view(points, camera)
    files = {}
    for part, poses in moved.items():
        files[part] = out / f"{part}_poses.npz"
        placed = [placement.rounded(pose._replace(transl=pose.transl + shift)) for pose in poses]
        columns = [np.stack(column) for column in zip(*placed, strict=True)]
        pose_files.save_pose_file(files[part], pose_files.PoseSequence(*columns, truth.betas, "right", 30.0))
    return files


def _training(count: int) -> list[tuple[np.ndarray, Any]]:
    """Half the frames turn the hand over; in the other half the fingers move, first palm, then back to the camera."""
    turned = _synthesis("placement").turned_upright
    flips, bends = count // 2, count - count // 2
    frames = [(turned(0, 0, 0), pose) for pose in _motion("hand_flip", flips)]
    for place, pose in enumerate(_motion("finger_movement", bends)):
        share = np.clip(1.5 * place / max(bends - 1, 1) - 0.25, 0, 1)
        frames.append((turned(math.radians(165) * share, 0, 0), pose))
    return frames


def _testing(count: int, betas: np.ndarray) -> list[tuple[np.ndarray, Any]]:
    """Gestures of their own, every third seen from the back."""
    hand_pose, load = _synthesis("shots").HandPose, _synthesis("poses").load_gesture
    shape, choice = _synthesis("hand_shape").load_hand_shape(betas), _synthesis("pose_choice")
    generator = np.random.default_rng(7)
    frames = []
    for place in range(count):
        yaw, pitch, roll = np.radians((25, 15, 12) * generator.uniform(-1, 1, 3))
        yaw += math.pi if place % 3 == 2 else 0
        (pose,) = choice.freed(shape, [load(TEST_GESTURES[place % len(TEST_GESTURES)])])
        frames.append(
            (_synthesis("placement").turned_upright(yaw, pitch, roll), hand_pose(np.zeros(3), pose, np.zeros(3)))
        )
    return frames


def _motion(name: str, count: int) -> list[Any]:
    motion = _synthesis("pose_choice").poses_of_file(ROOT / "assets" / "poses" / f"{name}.npz")
    chosen = [place * len(motion) // count for place in range(count)]
    hand_pose = _synthesis("shots").HandPose
    return [hand_pose(motion.global_orient[at], motion.hand_pose[at], np.zeros(3)) for at in chosen]


def tattoo(path: Path, clean: Path, mask_path: Path) -> None:
    """Paint letters and a star on the back of the hand and a band around the index finger into a copy of the texture.

    The texture chart of the back looks as the hand does, fingers up. The mask shows the inked texels.
    """
    albedo = read_png(clean)
    size = len(albedo)
    sheet = Image.new("RGBA", (size, size))
    draw, unit = ImageDraw.Draw(sheet), size / 1024
    # a texel covers more skin across the hand than along it: everything is drawn narrow
    star = _star((300 * unit, 535 * unit), (80 * unit, 88 * unit))
    draw.polygon(star, fill=(*RED, 255))
    draw.line(star * 2, fill=(*INK, 255), width=round(9 * unit))
    letters = Image.new("RGBA", (round(190 * unit), round(80 * unit)))
    font = ImageFont.load_default(round(66 * unit))
    written = ImageDraw.Draw(letters)
    written.text((letters.width / 2, letters.height / 2), "HARP", (*INK, 255), font, "mm", stroke_width=round(2 * unit))
    sheet.alpha_composite(
        letters.resize((round(230 * unit), round(150 * unit))), (round(190 * unit), round(640 * unit))
    )
    draw.rectangle([118 * unit, 225 * unit, 222 * unit, 255 * unit], fill=(*BLUE, 255))
    draw.rectangle([118 * unit, 268 * unit, 222 * unit, 280 * unit], fill=(*INK, 255))
    ink = np.asarray(sheet, np.float64) / 255
    cover = 0.92 * cv2.GaussianBlur(ink[..., 3:], (0, 0), 0.8 * unit)[..., None]
    painted = albedo * (1 - cover) + ink[..., :3] * cover
    write_png16(path, painted)
    write_png8(mask_path, np.where(cover[..., 0] > 0.3, 255, 0).astype(np.uint8))


def _star(centre: tuple[float, float], radii: tuple[float, float]) -> list[tuple[float, float]]:
    corners = []
    for corner in range(10):
        angle, reach = math.pi * corner / 5, 1.0 if corner % 2 == 0 else 0.42
        corners.append((centre[0] + reach * radii[0] * math.sin(angle), centre[1] - reach * radii[1] * math.cos(angle)))
    return corners


def _package() -> str:
    """The renderer's package, loaded as build.py loads it."""
    return importlib.import_module("build").load_package().__name__


def _synthesis(module: str) -> Any:
    return importlib.import_module(f"{_package()}.palm_blender.synthesis.{module}")


if __name__ == "__main__":
    sys.exit(main())
