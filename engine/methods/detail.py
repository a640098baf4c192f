"""Detail beyond a prior's codes: what a photo shows of moles, scars, tattoos, nails and rings, as a residual of the textures.

The published method stops at the codes, in which no such thing is. Here, where the photo shows skin, the albedo and the normal
map get the local difference between the photo and the hand as found, under the light as found. Shadows are not baked in: those
of the hand itself are in the light's shading; others are wider than marks and without a tint of their own (`local_difference`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, smooth_l1_loss

from ..rendering.bake import TexelMap, chart_padding, texel_map
from ..rendering.field_bake import PADDING_SHARE, FieldMaps
from ..rendering.mesh import MeshTopology, surface_values
from ..rendering.rasterize import interpolate
from ..rendering.surface import corner_tangents, perturb_normal, vertex_normals
from ..rendering.texture import sample_image, sample_texture
from .adam import Adam, cosine_fall
from .detail_light import VertexLight, vertex_light
from .detail_photo import FLARE, PhotoSurface, local_difference, photo_surface, seen_points
from .skin_bake import smoothstep

DIMMEST = 0.02
"""Of E(m) over E(n), that a tilted normal may fall to."""
FOLD_LIGHT = (0.2, 0.45)
"""Light on a texel, as a share of what is usual on those that the photo shows, at which trust begins, and is full."""
BRIGHTEST_ALBEDO, DARKEST_ALBEDO = 0.95, 0.002


@dataclass(frozen=True)
class DetailConfig:
    """One fit of detail. Lengths in metres."""

    photo_px: int = 1024
    """Longer side of the hand's crop, at most."""
    mark_m: float = 0.007
    """Radius of the discs whose median brightness counts as light: wider than the marks, narrower than the shadows."""
    tint_m: float = 0.015
    """The same of tint: wider than a nail."""
    rim_m: float = 0.0015
    """From outlines, within which nothing is believed."""
    fade_m: float = 0.004
    """Over which detail fades in from there."""
    steps: int = 60
    rate: float = 0.05
    brightness_cost: float = 0.02
    """L1, of log albedo, per texel: sparse marks rather than overall shading."""
    tint_cost: float = 0.005
    """L1 of log albedo less its mean over the channels."""
    roughness_cost: float = 0.02
    """L1 of the differences of neighbours' log albedo."""
    slope_cost: float = 0.5
    """Squared slopes of the normal residual."""
    bump_cost: float = 2.0
    """Squared differences of neighbours' slopes."""


class HandInPhoto(NamedTuple):
    """A textured mesh as posed in a photo, and the light there. World: OpenCV axes, metres."""

    vertices: Tensor
    """[V,3]"""
    topology: MeshTopology
    maps: FieldMaps
    environment: Tensor
    """[H,2H,3] linear, equirectangular, +Z up."""
    color: Tensor
    """[h,w,3] the photo, sRGB in [0,1]."""
    mask: Tensor
    """[h,w] in [0,1]."""
    intrinsics: Tensor
    """[3,3] px."""
    world_to_camera: Tensor
    """[4,4]"""


class Detail(NamedTuple):
    """Textures with detail."""

    maps: FieldMaps
    """Where the photo shows nothing they are what they were, bit for bit."""
    seen: Tensor
    """[S,S] in [0,1], how far the photo decided a texel."""


class Residual(NamedTuple):
    """Of M texels, before fading."""

    log_albedo: Tensor
    """[M,3]"""
    slopes: Tensor
    """[M,2] added to the tangent-space normal's x and y."""


class _Texels(NamedTuple):
    """The M texels that the photo shows."""

    rows: Tensor
    """[M] int64, into the map's N texels."""
    confidence: Tensor
    """[M]"""
    wanted: Tensor
    """[M,3] log difference to explain."""
    albedo: Tensor
    """[M,3]"""
    tilt: Tensor
    """[M,3] tangent-space normals as they are."""
    plane: Tensor
    """[M,3,3] E of tangent-space normals: rows their x, y, z; columns red, green, blue."""
    gloss: Tensor
    """[M,3]"""
    pairs: Tensor
    """[2,E] neighbours in the map, into the M."""


