"""HARP's three stages for one photo: geometry, geometry with appearance, appearance (appendix C.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..hand.subdivide import interpolate as interpolate_midpoints
from ..lighting.color import linear_to_srgb, srgb_to_linear
from ..lighting.environment import LAMP_ANGULAR_RADIUS
from ..lighting.lamp import LampLight, shade
from ..progress import Progress
from ..rendering.crop import Crop, resample
from ..rendering.mesh import Picture, SurfaceView, compose, see, surface_values
from ..rendering.occlusion import ambient_visibility, bounced_lamp, multiple_bounce
from ..rendering.shadow import disc_visibility
from ..rendering.surface import corner_tangents, perturb_normal, vertex_normals
from ..rendering.texture import sample_texture
from ..training.perceptual import PerceptualTerm
from .adam import Adam, cosine_fall
from .config import AppearanceWeights, GeometryWeights, HarpConfig
from .harp_model import AppearanceParameters, GeometryParameters, PosedHand, Template, displacement, pose_hand
from .losses import (
    edge_length_energy,
    joint_anchor,
    laplacian_energy,
    limit_energy,
    map_smoothness,
    masked_l1,
    normal_consistency,
    random_offset,
    upright_normals,
)

SHADOW_EVERY = 15
"""Steps between shadow tests while only appearance moves: the lamp turns slowly and the shape not at all."""


class Target(NamedTuple):
    """One photo, cropped to the hand."""

    color: Tensor
    """[H,W,3] sRGB-encoded, in [0,1]."""
    mask: Tensor
    """[H,W] in [0,1]."""
    silhouette_weight: Tensor
    """[H,W]: 0 beyond the wrist, where the mask was cut and says nothing."""
    color_weight: Tensor
    """[H,W]: inside the mask, away from its border."""
    intrinsics: Tensor
    """[3,3] of the crop."""


class Reference(NamedTuple):
    """What the capture said; the anchors of the geometry terms."""

    joints: Tensor
    """[16,3] camera frame."""


class Shading(NamedTuple):
    """Constants of a posed hand that shading needs."""

    normals: Tensor
    """[V,3]"""
    tangents: Tensor
    """[T,4]"""
    openness: Tensor
    """[V] ambient visibility."""


def geometry_energy(
    template: Template,
    parameters: GeometryParameters,
    posed: PosedHand,
    coverage: Tensor,
    target: Target,
    reference: Reference,
    weights: GeometryWeights,
) -> Tensor:
    """E_geo: eqs. 5-8 with the paper's weights."""
    topology, model = template.topology, template.model
    silhouette = masked_l1(coverage[..., None], target.mask[..., None], target.silhouette_weight)
    return (
        weights.silhouette * silhouette
        + weights.anchor * joint_anchor(posed.joints, reference.joints)
        + weights.displacement * (displacement(template, parameters.offsets) ** 2).sum()
        + weights.laplacian * laplacian_energy(posed.vertices, posed.undisplaced, template.neighbours)
        + weights.normal_consistency * normal_consistency(posed.vertices, topology.faces, topology.edges)
        + weights.edge_length * edge_length_energy(posed.vertices, posed.undisplaced, topology.edges)
        + weights.pose_limits * limit_energy(parameters.hand_pose, model.joint_axes, model.joint_limits)
        + weights.shape_prior * (parameters.betas**2).sum()
    )


def shading_of(template: Template, vertices: Tensor, rays: int) -> Shading:
    """Normals, tangent frames and ambient visibility of a posed hand [V,3]. No gradient through the last."""
    topology = template.topology
    normals = vertex_normals(vertices, topology.faces)
    tangents = corner_tangents(vertices, normals, topology.faces, topology.uv, topology.uv_faces)
    # Rays from every vertex of the coarse mesh are enough: occlusion is smooth over a few millimetres.
    coarse = len(template.smoother)
    points, outward = vertices.detach(), normals.detach()
    openness = ambient_visibility(points, topology.faces, points[:coarse], outward[:coarse], rays)
    for edges in template.midpoints:
        openness = interpolate_midpoints(openness, edges)
    return Shading(normals, tangents, openness)


