"""Physically based pictures of implicit hands: light scattered by the surface's samples, with shadows and a bounce."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..lighting.brdf import Brdf, outgoing, palm_brdf
from ..randomness import Randomness, uniform
from .image_chunks import render_maps
from .light_sources import EVEN_SHARE, Light, light_directions, light_radiance
from .ray_sampling import quantile_samples
from .ray_sets import to_root_space
from .render_config import RenderConfig
from .scene import Appearance, ImplicitScene
from .secondary import Secondary, trace_secondary
from .surface_search import points_along
from .volume import PackedSamples, RayRender, check_maps, composite, picture_maps, surface_samples

if TYPE_CHECKING:
    from ..fields.model import Materials

BYTES_PER_LIGHT_SAMPLE = 160
"""Of peak memory for each light sample of a ray that waits for its turn (on the safe side)."""

SHADOW_RAYS = 1 << 16
"""Traced together, with or without gradient."""

BYTES_PER_SHADOW_RAY = 20_000
"""Of peak memory for a light sample in work: its shadow ray and its reflection (on the safe side for either configuration)."""


class Scattered(NamedTuple):
    """Light that R rays see reflected, before any background."""

    color: Tensor
    """[R,3] linear."""
    demodulated: Tensor
    """[R,3] the same with a white diffuse albedo on everything."""
    visibility: Tensor
    """[R] mean visibility of the upper hemisphere, times opacity. No gradient. Without a bounce, sampling "light" sees only
    directions from which light comes, and counts the others as hidden."""


class PbrRender(NamedTuple):
    """R rays, physically based and as the radiance field has them. All before any background."""

    color: Tensor
    """[R,3] linear."""
    demodulated: Tensor
    """[R,3]."""
    visibility: Tensor
    """[R]."""
    rays: RayRender
    """Opacity, depth and what else was wanted, of the same samples."""


def render_rays_pbr(
    scene: ImplicitScene,
    origins_w: Tensor,
    directions_w: Tensor,
    hand: Tensor,
    light: Light,
    config: RenderConfig,
    generator: Randomness,
    brdf: Brdf = palm_brdf,
    sampling: str = "uniform",
    want: Collection[str] = (),
    pose_gradient: bool = False,
    jitter: bool = True,
) -> PbrRender:
    """Render R rays under a light: config.light_samples samples a ray, each with a light direction of its own.

    Arguments as for `render_rays`; brdf: from `engine.lighting.brdf`; sampling: see `light_directions`; want: which maps of the
    radiance field come along. Unbiased for the light that the samples' normals, materials and shadow rays define, in value and
    in gradient. Gradients reach materials, normals, weights and the light, not what blocks or bounces. generator draws the
    light's directions and, if `jitter`, the lattice's phase.
    """
    check_maps(want)
    lattice = generator if jitter else None
    samples = surface_samples(scene, origins_w, directions_w, hand, config, lattice, True, pose_gradient)
    towards = directions_w[samples.ray] if "radiance" in want else None
    appearance = scene.appearance(samples.surface, towards, materials=True)
    scattered = scatter(scene, samples, appearance, origins_w, directions_w, light, config, generator, brdf, sampling)
    return PbrRender(*scattered, composite(samples, appearance, len(directions_w), want))


def scatter(
    scene: ImplicitScene,
    samples: PackedSamples,
    appearance: Appearance,
    origins_w: Tensor,
    directions_w: Tensor,
    light: Light,
    config: RenderConfig,
    generator: Randomness,
    brdf: Brdf,
    sampling: str,
) -> Scattered:
    """Light reflected by samples whose materials are known. origins_w, directions_w [R,3].

    Systematic sampling: sample j of S sits at the quantile (j + ξ) / S of the ray's weights, ξ random, so that an interval of
    weight w holds S w samples on average, and each counts for 1 / S. (The published code shares w among an interval's samples,
    which loses intervals that have none.)
    """
    materials, normals = appearance.materials, samples.surface.normals_w
    if materials is None or normals is None:
        raise ValueError("scattering needs samples with materials and normals")
    rays, count = len(directions_w), config.light_samples
    xi = uniform(generator, rays).to(directions_w)
    interval, place, which = quantile_samples(samples.weights, samples.ray, rays, count, xi)
    directions, density = light_directions(
        light,
        sampling,
        rays,
        config.light_rows,
        config.light_columns,
        generator,
        directions_w,
        EVEN_SHARE if config.bounce else 0.0,
    )
    to_light, density = directions.reshape(-1, 3)[which], density.reshape(-1)[which]
    above = torch.nonzero((normals.detach()[interval] * to_light).sum(1) > 1e-6)[:, 0]
    surface_t = surface_distances(samples, rays)
    color, demodulated = directions_w.new_zeros(rays, 3), directions_w.new_zeros(rays, 3)
    visibility = directions_w.new_zeros(rays)
    # With gradient the reflection is kept for the way back; without, blocks keep to the budget whatever the number of samples.
    block = max(config.memory_budget_bytes // (2 * BYTES_PER_SHADOW_RAY), 1)
    for rows in above.split(max(len(above), 1) if torch.is_grad_enabled() else block):
        of, ray = interval[rows], samples.ray[interval[rows]]
        t = torch.lerp(samples.t_start[of], samples.t_end[of], place[rows])
        t = torch.minimum(t, surface_t[ray])
        met = _trace(scene, origins_w, directions_w, samples, of, t, to_light[rows], config)
        arriving = light_radiance(light, to_light[rows]) * met.visibility[:, None] + met.bounced
        look: Materials = type(materials)(*(values[of] for values in materials))
        reflection = brdf(normals[of], -directions_w[ray], to_light[rows], look.albedo, look.roughness, look.metallic)
        weights = samples.weights[of]
        share = weights / weights.detach() / count
        incoming = arriving * (share / density[rows])[:, None]
        color = color.index_add(0, ray, incoming * outgoing(reflection, look.albedo, look.metallic))
        white = reflection.diffuse[:, None] + reflection.specular
        demodulated = demodulated.index_add(0, ray, incoming.detach() * white.detach())
        # mean over the hemisphere, whatever density the directions were drawn with
        cosine_free = met.visibility / (2 * torch.pi * density[rows] * count)
        visibility = visibility.index_add(0, ray, cosine_free)
    return Scattered(color, demodulated, visibility)


@torch.no_grad()
def _trace(
    scene: ImplicitScene,
    origins_w: Tensor,
    directions_w: Tensor,
    samples: PackedSamples,
    of: Tensor,
    t: Tensor,
    to_light: Tensor,
    config: RenderConfig,
) -> Secondary:
    """Shadow rays of light samples: of [n] their sample, t [n] metres along its ray, to_light [n,3] world."""
    ray, hand = samples.ray[of], samples.surface.hand[of]
    points, to_light_s = to_root_space(scene.root, hand, points_along(origins_w, directions_w, ray, t), to_light)
    parts = [
        trace_secondary(scene, p, d, h, config)
        for p, d, h in zip(
            points.split(SHADOW_RAYS), to_light_s.split(SHADOW_RAYS), hand.split(SHADOW_RAYS), strict=True
        )
    ]
    if not parts:
        return Secondary(t, t.new_zeros(0, 3))
    return Secondary(torch.cat([p.visibility for p in parts]), torch.cat([p.bounced for p in parts]))


@torch.no_grad()
def surface_distances(samples: PackedSamples, rays: int) -> Tensor:
    """[R] metres along each ray to where its signed distance first turns negative; infinite where it does not.

    Light is looked for from there at the latest: a point inside would be in its own shadow.
    """
    middle, sdf, ray = (samples.t_start + samples.t_end) / 2, samples.surface.sdf, samples.ray
    place = middle.new_full((rays,), torch.inf)
    if not len(ray):
        return place
    first = torch.ones_like(ray, dtype=torch.bool)
    first[1:] = ray[1:] != ray[:-1]
    crossing = middle + sdf.clamp_max(0)
    between = middle[:-1] + (middle[1:] - middle[:-1]) * sdf[:-1] / (sdf[:-1] - sdf[1:]).clamp_min(1e-12)
    crossing[1:] = torch.where(first[1:], crossing[1:], between)
    before = torch.cat([sdf.new_zeros(1), sdf[:-1]])
    enters = (sdf < 0) & (first | (before >= 0))
    return place.scatter_reduce(0, ray[enters], crossing[enters], "amin")


class PbrImage(NamedTuple):
    """A picture before any background; [H,W] or [H,W,3], as in `PbrRender` and `RayRender`."""

    color: Tensor
    demodulated: Tensor
    visibility: Tensor
    opacity: Tensor
    depth: Tensor
    radiance: Tensor | None
    normal_w: Tensor | None
    albedo: Tensor | None
    roughness: Tensor | None
    metallic: Tensor | None


def render_image_pbr(
    scene: ImplicitScene,
    intrinsics: Tensor,
    world_to_camera: Tensor,
    height: int,
    width: int,
    light: Light,
    config: RenderConfig,
    generator: Randomness,
    brdf: Brdf = palm_brdf,
    sampling: str = "uniform",
    want: Collection[str] = (),
    hand: int = 0,
) -> PbrImage:
    """A picture of one hand under a light, in chunks that keep to the memory budget at any number of light samples. No gradient.

    Arguments as for `render_rays_pbr` and `render_image`. For an environment as background add it times (1 − opacity).
    """

    def render(origins_w: Tensor, directions_w: Tensor, hands: Tensor) -> tuple[Tensor | None, ...]:
        result = render_rays_pbr(
            scene, origins_w, directions_w, hands, light, config, generator, brdf, sampling, want, jitter=False
        )
        return (*result[:3], *picture_maps(result.rays))

    waiting = config.light_samples * BYTES_PER_LIGHT_SAMPLE
    return PbrImage._make(render_maps(scene, intrinsics, world_to_camera, height, width, config, hand, waiting, render))