def fit_detail(hand: HandInPhoto, config: DetailConfig | None) -> Detail:
    """Textures with what the photo shows beyond them; with None they stay, and only what was seen is worked out. No gradient."""
    settings = config or DetailConfig()
    with torch.no_grad():
        normals = vertex_normals(hand.vertices, hand.topology.faces)
        surface = photo_surface(
            *(hand.color, hand.mask, hand.intrinsics, hand.world_to_camera),
            *(hand.vertices, normals, hand.topology, settings.photo_px),
        )
        texels = texel_map(hand.topology, len(hand.maps.roughness))
        smooth = normalize(texels.gather(surface.normals, hand.topology.faces), dim=1)
        place = texels.gather(surface.vertices, hand.topology.faces)
        seen = seen_points(surface, place, smooth, settings.rim_m, settings.fade_m)
        confidence = texels.to_map(seen.confidence[:, None])[..., 0]
        if config is None or not bool((seen.confidence > 0).any()):
            return Detail(hand.maps, confidence)
        light = _light(hand, normals)
        ratio = local_difference(
            surface, expected_color(hand, surface, light), config.rim_m, config.mark_m, config.tint_m
        )
        wanted = sample_image(ratio, seen.pixels)
        trust = seen.confidence * enough_light(texels, hand, normals, light, seen.confidence)
        chosen = _chosen(hand, texels, normals, light, trust, wanted)
    residual = minimise_residual(chosen, config)
    with torch.no_grad():
        maps = with_residual(hand.maps, texels, chosen, residual)
    return Detail(maps, texels.to_map(trust[:, None])[..., 0])


def _light(hand: HandInPhoto, normals: Tensor) -> VertexLight:
    albedo, roughness = _at_vertices(hand)
    turn, shift = hand.world_to_camera[:3, :3].to(normals), hand.world_to_camera[:3, 3].to(normals)
    return vertex_light(
        *(hand.vertices, hand.topology.faces, normals, -turn.T @ shift, albedo, roughness, hand.environment)
    )


def enough_light(
    texels: TexelMap, hand: HandInPhoto, normals: Tensor, light: VertexLight, confidence: Tensor
) -> Tensor:
    """[N] in [0,1] how far the light at texels is known: what arrives in deep folds comes by ways that the model has not got."""
    faces = hand.topology.faces
    plane = texels.gather(light.diffuse.sum(2), faces)
    received = (plane * normalize(texels.gather(normals, faces), dim=1)).sum(1)
    usual = received[confidence > 0.5 * confidence.max()].median()
    return smoothstep(*FOLD_LIGHT, received / usual.clamp_min(1e-6))


def _at_vertices(hand: HandInPhoto) -> tuple[Tensor, Tensor]:
    """Albedo [V,3] and roughness [V] of the textures at the vertices."""
    topology = hand.topology
    values = sample_texture(torch.cat([hand.maps.albedo, hand.maps.roughness[..., None]], dim=-1), topology.uv)
    at = values.new_zeros(len(hand.vertices), 4).index_copy(
        0, topology.faces.reshape(-1), values[topology.uv_faces.reshape(-1)]
    )
    return at[:, :3], at[:, 3]


def expected_color(hand: HandInPhoto, surface: PhotoSurface, light: VertexLight) -> Tensor:
    """[P,3] linear colour of the photo's visible points, by the textures and the light."""
    topology, view = hand.topology, surface.view
    uv = surface_values(view, topology.uv, topology.uv_faces)
    normals = vertex_normals(hand.vertices, topology.faces)
    tangents = corner_tangents(hand.vertices, normals, topology.faces, topology.uv, topology.uv_faces)
    mapped = sample_texture(hand.maps.normal, uv)
    detailed = perturb_normal(
        *(normals, tangents, topology.faces, topology.uv_faces),
        *(view.fragments.faces, view.fragments.barycentric, mapped),
    )
    plane = surface_values(view, light.diffuse.reshape(-1, 9), topology.faces).reshape(-1, 3, 3)
    received = torch.einsum("px,pxc->pc", detailed, plane).clamp_min(0)
    gloss = surface_values(view, light.gloss, topology.faces)
    return sample_texture(hand.maps.albedo, uv) * received / torch.pi + gloss


def _chosen(
    hand: HandInPhoto, texels: TexelMap, normals: Tensor, light: VertexLight, confidence: Tensor, wanted: Tensor
) -> _Texels:
    """The texels with any confidence, and all that the fit needs of them."""
    topology = hand.topology
    rows = torch.nonzero(confidence > 0)[:, 0]
    here = texels._replace(texels=texels.texels[rows], faces=texels.faces[rows], barycentric=texels.barycentric[rows])
    tangents = corner_tangents(hand.vertices, normals, topology.faces, topology.uv, topology.uv_faces)
    smooth = here.gather(normals, topology.faces)
    tangent = interpolate(tangents[:, :3], topology.uv_faces[here.faces], here.barycentric)
    sign = tangents[topology.uv_faces[here.faces, 0], 3:4]
    frame = torch.stack([tangent, sign * torch.cross(smooth, tangent, dim=1), smooth], dim=1)
    plane = here.gather(light.diffuse.reshape(-1, 9), topology.faces).reshape(-1, 3, 3)
    return _Texels(
        rows,
        confidence[rows],
        wanted[rows],
        hand.maps.albedo.reshape(-1, 3)[here.texels],
        hand.maps.normal.reshape(-1, 3)[here.texels],
        frame @ plane,
        here.gather(light.gloss, topology.faces),
        neighbours(here),
    )


