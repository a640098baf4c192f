"""The textures of a video's avatar: what the frames showed of each texel, and the skin that none of them did."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..lighting.color import srgb_to_linear
from ..progress import Progress
from ..rendering.bake import TexelMap, chart_padding, pad_map, texel_map
from ..rendering.rasterize import interpolate
from ..rendering.texture import sample_texture
from .config import HarpConfig
from .harp_fixed import FixedFrames
from .harp_model import AppearanceParameters, PosedHand, Template
from .skin_bake import Observation, PhotoView, SkinMaps, bake_skin, observe_photo

ENOUGH = 0.6
"""Sum of confidences over frames, from which a texel was seen."""


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

    Where frames showed the skin it is as the appearance stage left it; elsewhere as `bake_skin` continues it.
    """
    small = texel_map(template.topology, config.parameter_map_px)
    told = seen_share(template, fixed, appearance, small, chosen, config, progress)
    inside = small.inside()
    maps = torch.cat([appearance.albedo, appearance.normal_map(), small.to_map(told)], dim=-1)
    padded = pad_map(maps, chart_padding(inside, 6.0 * config.parameter_map_px / 512), inside)
    texels = texel_map(template.topology, config.texture_px)
    uv = interpolate(template.topology.uv, template.topology.uv_faces[texels.faces], texels.barycentric)
    values = sample_texture(padded, uv)
    log_albedo = torch.log(srgb_to_linear(values[:, :3].clamp(0, 1)).clamp(0.004, 0.9))
    seen = Observation(log_albedo, values[:, 6], values[:, 7], normalize(values[:, 3:6], dim=1))
    return bake_skin(template, posed, texels, seen, config)


def seen_share(
    template: Template,
    fixed: FixedFrames,
    appearance: AppearanceParameters,
    texels: TexelMap,
    chosen: Sequence[int],
    config: HarpConfig,
    progress: Progress,
) -> Tensor:
    """[N,2] confidence and trust of texels over the chosen frames."""
    total = torch.zeros(len(texels.texels), 2)
    for place, number in enumerate(chosen):
        progress(place / len(chosen), f"looking which skin was seen, {place + 1} of {len(chosen)}")
        target = fixed.frames.target(torch.tensor([number]))
        photo = PhotoView(target.color, target.mask, target.intrinsics[0])
        posed = fixed.vertices[number]
        seen = observe_photo(template, posed, fixed.shading(number), appearance, photo, texels, config.shadow_samples)
        total += torch.stack([seen.confidence, seen.trust], dim=1)
    return (total / ENOUGH).clamp(0, 1)