def shade_view(
    template: Template,
    vertices: Tensor,
    view: SurfaceView,
    shading: Shading,
    albedo: Tensor,
    tangent_normal: Tensor | None,
    light: LampLight,
    lamp_visibility: Tensor | None = None,
) -> Tensor:
    """Linear colour [P,3] of the visible points. albedo [P,3] linear; tangent_normal [P,3] or None; lamp_visibility [P]."""
    topology, fragments = template.topology, view.fragments
    if tangent_normal is None:
        normals = torch.nn.functional.normalize(surface_values(view, shading.normals, topology.faces), dim=1)
    else:
        normals = perturb_normal(
            shading.normals,
            shading.tangents,
            topology.faces,
            topology.uv_faces,
            fragments.faces,
            fragments.barycentric,
            tangent_normal,
        )
    openness = surface_values(view, shading.openness[:, None], topology.faces)
    skin = albedo.detach().clamp(0, 1)
    bounced = bounced_lamp(openness, skin)
    return albedo * shade(light, normals, lamp_visibility, multiple_bounce(openness, skin), bounced)


def visible_lamp(
    template: Template, vertices: Tensor, view: SurfaceView, normals: Tensor, to_lamp: Tensor, samples: int
) -> Tensor:
    """[P] share of the lamp's disc that the visible points see. normals [V,3]; samples 1 tests its centre alone."""
    faces = template.topology.faces
    points = surface_values(view, vertices, faces)
    smooth = torch.nn.functional.normalize(surface_values(view, normals, faces), dim=1)
    return disc_visibility(vertices, faces, to_lamp, points, smooth, LAMP_ANGULAR_RADIUS, samples)


def render_appearance(
    template: Template,
    vertices: Tensor,
    view: SurfaceView,
    shading: Shading,
    appearance: AppearanceParameters,
    background: Tensor | float,
    lamp_visibility: Tensor | None,
) -> Picture:
    """The hand as the parameters have it, sRGB-encoded and antialiased over a background (also encoded)."""
    topology = template.topology
    uv = surface_values(view, topology.uv, topology.uv_faces)
    albedo = srgb_to_linear(sample_texture(appearance.albedo, uv).clamp(0, 1))
    tangent_normal = sample_texture(appearance.normal_map(), uv)
    color = shade_view(template, vertices, view, shading, albedo, tangent_normal, appearance.light(), lamp_visibility)
    return compose(view, topology, linear_to_srgb(color), background)


def appearance_energy(
    picture: Picture,
    appearance: AppearanceParameters,
    target: Target,
    inside: Tensor,
    initial_light: tuple[Tensor, Tensor],
    weights: AppearanceWeights,
    generator: torch.Generator,
    perceptual: PerceptualTerm,
) -> Tensor:
    """E_app: eqs. 9-12, and a pull towards the first estimate of the light."""
    size = appearance.albedo.shape[0]
    # The paper's offsets of 2 texels are those of a 512² map.
    offset = random_offset(2.0 * size / 512, generator)
    normal_map = appearance.normal_map()
    drift = ((appearance.log_ambient - initial_light[0]) ** 2).sum() + (
        (appearance.log_lamp - initial_light[1]) ** 2
    ).sum()
    return (
        weights.photo * masked_l1(picture.color, target.color, target.color_weight)
        + weights.perceptual * perceptual(picture.color, target.color, target.color_weight)
        + weights.albedo_smoothness * map_smoothness(appearance.albedo, offset, inside)
        + weights.normal_regularity * (map_smoothness(normal_map, offset, inside) + upright_normals(normal_map, inside))
        + weights.light_prior * drift
    )


def optimise_geometry(
    template: Template,
    parameters: GeometryParameters,
    target: Target,
    reference: Reference,
    config: HarpConfig,
    progress: Progress,
) -> None:
    """Stage 1: pose, shape, place and displacement from the silhouette. Moves `parameters` in place."""
    optimiser = geometry_optimiser(parameters, config)
    height, width = target.mask.shape
    for rate_scale in steps(config.geometry_steps, progress, "fitting the outline"):
        posed = pose_hand(template, parameters)
        view = see(posed.vertices, template.topology, target.intrinsics, height, width)
        ones = torch.ones(len(view.fragments.pixels), 1, dtype=posed.vertices.dtype, device=posed.vertices.device)
        coverage = compose(view, template.topology, ones).coverage
        energy = geometry_energy(template, parameters, posed, coverage, target, reference, config.geometry)
        optimiser.zero_grad()
        energy.backward()
        optimiser.step(rate_scale)


