"""The capture on disk: `capture.json` with its mask beside it, or `captures.json` with one capture per video frame.

Pixels: the first pixel's centre lies at (0.5, 0.5). Camera axes: OpenCV's. Keypoints: the project's 21-point order.
`image_size` is that of the upright picture as `images.load_photo` returns it. NumPy and Pillow only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from ..errors import CaptureError
from ..files import atomic_file, atomic_folder, check_output, read_json, write_json
from ..outside import numbers

SCHEMA_VERSION = 1
MAX_FRAMES = 200_000


@dataclass(frozen=True)
class Quality:
    """How well the fitted hand explains the picture."""

    reprojection_px: float
    """Mean distance of the projected keypoints from the detector's."""
    reprojection_relative: float
    """The same over the diagonal of the detector's bounding box."""
    mask_iou: float
    """Intersection over union of the projected hand and the refined mask."""
    joints_3d_error_mm: float | None
    """Mean distance from the detector's metric keypoints, both about the wrist, in the detector's own metres (which are no
    measurement of this hand: its scale and bone lengths are a learned guess); None without those."""


@dataclass(frozen=True)
class Capture:
    """One hand in one picture. Arrays are float64."""

    handedness: str
    """"right" or "left"."""
    image: str
    """Path of the photo or frame, as given."""
    image_sha256: str
    image_size: tuple[int, int]
    """(width, height) px."""
    K: np.ndarray
    """[3,3] px."""
    betas: np.ndarray
    """[10]."""
    global_orient: np.ndarray
    """[3] axis-angle, radians."""
    hand_pose: np.ndarray
    """[45] axis-angle, absolute (flat hand = 0)."""
    transl: np.ndarray
    """[3] metres."""
    keypoints_2d: np.ndarray
    """[21,2] px, as detected or given."""
    joints_3d: np.ndarray
    """[21,3] metres, fitted, camera axes."""
    quality: Quality
    mask: str = ""
    """PNG beside the JSON: 255 is hand."""
    focal_source: str = ""
    """Where the focal length comes from."""
    hand_model: str = ""
    world_to_camera: np.ndarray = field(default_factory=lambda: np.eye(4))
    """[4,4]; identity for photos."""
    frame: int | None = None
    """Number in a video, from 0."""


_ARRAYS: dict[str, tuple[int, ...]] = {
    "K": (3, 3),
    "world_to_camera": (4, 4),
    "betas": (10,),
    "global_orient": (3,),
    "hand_pose": (45,),
    "transl": (3,),
    "keypoints_2d": (21, 2),
    "joints_3d": (21, 3),
}
_SHARED = (
    "handedness",
    "image",
    "image_sha256",
    "image_size",
    "K",
    "world_to_camera",
    "betas",
    "focal_source",
    "hand_model",
)


def mask_path_of(path: Path) -> Path:
    """Where a photo's mask goes: beside its capture file."""
    return path.with_name(f"{path.stem}_mask.png")


def mask_folder_of(path: Path) -> Path:
    """Where a video's masks go: beside its capture file."""
    return path.with_name(f"{path.stem}_masks")


def write_capture(path: Path | str, capture: Capture, mask: np.ndarray, force: bool = False) -> Capture:
    """Write one capture, and its mask [H,W] (bool, or 0..1 float) as `NAME_mask.png` beside it.

    Returns the capture with its mask's name. Raises OutputError when either file exists (and not `force`) or the folder
    cannot be written.
    """
    path = Path(path)
    mask_path = mask_path_of(path)
    check_output(path, force)
    check_output(mask_path, force)
    _check_mask_shape(mask, capture.image_size)
    capture = replace(capture, mask=mask_path.name)
    # both are made whole before the mask and then the description, which names it, are moved into place
    with atomic_file(path) as description, atomic_file(mask_path) as temporary:
        _save_png(temporary, mask)
        write_json(description, {"schema_version": SCHEMA_VERSION, **_as_json(capture)})
    return capture


def write_captures(
    path: Path | str,
    captures: list[Capture | None],
    masks: Sequence[np.ndarray | None],
    fps: float | None,
    force: bool = False,
) -> None:
    """Write a video's captures: shared fields once, `frames` with one object or null each, masks in `NAME_masks/`.

    A frame repeats a shared field only where its own value differs, as the `image` of a folder's frames does.
    """
    path = Path(path)
    folder = mask_folder_of(path)
    check_output(path, force)
    first = next((capture for capture in captures if capture is not None), None)
    if first is None:
        raise CaptureError("no frame of the video shows a hand")
    shared = {key: value for key, value in _as_json(first).items() if key in _SHARED}
    frames: list[dict[str, Any] | None] = []
    # both are made whole before either is moved into place
    with atomic_file(path) as description, atomic_folder(folder, force) as temporary:
        for number, (capture, mask) in enumerate(zip(captures, masks, strict=True)):
            if capture is None or mask is None:
                frames.append(None)
                continue
            name = f"{number:06d}.png"
            _check_mask_shape(mask, capture.image_size)
            _save_png(temporary / name, mask)
            own = _as_json(replace(capture, mask=f"{folder.name}/{name}", frame=number))
            frames.append({key: value for key, value in own.items() if key not in shared or value != shared[key]})
        write_json(description, {"schema_version": SCHEMA_VERSION, **shared, "fps": fps, "frames": frames})


def read_capture(path: Path | str) -> Capture:
    """A `capture.json`. Raises CaptureError naming the file, the field and what to do."""
    path = Path(path)
    raw = _read(path)
    if "frames" in raw:
        raise CaptureError(f"{path} holds a video's captures: use it where a video is wanted, or capture one photo")
    return _from_json(raw, str(path))