def neighbours(texels: TexelMap) -> Tensor:
    """[2,E] int64: pairs of texels, by their number, that lie side by side in the map."""
    size = texels.size
    number = torch.full((size * size,), -1, dtype=torch.int64, device=texels.texels.device)
    number[texels.texels] = torch.arange(len(texels.texels), device=number.device)
    grid = number.reshape(size, size)
    pairs = [
        torch.stack([grid[:, :-1].reshape(-1), grid[:, 1:].reshape(-1)]),
        torch.stack([grid[:-1].reshape(-1), grid[1:].reshape(-1)]),
    ]
    both = torch.cat(pairs, dim=1)
    return both[:, (both >= 0).all(0)]


def shading_change(texels: _Texels, residual: Residual) -> Tensor:
    """[M,3] log of the texels' colour with a residual over that without, as `local_difference` takes logarithms."""
    before = _received(texels, texels.tilt)
    after = _received(texels, tilted(texels.tilt, residual.slopes))
    after = torch.maximum(after, DIMMEST * before)
    albedo = texels.albedo / torch.pi
    with_it = albedo * residual.log_albedo.exp() * after + texels.gloss
    return (with_it + FLARE).log() - (albedo * before + texels.gloss + FLARE).log()


def _received(texels: _Texels, tilt: Tensor) -> Tensor:
    return torch.einsum("mx,mxc->mc", tilt, texels.plane).clamp_min(1e-6)


def tilted(tilt: Tensor, slopes: Tensor) -> Tensor:
    """Unit normals [M,3] in tangent space with slopes [M,2] added."""
    return normalize(torch.cat([tilt[:, :2] + slopes, tilt[:, 2:]], dim=1), dim=1)


def minimise_residual(texels: _Texels, config: DetailConfig) -> Residual:
    """Adam on the residual from zero: explain what is wanted, with few marks and gentle bumps."""
    with torch.enable_grad():
        leaves = [torch.zeros_like(texels.wanted), torch.zeros_like(texels.wanted[:, :2])]
        for leaf in leaves:
            leaf.requires_grad_(True)
        residual = Residual(*leaves)
        optimiser = Adam([(leaf, config.rate) for leaf in leaves])
        for step in range(config.steps):
            energy = residual_energy(texels, residual, config)
            optimiser.zero_grad()
            energy.backward()
            optimiser.step(cosine_fall(step, config.steps))
    return Residual(residual.log_albedo.detach(), residual.slopes.detach())


def residual_energy(texels: _Texels, residual: Residual, config: DetailConfig) -> Tensor:
    """() weighted sum of the data term and of what a residual costs, per texel."""
    weight = texels.confidence[:, None]
    error = smooth_l1_loss(shading_change(texels, residual), texels.wanted, reduction="none", beta=0.05)
    brightness = residual.log_albedo.mean(1, keepdim=True)
    first, second = texels.pairs
    steps = residual.log_albedo[first] - residual.log_albedo[second]
    bumps = residual.slopes[first] - residual.slopes[second]
    costs = [
        (weight * error).sum(),
        config.brightness_cost * brightness.abs().sum(),
        config.tint_cost * (residual.log_albedo - brightness).abs().sum(),
        config.roughness_cost * steps.abs().sum(),
        config.slope_cost * residual.slopes.square().sum(),
        config.bump_cost * bumps.square().sum(),
    ]
    return torch.stack(costs).sum()


def with_residual(maps: FieldMaps, texels: TexelMap, chosen: _Texels, residual: Residual) -> FieldMaps:
    """The maps with a residual that fades with confidence, and their padding. Other texels stay as they are."""
    fade = chosen.confidence[:, None]
    albedo = (chosen.albedo * (fade * residual.log_albedo).exp()).clamp(DARKEST_ALBEDO, BRIGHTEST_ALBEDO)
    normal = tilted(chosen.tilt, fade * residual.slopes)
    places = texels.texels[chosen.rows]
    inside = texels.inside()
    padding = chart_padding(inside, max(2.0, PADDING_SHARE * texels.size))
    changed = torch.zeros_like(inside).reshape(-1)
    changed[places] = True
    follows = (padding.near.reshape(-1) & changed[padding.source.reshape(-1)])[:, None]
    source = padding.source.reshape(-1)

    def put(before: Tensor, values: Tensor) -> Tensor:
        flat = before.reshape(-1, 3).index_copy(0, places, values)
        return torch.where(follows, flat[source], flat).reshape(before.shape)

    return maps._replace(albedo=put(maps.albedo, albedo), normal=put(maps.normal, normal))
