"""Volume rendering of implicit hands: the radiance field's picture, its depth, normals and material maps."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

from ..randomness import Randomness
from .compositing import accumulate, rendering_weights
from .image_chunks import render_maps
from .ray_sets import to_root_space
from .render_config import RenderConfig
from .scene import Appearance, ImplicitScene, SurfaceSample
from .surface_search import find_surface, place_samples

ALL_MAPS = ("radiance", "normals", "materials")
"""What `want` may name. Opacity and depth cost nothing and always come."""


class PackedSamples(NamedTuple):
    """The M shaded points of R rays, sorted by ray and from near to far."""

    ray: Tensor
    """[M] int64."""
    t_start: Tensor
    """[M] metres."""
    t_end: Tensor
    """[M] metres."""
    points_s: Tensor
    """[M,3] the intervals' midpoints, root space."""
    weights: Tensor
    """[M] share in the ray's colour; carries gradients to the geometry."""
    surface: SurfaceSample


class RayRender(NamedTuple):
    """R rays before any background: maps are sums of weight times value ("premultiplied"). None: not wanted."""

    opacity: Tensor
    """[R] in [0,1]."""
    depth: Tensor
    """[R] metres along the ray, premultiplied: divide by the opacity for the expected depth."""
    radiance: Tensor | None
    """[R,3] linear."""
    normal_w: Tensor | None
    """[R,3] world axes."""
    albedo: Tensor | None
    """[R,3] linear."""
    roughness: Tensor | None
    """[R]."""
    metallic: Tensor | None
    """[R]."""
    samples: PackedSamples


def surface_samples(
    scene: ImplicitScene,
    origins_w: Tensor,
    directions_w: Tensor,
    hand: Tensor,
    config: RenderConfig,
    generator: Randomness | None = None,
    gradient: bool = True,
    pose_gradient: bool = False,
) -> PackedSamples:
    """The points that make up the rays' colour, with their weights and geometry.

    gradient: whether the distance's spatial gradient is wanted; pose_gradient: whether points follow the pose.
    """
    origins, directions = to_root_space(scene.root.detach(), hand, origins_w, directions_w)
    intervals = find_surface(scene, origins, directions, hand, config, generator)
    intervals, points, canonical = place_samples(scene, origins, directions, hand, intervals, config.weight_cutoff)
    ray = intervals.ray
    if pose_gradient:
        origins, directions = to_root_space(scene.root, hand, origins_w, directions_w)
        points = torch.addcmul(origins[ray], directions[ray], intervals.middle[:, None])
    surface = scene.evaluate(points, canonical, hand[ray], gradient, pose_gradient)
    weights = rendering_weights(scene.density(surface.sdf) * intervals.length, ray)
    return PackedSamples(ray, intervals.start, intervals.end, points, weights, surface)


def render_rays(
    scene: ImplicitScene,
    origins_w: Tensor,
    directions_w: Tensor,
    hand: Tensor,
    config: RenderConfig,
    generator: Randomness | None = None,
    want: Collection[str] = ALL_MAPS,
    pose_gradient: bool = False,
) -> RayRender:
    """Render R rays, differentiable in the fields (and in the pose, if `pose_gradient`). Not chunked.

    origins_w, directions_w [R,3] world, metres and unit; hand [R] int64: the hand that each ray looks at. generator: jitters
    the lattice (training); without one, the result is the same every time. want: names from `ALL_MAPS`; the samples' gradient
    and normals are there if "radiance" or "normals" is. (After PALM's published renderer.)
    """
    check_maps(want)
    gradient = "radiance" in want or "normals" in want
    samples = surface_samples(scene, origins_w, directions_w, hand, config, generator, gradient, pose_gradient)
    towards = directions_w[samples.ray] if "radiance" in want else None
    appearance = scene.appearance(samples.surface, towards, "materials" in want)
    return composite(samples, appearance, len(directions_w), want)


def check_maps(want: Collection[str]) -> None:
    """Raises ValueError for a name that is not in `ALL_MAPS`."""
    unknown = set(want) - set(ALL_MAPS)
    if unknown:
        raise ValueError(f"no map is called {sorted(unknown)[0]!r}; there are {', '.join(ALL_MAPS)}")


def composite(samples: PackedSamples, appearance: Appearance, rays: int, want: Collection[str]) -> RayRender:
    """The wanted maps of `rays` rays whose samples and their looks are known."""
    weights, surface = samples.weights, samples.surface

    def total(values: Tensor | None) -> Tensor:
        return accumulate(weights, values, samples.ray, rays)

    materials = appearance.materials if "materials" in want else None
    return RayRender(
        opacity=total(None),
        depth=total((samples.t_start + samples.t_end) / 2),
        radiance=None if appearance.radiance is None else total(appearance.radiance),
        normal_w=total(surface.normals_w) if "normals" in want and surface.normals_w is not None else None,
        albedo=None if materials is None else total(materials.albedo),
        roughness=None if materials is None else total(materials.roughness),
        metallic=None if materials is None else total(materials.metallic),
        samples=samples,
    )


def picture_maps(rays: RayRender) -> tuple[Tensor | None, ...]:
    """All of a render but its samples, in the order of `ImageRender`."""
    return rays.opacity, rays.depth, rays.radiance, rays.normal_w, rays.albedo, rays.roughness, rays.metallic


class ImageRender(NamedTuple):
    """A picture before any background; maps as in `RayRender`, [H,W] or [H,W,3]."""

    opacity: Tensor
    depth: Tensor
    radiance: Tensor | None
    normal_w: Tensor | None
    albedo: Tensor | None
    roughness: Tensor | None
    metallic: Tensor | None


def render_image(
    scene: ImplicitScene,
    intrinsics: Tensor,
    world_to_camera: Tensor,
    height: int,
    width: int,
    config: RenderConfig,
    want: Collection[str] = ALL_MAPS,
    hand: int = 0,
) -> ImageRender:
    """A picture of one hand of the scene, in chunks that keep to the memory budget. No gradient; the same every time.

    intrinsics [3,3] px; world_to_camera [4,4] OpenCV axes. Only rays that meet the occupancy grid are looked at.
    """

    def render(origins_w: Tensor, directions_w: Tensor, hands: Tensor) -> tuple[Tensor | None, ...]:
        return picture_maps(render_rays(scene, origins_w, directions_w, hands, config, want=want))

    return ImageRender._make(render_maps(scene, intrinsics, world_to_camera, height, width, config, hand, 0, render))
