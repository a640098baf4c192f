"""Physically based pictures of a textured mesh by ray casting: the engine's counterpart of a Cycles render.

Per pixel several jittered rays; per ray several light directions, half drawn from the environment, a quarter by the cosine, a
quarter by the gloss (one mixture, so their weights are the balance heuristic's); shadow rays; light from other skin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import InputError
from ..lighting import image_light
from ..lighting.brdf import BRDFS, outgoing
from ..lighting.environment import blender_world, opencv_world
from ..lighting.image_light import ImageLight
from ..lighting.microfacet import bump_shadowing, reflection_density, sample_reflection
from ..lighting.sphere_sampling import about, hemisphere_directions, shifted_sequence
from .rasterize import interpolate
from .ray_casting import RayMesh, any_hit, nearest_hits, ray_mesh
from .surface import corner_tangents, perturb_normal, vertex_normals
from .texture import sample_texture

OFFSET_M = 2e-5
"""Metres above the surface at which secondary rays start."""

RAYS_AT_ONCE = 1 << 18
"""Camera rays traced together, and light directions shaded together: about 100 MB."""


class MeshScene(NamedTuple):
    """A textured mesh in the world (OpenCV axes, metres)."""

    vertices: Tensor
    """[V,3]"""
    faces: Tensor
    """[F,3] int64, counter-clockwise from outside"""
    uv: Tensor
    """[T,2] V upward"""
    uv_faces: Tensor
    """[F,3] int64 into uv"""
    albedo: Tensor
    """[H,W,3] linear"""
    roughness: Tensor
    """[H,W,1] in [0,1]"""
    normal_map: Tensor | None
    """[H,W,3] in [-1,1], tangent space (OpenGL); None: flat"""


@dataclass(frozen=True)
class MeshRenderConfig:
    """How much work a picture is worth."""

    pixel_samples: int = 4
    """Rays a pixel, jittered in a grid of as many cells when it is a square number."""
    light_samples: int = 16
    """Light directions a ray; at later bounces a quarter of them, but at least 2."""
    bounces: int = 1
    """Times that light may go on from skin to skin; 0: only what comes straight from the environment."""
    brdf: str = "principled"
    """A name in `engine.lighting.brdf.BRDFS`."""


class MeshRender(NamedTuple):
    """A picture and its passes; each a mean over the pixel's rays."""

    color: Tensor
    """[H,W,3] linear radiance, premultiplied over black."""
    coverage: Tensor
    """[H,W] in [0,1]"""
    depth: Tensor
    """[H,W] metres along the view axis, of the covered part; 0 where there is none."""
    normals: Tensor
    """[H,W,3] unit shading normals in the camera's axes (OpenCV); 0 where nothing is covered."""
    albedo: Tensor
    """[H,W,3] linear, premultiplied."""


class _Prepared(NamedTuple):
    """What every ray needs of a scene."""

    scene: MeshScene
    rays: RayMesh
    normals: Tensor
    tangents: Tensor
    light: ImageLight
    config: MeshRenderConfig
    generator: torch.Generator


class _Surface(NamedTuple):
    """P points hit by rays."""

    origins: Tensor
    """[P,3] just above the surface, on the side of the ray."""
    smooth: Tensor
    """[P,3] interpolated normals, on the side of the ray."""
    normals: Tensor
    """[P,3] with the normal map."""
    to_camera: Tensor
    """[P,3] unit, back along the ray."""
    albedo: Tensor
    """[P,3]"""
    roughness: Tensor
    """[P]"""
    shifts: Tensor
    """[P,4,2] random numbers that the points' light, cosine, gloss and bounce directions are drawn with."""


