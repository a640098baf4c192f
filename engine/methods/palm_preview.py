"""How a personalisation looks while it runs: the photo, and beside it what the fields make of it now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..avatar.texture_files import write_png8
from ..lighting.color import linear_to_srgb
from ..rendering.render_config import RenderConfig
from ..rendering.volume import render_image
from .palm import Look
from .palm_hands import PosedPrior, Unknowns
from .palm_photo import PalmPhoto, cropped_photo
from .preview import BACKDROP

LONGEST_PX = 112
QUICK = RenderConfig(importance_rounds=1, importance_samples=8, weight_cutoff=1e-3)


def previews_in(folder: Path, photo: PalmPhoto, mirrored: bool) -> Look:
    """A look that writes numbered pictures into a folder. photo: the first of the run; mirrored: shown as it was taken."""
    small = cropped_photo(photo, LONGEST_PX)
    count = 0

    def look(posed: PosedPrior, unknowns: Unknowns) -> Path:
        nonlocal count
        count += 1
        path = folder / f"preview-{count:02}.png"
        write_png8(path, fitting_sheet(posed, unknowns, small, mirrored))
        return path

    return look


@torch.no_grad()
def fitting_sheet(posed: PosedPrior, unknowns: Unknowns, photo: PalmPhoto, mirrored: bool) -> np.ndarray:
    """[h,2w,3] uint8: a small photo, and its hand by the radiance field. mirrored: both are turned in x."""
    height, width = photo.mask.shape
    found = render_image(
        *(posed.scene(unknowns), photo.intrinsics, photo.world_to_camera, height, width, QUICK), want=("radiance",)
    )
    assert found.radiance is not None
    opacity = found.opacity[..., None]
    shown = linear_to_srgb(found.radiance).clamp(0, 1) + BACKDROP * (1 - opacity)
    panels = [panel.flip(1) if mirrored else panel for panel in (photo.image_srgb, shown)]
    return (torch.cat(panels, dim=1).clamp(0, 1).cpu().numpy() * 255 + 0.5).astype(np.uint8)
