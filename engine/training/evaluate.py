"""How well a prior renders frames that it was not trained on (novel poses of its subjects)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..datasets.palm import PalmFrame
from ..lighting.color import linear_to_srgb
from ..lighting.sg_light import sg_light_lobes
from ..rendering.implicit_hand import ImplicitHand
from ..rendering.physical import PbrImage, render_image_pbr
from ..rendering.render_config import RenderConfig
from ..rendering.volume import ALL_MAPS, ImageRender, render_image
from .frames import LoadedFrame
from .psnr import psnr_db

SOLID = 0.5
"""Opacity from which a pixel counts as hand."""


class FrameRender(NamedTuple):
    """A frame and what the fields make of it, H × W pixels. Renders are un-premultiplied where there is a hand."""

    target_srgb: Tensor
    """[H,W,3]"""
    mask: Tensor
    """[H,W] 0 or 1."""
    target_normals: Tensor | None
    """[H,W,3] OpenCV camera axes, NaN where unknown."""
    opacity: Tensor
    """[H,W]"""
    radiance_srgb: Tensor
    """[H,W,3]"""
    normals: Tensor
    """[H,W,3] unit, OpenCV camera axes."""
    physical_srgb: Tensor | None
    """[H,W,3]"""
    albedo_srgb: Tensor
    """[H,W,3]"""
    roughness: Tensor
    """[H,W]"""


@torch.no_grad()
def render_frame(
    scene: ImplicitHand, frame: PalmFrame, loaded: LoadedFrame, light: Tensor | None, config: RenderConfig
) -> FrameRender:
    """Render one frame with the scene of its one hand. light [K,7]: also render physically."""
    intrinsics, world_to_camera = (
        torch.as_tensor(np.asarray(value)).to(scene.root) for value in (frame.intrinsics, frame.world_to_camera)
    )
    height, width = loaded.mask.shape
    camera = (intrinsics, world_to_camera, height, width)
    render: ImageRender | PbrImage
    lit = None
    if light is None:
        render = render_image(scene, *camera, config)
    else:
        generator = torch.Generator().manual_seed(0)
        render = render_image_pbr(scene, *camera, sg_light_lobes(light), config, generator, want=ALL_MAPS)
        lit = render.color
    assert render.radiance is not None and render.normal_w is not None
    assert render.albedo is not None and render.roughness is not None
    opacity = render.opacity
    solid = opacity.clamp_min(1e-3)[..., None]
    normals = normalize(render.normal_w @ world_to_camera[:3, :3].T, dim=-1, eps=1e-6)
    return FrameRender(
        loaded.image.to(opacity) / 255,
        loaded.mask.to(opacity),
        None if loaded.normals is None else loaded.normals.to(opacity),
        opacity,
        linear_to_srgb(render.radiance / solid).clamp(0, 1),
        normals,
        None if lit is None else linear_to_srgb(lit / solid).clamp(0, 1),
        linear_to_srgb(render.albedo / solid).clamp(0, 1),
        render.roughness / solid[..., 0],
    )


def frame_metrics(render: FrameRender) -> dict[str, float]:
    """PSNR (dB, peak 1, sRGB over black, on the frame's mask), mask IoU, normal error (degrees, where both are hand)."""
    mask, shown = render.mask > 0, render.opacity > SOLID
    both = mask & shown
    metrics = {
        "radiance_psnr": psnr(render.radiance_srgb, render, mask),
        "mask_iou": float(both.sum() / (mask | shown).sum().clamp_min(1)),
    }
    if render.physical_srgb is not None:
        metrics["physical_psnr"] = psnr(render.physical_srgb, render, mask)
    if render.target_normals is not None:
        known = both & torch.isfinite(render.target_normals).all(-1)
        cosine = (render.normals[known] * render.target_normals[known]).sum(-1).clamp(-1, 1)
        metrics["normal_error_deg"] = float(torch.rad2deg(torch.acos(cosine)).mean()) if len(cosine) else math.nan
    return metrics


def psnr(shown_srgb: Tensor, render: FrameRender, mask: Tensor) -> float:
    """Peak signal to noise of a picture [H,W,3], its own opacity over black, against the frame's on the mask."""
    over_black = shown_srgb * render.opacity[..., None]
    return psnr_db((over_black - render.target_srgb)[mask] ** 2)


def mean_metrics(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the frames that have it."""
    names = sorted({name for row in rows for name in row})
    values = {name: [row[name] for row in rows if name in row and math.isfinite(row[name])] for name in names}
    return {name: float(np.mean(found)) for name, found in values.items() if found}