@torch.no_grad()
def render_mesh(
    scene: MeshScene,
    light: ImageLight,
    intrinsics: Tensor,
    world_to_camera: Tensor,
    height: int,
    width: int,
    config: MeshRenderConfig,
    generator: torch.Generator,
) -> MeshRender:
    """Picture of a mesh under an environment, seen by a pinhole camera.

    light: in Blender's world, which lies to the scene's as `blender_world` says; intrinsics [3,3] px, first pixel's centre at
    (0.5, 0.5); world_to_camera [4,4] OpenCV axes. Box filter. No gradient. Raises InputError for an empty picture or mesh
    and for numbers of samples below 1.
    """
    if height < 1 or width < 1 or len(scene.faces) < 1:
        raise InputError(f"a picture of {width}×{height} pixels and {len(scene.faces)} faces cannot be rendered")
    if config.pixel_samples < 1 or config.light_samples < 1 or config.bounces < 0 or config.brdf not in BRDFS:
        raise InputError(f"{config}: give at least 1 sample, 0 bounces or more, and a brdf of {', '.join(BRDFS)}")
    vertices = scene.vertices
    normals = vertex_normals(vertices, scene.faces)
    tangents = corner_tangents(vertices, normals, scene.faces, scene.uv, scene.uv_faces)
    prepared = _Prepared(scene, ray_mesh(vertices, scene.faces), normals, tangents, light, config, generator)
    pose = world_to_camera.to(vertices)
    totals = vertices.new_zeros(height * width, 11)
    # One sequence of light directions is spread over all rays of a pixel, so that together they cover the light evenly.
    shifts = _random(prepared, height * width)
    rays = _camera_rays(intrinsics.to(vertices), height, width, config.pixel_samples, generator)
    for index, pixels, directions in rays:
        origin = -pose[:3, :3].T @ pose[:3, 3]
        turned = normalize(directions, dim=1) @ pose[:3, :3]
        covered, surface = _first_surface(prepared, origin.expand_as(turned), turned, shifts[pixels])
        depth = ((surface.origins @ pose[:3, :3].T) + pose[:3, 3])[:, 2]
        parts = [_radiance(prepared, p, config.light_samples, config.bounces, index) for p in _parts(surface, config)]
        color = torch.cat(parts)
        values = [
            color,
            torch.ones_like(depth)[:, None],
            depth[:, None],
            surface.normals @ pose[:3, :3].T,
            surface.albedo,
        ]
        totals.index_add_(0, pixels[covered], torch.cat(values, dim=1))
    mean = (totals / config.pixel_samples).reshape(height, width, 11)
    color, coverage, depth, normal, albedo = mean.split([3, 1, 1, 3, 3], dim=2)
    return MeshRender(
        color,
        coverage[..., 0],
        (depth / coverage.clamp_min(0.5 / config.pixel_samples))[..., 0],
        normalize(normal, dim=2, eps=1e-12),
        albedo,
    )


