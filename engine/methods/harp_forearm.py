"""Where the forearm starts: the captures know hands only, so its direction is first looked for in the masks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..hand.mano import shape_hand
from ..hand.rotations import axis_angle_to_matrix
from .harp_frames import Frames
from .harp_model import GeometryParameters, Template

FLEXION_DEG, DEVIATION_DEG, STEP_DEG = 75, 37.5, 7.5
"""How far the wrist may be bent either way, palm to back and sideways, and how finely it is tried."""
STRAIGHT = 0.1
"""Cost of a squared radian, in shares of the forearm that lie in the mask: of what masks cannot tell apart, the straightest."""
UNTOLD = 0.9
POINTS = 120
SLENDER = 0.5
"""Of its girth is compared: the skin's edges would tell a turn of a few degrees from a foreshortened arm."""


@torch.no_grad()
def start_forearm(template: Template, geometry: GeometryParameters, frames: Frames) -> None:
    """Turn each frame's forearm to where most of it lies in the mask. Moves `geometry.forearm` [T,3] in place.

    template: of a hand with forearm; frames: all of geometry's, in order.
    """
    model = template.model
    if geometry.forearm is None or model.forearm_weight is None:
        return
    rest, joints = shape_hand(model, geometry.betas)
    wrist = joints[0]
    arm = torch.nonzero(model.forearm_weight > 0.999)[:, 0]
    arm = arm[torch.linspace(0, len(arm) - 1, min(POINTS, len(arm))).long()]
    points = rest[arm] - wrist
    axis = torch.nn.functional.normalize(points.mean(0), dim=0)
    along = (points @ axis)[:, None] * axis
    tried = candidates().to(rest)
    # about the wrist, relative to the hand: [C,P,3]
    turned = torch.einsum("cij,pj->cpi", axis_angle_to_matrix(tried), along + SLENDER * (points - along))
    cost = STRAIGHT * (tried**2).sum(1)
    for number in range(len(frames)):
        target = frames.target(torch.tensor([number]))
        hand = axis_angle_to_matrix(geometry.global_orient[number])
        points = turned @ hand.T + wrist + geometry.transl[number]
        inside = mask_at(points @ target.intrinsics[0].T, target.mask, target.silhouette_weight)
        geometry.forearm[number] = tried[int((inside - cost).argmax())]


def candidates() -> Tensor:
    """[C,3] rotations about the wrist's axes of deviation (+Y) and flexion (+Z), no rotation among them."""
    flexion, deviation = (
        torch.arange(-math.floor(most / STEP_DEG), math.floor(most / STEP_DEG) + 1) * math.radians(STEP_DEG)
        for most in (FLEXION_DEG, DEVIATION_DEG)
    )
    y, z = torch.meshgrid(deviation, flexion, indexing="ij")
    return torch.stack([torch.zeros_like(y), y, z], dim=-1).reshape(-1, 3)


def mask_at(projected: Tensor, mask: Tensor, told: Tensor) -> Tensor:
    """[C] mean of mask [H,W] at points [C,P,3] (pixels times depth).

    Where the picture does not tell, nearly as good as in the mask: arms run out of pictures.
    """
    height, width = mask.shape
    pixels = (projected[..., :2] / projected[..., 2:].clamp_min(1e-6)).floor().long()
    x, y = pixels.unbind(-1)
    shown = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (projected[..., 2] > 0)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    weight = shown * told[y, x]
    return (mask[y, x] * weight + UNTOLD * (1 - weight)).mean(1)
