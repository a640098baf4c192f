"""Sheets to look at: pictures beside the truth and their errors, and the surface in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from benchmarks.xhand_scores import Surface, camera_of, picture, posed, true_picture
from engine.avatar.texture_files import write_png8
from engine.datasets.hand_sequence import HandFrame
from engine.evaluation.image_metrics import mask_box, masked_psnr
from engine.files import atomic_file
from engine.methods.preview import label_grid
from engine.methods.xhand_model import XHandModel
from engine.rendering.mesh import compose, mesh_topology, see, surface_values
from engine.rendering.surface import vertex_normals

ERROR_GAIN = 4.0
"""Errors are shown this many times as bright."""
MARGIN_PX = 6
SMOOTH_LIGHT = ((-0.85, -0.5, -0.25), 0.10)
"""Towards a lamp from the side, camera axes, and what comes from all around: wrinkles cast their shade."""


@torch.no_grad()
def picture_sheet(
    path: Path, hands: Mapping[str, tuple[XHandModel, bool]], frames: Sequence[HandFrame], scale: float = 1.0
) -> None:
    """A row a frame: the truth, each hand (and whether the neural renderer draws it), and each one's error.

    scale enlarges the pixels.
    """
    panels: list[Tensor] = []
    captions: list[str] = []
    for frame in frames:
        truth = true_picture(frame)
        made = {}
        for name, (model, neural) in hands.items():
            drawn = picture(model, posed(model, frame), frame, neural)
            shown = drawn.color.clamp(0, 1)
            made[f"{name} {masked_psnr(shown, truth.image, truth.mask | (drawn.coverage > 0.5)):.1f} dB"] = shown
        errors = {
            f"error x {ERROR_GAIN:.0f}, {name}": ERROR_GAIN * (shown - truth.image).abs()
            for name, shown in zip(hands, made.values(), strict=True)
        }
        row = {frame.label: truth.image, **made, **errors}
        panels += [_window(values, truth.mask, scale) for values in row.values()]
        captions += list(row)
    _write(path, panels, captions, 1 + 2 * len(hands))


@torch.no_grad()
def surface_sheet(path: Path, rows: Sequence[tuple[HandFrame, Mapping[str, Surface]]], scale: float = 2.0) -> None:
    """A row a frame: surfaces in grey under a lamp from the side, drawn `scale` times as large as the frame's picture."""
    panels: list[Tensor] = []
    captions: list[str] = []
    for frame, surfaces in rows:
        mask = true_picture(frame).mask
        large = interpolate(mask[None, None].float(), scale_factor=scale, mode="nearest")[0, 0] > 0.5
        for name, surface in surfaces.items():
            panels.append(_window(grey(surface, frame, scale), large, 1.0))
            captions.append(f"{name}, {frame.label}")
    _write(path, panels, captions, len(rows[0][1]))


def grey(surface: Surface, frame: HandFrame, scale: float) -> Tensor:
    """[scale·H, scale·W, 3] matt grey as a frame's camera sees it."""
    camera = camera_of(frame, scale)
    faces = surface.faces
    topology = mesh_topology(faces, torch.zeros(1, 2), torch.zeros_like(faces))
    seen_from = surface.vertices @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    view = see(seen_from, topology, camera.intrinsics, camera.height, camera.width)
    towards, ambient = torch.tensor(SMOOTH_LIGHT[0]), SMOOTH_LIGHT[1]
    normals = normalize(surface_values(view, vertex_normals(seen_from, faces), faces), dim=1)
    shade = ambient + (1 - ambient) * (normals @ normalize(towards, dim=0)).clamp_min(0)
    return compose(view, topology, shade[:, None].expand(-1, 3).sqrt()).color


def _window(values: Tensor, mask: Tensor, scale: float) -> Tensor:
    """The part of a picture that holds the hand."""
    rows, columns = mask_box(mask)
    top, left = max(0, rows.start - MARGIN_PX), max(0, columns.start - MARGIN_PX)
    part = values[top : rows.stop + MARGIN_PX, left : columns.stop + MARGIN_PX]
    if scale != 1.0:
        part = interpolate(part.permute(2, 0, 1)[None], scale_factor=scale, mode="nearest")[0].permute(1, 2, 0)
    return part


def _write(path: Path, panels: Sequence[Tensor], captions: Sequence[str], columns: int) -> None:
    height, width = (max(panel.shape[axis] for panel in panels) for axis in (0, 1))
    padded = []
    for panel in panels:
        canvas = torch.zeros(height, width, 3)
        canvas[: panel.shape[0], : panel.shape[1]] = panel.clamp(0, 1)
        padded.append(canvas)
    with atomic_file(path) as temporary:
        write_png8(temporary, np.asarray(label_grid(padded, list(captions), columns)))
