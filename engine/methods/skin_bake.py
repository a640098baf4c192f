"""From a fitted hand and its photo to finished maps: albedo where seen, a likely continuation where not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import normalize

from ..avatar.noise import octaves
from ..avatar.regions import HandPoints
from ..avatar.relief import crease_map, crease_waviness, normals_from_height, roughness
from ..avatar.skin_color import fit_regions, limit_shading_leftovers, region_features
from ..avatar.surface_fill import fill_over_surface
from ..lighting.color import luminance, srgb_to_linear
from ..lighting.environment import LAMP_ANGULAR_RADIUS
from ..lighting.lamp import shade
from ..rendering.bake import (
    TexelMap,
    chart_padding,
    depth_edges,
    pad_map,
    project_points,
)
from ..rendering.mesh import SurfaceView, see
from ..rendering.occlusion import bounced_lamp, multiple_bounce
from ..rendering.rasterize import interpolate
from ..rendering.shadow import disc_visibility
from ..rendering.surface import corner_tangents, vertex_normals
from ..rendering.texture import sample_image, sample_texture
from .config import HarpConfig
from .harp_model import AppearanceParameters, PosedHand, Template
from .harp_render import Shading

CREASE_COLOR = (-0.13, -0.22, -0.20)
"""Log albedo in a full crease: darker, redder."""
CONFIDENT = 0.5
UNTRUSTED_DARKER, UNTRUSTED_LIGHTER, UNTRUSTED_CHROMA = 0.55, 0.6, 0.14
"""Logs by which seen but untrusted texels may leave the smooth colour: darker is mostly unexplained shadow."""
FINE_M, BROAD_M = 0.002, 0.008
"""Blur lengths over the surface: of the colour that unseen skin continues, and of what may be leftover shading."""
FADE_M = 0.007
"""Over which untrusted colour dies away beside the skin that showed it."""
PADDING_PX = 24
"""By which charts are extended at 1024 px, for filtering and mip levels."""


class SkinMaps(NamedTuple):
    albedo: Tensor
    """[S,S,3] linear"""
    normal: Tensor
    """[S,S,3] unit, tangent space"""
    roughness: Tensor
    """[S,S]"""
    seen: Tensor
    """[S,S] in [0,1], how far the photo decided the texel"""


class PhotoView(NamedTuple):
    """The photo that is baked, with its camera."""

    color: Tensor
    """[H,W,3] sRGB-encoded, in [0,1]"""
    mask: Tensor
    """[H,W] in [0,1]"""
    intrinsics: Tensor
    """[3,3]"""


class Observation(NamedTuple):
    """What pictures show of the texels, N of them."""

    log_albedo: Tensor
    """[N,3]"""
    confidence: Tensor
    """[N] in [0,1]: the texel was seen."""
    trust: Tensor
    """[N] ≤ confidence: well enough to speak for skin elsewhere."""
    normal: Tensor
    """[N,3] tangent space, unit."""


def hand_points(template: Template, posed: PosedHand, texels: TexelMap | None = None) -> HandPoints:
    """Rest-frame facts at the texels, or at the vertices when no texels are given."""
    model = template.model
    faces = template.topology.faces
    palm, nail = model.palm_weight[:, None], model.nail_vertices[:, None].to(posed.rest_vertices)
    values = torch.cat([posed.rest_vertices, palm, nail, model.skinning_weights], dim=1)
    if texels is not None:
        values = texels.gather(values, faces)
    tips = posed.rest_vertices[model.tip_vertices]
    return HandPoints(values[:, :3], values[:, 3], values[:, 4], values[:, 5:], posed.rest_joints, tips)


def bake_skin(
    template: Template, posed: PosedHand, texels: TexelMap, seen: Observation, config: HarpConfig
) -> SkinMaps:
    """All maps of the avatar. No gradients.

    posed: of one frame, for its rest mesh. A texel that was seen keeps the colour observed; one that was not gets the
    smooth continuation over the surface plus detail of the same strength as the seen skin's; in between the two mix. Only
    what was seen well is continued.
    """
    points = hand_points(template, posed, texels)
    observed, confidence, trust, photo_normal = seen
    observed = without_shadow_tint(observed, trust * (points.nail < 0.5))
    smooth, leftover = continue_over_surface(template, posed, texels, observed, trust)
    deviation = observed - leftover - smooth
    # What the photo shows but cannot be trusted with (rims, folds, deep shadow) keeps its own colour within limits.
    darker = deviation.mean(1, keepdim=True) < 0
    held = limit_shading_leftovers(
        deviation, torch.where(darker, UNTRUSTED_DARKER, UNTRUSTED_LIGHTER).to(deviation), UNTRUSTED_CHROMA
    )
    observed = smooth + trust[:, None] * deviation + (1 - trust[:, None]) * held
    smooth = smooth + meet_at_borders(template, posed, texels, observed - smooth, confidence)
    detail = invented_detail(points, observed, smooth, trust, config.seed)
    log_albedo = confidence[:, None] * observed + (1 - confidence[:, None]) * (smooth + detail)
    albedo = torch.exp(log_albedo).clamp(0.003, 0.92)
    normal = tangent_normals(template, posed, texels, points, photo_normal, confidence, config.seed)
    inside = texels.inside()
    padding = chart_padding(inside, PADDING_PX * config.texture_px / 1024)
    maps = torch.cat([albedo, normal, roughness(points, config.seed)[:, None], confidence[:, None]], dim=1)
    padded = pad_map(texels.to_map(maps), padding, inside)
    return SkinMaps(
        padded[..., :3], normalize(padded[..., 3:6], dim=-1), padded[..., 6], texels.to_map(confidence[:, None])[..., 0]
    )


def observe_photo(
    template: Template,
    vertices: Tensor,
    shading: Shading,
    appearance: AppearanceParameters,
    photo: PhotoView,
    texels: TexelMap,
    lamp_samples: int = 7,
) -> Observation:
    """What a photo shows of the texels: its colour divided by the estimated light. vertices [V,3]: the hand in the photo."""
    topology, light = template.topology, appearance.light()
    position = texels.gather(vertices, topology.faces)
    smooth_normal = normalize(texels.gather(shading.normals, topology.faces), dim=1)
    uv = interpolate(topology.uv, topology.uv_faces[texels.faces], texels.barycentric)
    height, width = photo.mask.shape
    view = see(vertices, topology, photo.intrinsics, height, width)
    projection = project_points(position, smooth_normal, photo.intrinsics, view)
    openness = texels.gather(shading.openness[:, None], topology.faces)
    rim = rim_distances(photo, view, projection.pixels)
    inner = smoothstep(1.0, 3.5, rim) * smoothstep(0.15, 0.5, projection.facing) * smoothstep(0.2, 0.55, openness[:, 0])
    # At rims and in folds the fitted normals explain errors of shape and shadow: they would stand out as ridges.
    fitted = sample_texture(appearance.normal_map(), uv)
    slopes = fitted[:, :2] * (projection.visible * inner)[:, None]
    tangent_normal = normalize(torch.cat([slopes, fitted[:, 2:]], dim=1), dim=1)
    normal = to_surface_frame(tangent_normal, smooth_normal, shading.tangents, template, texels)
    color = srgb_to_linear(sample_image(photo.color, projection.pixels))
    visibility = disc_visibility(
        vertices, topology.faces, light.to_lamp, position, smooth_normal, LAMP_ANGULAR_RADIUS, lamp_samples
    )
    albedo = srgb_to_linear(sample_texture(appearance.albedo, uv).clamp(0, 1))
    for _ in range(2):
        shaded = shade(light, normal, visibility, multiple_bounce(openness, albedo), bounced_lamp(openness, albedo))
        albedo = (color / shaded.clamp_min(0.02)).clamp(0.004, 0.9)
    color_px = sample_image(photo.color, projection.pixels)
    unclipped = 1 - smoothstep(0.93, 0.985, color_px.max(1).values)
    confidence = projection.visible * smoothstep(0.08, 0.3, projection.facing) * smoothstep(0.4, 1.6, rim) * unclipped
    # In folds and in shadow little light arrives by ways that the model knows: what it divides by there is a guess.
    bright = luminance(shaded) / luminance(light.ambient + light.lamp)
    trust = confidence * inner * smoothstep(0.22, 0.5, bright)
    return Observation(torch.log(albedo), confidence, trust, tangent_normal)


def rim_distances(photo: PhotoView, view: SurfaceView, pixels: Tensor) -> Tensor:
    """[N] distance from the mask's border and from jumps in depth, whichever is nearer, in 1/250 of the hand's extent.

    Near either, a small error of the shape paints the background or another finger onto the skin.
    """
    points = view.screen[:, :2]
    unit_px = float((points.max(0).values - points.min(0).values).max()) / 250
    inside = distance_transform_edt((photo.mask > 0.5).cpu().numpy())
    from_jump = distance_transform_edt(~depth_edges(view).cpu().numpy())
    nearest = torch.as_tensor(np.minimum(inside, from_jump)).to(pixels)
    return sample_image(nearest[..., None], pixels)[:, 0] / max(unit_px, 0.5)


def to_surface_frame(
    tangent_normal: Tensor, smooth_normal: Tensor, tangents: Tensor, template: Template, texels: TexelMap
) -> Tensor:
    """Tangent-space normals [N,3] turned into the frame of the vertices, [N,3] unit."""
    tangent, bitangent = texel_frame(smooth_normal, tangents, template, texels)
    x, y, z = tangent_normal.unbind(1)
    return normalize(x[:, None] * tangent + y[:, None] * bitangent + z[:, None] * smooth_normal, dim=1)


def texel_frame(smooth_normal: Tensor, tangents: Tensor, template: Template, texels: TexelMap) -> tuple[Tensor, Tensor]:
    """Tangent and bitangent [N,3] at the texels."""
    corners = template.topology.uv_faces[texels.faces]
    tangent = interpolate(tangents[:, :3], corners, texels.barycentric)
    return tangent, tangents[corners[:, 0], 3:4] * torch.cross(smooth_normal, tangent, dim=1)


def continue_over_surface(
    template: Template, posed: PosedHand, texels: TexelMap, observed: Tensor, confidence: Tensor
) -> tuple[Tensor, Tensor]:
    """(smooth log albedo [N,3] at every texel, log shading [N,3] that is left in the observed one).

    The smooth albedo is the seen skin's, carried on over the surface into what its region should be.
    """
    faces = template.topology.faces
    per_vertex, vertex_confidence = vertex_means(template, texels, observed, confidence)
    features = region_features(hand_points(template, posed))
    expected = fit_regions(per_vertex, features, vertex_confidence).colors(features)

    def fill(blur: float) -> Tensor:
        return fill_over_surface(posed.rest_vertices, faces, per_vertex, vertex_confidence, expected, blur**2)

    broad = fill(BROAD_M) - expected
    leftover = broad - limit_shading_leftovers(broad)
    both = texels.gather(torch.cat([fill(FINE_M) - leftover, leftover], dim=1), faces)
    return both[:, :3], both[:, 3:]


def vertex_means(template: Template, texels: TexelMap, values: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
    """Texel values [N,3] averaged around each vertex, [V,3], and the share of its texels that had a say, [V]."""
    faces = template.topology.faces
    count = len(template.model.v_template)
    total = values.new_zeros(count, 4)
    for corner in range(3):
        weight = (confidence * texels.barycentric[:, corner])[:, None]
        total = total.index_add(0, faces[texels.faces, corner], torch.cat([values * weight, weight], dim=1))
    weight = total[:, 3]
    mean = total[:, :3] / weight.clamp_min(1e-6)[:, None]
    return mean, (weight / (0.3 * len(texels.texels) / count)).clamp(0, 1)


def meet_at_borders(
    template: Template, posed: PosedHand, texels: TexelMap, difference: Tensor, confidence: Tensor
) -> Tensor:
    """[N,3] what to add to the smooth colour so that it meets the seen texels where they end, and fades away from them.

    difference [N,3]: seen minus smooth log albedo. Without this, skin that is seen but not trusted would end in an edge.
    """
    mean, weight = vertex_means(template, texels, difference, confidence)
    faces = template.topology.faces
    zero = torch.zeros_like(mean)
    return texels.gather(fill_over_surface(posed.rest_vertices, faces, mean, weight, zero, FINE_M**2, FADE_M), faces)


def without_shadow_tint(log_albedo: Tensor, weight: Tensor, share: float = 0.6) -> Tensor:
    """Log albedo [N,3] with most of the link between darkness and redness removed.

    Light that enters skin leaves it farther away the redder it is, so every shadow and crease of a photo is redder than a
    surface shader says. Over one hand the link shows as a slope of chroma against lightness; `share` of it is taken off,
    the rest is left for pigment. weight [N] says which points to learn the slope from.
    """
    lightness = log_albedo.mean(1)
    total = weight.sum().clamp_min(1e-6)
    deviation = lightness - (weight * lightness).sum() / total
    chroma = log_albedo - lightness[:, None]
    centred = chroma - (weight[:, None] * chroma).sum(0) / total
    slope = (weight[:, None] * deviation[:, None] * centred).sum(0) / (weight * deviation**2).sum().clamp_min(1e-6)
    # Only the expected direction: darker is redder.
    slope = slope if float(slope[0]) < 0 else torch.zeros_like(slope)
    return log_albedo - share * deviation.clamp(-0.5, 0.5)[:, None] * slope


def invented_detail(points: HandPoints, observed: Tensor, smooth: Tensor, confidence: Tensor, seed: int) -> Tensor:
    """[N,3] log albedo to add where the photo shows nothing: mottling and grain as strong as the seen skin's, and creases."""
    skin = (confidence > CONFIDENT) & (points.nail < 0.5)
    residual = (observed - smooth).mean(1)
    strength = float(residual[skin].std().clamp(0.012, 0.06)) if int(skin.sum()) > 100 else 0.03
    position = points.position
    common = octaves(position, (0.010, 0.004, 0.0016, 0.0008), (0.5, 0.5, 0.5, 0.5), seed + 11)
    blood = octaves(position, (0.014, 0.006), (0.7, 0.7), seed + 23)
    ruddy = position.new_tensor([0.25, -0.55, -0.35])
    mottling = 0.7 * strength * (common[:, None] + blood[:, None] * ruddy)
    mottling = mottling * (1 - 0.8 * points.nail[:, None])
    return mottling + crease_map(points, crease_waviness(position, seed))[:, None] * position.new_tensor(CREASE_COLOR)


def tangent_normals(
    template: Template,
    posed: PosedHand,
    texels: TexelMap,
    points: HandPoints,
    photo_normal: Tensor,
    confidence: Tensor,
    seed: int,
) -> Tensor:
    """[N,3] unit: the photo's normals where it was seen, invented relief where not; a little relief everywhere."""
    topology = template.topology
    rest_normals = vertex_normals(posed.rest_vertices, topology.faces)
    tangents = corner_tangents(posed.rest_vertices, rest_normals, topology.faces, topology.uv, topology.uv_faces)
    smooth = normalize(texels.gather(rest_normals, topology.faces), dim=1)
    tangent, bitangent = texel_frame(smooth, tangents, template, texels)
    waviness = crease_waviness(points.position, seed)
    relief = normals_from_height(points, tangent, bitangent, waviness, seed, 1 - confidence)
    seen = confidence[:, None]
    slopes = seen * photo_normal[:, :2] + (1 - 0.6 * seen) * relief[:, :2]
    return normalize(torch.cat([slopes, torch.ones_like(slopes[:, :1])], dim=1), dim=1)


def smoothstep(low: float, high: float, value: Tensor) -> Tensor:
    """0 below low, 1 above high, smooth between."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)
