"""Writer of the PALM data set's folders: the files that the published readers expect, and nothing else beside a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..avatar.texture_files import write_png8
from ..files import atomic_folder
from .palm_files import Camera, SubjectPoses, write_cameras, write_poses
from .palm_normals import encode_normals


class SubjectFrame(NamedTuple):
    """One picture to write."""

    frame: int
    """Index of its pose, from 0."""
    camera: str
    image_srgb: np.ndarray
    """[H,W,3] sRGB-encoded, in [0,1]."""
    mask: np.ndarray
    """[H,W] bool, the hand."""
    silhouette: np.ndarray
    """[H,W] bool, of the posed hand model."""
    normals: np.ndarray | None = None
    """[H,W,3] unit normals in the camera's OpenCV axes, zero where there is none."""


def write_palm_subject(
    root: Path,
    subject: str,
    cameras: Mapping[str, Camera],
    poses: SubjectPoses,
    frames: Sequence[SubjectFrame],
    hands_mean: np.ndarray,
    force: bool = False,
) -> Path:
    """Write ROOT/SUBJECT whole or not at all, and return it.

    hands_mean [45] is taken from the poses, which the layout stores relative to it. Every frame must have a picture from
    every camera, or readers will refuse the subject. Raises OutputError.
    """
    root.mkdir(parents=True, exist_ok=True)
    with atomic_folder(root / subject, force) as folder:
        write_cameras(folder / "cameras.npy", cameras)
        write_poses(folder / "poses.npy", poses, hands_mean)
        for frame in frames:
            _write_pictures(folder, frame)
    return root / subject


def _write_pictures(folder: Path, frame: SubjectFrame) -> None:
    mask = np.where(frame.mask, 255, 0).astype(np.uint8)
    silhouette = np.where(frame.silhouette, 255, 0).astype(np.uint8)
    pictures = {
        "images": (np.clip(frame.image_srgb, 0, 1) * 255 + 0.5).astype(np.uint8),
        "masks": mask,
        # published readers take the silhouette from the alpha channel
        "mano": np.repeat(silhouette[..., None], 4, axis=2),
    }
    if frame.normals is not None:
        pictures["normals"] = encode_normals(frame.normals, np.abs(frame.normals).max(-1) > 0)
    for kind, pixels in pictures.items():
        place = folder / kind / frame.camera
        place.mkdir(parents=True, exist_ok=True)
        write_png8(place / f"{frame.frame + 1:06d}.png", pixels)
