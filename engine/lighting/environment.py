"""Equirectangular environments in Blender's mapping: +Z up, u = 0.5 − atan2(y, x) / 2π, v from the top = acos(z) / π."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .lamp import LampLight

LAMP_ANGULAR_RADIUS = math.radians(12)
"""Of the disc that stands for the lamp in an environment: a window or ceiling light at arm's length, soft-edged shadows."""


def blender_world(directions: Tensor) -> Tensor:
    """Directions [*,3] in the photo camera's OpenCV axes (y down, z forward) → Blender world axes: (x, z, −y)."""
    x, y, z = directions.unbind(-1)
    return torch.stack([x, z, -y], dim=-1)


def opencv_world(directions: Tensor) -> Tensor:
    """The inverse of `blender_world`: Blender world axes → OpenCV axes, (x, −z, y)."""
    x, y, z = directions.unbind(-1)
    return torch.stack([x, -z, y], dim=-1)


def direction_to_uv(directions: Tensor) -> Tensor:
    """Unit world directions [*,3] → [*,2] (u, v), v from the top, both in [0,1]."""
    x, y, z = directions.unbind(-1)
    u = 0.5 - torch.atan2(y, x) / (2 * math.pi)
    return torch.stack([u, torch.acos(z.clamp(-1, 1)) / math.pi], dim=-1)


def uv_to_direction(uv: Tensor) -> Tensor:
    """(u, v) [*,2], v from the top → unit world directions [*,3]."""
    azimuth, polar = (0.5 - uv[..., 0]) * 2 * math.pi, uv[..., 1] * math.pi
    return torch.stack(
        [torch.sin(polar) * torch.cos(azimuth), torch.sin(polar) * torch.sin(azimuth), torch.cos(polar)], dim=-1
    )


def equirect_grid(height: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """World directions [height,2·height,3] of pixel centres and their solid angles [height,2·height] sr (sum 4π)."""
    width = 2 * height
    v = (torch.arange(height, device=like.device).to(like) + 0.5) / height
    u = (torch.arange(width, device=like.device).to(like) + 0.5) / width
    uv = torch.stack([u.expand(height, width), v[:, None].expand(height, width)], dim=-1)
    edges = torch.cos(torch.arange(height + 1, device=like.device).to(like) * math.pi / height)
    bands = (edges[:-1] - edges[1:]) * 2 * math.pi / width
    return uv_to_direction(uv), bands[:, None].expand(height, width)


def irradiance(environment: Tensor, normals: Tensor) -> Tensor:
    """Irradiance [P,3] of an equirectangular radiance image [H,2H,3] on unit world normals [P,3], by summation."""
    directions, solid_angles = equirect_grid(environment.shape[0], environment)
    cosine = (normals @ directions.reshape(-1, 3).T).clamp_min(0)
    return cosine @ (environment.reshape(-1, 3) * solid_angles.reshape(-1, 1))


def sample_environment(environment: Tensor, directions: Tensor) -> Tensor:
    """Bilinear radiance [P,C] of an image [H,2H,C] along unit world directions [P,3]; wraps around in u."""
    height, width = environment.shape[:2]
    uv = direction_to_uv(directions)
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    x0, y0 = torch.floor(x).long(), torch.floor(y).long()
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    rows = [(y0 + k).clamp(0, height - 1) for k in (0, 1)]
    columns = [(x0 + k) % width for k in (0, 1)]
    upper = environment[rows[0], columns[0]] * (1 - fx) + environment[rows[0], columns[1]] * fx
    lower = environment[rows[1], columns[0]] * (1 - fx) + environment[rows[1], columns[1]] * fx
    return upper * (1 - fy) + lower * fy


def lamp_environment(light: LampLight, height: int = 256, angular_radius: float = LAMP_ANGULAR_RADIUS) -> Tensor:
    """Equirectangular radiance [height,2·height,3] in Blender world axes whose irradiance / pi is the light's shading.

    Ambient a gives constant radiance a. The lamp becomes a soft-edged disc of the given angular radius (rad) around its
    direction, scaled so that a surface facing it receives exactly pi · lamp. `light` is in the camera's OpenCV axes.
    """
    directions, solid_angles = equirect_grid(height, light.ambient)
    cosine = directions @ blender_world(normalize(light.to_lamp, dim=0))
    angle = torch.acos(cosine.clamp(-1, 1))
    edge = max(math.pi / height, 0.15 * angular_radius)
    disc = ((angular_radius + edge / 2 - angle) / edge).clamp(0, 1)
    received = (disc * cosine.clamp_min(0) * solid_angles).sum()
    return light.ambient + disc[..., None] * (math.pi / received) * light.lamp


def lamp_from_environment(environment: Tensor) -> LampLight:
    """Ambient and lamp of an environment image, the inverse of `lamp_environment`; a summary of any other image.

    Ambient is the per-channel median over the sphere; what exceeds it is gathered into one lamp along its mean direction.
    environment [H,2H,3] in Blender world axes. Returns directions in the camera's OpenCV axes.
    """
    directions, solid_angles = equirect_grid(environment.shape[0], environment)
    flat, weight = environment.reshape(-1, 3), solid_angles.reshape(-1)
    order = flat.argsort(0)
    share = weight[order].cumsum(0) / weight.sum()
    middle = (share >= 0.5).to(torch.int64).argmax(0)
    ambient = flat.gather(0, order.gather(0, middle[None]))[0]
    excess = (flat - ambient).clamp_min(0) * weight[:, None]
    mean = excess.sum(1) @ directions.reshape(-1, 3)
    # Without a lamp any direction will do; from above is where light tends to come from.
    to_lamp = normalize(torch.where(mean.norm() > 1e-9, mean, mean.new_tensor([0.0, 0.0, 1.0])), dim=0)
    cosine = (directions.reshape(-1, 3) @ to_lamp).clamp_min(0)
    x, y, z = to_lamp.unbind()
    return LampLight(ambient, (excess * cosine[:, None]).sum(0) / math.pi, torch.stack([x, -z, y]))
