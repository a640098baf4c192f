"""Pictures of an exported hand: the mean skin as the avatar's textures, and the maps that are added with the pose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..avatar.pose_extras import PoseMap
from ..avatar.regions import HandPoints
from ..avatar.relief import roughness
from ..avatar.texture_files import write_png8
from ..hand.mano import shape_hand
from ..rendering.bake import TexelMap, chart_padding, pad_map, texel_map
from ..rendering.field_bake import PADDING_SHARE, FieldMaps
from ..rendering.rasterize import interpolate
from .xhand_export_maps import MapModes
from .xhand_export_samples import PoseDependentHand

FULL_RANGE = 0.999
"""Quantile of a map's differences that its picture must hold; the few beyond are cut off."""
NOTHING = 1e-4
"""Range below which a map is left out."""


class Atlas:
    """The fine mesh's texels at one size, with their padding."""

    def __init__(self, hand: PoseDependentHand, size: int):
        self.topology = hand.topology
        self.texels: TexelMap = texel_map(self.topology, size)
        self.inside = self.texels.inside()
        self._padding = chart_padding(self.inside, max(2.0, PADDING_SHARE * size))

    def painted(self, values: Tensor) -> Tensor:
        """Values of the texture vertices [T,C] as a map [S,S,C], extended beyond the charts."""
        uv_faces = self.topology.uv_faces[self.texels.faces]
        return self.padded(interpolate(values, uv_faces, self.texels.barycentric))

    def padded(self, texels: Tensor) -> Tensor:
        """Values of the texels [N,C] as a map [S,S,C], extended beyond the charts."""
        return pad_map(self.texels.to_map(texels), self._padding, self.inside)


def mean_maps(hand: PoseDependentHand, modes: MapModes, atlas: Atlas, seed: int) -> FieldMaps:
    """The textures of the mean pose; roughness is that of skin in general, since matt shading says nothing of it."""
    painted = atlas.painted(modes.mean)
    upright = torch.ones_like(painted[..., :1])
    normal = normalize(torch.cat([painted[..., :2], upright], dim=-1), dim=-1)
    rough = atlas.padded(roughness(_points(hand, atlas), seed)[:, None])[..., 0]
    return FieldMaps(painted[..., 2:].clamp(0, 1), normal, rough.clamp(0, 1), atlas.inside, atlas.inside)


def _points(hand: PoseDependentHand, atlas: Atlas) -> HandPoints:
    template = hand.template
    rest, joints = shape_hand(template, hand.betas.to(template.v_template))
    nail = template.nail_vertices[:, None].to(rest)
    facts = torch.cat([rest, template.palm_weight[:, None], nail, template.skinning_weights], dim=1)
    values = atlas.texels.gather(facts, template.faces)
    return HandPoints(values[:, :3], values[:, 3], values[:, 4], values[:, 5:], joints, rest[template.tip_vertices])


def pose_maps(modes: MapModes) -> tuple[PoseMap, ...]:
    """The modes with the ranges of their pictures."""
    lengths = torch.cat([modes.mean[:, :2], torch.ones_like(modes.mean[:, :1])], dim=1).norm(dim=1, keepdim=True)
    maps = []
    for weight, difference in zip(modes.weights, modes.differences, strict=True):
        ranges = [_range(difference[:, :2] / lengths), _range(difference[:, 2:])]
        if not any(ranges):
            ranges[0] = NOTHING
        maps.append(PoseMap(weight, *ranges))
    return tuple(maps)


def _range(differences: Tensor) -> float:
    size = differences.abs().amax(1)
    reach = float(np.quantile(size.numpy(), FULL_RANGE))
    return min(reach, 2.0) if reach > NOTHING else 0.0


def write_pose_pictures(
    folder: Path,
    modes: MapModes,
    maps: tuple[PoseMap, ...],
    atlas: Atlas,
    told: Callable[[int], None] = lambda index: None,
) -> None:
    """pose_maps/*.png of an avatar folder: 8 bits of the range that each difference needs are enough."""
    (folder / "pose_maps").mkdir(exist_ok=True)
    lengths = torch.cat([modes.mean[:, :2], torch.ones_like(modes.mean[:, :1])], dim=1).norm(dim=1, keepdim=True)
    for index, (one, difference) in enumerate(zip(maps, modes.differences, strict=True)):
        told(index)
        tilt = torch.cat([difference[:, :2] / lengths, torch.zeros_like(lengths)], dim=1)
        for name, reach in one.pictures(index).items():
            values = tilt if "normal" in name else difference[:, 2:]
            encoded = (0.5 + atlas.painted(values) / (2 * reach)).clamp(0, 1)
            write_png8(folder / name, (encoded.numpy() * 255 + 0.5).astype(np.uint8))
