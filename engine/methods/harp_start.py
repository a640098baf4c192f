"""Where HARP's appearance starts: light from the frames' shading, skin of one colour per region, flat normals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..avatar.skin_color import REGION_OFFSETS, region_features
from ..lighting.color import linear_to_srgb, srgb_to_linear
from ..rendering.bake import texel_map
from ..rendering.frame_stack import see_stack
from ..rendering.mesh import surface_values
from ..rendering.shadow import parallel_shadow_map, soft_visibility
from .config import HarpConfig
from .harp_frames import Frames
from .harp_model import AppearanceParameters, GeometryParameters, Template, pose_hand
from .harp_render import shading_of
from .light_estimation import estimate_light
from .skin_bake import hand_points

MOST_POINTS = 30_000
"""Of all frames together, from which the light is estimated."""


class _Samples(NamedTuple):
    """Points of skin of one frame."""

    observed: Tensor
    """[P,3] linear"""
    normals: Tensor
    """[P,3]"""
    openness: Tensor
    """[P]"""
    relative: Tensor
    """[P,3] albedo over that of the back of the hand"""
    weight: Tensor
    """[P]"""
    visibility: Callable[[Tensor], Tensor]


@torch.no_grad()
def start_appearance(
    template: Template,
    geometry: GeometryParameters,
    frames: Frames,
    config: HarpConfig,
    chosen: Sequence[int] = (0,),
    shrink: int = 1,
) -> AppearanceParameters:
    """The first appearance, from the chosen frames together; leaves for the optimiser."""
    posed = pose_hand(template, geometry.frames(torch.tensor(chosen[0])))
    relative = torch.exp(region_features(hand_points(template, posed)) @ posed.vertices.new_tensor(REGION_OFFSETS))
    most = MOST_POINTS // len(chosen)
    samples = [_samples(template, geometry, frames, relative, k, shrink, config, most) for k in chosen]

    def visibility(direction: Tensor) -> Tensor:
        return torch.cat([one.visibility(direction) for one in samples])

    observed, normals, openness, there, weight = (
        torch.cat([getattr(one, name) for one in samples]) for name in _Samples._fields[:-1]
    )
    estimate = estimate_light(observed, normals, openness, there, weight, visibility if config.shadow else None)
    texels = texel_map(template.topology, config.parameter_map_px)
    albedo = estimate.albedo * texels.gather(relative, template.topology.faces)
    average = linear_to_srgb(estimate.albedo).clamp(0, 1)
    canvas = average.expand(config.parameter_map_px**2, 3).clone()
    canvas[texels.texels] = linear_to_srgb(albedo).clamp(0, 1)
    side = config.parameter_map_px
    appearance = AppearanceParameters(
        albedo=canvas.reshape(side, side, 3),
        normal=torch.zeros(side, side, 2).to(canvas),
        log_ambient=torch.log(estimate.light.ambient.clamp_min(1e-4)),
        log_lamp=torch.log(estimate.light.lamp.clamp_min(1e-4)),
        to_lamp=estimate.light.to_lamp,
    )
    for value in vars(appearance).values():
        value.requires_grad_(True)
    return appearance


def _samples(
    template: Template,
    geometry: GeometryParameters,
    frames: Frames,
    relative: Tensor,
    number: int,
    shrink: int,
    config: HarpConfig,
    most: int,
) -> _Samples:
    target = frames.target(torch.tensor([number]), shrink)
    vertices = pose_hand(template, geometry.frames(torch.tensor(number))).vertices
    faces = template.topology.faces
    shading = shading_of(template, vertices, config.occlusion_rays // 2)
    view = see_stack(vertices[None], template.topology, target.intrinsics, target.height, target.width)
    normals = normalize(surface_values(view, shading.normals, faces), dim=1)
    observed = srgb_to_linear(target.color.reshape(-1, 3)[view.fragments.pixels])
    facing = (-normals[:, 2]).clamp(0, 1)
    weight = target.color_weight.reshape(-1)[view.fragments.pixels] * facing * (observed.max(1).values < 0.95)
    if float(weight.sum()) < 10:
        weight = facing + 1e-3
    every = max(1, -(-len(observed) // most))
    values = torch.cat([shading.openness[:, None], relative, vertices], dim=1)
    openness, albedo, points = surface_values(view, values, faces)[::every].split([1, 3, 3], dim=1)
    sparse = normals[::every]

    def visibility(direction: Tensor) -> Tensor:
        return soft_visibility(parallel_shadow_map(vertices, faces, direction), points, sparse)

    return _Samples(observed[::every], sparse, openness[:, 0], albedo, weight[::every], visibility)
