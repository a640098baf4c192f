"""Frames while geometry rests: what each shows of the skin is found once and kept in few bytes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..lighting.color import linear_to_srgb
from ..rendering.frame_stack import see_stack
from ..rendering.mesh import Picture
from ..rendering.surface import corner_tangents, vertex_normals
from .config import HarpConfig
from .harp_frames import Frames, Target
from .harp_model import AppearanceParameters, GeometryParameters, Template, pose_hand
from .harp_render import SeenSkin, Shading, SkyViews, seen_skin, shade_skin, stacked_skin, visible_lamp

TURNED = 0.9986
"""Cosine between lamp directions (3 degrees) from which on shadows are tested again."""


@torch.no_grad()
def posed_frames(template: Template, geometry: GeometryParameters) -> tuple[Tensor, Tensor]:
    """Vertices [T,V,3] and joints [T,16,3] of all frames."""
    parts = torch.arange(len(geometry.transl)).split(16)
    posed = [pose_hand(template, geometry.frames(part)) for part in parts]
    return torch.cat([one.vertices for one in posed]), torch.cat([one.joints for one in posed])


class FixedFrame(NamedTuple):
    """What a frame shows while geometry rests."""

    skin: SeenSkin
    lamp: Tensor
    """[P] uint8: share of the lamp's disc that is seen, 255 = all."""
    to_lamp: Tensor
    """[3] unit, for which that holds."""
    weight: Tensor
    """[P] uint8: how well the skin faces the camera, 255 = straight."""


class FixedFrames:
    """Frames whose geometry rests: what they show is found once, and where the lamp falls again when it has turned."""

    def __init__(
        self,
        template: Template,
        geometry: GeometryParameters,
        frames: Frames,
        config: HarpConfig,
        sky: SkyViews | None = None,
        sharpness: Tensor | None = None,
    ):
        """sharpness [T]: weights of the frames; None: all alike."""
        self.sharpness = sharpness
        self.template, self.frames = template, frames
        self.vertices, self.joints = posed_frames(template, geometry)
        self.config = config
        self.sky = sky or SkyViews(template, config.occlusion_rays)
        self.known: dict[int, FixedFrame] = {}

    @torch.no_grad()
    def shading(self, number: int) -> Shading:
        """Of one frame's whole hand."""
        vertices, topology = self.vertices[number], self.template.topology
        normals = vertex_normals(vertices, topology.faces)
        tangents = corner_tangents(vertices, normals, topology.faces, topology.uv, topology.uv_faces)
        return Shading(normals, tangents, self.sky.of(number, vertices, normals))

    @torch.no_grad()
    def frame(self, number: int, to_lamp: Tensor) -> FixedFrame:
        """One frame's visible skin that counts for colour, with the lamp as it stands."""
        known = self.known.get(number)
        direction = normalize(to_lamp.detach(), dim=0)
        if known is not None and (not self.config.shadow or float(known.to_lamp @ direction) > TURNED):
            return known
        target = self.frames.target(torch.tensor([number]))
        vertices, topology = self.vertices[number], self.template.topology
        view = see_stack(vertices[None], topology, target.intrinsics, target.height, target.width)
        counts = target.color_weight.reshape(-1)[view.fragments.pixels] > 0
        normals = vertex_normals(vertices, topology.faces)
        skin = known.skin if known else seen_skin(view, topology, self.shading(number)).only(counts).packed()
        lamp = torch.ones(len(skin.pixels))
        if self.config.shadow:
            samples = self.config.shadow_samples
            lamp = visible_lamp(self.template, vertices[None], view, normals, direction, samples)[counts]
        weight = known.weight if known else _eight_bit(facing_weight(skin.normals))
        self.known[number] = FixedFrame(skin, _eight_bit(lamp), direction, weight)
        return self.known[number]

    def picture(self, index: Tensor, appearance: AppearanceParameters, target: Target) -> tuple[Picture, Target]:
        """Frames [B] over their photos, where only skin that counts for colour is drawn; and the target with the weights that
        skin has by its facing and its frame's sharpness."""
        parts = [self.frame(number, appearance.to_lamp) for number in index.tolist()]
        height, width = target.mask.shape
        skin = stacked_skin([part.skin for part in parts], target.height * width)
        lamp = torch.cat([part.lamp for part in parts]).to(skin.uv) / 255 if self.config.shadow else None
        color = linear_to_srgb(shade_skin(skin, appearance.maps(), appearance.light(), lamp))
        drawn = target.color.reshape(-1, 3).index_copy(0, skin.pixels, color)
        weights = [part.weight.to(skin.uv) / 255 for part in parts]
        if self.sharpness is not None:
            weights = [weight * self.sharpness[k] for weight, k in zip(weights, index.tolist(), strict=True)]
        weight = torch.zeros(height * width).to(skin.uv).index_copy(0, skin.pixels, torch.cat(weights))
        picture = Picture(drawn.reshape(height, width, 3), target.mask)
        return picture, target._replace(color_weight=weight.reshape(height, width))


def facing_weight(normals: Tensor) -> Tensor:
    """[P] in [0.1,1] of normals [P,3] in the camera's axes: skin seen at a flat angle smears over many texels."""
    cosine = -normalize(normals.float(), dim=1)[:, 2]
    return ((cosine - 0.1) / 0.5).clamp(0.1, 1.0)


def _eight_bit(share: Tensor) -> Tensor:
    return (share.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
