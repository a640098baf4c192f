"""Writer of the PALM data set's folders: the files that the published readers expect, and nothing else beside a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..avatar.texture_files import write_png8
from ..files import atomic_folder, write_json
from .palm_files import SET_FILE, Camera
from .palm_pixels import encode_normals

SET_SCHEMA = 1


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


class SubjectPoses(NamedTuple):
    """MANO's parameters of T frames, absolute."""

    betas: np.ndarray
    """[10]"""
    global_orient: np.ndarray
    """[T,3] axis-angle, radians."""
    hand_pose: np.ndarray
    """[T,45] axis-angle, radians, flat hand = 0."""
    transl: np.ndarray
    """[T,3] metres."""


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
        described = {
            name: {"K": camera.intrinsics, "Rt": camera.world_to_camera, "height": camera.height, "width": camera.width}
            for name, camera in cameras.items()
        }
        _save_dictionary(folder / "cameras.npy", {"cameras": described})
        relative = {
            "betas": np.asarray(poses.betas, dtype=np.float32)[None],
            "hand_pose": (np.asarray(poses.hand_pose) - hands_mean).astype(np.float32),
            "global_orient": np.asarray(poses.global_orient, dtype=np.float32),
            "transl": np.asarray(poses.transl, dtype=np.float32),
        }
        _save_dictionary(folder / "poses.npy", relative)
        for frame in frames:
            _write_pictures(folder, frame)
    return root / subject


def write_palm_set(root: Path, facts: Mapping[str, Any]) -> None:
    """Write ROOT/dataset.json: hand_model (a name), exact_masks, and whatever else is worth knowing of the set."""
    root.mkdir(parents=True, exist_ok=True)
    write_json(root / SET_FILE, {"schema_version": SET_SCHEMA, **facts})


def _save_dictionary(path: Path, value: dict[str, Any]) -> None:
    np.save(path, np.array(value, dtype=object))


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
