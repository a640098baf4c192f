"""PNG files: read by others and back, the same bytes for the same pixels, nothing damaged taken for whole."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from package_modules import module
from PIL import Image

png_files = module("palm_blender.synthesis.png_files")
InputError = module("engine.errors").InputError


def picture(shape: tuple[int, ...], kind: type) -> np.ndarray:
    """A smooth disc with noise in it on black, as renders are."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    disc = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) < min(shape[:2]) / 3
    level = np.iinfo(kind).max
    values = np.random.default_rng(0).uniform(0.3, 0.9, shape) * level
    return np.where(disc if len(shape) == 2 else disc[..., None], values, 0).astype(kind)


SHAPES = [(33, 47), (33, 47, 3), (33, 47, 4), (1, 1), (1, 9, 3), (9, 1)]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_come_back_from_this_reader_and_from_others(shape, kind, tmp_path):
    pixels = picture(shape, kind)
    path = tmp_path / "picture.png"
    png_files.write_png(path, pixels)
    back = png_files.read_png(path)
    assert back.dtype == kind
    np.testing.assert_array_equal(back, pixels)
    others = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    others = others if others.ndim == 2 else others[..., [2, 1, 0, 3][: others.shape[2]]]
    assert others.dtype == kind
    np.testing.assert_array_equal(others, pixels)


def test_the_same_pixels_give_the_same_bytes_whatever_their_layout_in_memory():
    pixels = picture((40, 30, 3), np.uint16)
    turned = np.ascontiguousarray(pixels.transpose(2, 1, 0)).transpose(2, 1, 0)
    assert png_files.png_bytes(pixels) == png_files.png_bytes(turned) == png_files.png_bytes(pixels.astype(">u2"))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_other_writers_filters_are_understood(mode, tmp_path):
    """Pillow chooses a filter for every line, Paeth and average among them."""
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "I;16": ()}[mode]
    pixels = picture((48, 64, *channels), np.uint16 if mode == "I;16" else np.uint8)
    pixels = np.sort(pixels, axis=1)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    np.testing.assert_array_equal(png_files.read_png(tmp_path / "picture.png"), pixels)


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path):
    content = png_files.png_bytes(picture((12, 9), np.uint8))
    path = tmp_path / "picture.png"
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(InputError, match=r"picture\.png is damaged"):
            png_files.read_png(path)
    for end in range(0, len(content), 7):
        path.write_bytes(content[:end])
        with pytest.raises(InputError, match=r"is damaged"):
            png_files.read_png(path)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize(
    "header", [(9, 9, 8, 0, 0, 0, 1), (9, 9, 4, 0, 0, 0, 0), (9, 9, 8, 3, 0, 0, 0), (0, 9, 8, 0, 0, 0, 0)]
)
def test_kinds_that_are_not_written_here_are_refused(header, tmp_path):
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) + chunk(b"IDAT", zlib.compress(bytes(90)))
    (tmp_path / "odd.png").write_bytes(png_files.SIGNATURE + body + chunk(b"IEND", b""))
    with pytest.raises(InputError, match=r"no plain PNG"):
        png_files.read_png(tmp_path / "odd.png")


def test_a_small_file_cannot_unpack_to_a_huge_one(tmp_path):
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(bytes(1 << 26)))
    (tmp_path / "bomb.png").write_bytes(png_files.SIGNATURE + body + chunk(b"IEND", b""))
    with pytest.raises(InputError, match=r"is damaged"):
        png_files.read_png(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)]
)
def test_what_is_no_picture_is_refused(pixels):
    with pytest.raises(ValueError, match=r"no picture|cannot be written"):
        png_files.png_bytes(pixels)


def test_digests_are_of_type_shape_and_values():
    pixels = picture((20, 10), np.uint16)
    digest = png_files.pixel_digest(pixels)
    assert digest == png_files.pixel_digest(pixels.T.copy().T) == png_files.pixel_digest(pixels.astype(">u2"))
    changed = pixels.copy()
    changed[3, 3] += 1
    others = [changed, pixels.reshape(10, 20), pixels.astype(np.uint32), pixels[:-1]]
    assert len({digest, *map(png_files.pixel_digest, others)}) == 5
