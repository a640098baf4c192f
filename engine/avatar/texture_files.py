"""The avatar's pictures on disk: 16-bit PNGs through OpenCV (Pillow has no 16-bit colour), environments as OpenEXR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import AvatarError, OutputError


def write_png16(path: Path, image: np.ndarray) -> None:
    """Write [H,W] or [H,W,3] (RGB) values in [0,1] with 16 bits a channel. Raises OutputError."""
    import cv2

    values = (np.clip(image, 0, 1) * 65535 + 0.5).astype(np.uint16)
    if not cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values):
        raise OutputError(f"cannot write {path}: check the disk and the folder's rights")


def write_png8(path: Path, image: np.ndarray) -> None:
    """Write uint8 [H,W] or [H,W,3] (RGB)."""
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(image)).save(path, format="PNG")


def read_png(path: Path) -> np.ndarray:
    """A PNG as float32 [H,W] or [H,W,3] RGB in [0,1], 8 or 16 bits. Raises AvatarError when it cannot be decoded."""
    import cv2

    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype not in (np.uint8, np.uint16):
        raise AvatarError(f"{path} cannot be read as a picture: copy it again, or make the avatar again")
    scaled = values.astype(np.float32) / np.iinfo(values.dtype).max
    return np.ascontiguousarray(scaled[..., 2::-1]) if scaled.ndim == 3 else scaled


def write_environment(path: Path, radiance: np.ndarray) -> None:
    """Write an equirectangular picture [H,2H,3] of linear radiance as 32-bit float OpenEXR."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {"RGB": np.ascontiguousarray(radiance, dtype=np.float32)}
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))


def read_environment(path: Path) -> np.ndarray:
    """Linear radiance [H,W,3] float32 of an OpenEXR picture. Raises AvatarError."""
    import OpenEXR

    try:
        with OpenEXR.File(str(path)) as file:
            pixels = np.array(file.channels()["RGB"].pixels, dtype=np.float32)
    except (RuntimeError, ValueError, KeyError, OSError, TypeError) as error:
        raise AvatarError(
            f"{path} cannot be read as an RGB OpenEXR picture ({error}): make the avatar again"
        ) from error
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise AvatarError(f"{path} has shape {pixels.shape}, not [H,W,3]: make the avatar again")
    return pixels
