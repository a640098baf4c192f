"""Detail beyond a prior's codes: what a photo shows of moles, scars, tattoos, nails and rings, as a residual of the textures.

The published method stops at the codes, in which no such thing is. Here, where the photo shows skin, the albedo and the normal
map get the local difference between the photo and the hand as found, under the light as found. The hand's own shadows are in the
light's shading; others are left out as far as they are wider than marks and without a tint of their own (`local_difference`).
How wide a mark may be is a bargain: real hands differ from a smooth mesh with a person's skin by relief, and by skin that is
darker here than there, over one to three centimetres, and whoever leaves them out shows another hand than the photo's.
"""

from __future__ import annotations

from collections.abc import Sequence
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
FACING_POWER = 4
"""Of the cosine, in a photo's say about a texel that others show too."""
LEAST_SAY = 0.02
"""Share of a texel below which a photo is not asked."""
BRIGHTEST_ALBEDO, DARKEST_ALBEDO = 0.95, 0.002


@dataclass(frozen=True)
class DetailConfig:
    """One fit of detail. Lengths in metres."""

    photo_px: int = 1024
    """Longer side of the hand's crop, at most."""
    mark_m: float = 0.018
    """Radius of the discs whose median brightness counts as light: wider than marks, tendons and the relief of fingers, which a
    smooth mesh has not got, and narrower than the shadows of what is not the hand."""
    tint_m: float = 0.010
    """The same of tint: a nail stays, a change of the light's colour over the hand does not."""
    rim_m: float = 0.001
    """From outlines, within which nothing is believed."""
    fade_m: float = 0.002
    """Over which detail fades in from there."""
    steps: int = 60
    rate: float = 0.05
    brightness_cost: float = 0.02
    """L1, of log albedo, per texel: sparse marks rather than overall shading."""
    tint_cost: float = 0.01
    """L1 of log albedo less its mean over the channels."""
    roughness_cost: float = 0.02
    """L1 of the differences of neighbours' log albedo."""
    slope_cost: float = 0.3
    """Squared slopes of the normal residual."""
    bump_cost: float = 1.5
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


class _View(NamedTuple):
    """What one photo tells of the m texels that it shows."""

    places: Tensor
    """[m] int64, into the M texels."""
    weight: Tensor
    """[m] its say; over all photos that show a texel it sums to the confidence."""
    wanted: Tensor
    """[m,3] log difference to explain."""
    plane: Tensor
    """[m,3,3] E of tangent-space normals: rows their x, y, z; columns red, green, blue."""
    gloss: Tensor
    """[m,3]"""
    albedo: Tensor
    """[m,3] as it is, like the next."""
    tilt: Tensor
    """[m,3] tangent-space normals."""


class _Texels(NamedTuple):
    """The M texels that any photo shows."""

    rows: Tensor
    """[M] int64, into the map's N texels."""
    confidence: Tensor
    """[M]"""
    albedo: Tensor
    """[M,3]"""
    tilt: Tensor
    """[M,3] tangent-space normals as they are."""
    pairs: Tensor
    """[2,E] neighbours in the map, into the M."""
    views: tuple[_View, ...]


class _Told(NamedTuple):
    """What one photo tells of the map's N texels."""

    seen: Tensor
    """[N] in [0,1], how far it shows a texel."""
    trust: Tensor
    """[N] the same, where the light is known too."""
    facing: Tensor
    """[N] cosine between the texel's normal and the way to the camera."""
    wanted: Tensor
    """[N,3]"""
    normals: Tensor
    """[V,3] unit, world."""
    light: VertexLight


def fit_detail(hands: Sequence[HandInPhoto], config: DetailConfig | None) -> Detail:
    """Textures with what photos show beyond them; with None they stay, and only what was seen is worked out. No gradient.

    hands: the same textured hand in each photo. One residual explains all photos: of a texel each has the say that its view of
    it is worth (`shares`), under its own pose and light.
    """
    first, settings = hands[0], config or DetailConfig()
    with torch.no_grad():
        texels = texel_map(first.topology, len(first.maps.roughness))
        told = [_told(hand, texels, settings) for hand in hands]
        seen = torch.stack([one.seen for one in told]).amax(0)
        if config is None or not bool((seen > 0).any()):
            return Detail(first.maps, texels.to_map(seen[:, None])[..., 0])
        chosen = _chosen(hands, texels, told)
    residual = minimise_residual(chosen, config)
    trust = torch.stack([one.trust for one in told]).amax(0)
    with torch.no_grad():
        maps = with_residual(first.maps, texels, chosen, residual)
    return Detail(maps, texels.to_map(trust[:, None])[..., 0])


def _told(hand: HandInPhoto, texels: TexelMap, config: DetailConfig) -> _Told:
    faces = hand.topology.faces
    normals = vertex_normals(hand.vertices, faces)
    surface = photo_surface(
        *(hand.color, hand.mask, hand.intrinsics, hand.world_to_camera),
        *(hand.vertices, normals, hand.topology, config.photo_px),
    )
    smooth = normalize(texels.gather(surface.normals, faces), dim=1)
    place = texels.gather(surface.vertices, faces)
    seen = seen_points(surface, place, smooth, config.rim_m, config.fade_m)
    if not bool((seen.confidence > 0).any()):
        nothing = torch.zeros_like(seen.confidence)
        dark = VertexLight(normals.new_zeros(len(normals), 3, 3), torch.zeros_like(normals))
        return _Told(nothing, nothing, seen.facing, torch.zeros_like(place), normals, dark)
    light = light_on_hand(hand, normals)
    expected = expected_color(hand, surface, light)
    ratio = local_difference(surface, expected, config.rim_m, config.mark_m, config.tint_m)
    trust = seen.confidence * enough_light(texels, hand, normals, light, seen.confidence)
    return _Told(seen.confidence, trust, seen.facing, sample_image(ratio, seen.pixels), normals, light)


