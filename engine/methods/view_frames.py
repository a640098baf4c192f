"""Frames drawn one after the other, and how long their parts take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..rendering.mesh import Picture
from .view_hand import HandPose, ViewHand, ViewLight
from .xhand_model import Camera

WARM_UP = 3
"""First frames that timings leave out: kernels are loaded and memory is found."""


class FrameTimes(NamedTuple):
    """Seconds of one frame."""

    mesh: float
    """From the pose to the posed mesh with its colours."""
    picture: float
    """From the mesh to the picture."""
    whole: float
    """From the pose to 8-bit pixels in the computer's memory."""


class Frame(NamedTuple):
    pixels: np.ndarray
    """[H,W,4] uint8 sRGB, not premultiplied."""
    times: FrameTimes


def draw_frames(
    hand: ViewHand, poses: Iterable[HandPose], camera: Camera, light: ViewLight, neural: bool, detail: int = 0
) -> Iterator[Frame]:
    """One frame a pose."""
    for pose in poses:
        yield draw_frame(hand, pose, camera, light, neural, detail)


def draw_frame(
    hand: ViewHand, pose: HandPose, camera: Camera, light: ViewLight, neural: bool, detail: int = 0
) -> Frame:
    """A pose's frame. detail: see `ViewHand.mesh`."""
    began = _now(hand.joints)
    mesh = hand.mesh(pose, detail)
    posed = _now(hand.joints)
    picture = hand.picture(mesh, camera, light, neural)
    drawn = _now(hand.joints)
    pixels = as_bytes(picture)
    return Frame(pixels, FrameTimes(posed - began, drawn - posed, time.perf_counter() - began))


def as_bytes(picture: Picture) -> np.ndarray:
    """[H,W,4] uint8 of a picture over black."""
    share = picture.coverage.clamp(0, 1)[..., None]
    color = (picture.color / share.clamp_min(1e-3)).clamp(0, 1)
    return (torch.cat([color, share], dim=-1) * 255 + 0.5).to(torch.uint8).cpu().numpy()


def over(pixels: np.ndarray, backdrop: int) -> np.ndarray:
    """[H,W,3] uint8 of [H,W,4] before an even grey."""
    share = pixels[..., 3:].astype(np.uint16)
    return ((pixels[..., :3] * share + backdrop * (255 - share) + 127) // 255).astype(np.uint8)


def _now(like: Tensor) -> float:
    """The time when the device has done what it was told."""
    if like.device.type == "cuda":
        torch.cuda.synchronize(like.device)
    return time.perf_counter()


def summary(times: list[FrameTimes]) -> dict[str, float]:
    """Medians in milliseconds after the warm-up, and frames a second end to end."""
    kept = np.array(times[min(WARM_UP, len(times) // 2) :])
    mesh, picture, whole = np.median(kept, axis=0)
    return {
        "mesh_ms": 1000 * float(mesh),
        "render_ms": 1000 * float(picture),
        "mesh_per_second": 1 / max(float(mesh), 1e-9),
        "render_per_second": 1 / max(float(picture), 1e-9),
        "frames_per_second": 1 / max(float(whole), 1e-9),
    }
