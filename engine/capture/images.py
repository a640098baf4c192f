"""Any photo → upright 8-bit sRGB pixels and what its metadata says about the lens. Pillow and NumPy only."""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import CaptureError
from ..files import sha256_of

log = logging.getLogger(__name__)

MAX_SIDE_PX = 4096
"""Larger pictures are reduced to this longer side: finer skin detail than any texture here can hold."""
MAX_PIXELS = 170_000_000
"""Pictures beyond this are refused before they are decoded. Pillow's own limit lies just above, at 179 megapixels."""
BAND_ROWS = 256
"""Rows of a deep picture that are converted at a time."""
MAX_FILE_BYTES = 1 << 30
MIN_SIDE_PX = 32
DEFAULT_FOCAL_35MM = 50.0
"""Assumed 35 mm-equivalent focal length when nothing is known: between phones (26 mm, often cropped) and portraits."""
DIAGONAL_35MM = math.hypot(36.0, 24.0)

_EXIF_IFD = 0x8769
_FOCAL_LENGTH, _FOCAL_35MM = 0x920A, 0xA405
_PLANE_X_RESOLUTION, _PLANE_UNIT = 0xA20E, 0xA210
_EXIF_WIDTH, _EXIF_HEIGHT = 0xA002, 0xA003
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0}


@dataclass(frozen=True)
class Photo:
    """An upright picture."""

    pixels: np.ndarray
    """[H,W,3] uint8 sRGB."""
    focal_px: float | None
    """From EXIF, in pixels of `pixels`; None when the file does not say."""
    sha256: str
    """Of the file's bytes."""
    path: Path
    notes: tuple[str, ...] = ()
    """What was done to the file that the user may not expect."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]


def load_photo(path: Path | str, max_side: int = MAX_SIDE_PX) -> Photo:
    """Read a photo: upright by EXIF, colour-managed to sRGB, alpha over white, first frame, longer side ≤ max_side.

    The result depends on the file alone, so a `capture.json` (whose image_size is that of this function's result) can
    name the file. Raises CaptureError for what is no picture, is cut off, too small or too large.
    """
    path = Path(path)
    if path.is_dir():
        raise CaptureError(f"{path} is a folder: give one photo (a folder of frames is a video)")
    if not path.is_file():
        raise CaptureError(f"photo {path} does not exist: check the path")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CaptureError(f"photo {path} is larger than 1 GB: give a smaller JPEG or PNG")
        # Pillow warns from 89 megapixels on
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels, focal_px, notes = _decode(path, max_side)
        digest = sha256_of(path)
    except CaptureError:
        raise
    except UnidentifiedImageError as error:
        raise CaptureError(f"{path} is not a picture that can be read: give a JPEG, PNG, WebP or TIFF file") from error
    except Image.DecompressionBombError as error:
        raise CaptureError(
            f"photo {path} has too many pixels: reduce it below {MAX_PIXELS // 1_000_000} megapixels"
        ) from error
    except Exception as error:
        # Pillow's decoders raise many kinds of errors on cut-off and hostile files
        raise CaptureError(
            f"photo {path} is damaged or cut off ({error or type(error).__name__}): export it again as JPEG or PNG"
        ) from error
    for note in notes:
        log.info("%s: %s", path.name, note)
    return Photo(pixels, focal_px, digest, path, tuple(notes))


def _decode(path: Path, max_side: int) -> tuple[np.ndarray, float | None, list[str]]:
    notes: list[str] = []
    with Image.open(path) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise CaptureError(
                f"photo {path} has {width}×{height} pixels: reduce it below {MAX_PIXELS // 1_000_000} megapixels"
            )
        if min(width, height) < MIN_SIDE_PX:
            raise CaptureError(
                f"photo {path} has only {width}×{height} pixels: give one of at least {MIN_SIDE_PX}×{MIN_SIDE_PX}"
            )
        frame_count = getattr(image, "n_frames", 1)
        if frame_count > 1:
            image.seek(0)
            notes.append(f"has {frame_count} frames; the first is used")
        focal_fraction = _focal_over_diagonal(image)
        profile = image.info.get("icc_profile")
        if image.format == "JPEG" and max(width, height) > max_side:
            image.draft(
                None,
                (
                    math.ceil(width * max_side / max(width, height)),
                    math.ceil(height * max_side / max(width, height)),
                ),
            )
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        rgb = _to_srgb(image, profile, notes)
    if max(width, height) > max_side:
        scale = max_side / max(rgb.size)
        if scale < 1:
            rgb = rgb.resize(
                (round(rgb.width * scale), round(rgb.height * scale)),
                Image.Resampling.LANCZOS,
                reducing_gap=3,
            )
        notes.append(f"reduced from {width}×{height} to {rgb.width}×{rgb.height}")
    focal_px = None if focal_fraction is None else focal_fraction * math.hypot(*rgb.size)
    return np.ascontiguousarray(np.asarray(rgb.convert("RGB"), dtype=np.uint8)), focal_px, notes


def _to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """8-bit sRGB from any of Pillow's modes; mode L, a third of the memory, from deep grey ones."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        notes.append("high bit depth, reduced to 8 bits")
        return _from_deep_grey(image)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "LA" or (image.mode in ("L", "RGB") and "transparency" in image.info):
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "RGBa", "PA", "La"):
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        if np.asarray(alpha).min() < 255:
            notes.append("has transparency; laid over white")
        colour = _managed(image.convert("RGB"), profile)
        white = Image.new("RGB", image.size, (255, 255, 255))
        return Image.composite(colour, white, alpha)
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if image.mode == "CMYK":
        notes.append("CMYK, converted to sRGB")
    return _managed(image, profile)