def shares(trust: Tensor, facing: Tensor) -> Tensor:
    """[P,N] the say of each of P photos of N texels; trust, facing: the same. A texel's sum is its greatest trust.

    By the fourth power of the cosine: an oblique view has fewer pixels on a texel, and a small error of the shape moves them
    further, so that an even mean of photos would blur the marks.
    """
    value = trust * facing.clamp(0, 1) ** FACING_POWER
    return value / value.sum(0).clamp_min(1e-12) * trust.amax(0)


def light_on_hand(hand: HandInPhoto, normals: Tensor) -> VertexLight:
    """The environment's light at the vertices [V,3] of unit normals, with the textures' albedo and roughness there."""
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


def _chosen(hands: Sequence[HandInPhoto], texels: TexelMap, told: Sequence[_Told]) -> _Texels:
    """The texels with any confidence, and all that the fit needs of them."""
    say = shares(torch.stack([one.trust for one in told]), torch.stack([one.facing for one in told]))
    confidence = say.sum(0)
    rows = torch.nonzero(confidence > 0)[:, 0]
    number = torch.full_like(texels.texels, -1)
    number[rows] = torch.arange(len(rows), device=rows.device)
    here = some_texels(texels, rows)
    albedo, tilt = (values.reshape(-1, 3)[here.texels] for values in (hands[0].maps.albedo, hands[0].maps.normal))
    views = []
    for hand, one, weight in zip(hands, told, say, strict=True):
        shown = torch.nonzero(weight > LEAST_SAY * confidence)[:, 0]
        places = number[shown]
        light = _light_on(hand, some_texels(texels, shown), one)
        views.append(_View(places, weight[shown], one.wanted[shown], *light, albedo[places], tilt[places]))
    return _Texels(rows, confidence[rows], albedo, tilt, neighbours(here), tuple(views))


def _light_on(hand: HandInPhoto, here: TexelMap, told: _Told) -> tuple[Tensor, Tensor]:
    """E [m,3,3] of tangent-space normals, and gloss [m,3], at texels."""
    topology = hand.topology
    tangents = corner_tangents(hand.vertices, told.normals, topology.faces, topology.uv, topology.uv_faces)
    smooth = here.gather(told.normals, topology.faces)
    tangent = interpolate(tangents[:, :3], topology.uv_faces[here.faces], here.barycentric)
    sign = tangents[topology.uv_faces[here.faces, 0], 3:4]
    frame = torch.stack([tangent, sign * torch.cross(smooth, tangent, dim=1), smooth], dim=1)
    plane = here.gather(told.light.diffuse.reshape(-1, 9), topology.faces).reshape(-1, 3, 3)
    return frame @ plane, here.gather(told.light.gloss, topology.faces)


def some_texels(texels: TexelMap, rows: Tensor) -> TexelMap:
    """A part of a map's texels. rows: int64."""
    return texels._replace(texels=texels.texels[rows], faces=texels.faces[rows], barycentric=texels.barycentric[rows])


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


def shading_change(view: _View, residual: Residual) -> Tensor:
    """[m,3] log of a photo's texels' colour with their residual over that without, as `local_difference` takes logarithms."""
    before = _received(view, view.tilt)
    after = _received(view, tilted(view.tilt, residual.slopes))
    after = torch.maximum(after, DIMMEST * before)
    albedo = view.albedo / torch.pi
    with_it = albedo * residual.log_albedo.exp() * after + view.gloss
    return (with_it + FLARE).log() - (albedo * before + view.gloss + FLARE).log()


def _received(view: _View, tilt: Tensor) -> Tensor:
    return torch.einsum("mx,mxc->mc", tilt, view.plane).clamp_min(1e-6)


def tilted(tilt: Tensor, slopes: Tensor) -> Tensor:
    """Unit normals [M,3] in tangent space with slopes [M,2] added."""
    return normalize(torch.cat([tilt[:, :2] + slopes, tilt[:, 2:]], dim=1), dim=1)


def minimise_residual(texels: _Texels, config: DetailConfig) -> Residual:
    """Adam on the residual from zero: explain what is wanted, with few marks and gentle bumps."""
    with torch.enable_grad():
        leaves = [torch.zeros_like(texels.albedo), torch.zeros_like(texels.albedo[:, :2])]
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
    error = torch.stack([_misfit(view, residual) for view in texels.views]).sum()
    brightness = residual.log_albedo.mean(1, keepdim=True)
    first, second = texels.pairs
    steps = residual.log_albedo[first] - residual.log_albedo[second]
    bumps = residual.slopes[first] - residual.slopes[second]
    costs = [
        error,
        config.brightness_cost * brightness.abs().sum(),
        config.tint_cost * (residual.log_albedo - brightness).abs().sum(),
        config.roughness_cost * steps.abs().sum(),
        config.slope_cost * residual.slopes.square().sum(),
        config.bump_cost * bumps.square().sum(),
    ]
    return torch.stack(costs).sum()


def _misfit(view: _View, residual: Residual) -> Tensor:
    """() what the residual leaves unexplained of one photo."""
    here = Residual(*(part.index_select(0, view.places) for part in residual))
    error = smooth_l1_loss(shading_change(view, here), view.wanted, reduction="none", beta=0.05)
    return (view.weight[:, None] * error).sum()


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
