"""What of a picture is narrow: marks, told from the shadows and tints that are wider than they are."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, median_filter
from torch import Tensor

RADIUS_PX = 10
"""Of the disc that medians are taken over; pictures are scaled to it."""


def without_wide_parts(values: Tensor, valid: Tensor, radius_px: float) -> Tensor:
    """A picture [H,W,C] less its median over discs of a radius (px), which only looks at valid [H,W] bool pixels.

    The median keeps what rises or falls across a disc, so an edge of a shadow, sharp or soft, is all taken off; a line narrower
    than 0.8 of the radius or a spot of less than 0.7 of it stays whole. 0 at pixels that are not valid, and where none is.
    """
    if not bool(valid.any()):
        return torch.zeros_like(values)
    _, (rows, columns) = distance_transform_edt(~valid.cpu().numpy(), return_indices=True)
    nearest = (torch.as_tensor(rows).to(valid.device), torch.as_tensor(columns).to(valid.device))
    filled = values[nearest]
    height, width = valid.shape
    scale = min(1.0, RADIUS_PX / radius_px)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    planes = filled.permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(planes, size=size, mode="area")[0].cpu().numpy()
    reach = max(1, round(radius_px * scale))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = x**2 + y**2 <= (reach + 0.5) ** 2
    wide = torch.as_tensor(np.stack([median_filter(plane, footprint=disc, mode="nearest") for plane in small]))
    wide = torch.nn.functional.interpolate(
        wide[None].to(values), size=(height, width), mode="bilinear", align_corners=False
    )
    return torch.where(valid[..., None], values - wide[0].permute(1, 2, 0), torch.zeros_like(values))
