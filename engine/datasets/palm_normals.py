"""How PALM's pictures hold normals. NumPy only: Blender's Python writes them too."""

from __future__ import annotations

import numpy as np


def decode_normals(encoded: np.ndarray) -> np.ndarray:
    """uint8 [H,W,3] of (n + 1) / 2 with x right, y up, z to the camera → unit normals in OpenCV axes, zero where unknown.

    A channel of 0 marks an unknown normal.
    """
    known = (encoded > 0).all(-1, keepdims=True)
    normals = (encoded.astype(np.float32) / 255 * 2 - 1) * np.array([1, -1, -1], np.float32)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.where(known & (length > 1e-3), normals / np.maximum(length, 1e-3), 0).astype(np.float32)


def encode_normals(normals: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Unit normals [H,W,3] in OpenCV axes, known [H,W] bool → uint8 [H,W,3], the inverse of `decode_normals`."""
    encoded = np.zeros(normals.shape, np.uint8)
    flipped = normals[known] * np.array([1, -1, -1])
    encoded[known] = np.clip(np.rint((flipped + 1) / 2 * 255), 1, 255)
    return encoded
