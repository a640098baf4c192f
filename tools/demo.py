"""`make demo`: one photo → avatar → Blender scene → renders, and where they are.

python tools/demo.py [--photo hand.jpg] [--out out]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUNDLED_PHOTO = ROOT / "assets" / "samples" / "hand.jpg"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=BUNDLED_PHOTO)
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    args = parser.parse_args()
    photo, out = args.photo.expanduser().resolve(), args.out.resolve()
    if not photo.is_file():
        print(f"error: {photo} does not exist: make demo PHOTO=path/to/photo.jpg", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    avatar = out / f"{photo.stem}.palmhand"
    scene, same, relit, turned = (
        out / f"{photo.stem}{end}" for end in (".blend", "_photo.png", "_relit.png", "_palm.png")
    )

    started = time.monotonic()
    render = ["build.py", "render", avatar, "--size", "640", "--force"]
    turntable = ["--camera", "turntable", "--pose", ROOT / "assets" / "poses" / "relaxed.json"]
    steps = [
        ("photo → avatar", ["-m", "engine", "personalize", photo, "-o", avatar, "--quality", "standard", "--force"]),
        ("avatar → Blender scene", ["build.py", "scene", avatar, "-o", scene, "--force"]),
        ("render in the photo's light", [*render, "-o", same]),
        ("render relit, another pose", [*render, "-o", relit, *turntable, "--env", "sunset", "--frame", "0"]),
        ("render the side not seen", [*render, "-o", turned, *turntable, "--env", "studio", "--frame", "30"]),
    ]
    for title, command in steps:
        print(f"\n== {title}", flush=True)
        status = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=False).returncode
        if status:
            return status
    for name, path in (
        ("avatar", avatar),
        ("preview sheet", avatar / "preview.png"),
        ("Blender scene", scene),
        ("render, photo's light", same),
        ("render, relit", relit),
        ("render, other side", turned),
    ):
        print(f"{name:>22}: {path}")
    print(f"{'took':>22}: {time.monotonic() - started:.0f} s")
    if shutil.which("blender"):
        print(f"\nOpen it with: blender {scene}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
