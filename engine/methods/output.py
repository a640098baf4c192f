"""A personalisation → its avatar folder, whole or not at all."""

from __future__ import annotations

import dataclasses
import time
from collections import ChainMap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..avatar.folder import Avatar, write_avatar
from ..avatar.texture_files import read_png, write_environment, write_png8, write_png16
from ..lighting.color import linear_to_srgb
from .harp import Personalised
from .preview import preview_sheet
from .rerender import RerenderScore, capture_pose, load_avatar, pose_avatar, render_avatar, rerender_score
from .wrist import beyond_wrist


def outcome(folder: Path, avatar: Avatar, started: float) -> dict[str, Any]:
    """What the command tells of a personalised avatar in `folder`. started: by the monotonic clock, seconds."""
    return {
        "avatar": str(folder),
        "preview": str(folder / "preview.png"),
        "handedness": avatar.handedness,
        "rerender_psnr_db": avatar.metrics.get("rerender_psnr_db"),
        "silhouette_iou": avatar.metrics.get("silhouette_iou"),
        "seconds": round(time.monotonic() - started, 1),
    }


def write_personalised(
    folder: Path,
    result: Personalised,
    provenance: dict[str, Any],
    metrics: dict[str, Any],
    force: bool = False,
    write_more: Callable[[Path], None] | None = None,
) -> Avatar:
    """Write textures, mesh, light and preview; returns the avatar as read back, with the re-render's score in its metrics.

    The score is measured on the files as written. write_more: writes more files into the folder that it is given. Raises
    OutputError, AvatarError.
    """
    measured: dict[str, Any] = {}

    def write_images(temporary: Path) -> None:
        maps = result.maps
        write_png16(temporary / "albedo.png", linear_to_srgb(maps.albedo).clamp(0, 1).cpu().numpy())
        write_png16(temporary / "normal.png", (maps.normal * 0.5 + 0.5).cpu().numpy())
        write_png16(temporary / "roughness.png", maps.roughness.cpu().numpy())
        write_png8(temporary / "seen.png", (maps.seen.cpu().numpy() * 255 + 0.5).astype(np.uint8))
        write_environment(temporary / "environment.exr", result.environment.cpu().numpy())
        write_png8(temporary / "photo.png", result.photo)
        write_png8(temporary / "mask.png", result.mask)
        written = dataclasses.replace(result.avatar, folder=temporary)
        measured.update(score_avatar(written).as_metrics())
        photo = torch.as_tensor(read_png(temporary / "photo.png"))
        write_png8(temporary / "preview.png", preview_sheet(written, load_avatar(written), photo))
        if write_more is not None:
            write_more(temporary)

    # avatar.json is written after the pictures, so it can hold what was measured on them
    avatar = dataclasses.replace(
        result.avatar,
        provenance={**result.avatar.provenance, **provenance},
        metrics=ChainMap(measured, metrics, dict(result.avatar.metrics)),
    )
    return write_avatar(folder, avatar, write_images, force)


def score_avatar(avatar: Avatar) -> RerenderScore:
    """Re-render an avatar folder at its capture camera and compare it with its photo."""
    assert avatar.folder is not None
    loaded = load_avatar(avatar)
    posed = pose_avatar(loaded, capture_pose(avatar))
    picture = render_avatar(loaded, posed.vertices, avatar.capture.intrinsics, avatar.capture.image_size)
    photo = torch.as_tensor(read_png(avatar.folder / "photo.png"))
    mask = torch.as_tensor(read_png(avatar.folder / "mask.png")) > 0.5
    cap = torch.as_tensor(np.unique(avatar.mesh.faces[avatar.mesh.cap_faces])).long()
    camera = torch.as_tensor(avatar.capture.intrinsics)
    forearm = beyond_wrist(posed.vertices, cap, posed.joints, camera, *mask.shape)
    return rerender_score(photo, mask, picture, ~forearm)