def _camera_rays(
    intrinsics: Tensor, height: int, width: int, samples: int, generator: torch.Generator
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Rays through all pixels, in parts: which of a pixel's rays, flat indices [N], directions [N,3] in the camera's axes."""
    device = intrinsics.device
    side = math.isqrt(samples)
    side = side if side * side == samples else 1
    inverse = torch.linalg.inv(intrinsics)
    for sample in range(samples):
        cell = torch.tensor([sample % side, sample // side % side], device=device).to(intrinsics)
        for pixels in torch.arange(height * width, device=device).split(RAYS_AT_ONCE):
            corner = torch.stack([pixels % width, torch.div(pixels, width, rounding_mode="floor")], dim=1)
            jitter = torch.rand(len(pixels), 2, generator=generator, device=generator.device).to(intrinsics)
            points = corner.to(intrinsics) + (cell + jitter) / side
            yield sample, pixels, torch.cat([points, torch.ones_like(points[:, :1])], dim=1) @ inverse.T


def _random(prepared: _Prepared, points: int) -> Tensor:
    """[points,4,2] even in [0,1)."""
    generator = prepared.generator
    return torch.rand(points, 4, 2, generator=generator, device=generator.device).to(prepared.normals)


def _first_surface(prepared: _Prepared, origins: Tensor, directions: Tensor, shifts: Tensor) -> tuple[Tensor, _Surface]:
    """Where rays [N,3] meet the mesh: [N] bool, and the surface at those that do. shifts [N,4,2]: see `_Surface`."""
    scene = prepared.scene
    hits = nearest_hits(prepared.rays, origins, directions)
    covered = hits.faces >= 0
    faces, weights, along = hits.faces[covered], hits.barycentric[covered].to(scene.vertices), directions[covered]
    corners = scene.faces[faces]
    triangle = scene.vertices[corners]
    plane = normalize(torch.linalg.cross(triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]), dim=1)
    side = -torch.sign((plane * along).sum(1, keepdim=True))
    smooth = interpolate(prepared.normals, corners, weights)
    uv = interpolate(scene.uv, scene.uv_faces[faces], weights)
    if scene.normal_map is None:
        shading = smooth
    else:
        mapped = sample_texture(scene.normal_map, uv)
        shading = perturb_normal(
            prepared.normals, prepared.tangents, scene.faces, scene.uv_faces, faces, weights, mapped
        )
    position = interpolate(scene.vertices, corners, weights)
    return covered, _Surface(
        origins=position + OFFSET_M * side * plane,
        smooth=normalize(smooth, dim=1) * side,
        normals=normalize(shading, dim=1) * side,
        to_camera=-along,
        albedo=sample_texture(scene.albedo, uv),
        roughness=sample_texture(scene.roughness, uv)[:, 0],
        shifts=shifts[covered],
    )


def _parts(surface: _Surface, config: MeshRenderConfig) -> Iterator[_Surface]:
    step = max(1, RAYS_AT_ONCE // config.light_samples)
    for start in range(0, max(len(surface.origins), 1), step):
        yield _Surface(*(values[start : start + step] for values in surface))


def _radiance(prepared: _Prepared, surface: _Surface, light_samples: int, bounces: int, sample: int) -> Tensor:
    """[P,3] radiance that leaves surface points towards where they were seen from; sample: which of a pixel's rays."""
    directions, density = _light_directions(prepared, surface, light_samples, sample)
    above = torch.nonzero((directions * surface.normals[:, None]).sum(-1) > 0)
    point, towards = above[:, 0], directions[above[:, 0], above[:, 1]]
    clear = ~any_hit(prepared.rays, surface.origins[point], towards)
    incoming = torch.zeros_like(directions)
    incoming[point[clear], above[clear, 1]] = image_light.radiance(prepared.light, blender_world(towards[clear]))
    weight = torch.where(density > 0, 1 / density, torch.zeros_like(density))[..., None]
    total = (incoming * weight * _reflected(prepared, surface, directions)).mean(1)
    if bounces > 0 and len(total):
        total = total + _bounced(prepared, surface, light_samples, bounces, sample)
    return total


def _light_directions(prepared: _Prepared, surface: _Surface, count: int, sample: int) -> tuple[Tensor, Tensor]:
    """[P,count,3] directions in the scene's world and the density [P,count] of the mixture that they are drawn from."""
    by_light, by_gloss = (count + 1) // 2, count // 4
    by_cosine = count - by_light - by_gloss
    alpha = _gloss_width(prepared.config.brdf, surface.roughness)
    normals = surface.normals[:, None]
    u = [
        shifted_sequence(surface.shifts[:, k], each, sample * each)
        for k, each in enumerate((by_light, by_cosine, by_gloss))
    ]
    lit, _ = image_light.sample(prepared.light, u[0].reshape(-1, 2))
    spread = about(normals, hemisphere_directions(u[1]))
    mirrored = sample_reflection(surface.normals, surface.to_camera, alpha, u[2])
    directions = torch.cat([opencv_world(lit).reshape(-1, by_light, 3), spread, mirrored], dim=1)
    light_density = image_light.pdf(prepared.light, blender_world(directions.reshape(-1, 3))).reshape(-1, count)
    cosine = (directions * normals).sum(-1).clamp_min(0)
    gloss_density = reflection_density(surface.normals, surface.to_camera, directions, alpha)
    density = (by_light * light_density + by_cosine * cosine / math.pi + by_gloss * gloss_density) / count
    return directions, density


def _gloss_width(brdf: str, roughness: Tensor) -> Tensor:
    """GGX width [P] of the lobe that directions are drawn from."""
    return (roughness if brdf == "palm" else roughness**2).clamp(2.5e-3, 1)


def _reflected(prepared: _Prepared, surface: _Surface, directions: Tensor) -> Tensor:
    """[P,L,3] reflected share of light from directions [P,L,3], cosine included."""
    albedo, roughness = surface.albedo[:, None], surface.roughness[:, None]
    metallic = torch.zeros_like(roughness)
    reflection = BRDFS[prepared.config.brdf](
        surface.normals[:, None], surface.to_camera[:, None], directions, albedo, roughness, metallic
    )
    if prepared.config.brdf == "principled" and prepared.scene.normal_map is not None:
        softened = bump_shadowing(surface.smooth[:, None], surface.normals[:, None], directions)
        reflection = reflection._replace(diffuse=reflection.diffuse * softened)
    return outgoing(reflection, albedo, metallic)


def _bounced(prepared: _Prepared, surface: _Surface, light_samples: int, bounces: int, sample: int) -> Tensor:
    """[P,3] light that arrives by way of other skin, one direction a point."""
    u = shifted_sequence(surface.shifts[:, 3], 1, sample)
    directions = about(surface.normals, hemisphere_directions(u[:, 0]))
    shifts = _random(prepared, len(directions))
    covered, next_surface = _first_surface(prepared, surface.origins, directions, shifts)
    arriving = _radiance(prepared, next_surface, max(2, light_samples // 4), bounces - 1, 0)
    near = _Surface(*(values[covered] for values in surface))
    towards = directions[covered]
    cosine = (towards * near.normals).sum(-1).clamp_min(1e-6)
    share = _reflected(prepared, near, towards[:, None])[:, 0] * (math.pi / cosine)[:, None]
    return torch.zeros_like(surface.albedo).index_add(0, torch.nonzero(covered)[:, 0], arriving * share)
