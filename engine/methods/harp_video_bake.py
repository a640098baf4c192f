"""The textures of a video's avatar: what the frames showed of each texel, and the skin that none of them did."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from ..lighting.color import srgb_to_linear
from ..progress import Progress
from ..rendering.bake import TexelMap, chart_padding, pad_map, texel_map
from ..rendering.rasterize import interpolate
from ..rendering.surface import vertex_normals
from ..rendering.texture import sample_texture
from .config import HarpConfig
from .harp_fixed import FixedFrames, facing_weight
from .harp_model import AppearanceParameters, PosedHand, Template
from .skin_bake import Observation, PhotoView, SkinMaps, bake_skin, observe_photo

ENOUGH = 0.6
"""Sum of confidences over frames, from which a texel was seen."""
PEAKED = 4
"""Power of a frame's weight at a texel: the best frame outweighs all others that are not nearly as good."""
ALIKE = 0.15
"""Log by which a frame may differ from what all frames say and still be heard: a shadow's edge or another finger does not."""
MOST_DETAIL = 0.25
"""Log of the strongest detail."""
DETAIL_TEXELS = 5.0
"""Of a 512² map: detail up to this size is taken from single frames, what is larger from all of them."""


@torch.no_grad()
def bake_video(
    template: Template,
    posed: PosedHand,
    fixed: FixedFrames,
    appearance: AppearanceParameters,
    chosen: Sequence[int],
    config: HarpConfig,
    progress: Progress,
) -> SkinMaps:
    """All maps of the avatar. posed: of one frame, for its rest mesh; chosen: frames that tell what was seen.

    Where frames showed the skin its colour is as the appearance stage left it, with the detail of the frames that show it best;
    elsewhere it is as `bake_skin` continues it.
    """
    small = texel_map(template.topology, config.parameter_map_px)
    told = look_at_skin(template, fixed, appearance, small, chosen, config, progress)
    inside = small.inside()
    detail = small.to_map(told.log_albedo)
    albedo = log_of(appearance.albedo)
    # what all frames together say of the colour, with the relief of what single frames show sharply
    relief = (detail - smoothed(detail, albedo, small, told.trust)).clamp(-MOST_DETAIL, MOST_DETAIL)
    finer = albedo + small.to_map(told.trust[:, None]) * relief
    shares = small.to_map(torch.stack([told.confidence, told.trust], dim=1))
    maps = torch.cat([finer, appearance.normal_map(), shares], dim=-1)
    padded = pad_map(maps, chart_padding(inside, 6.0 * config.parameter_map_px / 512), inside)
    texels = texel_map(template.topology, config.texture_px)
    uv = interpolate(template.topology.uv, template.topology.uv_faces[texels.faces], texels.barycentric)
    values = sample_texture(padded, uv)
    log_albedo = values[:, :3].clamp(math.log(0.004), math.log(0.9))
    seen = Observation(log_albedo, values[:, 6], values[:, 7], normalize(values[:, 3:6], dim=1))
    return bake_skin(template, posed, texels, seen, config)


def log_of(albedo: Tensor) -> Tensor:
    """Log of linear albedo [M,M,3] from the map as it is stored."""
    return torch.log(srgb_to_linear(albedo.clamp(0, 1)).clamp(0.004, 0.9))


def smoothed(detail: Tensor, albedo: Tensor, texels: TexelMap, trust: Tensor) -> Tensor:
    """Log albedo [M,M,3] of single frames, so far blurred that what is left belongs to the map of all frames.

    Blurs what the frames have beside that map, with their trust as weight: borders of charts and of trust do not bleed.
    """
    weight = texels.to_map(trust[:, None])
    kernel = 2 * round(DETAIL_TEXELS * texels.size / 512) + 1

    def blur(values: Tensor) -> Tensor:
        planes = values.permute(2, 0, 1)[None]
        for _ in range(2):
            planes = avg_pool2d(planes, kernel, 1, kernel // 2)
        return planes[0].permute(1, 2, 0)

    own = blur(detail * weight) / blur(weight).clamp_min(1e-4)
    base = blur(albedo * weight) / blur(weight).clamp_min(1e-4)
    return own + albedo - base


@torch.no_grad()
def look_at_skin(
    template: Template,
    fixed: FixedFrames,
    appearance: AppearanceParameters,
    texels: TexelMap,
    chosen: Sequence[int],
    config: HarpConfig,
    progress: Progress,
) -> Observation:
    """What the chosen frames show of the texels: mostly what the frame shows that sees a texel best, for the mean of many
    would be blurred by what their poses are off."""
    count = len(texels.texels)
    known = log_of(appearance.albedo).reshape(-1, 3)[texels.texels]
    total, weights = torch.zeros(count, 3), torch.zeros(count)
    shares = torch.zeros(count, 2)
    for place, number in enumerate(chosen):
        progress(place / len(chosen), f"looking which skin was seen, {place + 1} of {len(chosen)}")
        target = fixed.frames.target(torch.tensor([number]))
        photo = PhotoView(target.color, target.mask, target.intrinsics[0])
        vertices = fixed.vertices[number]
        seen = observe_photo(
            template, vertices, fixed.shading(number), appearance, photo, texels, config.shadow_samples
        )
        normals = vertex_normals(vertices, template.topology.faces)
        facing = facing_weight(texels.gather(normals, template.topology.faces))
        sharp = 1.0 if fixed.sharpness is None else fixed.sharpness[number]
        alike = torch.exp(-(((seen.log_albedo - known).mean(1) / ALIKE) ** 2))
        weight = (seen.trust * facing * sharp) ** PEAKED * alike
        total += weight[:, None] * seen.log_albedo
        weights += weight
        shares += torch.stack([seen.confidence, seen.trust], dim=1)
    shares = (shares / ENOUGH).clamp(0, 1)
    plain = torch.zeros_like(total)
    log_albedo = torch.where(weights[:, None] > 1e-6, total / weights.clamp_min(1e-6)[:, None], plain)
    trust = shares[:, 1] * (weights / 0.02).clamp(0, 1)
    return Observation(log_albedo, shares[:, 0], trust, plain)
