"""Every kind of picture file: read to the same upright sRGB pixels, or refused in one line."""

from __future__ import annotations

import math
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.capture.images import choose_focal, load_mask, load_photo
from engine.errors import CaptureError

WIDTH, HEIGHT = 96, 64


@pytest.fixture
def scene() -> np.ndarray:
    """A smooth colour picture [64,96,3] that survives lossy files, different in all four corners."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 100
    return (np.stack([x, y, 1 - x * y], -1) * 200 + 20).clip(0, 255).astype(np.uint8)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.jpg"])
def test_common_formats(tmp_path: Path, scene: np.ndarray, name: str) -> None:
    Image.fromarray(scene).save(tmp_path / name, quality=95)
    photo = load_photo(tmp_path / name)
    assert photo.size == (WIDTH, HEIGHT)
    assert difference(photo.pixels, scene) < 3


def test_greyscale(tmp_path: Path, scene: np.ndarray) -> None:
    Image.fromarray(scene).convert("L").save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    assert photo.pixels.shape == scene.shape
    assert np.ptp(photo.pixels, axis=-1).max() == 0


def test_cmyk(tmp_path: Path, scene: np.ndarray) -> None:
    Image.fromarray(scene).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    photo = load_photo(tmp_path / "a.jpg")
    assert difference(photo.pixels, scene) < 4
    assert any("CMYK" in note for note in photo.notes)


@pytest.mark.parametrize("bits", ["png", "tif"])
def test_16_bit_grey(tmp_path: Path, scene: np.ndarray, bits: str) -> None:
    grey = scene[..., 0].astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / f"a.{bits}")
    photo = load_photo(tmp_path / f"a.{bits}")
    assert difference(photo.pixels[..., 0], scene[..., 0]) <= 1


def test_dark_16_bit_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64), 200, np.uint16)).save(tmp_path / "a.png")
    assert load_photo(tmp_path / "a.png").pixels.max() <= 1


def test_alpha_is_laid_over_white(tmp_path: Path, scene: np.ndarray) -> None:
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[:, :40] = 0
    Image.fromarray(np.concatenate([scene, alpha], -1)).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    assert (photo.pixels[:, :40] == 255).all()
    assert (photo.pixels[:, 40:] == scene[:, 40:]).all()


def test_palette_with_transparency(tmp_path: Path, scene: np.ndarray) -> None:
    image = Image.fromarray(scene).quantize(64)
    image.save(tmp_path / "a.gif", transparency=0)
    assert load_photo(tmp_path / "a.gif").pixels.shape == scene.shape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path: Path, scene: np.ndarray, orientation: int) -> None:
    # how a camera stores an upright scene under each tag (EXIF 2.3, table of Orientation)
    stored = {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.transpose(1, 0, 2),
        6: np.rot90(scene, 1),
        7: scene[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(scene, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    photo = load_photo(tmp_path / "a.png")
    assert photo.pixels.shape == scene.shape
    assert difference(photo.pixels, scene) == 0


def test_animated_gives_its_first_frame(tmp_path: Path, scene: np.ndarray) -> None:
    frames = [Image.fromarray(scene), Image.fromarray(255 - scene)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    photo = load_photo(tmp_path / "a.webp")
    assert difference(photo.pixels, scene) == 0
    assert any("2 frames" in note for note in photo.notes)


def test_colour_profile_is_followed(tmp_path: Path, scene: np.ndarray) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    Image.fromarray(scene).save(tmp_path / "plain.png", icc_profile=b"broken")
    assert difference(load_photo(tmp_path / "plain.png").pixels, scene) == 0
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(scene).save(tmp_path / "srgb.png", icc_profile=srgb)
    assert difference(load_photo(tmp_path / "srgb.png").pixels, scene) < 1
    # a profile of another colour space than the pixels' is no reason to fail
    Image.fromarray(scene).save(tmp_path / "lab.png", icc_profile=profile.tobytes())
    assert difference(load_photo(tmp_path / "lab.png").pixels, scene) == 0


def test_one_pixel_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    with pytest.raises(CaptureError, match="only 1×1 pixels"):
        load_photo(tmp_path / "a.png")


def test_100_megapixels_are_reduced(tmp_path: Path) -> None:
    Image.new("L", (12_500, 8_000), 90).save(tmp_path / "a.png", compress_level=1)
    photo = load_photo(tmp_path / "a.png")
    assert photo.size == (4096, 2621)
    assert photo.pixels.mean() == 90


def test_deep_grey_is_read_in_little_memory(tmp_path: Path) -> None:
    side = 6000
    ramp = np.broadcast_to(np.linspace(0, 65535, side).astype(np.uint16), (side, side))
    Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "a.png", compress_level=1)
    tracemalloc.start()
    pixels = load_photo(tmp_path / "a.png").pixels
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # at most the picture at one byte a pixel with the bands, or the result with one copy
    assert peak < 3 * pixels.nbytes
    np.testing.assert_allclose(pixels[0, :, 0], np.linspace(0, 255, 4096), atol=1)


@pytest.mark.parametrize("width", [30_000, 15_000])
def test_decompression_bomb_is_refused_before_decoding(tmp_path: Path, width: int) -> None:
    header = struct.pack(">IIBBBBB", width, 11_600, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(CaptureError, match="pixels: reduce it below 170 megapixels"):
        load_photo(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_truncated_file(tmp_path: Path, scene: np.ndarray, name: str) -> None:
    Image.fromarray(np.tile(scene, (4, 4, 1))).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CaptureError, match="damaged or cut off") as caught:
        load_photo(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7 something"])
def test_no_picture_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(CaptureError, match=r"a\.jpg"):
        load_photo(tmp_path / "a.jpg")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="does not exist"):
        load_photo(tmp_path / "none.jpg")
    with pytest.raises(CaptureError, match="is a folder"):
        load_photo(tmp_path)


def test_focal_length_from_35mm_equivalent(tmp_path: Path, scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=exif)
    photo = load_photo(tmp_path / "a.jpg")
    assert photo.focal_px == pytest.approx(26 / math.hypot(36, 24) * math.hypot(WIDTH, HEIGHT))
    assert choose_focal(photo.focal_px, photo.size) == (photo.focal_px, "exif")


def test_focal_length_from_the_sensor(tmp_path: Path, scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x920A: 10.0, 0xA20E: 1000.0, 0xA210: 3, 0xA002: 2 * WIDTH, 0xA003: 2 * HEIGHT})
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=exif)
    # 10 mm at 100 px/mm on the full-size picture, of which this one is half
    assert load_photo(tmp_path / "a.jpg").focal_px == pytest.approx(500)


def test_absurd_exif_is_ignored(tmp_path: Path, scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 60_000
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=exif)
    photo = load_photo(tmp_path / "a.jpg")
    focal, source = choose_focal(photo.focal_px, photo.size)
    assert source.startswith("default")
    assert focal == pytest.approx(50 / math.hypot(36, 24) * math.hypot(WIDTH, HEIGHT))


@pytest.mark.parametrize("focal", [0.0, -5.0, float("nan"), 1e9])
def test_impossible_focal_length(focal: float) -> None:
    with pytest.raises(CaptureError, match="--focal-px"):
        choose_focal(None, (640, 480), focal)


def test_masks(tmp_path: Path) -> None:
    Image.fromarray(np.pad(np.full((10, 10), 255, np.uint8), 20)).save(tmp_path / "m.png")
    assert load_mask(tmp_path / "m.png", (50, 50)).sum() == 100
    with pytest.raises(CaptureError, match=r"is 50×50 but the photo is 60×50"):
        load_mask(tmp_path / "m.png", (60, 50))
    Image.new("L", (50, 50)).save(tmp_path / "black.png")
    with pytest.raises(CaptureError, match="empty"):
        load_mask(tmp_path / "black.png", (50, 50))
    (tmp_path / "bad.png").write_text("no mask")
    with pytest.raises(CaptureError, match="readable"):
        load_mask(tmp_path / "bad.png", (50, 50))
