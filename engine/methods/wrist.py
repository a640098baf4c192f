"""Where a photo stops telling about the hand: the forearm's side of the wrist."""

from __future__ import annotations

import torch
from torch import Tensor


def beyond_wrist(
    vertices: Tensor, cap_vertices: Tensor, joints: Tensor, intrinsics: Tensor, height: int, width: int
) -> Tensor:
    """[height,width] bool: pixels beyond the model's opening, which is at the wrist or near the elbow.

    vertices [V,3], joints [16,3] in the camera's frame; cap_vertices [N] indices of the opening's lid, may be empty. The line
    runs across the lid's centre, moved towards the hand by a tenth of the palm's length: where exactly a mask was cut is a
    matter of taste, and the outline there must not pull on the shape.
    """
    wrist, knuckle = joints[0], joints[4]
    centre = vertices[cap_vertices].mean(0) if len(cap_vertices) else wrist
    palm = (knuckle - wrist).norm()
    # a forearm points its own way
    near, far = (wrist, centre) if (centre - wrist).norm() > 0.6 * palm else (knuckle, wrist)
    inward = 0.1 * palm * (near - far) / (near - far).norm()
    ends = torch.stack([centre + inward, near, far]) @ intrinsics.to(vertices).T
    line, near_px, far_px = ends[:, :2] / ends[:, 2:3]
    towards_arm = far_px - near_px
    y = torch.arange(height, device=vertices.device).to(vertices)[:, None] + 0.5
    x = torch.arange(width, device=vertices.device).to(vertices)[None] + 0.5
    return (x - line[0]) * towards_arm[0] + (y - line[1]) * towards_arm[1] > 0
