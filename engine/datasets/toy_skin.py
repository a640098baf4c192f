"""Skin for the analytic data set: colour and gloss as texture maps, made from what regions of a hand are known to look like."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..avatar.noise import octaves
from ..avatar.regions import HandPoints
from ..avatar.relief import crease_map, crease_waviness, roughness
from ..avatar.skin_color import LIGHT_SKIN_LUMINANCE, MELANIN_LOSS, REGION_OFFSETS, RegionModel, region_features
from ..hand.mano import shape_hand
from ..hand.model import HandModel
from ..lighting.color import luminance
from ..rendering.bake import chart_padding, pad_map, texel_map
from ..rendering.mesh import mesh_topology

LIGHTEST = (0.58, 0.37, 0.28)
DARKEST = (0.115, 0.062, 0.042)
"""Linear albedo of the back of the hand, between which subjects lie."""
CREASE_COLOR = (-0.10, -0.17, -0.15)
"""Log albedo in a full crease: darker, redder."""
MOTTLING, BLOOD = 0.05, 0.05
"""Standard deviations of the log albedo's variation over centimetres: in lightness, and in redness."""
RUDDY = (0.25, -0.55, -0.35)
PADDING_PX = 8


class SkinTextures(NamedTuple):
    albedo: Tensor
    """[S,S,3] linear."""
    roughness: Tensor
    """[S,S,1]"""


def skin_textures(model: HandModel, betas: Tensor, darkness: float, size: int, seed: int) -> SkinTextures:
    """Skin of one person on the hand model's own texture charts.

    betas [10]; darkness in [0,1] from the lightest to the darkest back of a hand; size: side of the maps in px. The maps
    depend on rest-frame points alone, so they do not change with the pose.
    """
    texels = texel_map(mesh_topology(model.faces, model.uv, model.uv_faces), size)
    vertices, joints = shape_hand(model, betas)
    known = [vertices, model.palm_weight[:, None], model.nail_vertices[:, None].to(vertices), model.skinning_weights]
    values = texels.gather(torch.cat(known, dim=1), model.faces)
    points = HandPoints(values[:, :3], values[:, 3], values[:, 4], values[:, 5:], joints, vertices[model.tip_vertices])
    color = _region_colors(darkness, vertices).colors(region_features(points)) + _detail(points, seed)
    maps = torch.cat([torch.exp(color).clamp(0.03, 0.8), roughness(points, seed)[:, None]], dim=1)
    inside = texels.inside()
    padded = pad_map(texels.to_map(maps), chart_padding(inside, PADDING_PX), inside)
    return SkinTextures(padded[..., :3].contiguous(), padded[..., 3:].contiguous())


def _region_colors(darkness: float, like: Tensor) -> RegionModel:
    lightest, darkest = (torch.log(like.new_tensor(color)) for color in (LIGHTEST, DARKEST))
    back = lightest + darkness * (darkest - lightest)
    offsets = like.new_tensor(REGION_OFFSETS)
    darkening = torch.log(LIGHT_SKIN_LUMINANCE / luminance(torch.exp(back))).clamp_min(0)
    offsets[:2] += darkening * like.new_tensor(MELANIN_LOSS)
    return RegionModel(back, offsets)


def _detail(points: HandPoints, seed: int) -> Tensor:
    """[N,3] log albedo: mottling, blood, lines of the joints and the palm."""
    position = points.position
    skin = (1 - 0.8 * points.nail)[:, None]
    mottling = MOTTLING * octaves(position, (0.012, 0.005), (0.7, 0.7), seed + 11)[:, None]
    blood = BLOOD * octaves(position, (0.02, 0.008), (0.7, 0.7), seed + 23)[:, None] * position.new_tensor(RUDDY)
    creases = crease_map(points, crease_waviness(position, seed))[:, None] * position.new_tensor(CREASE_COLOR)
    return skin * (mottling + blood) + creases
