"""Taking a path tracer's grain off a picture, with its noise-free passes as guides (after Dammertz et al. 2010).

The reference pictures of rendered sets are denoised as well; comparing a grainy picture with them would measure the grain.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from .mesh_pbr import MeshRender

ROUNDS = 3
"""Passes with steps of 1, 2 and 4 pixels: 9 taps each see 15 pixels together."""
NORMAL_SIGMA, DEPTH_SIGMA_M, LIGHT_SIGMA = 0.25, 0.004, 1.2
"""Differences at which a neighbour counts 0.6: of unit normals, of depths, of the light's logarithm."""
_TINY = 1e-4
_KERNEL = (1.0, 2.0, 1.0)


def denoised(render: MeshRender) -> Tensor:
    """[H,W,3] the linear, premultiplied colour without grain.

    The albedo is divided out first and multiplied back, so that no texture is blurred; neighbours count by how alike their
    normal, depth and light are.
    """
    albedo = render.albedo.clamp_min(_TINY)
    light = render.color / albedo
    weight = render.coverage
    light = torch.minimum(light, _brightest_beside(light))
    for level in range(ROUNDS):
        light = _smoothed(light, render.normals, render.depth, weight, 1 << level)
    return torch.where(render.coverage[..., None] > 0, light * albedo, render.color)


def _brightest_beside(light: Tensor) -> Tensor:
    """[H,W,3] the greatest light among the 8 pixels around each: what is brighter than all of them is a stray path."""
    height, width = light.shape[:2]
    wide = pad(light.permute(2, 0, 1)[None], (1, 1, 1, 1))[0].permute(1, 2, 0)
    around = [(row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1)]
    return torch.stack([wide[row : row + height, column : column + width] for row, column in around]).amax(0)


def _smoothed(light: Tensor, normals: Tensor, depth: Tensor, weight: Tensor, step: int) -> Tensor:
    """One pass of 3 × 3 taps, `step` pixels apart."""
    height, width = depth.shape
    brightness = (light.mean(-1) + _TINY).log()
    planes = torch.cat([light, normals, depth[..., None], weight[..., None], brightness[..., None]], dim=-1)
    wide = pad(planes.permute(2, 0, 1)[None], (step, step, step, step))[0].permute(1, 2, 0)
    total, weights = torch.zeros_like(light), torch.zeros_like(depth)
    for row in range(3):
        for column in range(3):
            near = wide[row * step : row * step + height, column * step : column * step + width]
            far = (near[..., 3:6] - normals).square().sum(-1) / NORMAL_SIGMA**2
            far = far + (near[..., 6] - depth).square() / DEPTH_SIGMA_M**2
            far = far + (near[..., 8] - brightness).square() / LIGHT_SIGMA**2
            share = near[..., 7] * torch.exp(-far / 2) * _KERNEL[row] * _KERNEL[column]
            total += share[..., None] * near[..., :3]
            weights += share
    return total / weights.clamp_min(1e-12)[..., None]
