"""The one type of all sequences: its order, and pixels of pictures of any 8-bit kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.datasets.hand_sequence import HandFrame, HandSequence, load_pixels
from engine.errors import DatasetError

ZERO = np.zeros(3)


def frame(image: Path, mask: Path | None = None, number: int = 1, camera: str = "a") -> HandFrame:
    return HandFrame(
        f"{camera}/{number}",
        number,
        camera,
        image,
        mask,
        np.eye(3),
        np.eye(4),
        4,
        6,
        np.zeros(10),
        ZERO,
        np.zeros(45),
        ZERO,
    )


def test_moments_and_cameras_are_each_named_once():
    frames = tuple(frame(Path("x"), None, number, camera) for number in (3, 7) for camera in ("a", "b"))
    sequence = HandSequence("s", frames, "right", "open")
    assert sequence.numbers == (3, 7) and sequence.cameras == ("a", "b") and len(sequence) == 4 and sequence.notes == ()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "LA", "1"])
def test_pictures_of_all_kinds_become_rgb_and_masks_one_channel(tmp_path, mode):
    grey = np.zeros((4, 6), np.uint8)
    grey[1:3, 2:5] = 255
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    Image.fromarray(grey).convert(mode).save(path)
    pixels = load_pixels(frame(path, path))
    assert pixels.image.shape == (4, 6, 3) and pixels.image.dtype == np.uint8
    np.testing.assert_array_equal(pixels.image, np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(pixels.mask, grey)


def test_sixteen_bits_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(path)
    with pytest.raises(DatasetError, match="not 8 bits a channel"):
        load_pixels(frame(path))
    with pytest.raises(DatasetError, match=r"nothing\.png cannot be read as a picture"):
        load_pixels(frame(tmp_path / "nothing.png"))
