"""From linear light to the picture that is looked at. NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Picture(NamedTuple):
    radiance: np.ndarray
    """[H,W,3] float32 linear, light times coverage"""
    coverage: np.ndarray
    """[H,W] float32, 1 everywhere where the environment shows"""


def to_display(picture: Picture, background: str) -> np.ndarray:
    """uint8 sRGB: [H,W,3] over black or as it is, or [H,W,4] with straight alpha for a transparent background."""
    if background != "transparent":
        return _encoded(picture.radiance)
    alpha = np.clip(picture.coverage, 0, 1)[..., None]
    straight = picture.radiance / np.maximum(alpha, 1e-4)
    return np.concatenate([_encoded(np.where(alpha > 0, straight, 0)), np.rint(255 * alpha).astype(np.uint8)], axis=-1)


def srgb_encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB's curve on values in [0,1]; others are cut."""
    value = np.clip(linear, 0, 1)
    return np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)


def srgb_decoded(encoded: np.ndarray) -> np.ndarray:
    """The inverse of `srgb_encoded`."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encoded(linear: np.ndarray) -> np.ndarray:
    return np.rint(255 * srgb_encoded(linear)).astype(np.uint8)