def _from_deep_grey(image: Image.Image) -> Image.Image:
    bands = [(0, top, image.width, min(top + BAND_ROWS, image.height)) for top in range(0, image.height, BAND_ROWS)]
    # 16-bit files use their full range by definition; for the rarer kinds the values must tell
    full = 1.0 if image.mode == "F" else 65535.0
    for box in bands:
        values = np.asarray(image.crop(box))
        if not np.isfinite(values).all():
            raise CaptureError("a pixel is NaN or infinite")
        full = max(full, float(values.max()))
    grey = np.empty((image.height, image.width), np.uint8)
    for box in bands:
        values = np.asarray(image.crop(box)).astype(np.float32)
        grey[box[1] : box[3]] = np.clip(values * (255.0 / full) + 0.5, 0, 255)
    return Image.fromarray(grey)


def _managed(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            managed = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if managed is not None:
                return managed
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            log.info("colour profile ignored (%s)", error)
    return image.convert("RGB")


def _focal_over_diagonal(image: Image.Image) -> float | None:
    """Focal length over the picture's diagonal, from EXIF; None when absent or absurd. Orientation does not matter."""
    try:
        exif = image.getexif()
        tags = {**exif, **exif.get_ifd(_EXIF_IFD)}
        fraction = _fraction_from_tags(tags, image.size)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        SyntaxError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        # EXIF blocks are often malformed, and never worth failing a photo for
        log.info("EXIF ignored (%s)", error)
        return None
    # 8 mm to 1200 mm equivalent
    return fraction if fraction is not None and 0.18 < fraction < 28 else None


def _fraction_from_tags(tags: dict[int, Any], size: tuple[int, int]) -> float | None:
    equivalent = float(tags.get(_FOCAL_35MM) or 0)
    if equivalent > 0:
        return equivalent / DIAGONAL_35MM
    focal_mm = float(tags.get(_FOCAL_LENGTH) or 0)
    resolution = float(tags.get(_PLANE_X_RESOLUTION) or 0)
    unit = _MM_PER_UNIT.get(int(tags.get(_PLANE_UNIT) or 2))
    if focal_mm <= 0 or resolution <= 0 or unit is None:
        return None
    width = float(tags.get(_EXIF_WIDTH) or size[0])
    height = float(tags.get(_EXIF_HEIGHT) or size[1])
    return focal_mm * resolution / unit / math.hypot(width, height)


def choose_focal(
    photo_focal_px: float | None, size: tuple[int, int], given_px: float | None = None
) -> tuple[float, str]:
    """(focal length in px, where it comes from): the user's, EXIF's, or the default of 50 mm equivalent."""
    if given_px is not None:
        if not math.isfinite(given_px) or not 0.1 * max(size) <= given_px <= 200 * max(size):
            raise CaptureError(
                f"--focal-px {given_px:g} does not fit a {size[0]}×{size[1]} picture: give pixels, e.g. {max(size)}"
            )
        return float(given_px), "given"
    if photo_focal_px is not None:
        return photo_focal_px, "exif"
    return DEFAULT_FOCAL_35MM / DIAGONAL_35MM * math.hypot(*size), "default, 50 mm equivalent"


def load_mask(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """The user's mask as bool [H,W]: white, or opaque where there is an alpha channel, is hand.

    size: (width, height) it must have. Raises CaptureError when unreadable, empty or of another size.
    """
    path = Path(path)
    if not path.is_file():
        raise CaptureError(f"mask {path} does not exist: check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                if image.size != size and ImageOps.exif_transpose(image).size != size:
                    raise CaptureError(
                        f"mask {path} is {image.width}×{image.height} but the photo is {size[0]}×{size[1]}: "
                        "give a mask of the photo's size"
                    )
                upright = ImageOps.exif_transpose(image)
                if upright.mode in ("RGBA", "LA", "PA") and np.asarray(upright.getchannel("A")).min() < 255:
                    values = np.asarray(upright.getchannel("A"))
                else:
                    values = np.asarray(_to_srgb(upright, None, []).convert("L"))
    except CaptureError:
        raise
    except Exception as error:
        raise CaptureError(f"mask {path} is not a readable picture ({error}): give a PNG") from error
    mask = values > 127
    if not mask.any():
        raise CaptureError(f"mask {path} is empty: paint the hand white")
    return mask
