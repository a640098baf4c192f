"""A data set at a glance: its pictures, evenly chosen, on one sheet.

python tools/contact_sheet.py DIR -o sheet.png [--kinds images normals albedo] [--count 60] [--tile 160]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.errors import InputError, OutputError, PalmError  # noqa: E402
from engine.files import atomic_file  # noqa: E402
from engine.spacing import evenly  # noqa: E402

COLUMNS_TO_ROWS = 1.6
MAX_TILE_PX = 4096


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--kinds", nargs="+", default=["images"], help="folders shown side by side: images, masks, normals …"
    )
    parser.add_argument("--count", type=int, default=96, help="pictures at most")
    parser.add_argument("--tile", type=int, default=160, help="height of a picture on the sheet, px")
    args = parser.parse_args()
    try:
        _check(args.count, args.tile, args.output)
        # hidden ones are still being written
        found = sorted(path for path in args.folder.rglob("images/*/*.png") if not path.name.startswith("."))
        pictures = evenly(found, args.count, ends=True)
        if not pictures:
            raise InputError(f"{args.folder} holds no images/CAMERA/*.png: give the folder of a data set")
        sheet = tiled([strip(picture, args.kinds, args.tile) for picture in pictures])
        with atomic_file(args.output) as temporary:
            Image.fromarray(sheet).save(temporary, format="PNG")
    except PalmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(pictures)} pictures on {args.output}")
    return 0


def _check(count: int, tile: int, output: Path) -> None:
    """Raises InputError, OutputError for what cannot be a sheet."""
    if count < 1:
        raise InputError(f"--count {count} is impossible: give 1 or more")
    if not 1 <= tile <= MAX_TILE_PX:
        raise InputError(f"--tile {tile} is impossible: give 1 to {MAX_TILE_PX}")
    if output.suffix.lower() != ".png":
        raise OutputError(f"{output.name}: the sheet must end in .png")


def strip(picture: Path, kinds: Sequence[str], height: int) -> np.ndarray:
    """The same frame in several kinds, side by side: [height,W,3] uint8."""
    camera = picture.parent
    paths = [camera.parent.parent / kind / camera.name / picture.name for kind in kinds]
    return np.concatenate([_tile(path, height) for path in paths], axis=1)


def _tile(path: Path, height: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            deep = image.mode.startswith("I")
            pixels = np.asarray(image, dtype=np.float32)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: choose other --kinds, or render the frame again") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}): choose other --kinds, or render the frame again") from error
    if deep:
        # depth and roughness: stretched from the least to the greatest value on the hand
        known = pixels > 0
        low, high = (pixels[known].min(), pixels[known].max()) if known.any() else (0, 1)
        pixels = np.where(known, 40 + 215 * (pixels - low) / max(high - low, 1), 0)
    colour = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]
    small = Image.fromarray(colour.clip(0, 255).astype(np.uint8))
    return np.asarray(
        small.resize((max(1, round(small.width * height / small.height)), height), Image.Resampling.LANCZOS)
    )


def tiled(strips: Sequence[np.ndarray]) -> np.ndarray:
    """Strips of one height in rows, on a sheet that is wider than high."""
    width = max(part.shape[1] for part in strips)
    height = strips[0].shape[0]
    columns = max(1, round(np.sqrt(len(strips) * COLUMNS_TO_ROWS * height / width)))
    rows = -(-len(strips) // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for place, part in enumerate(strips):
        top, left = place // columns * height, place % columns * width
        sheet[top : top + height, left : left + part.shape[1]] = part
    return sheet


if __name__ == "__main__":
    sys.exit(main())