def read_captures(path: Path | str) -> tuple[list[Capture | None], float | None]:
    """(one capture or None per frame, frames per second or None) of a `captures.json`. Raises CaptureError."""
    path = Path(path)
    raw = _read(path)
    frames = raw.get("frames")
    if not isinstance(frames, list) or not frames or len(frames) > MAX_FRAMES:
        raise CaptureError(f"{path}: frames is not a list of captures: make it with `python -m engine capture VIDEO`")
    shared = {key: raw[key] for key in _SHARED if key in raw}
    captures: list[Capture | None] = []
    for number, own in enumerate(frames):
        if own is not None and not isinstance(own, dict):
            raise CaptureError(f"{path}: frame {number} is neither an object nor null")
        captures.append(None if own is None else _from_json({**shared, **own}, f"{path}, frame {number}"))
    fps = raw.get("fps")
    if not isinstance(fps, (int, float)) or isinstance(fps, bool) or not 0 < fps <= 10_000:
        return captures, None
    return captures, float(fps)


def read_mask(path: Path | str, capture: Capture) -> np.ndarray:
    """The mask [H,W] bool that belongs to a capture read from `path`. Raises CaptureError."""
    from .images import load_mask

    return load_mask(Path(path).parent / capture.mask, capture.image_size)


def _read(path: Path) -> dict[str, Any]:
    raw = read_json(path, "capture file")
    version = raw.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CaptureError(f"{path} has no schema_version: it is not a capture file")
    if version > SCHEMA_VERSION:
        raise CaptureError(
            f"{path} has schema {version}, newer than this program's {SCHEMA_VERSION}: update PALM Hands"
        )
    return raw


def _from_json(raw: dict[str, Any], where: str) -> Capture:
    arrays = {name: numbers(raw.get(name), f"{where}: {name}", CaptureError, shape) for name, shape in _ARRAYS.items()}
    side = raw.get("handedness")
    if side not in ("right", "left"):
        raise CaptureError(f"{where}: handedness is {side!r}, not 'right' or 'left'")
    size = raw.get("image_size")
    if not isinstance(size, list) or len(size) != 2 or not all(type(n) is int and 0 < n < 1 << 20 for n in size):
        raise CaptureError(f"{where}: image_size is not [width, height]")
    camera = arrays["K"]
    if camera[0, 0] <= 0 or camera[1, 1] <= 0 or not np.allclose(camera[2], (0, 0, 1)):
        raise CaptureError(f"{where}: K is not a pinhole camera's matrix")
    if np.abs((camera[0, 1], camera[1, 0])).max() > 1e-6:
        raise CaptureError(f"{where}: K has skew, which Blender's camera cannot show: capture the photo again")
    frame = raw.get("frame")
    return Capture(
        handedness=side,
        image=_text(raw, "image", where),
        image_sha256=_text(raw, "image_sha256", where),
        image_size=(size[0], size[1]),
        quality=_quality(raw.get("quality"), where),
        mask=_mask_name(raw.get("mask"), where),
        focal_source=_text(raw, "focal_source", where),
        hand_model=_text(raw, "hand_model", where),
        frame=frame if type(frame) is int else None,
        **arrays,
    )


def _as_json(capture: Capture) -> dict[str, Any]:
    value: dict[str, Any] = {
        "handedness": capture.handedness,
        "image": capture.image,
        "image_sha256": capture.image_sha256,
        "image_size": list(capture.image_size),
        **{name: np.asarray(getattr(capture, name), dtype=float).tolist() for name in _ARRAYS},
        "mask": capture.mask,
        "quality": {name: getattr(capture.quality, name) for name in Quality.__dataclass_fields__},
        "focal_source": capture.focal_source,
        "hand_model": capture.hand_model,
    }
    if capture.frame is not None:
        value["frame"] = capture.frame
    return value


def _text(raw: dict[str, Any], name: str, where: str) -> str:
    value = raw.get(name, "")
    if not isinstance(value, str) or len(value) > 4096:
        raise CaptureError(f"{where}: {name} is not a text")
    return value


def _quality(value: Any, where: str) -> Quality:
    if not isinstance(value, dict):
        raise CaptureError(f"{where}: quality is missing")
    known: dict[str, float | None] = {}
    for name in Quality.__dataclass_fields__:
        number = value.get(name)
        if number is None and name == "joints_3d_error_mm":
            known[name] = None
        else:
            known[name] = float(numbers(number, f"{where}: quality.{name}", CaptureError, ()))
    return Quality(**known)  # type: ignore[arg-type]


def _mask_name(value: Any, where: str) -> str:
    """A mask's name, inside the JSON's own folder: a capture from elsewhere must not make us read other files."""
    name = PurePosixPath(value) if isinstance(value, str) and 0 < len(value) < 512 else None
    unsafe = name is None or name.is_absolute() or ".." in name.parts or "\\" in str(name) or ":" in str(name)
    if unsafe or name is None or name.suffix.lower() != ".png":
        raise CaptureError(f"{where}: mask is {json.dumps(value)[:80]}, not the name of a PNG beside the file")
    return str(name)


def _check_mask_shape(mask: np.ndarray, size: tuple[int, int]) -> None:
    if mask.shape != (size[1], size[0]):
        raise CaptureError(f"the mask has shape {mask.shape} but the picture is {size[0]}×{size[1]}")


def _save_png(path: Path, mask: np.ndarray) -> None:
    values = np.clip(np.asarray(mask, dtype=np.float32) * 255 + 0.5, 0, 255).astype(np.uint8)
    Image.fromarray(values).save(path, format="PNG", compress_level=3)