def optimise_jointly(
    template: Template,
    parameters: GeometryParameters,
    appearance: AppearanceParameters,
    target: Target,
    reference: Reference,
    inside: Tensor,
    config: HarpConfig,
    perceptual: PerceptualTerm,
    progress: Progress,
) -> None:
    """Stage 2: everything, with the photo pulling on the geometry as well. Moves both in place."""
    geometry_steps = geometry_optimiser(parameters, config, scale=0.3)
    look = appearance_optimiser(appearance, config)
    generator = torch.Generator().manual_seed(config.seed + 1)
    initial = (appearance.log_ambient.detach().clone(), appearance.log_lamp.detach().clone())
    height, width = target.mask.shape
    openness = None
    for rate_scale in steps(config.joint_steps, progress, "refining shape and skin"):
        posed = pose_hand(template, parameters)
        view = see(posed.vertices, template.topology, target.intrinsics, height, width)
        if openness is None:
            openness = shading_of(template, posed.vertices, config.occlusion_rays // 2).openness
        normals = vertex_normals(posed.vertices, template.topology.faces)
        tangents = corner_tangents(
            posed.vertices.detach(),
            normals.detach(),
            template.topology.faces,
            template.topology.uv,
            template.topology.uv_faces,
        )
        shading = Shading(normals, tangents, openness)
        lamp = visible_lamp(template, posed.vertices, view, normals, appearance.to_lamp, 1) if config.shadow else None
        picture = render_appearance(template, posed.vertices, view, shading, appearance, target.color, lamp)
        energy = geometry_energy(template, parameters, posed, picture.coverage, target, reference, config.geometry)
        energy = energy + appearance_energy(
            picture, appearance, target, inside, initial, config.appearance, generator, perceptual
        )
        geometry_steps.zero_grad()
        look.zero_grad()
        energy.backward()
        geometry_steps.step(rate_scale)
        look.step(rate_scale)


def optimise_appearance(
    template: Template,
    vertices: Tensor,
    appearance: AppearanceParameters,
    target: Target,
    inside: Tensor,
    config: HarpConfig,
    perceptual: PerceptualTerm,
    progress: Progress,
) -> None:
    """Stage 3: albedo, normal map and light on frozen geometry [V,3]. Moves `appearance` in place."""
    optimiser = appearance_optimiser(appearance, config)
    generator = torch.Generator().manual_seed(config.seed + 2)
    initial = (appearance.log_ambient.detach().clone(), appearance.log_lamp.detach().clone())
    height, width = target.mask.shape
    with torch.no_grad():
        view = see(vertices, template.topology, target.intrinsics, height, width)
        shading = shading_of(template, vertices, config.occlusion_rays)
    lamp = None
    for step, rate_scale in enumerate(steps(config.appearance_steps, progress, "recovering skin and light")):
        if config.shadow and step % SHADOW_EVERY == 0:
            with torch.no_grad():
                lamp = visible_lamp(
                    template, vertices, view, shading.normals, appearance.to_lamp, config.shadow_samples
                )
        picture = render_appearance(template, vertices, view, shading, appearance, target.color, lamp)
        energy = appearance_energy(
            picture, appearance, target, inside, initial, config.appearance, generator, perceptual
        )
        optimiser.zero_grad()
        energy.backward()
        optimiser.step(rate_scale)


def geometry_optimiser(parameters: GeometryParameters, config: HarpConfig, scale: float = 1.0) -> Adam:
    """Adam about HARP's rate, by unit: radians faster, betas (of unit variance) much faster, metres slower."""
    rate = config.learning_rate_geometry * scale
    return Adam(
        [
            (parameters.hand_pose, 3 * rate),
            (parameters.global_orient, 3 * rate),
            (parameters.betas, 20 * rate),
            (parameters.transl, 0.5 * rate),
            (parameters.offsets, 0.5 * rate),
        ]
    )


def appearance_optimiser(appearance: AppearanceParameters, config: HarpConfig) -> Adam:
    """Adam at HARP's rate for all of appearance."""
    return Adam([(leaf, config.learning_rate_appearance) for leaf in vars(appearance).values()])


def steps(count: int, progress: Progress, message: str) -> Iterator[float]:
    """The learning rates' scale at each step, with progress every few steps."""
    for step in range(count):
        if step % 4 == 0:
            progress(step / count, message)
        yield cosine_fall(step, count)
    progress(1.0, message)


def crop_target(
    photo: Tensor, mask: Tensor, intrinsics: Tensor, crop: Crop, beyond_wrist: Tensor, eroded: Tensor
) -> Target:
    """A `Target` from full pictures. photo [H,W,3] sRGB in [0,1]; mask, beyond_wrist, eroded [H,W] in [0,1]."""
    planes = torch.cat([photo, mask[..., None], 1 - beyond_wrist[..., None], eroded[..., None]], dim=-1)
    small = resample(planes, crop)
    inside_photo = resample(torch.ones_like(photo[..., :1]), crop)[..., 0]
    return Target(
        small[..., :3],
        small[..., 3],
        small[..., 4] * (inside_photo > 0.5),
        (small[..., 5] > 0.99).to(photo),
        crop.intrinsics(intrinsics),
    )
