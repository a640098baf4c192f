"""HARP's three stages: geometry, geometry with appearance, appearance (appendix C.3), in mini-batches of frames.

A batch is an index [B] into the frames; one photo is a sequence of one frame, and every batch is that frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..lighting.color import linear_to_srgb
from ..progress import Progress
from ..rendering.frame_stack import see_stack, stack_topology
from ..rendering.mesh import MeshTopology, Picture, compose
from ..rendering.surface import corner_tangents, vertex_normals
from ..training.perceptual import PerceptualTerm
from .adam import Adam, FrameAdam, cosine_fall
from .config import AppearanceWeights, GeometryWeights, HarpConfig
from .harp_fixed import FixedFrames
from .harp_forearm import start_forearm
from .harp_frames import Frames, Target
from .harp_model import AppearanceParameters, GeometryParameters, PosedHand, Template, displacement, pose_hand
from .harp_render import Shading, SkyViews, seen_skin, shade_skin, visible_lamp
from .losses import (
    acceleration_energy,
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


class Reference(NamedTuple):
    """What the capture said; the anchors of the geometry terms."""

    joints: Tensor
    """[T,16,3] camera frame."""


@dataclass
class Track:
    """The joints' way through time, for the term that keeps it smooth."""

    joints: Tensor
    """[T,16,3] as last seen."""
    links: Tensor
    """[T] in [0,1]: how strongly a frame is tied to the line through its neighbours."""

    def energy(self, joints: Tensor, index: Tensor) -> Tensor:
        """Squared bend of the tracks in decimetres, the mean over joints; notes where the joints [B,16,3] are now."""
        last = len(self.joints) - 1
        before, after = self.joints[(index - 1).clamp_min(0)], self.joints[(index + 1).clamp_max(last)]
        self.joints[index] = joints.detach()
        now, before, after = (10 * value.flatten(1) for value in (joints, before, after))
        return acceleration_energy(now, before, after, self.links[index]) / joints.shape[1]


def geometry_energy(
    template: Template,
    parameters: GeometryParameters,
    posed: PosedHand,
    coverage: Tensor,
    target: Target,
    reference: Tensor,
    weights: GeometryWeights,
) -> Tensor:
    """E_geo: eqs. 5-8 with the paper's weights. posed, parameters: of the target's frames; reference [B,16,3].

    The terms of the mesh alone are taken in the batch's first frame: pose hardly changes them, and batches are shuffled.
    """
    topology, model = template.topology, template.model
    silhouette = masked_l1(coverage[..., None], target.mask[..., None], target.silhouette_weight)
    vertices, undisplaced = posed.vertices[0], posed.undisplaced[0]
    return (
        weights.silhouette * silhouette
        + weights.anchor * joint_anchor(posed.joints, reference)
        + weights.displacement * (displacement(template, parameters.offsets) ** 2).sum()
        + weights.laplacian * laplacian_energy(vertices, undisplaced, template.neighbours)
        + weights.normal_consistency * normal_consistency(vertices, topology.faces, topology.edges)
        + weights.edge_length * edge_length_energy(vertices, undisplaced, topology.edges)
        + weights.pose_limits * limit_energy(parameters.hand_pose, model.joint_axes, model.joint_limits)
        + weights.shape_prior * (parameters.betas**2).sum()
        + (0 if parameters.forearm is None else weights.forearm * (parameters.forearm**2).sum(-1).mean())
    )


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
    brightness = torch.logaddexp(appearance.log_ambient, appearance.log_lamp)
    brighter = ((brightness - torch.logaddexp(*initial_light)) ** 2).sum()
    return (
        photo_energy(picture, target, weights, perceptual)
        + weights.albedo_smoothness * map_smoothness(appearance.albedo, offset, inside)
        + weights.normal_regularity * (map_smoothness(normal_map, offset, inside) + upright_normals(normal_map, inside))
        + weights.light_prior * drift
        + weights.brightness_prior * brighter
    )


def photo_energy(picture: Picture, target: Target, weights: AppearanceWeights, perceptual: PerceptualTerm) -> Tensor:
    """The part of eq. 9 that compares pictures."""
    return weights.photo * masked_l1(picture.color, target.color, target.color_weight) + (
        weights.perceptual * perceptual(picture.color, target.color, target.color_weight)
    )


def optimise_geometry(
    template: Template,
    parameters: GeometryParameters,
    frames: Frames,
    reference: Reference,
    batches: Sequence[Tensor],
    config: HarpConfig,
    progress: Progress,
    track: Track | None = None,
    shrink: int = 1,
) -> None:
    """Stage 1: pose, shape, place and displacement from the silhouette. Moves `parameters` in place."""
    start_forearm(template, parameters, frames)
    optimiser = GeometryOptimiser(parameters, config)
    stack = stack_topology(template.topology, len(batches[0]))
    for index, rate_scale in steps(batches, progress, "fitting the outline"):
        target = frames.target(index, shrink)
        chosen = parameters.frames(index)
        posed = pose_hand(template, chosen)
        view = see_stack(posed.vertices, stack, target.intrinsics, target.height, target.width)
        ones = torch.ones(len(view.fragments.pixels), 1, dtype=posed.vertices.dtype, device=posed.vertices.device)
        coverage = compose(view, stack, ones).coverage
        energy = geometry_energy(template, chosen, posed, coverage, target, reference.joints[index], config.geometry)
        if track is not None:
            energy = energy + config.geometry.smoothness * track.energy(posed.joints, index)
        optimiser.zero_grad()
        energy.backward()
        optimiser.step(index, rate_scale)


def optimise_jointly(
    template: Template,
    parameters: GeometryParameters,
    appearance: AppearanceParameters,
    frames: Frames,
    reference: Reference,
    batches: Sequence[Tensor],
    inside: Tensor,
    config: HarpConfig,
    perceptual: PerceptualTerm,
    progress: Progress,
    track: Track | None = None,
    shrink: int = 1,
    sky: SkyViews | None = None,
) -> None:
    """Stage 2: everything, with the photo pulling on the geometry as well. Moves both in place."""
    geometry_steps = GeometryOptimiser(parameters, config, scale=0.3)
    look = appearance_optimiser(appearance, config)
    generator = torch.Generator().manual_seed(config.seed + 1)
    initial = (appearance.log_ambient.detach().clone(), appearance.log_lamp.detach().clone())
    stack = stack_topology(template.topology, len(batches[0]))
    sky = sky or SkyViews(template, config.moving_occlusion_rays)
    for index, rate_scale in steps(batches, progress, "refining shape and skin"):
        target = frames.target(index, shrink)
        chosen = parameters.frames(index)
        posed = pose_hand(template, chosen)
        picture = joint_picture(template, stack, posed, appearance, target, index, sky, config)
        energy = geometry_energy(
            template, chosen, posed, picture.coverage, target, reference.joints[index], config.geometry
        )
        energy = energy + appearance_energy(
            picture, appearance, target, inside, initial, config.appearance, generator, perceptual
        )
        if track is not None:
            energy = energy + config.geometry.smoothness * track.energy(posed.joints, index)
        geometry_steps.zero_grad()
        look.zero_grad()
        energy.backward()
        geometry_steps.step(index, rate_scale)
        look.step(rate_scale)


def joint_picture(
    template: Template,
    stack: MeshTopology,
    posed: PosedHand,
    appearance: AppearanceParameters,
    target: Target,
    index: Tensor,
    sky: SkyViews,
    config: HarpConfig,
    maps: Tensor | None = None,
) -> Picture:
    """The frames of a batch as the parameters have them, antialiased over the photo; differentiable in everything.

    maps: the appearance's own, where they rest and are known.
    """
    view = see_stack(posed.vertices, stack, target.intrinsics, target.height, target.width)
    vertices = posed.vertices.reshape(-1, 3)
    normals = vertex_normals(vertices, stack.faces)
    tangents = corner_tangents(vertices.detach(), normals.detach(), stack.faces, stack.uv, stack.uv_faces)
    by_frame = normals.detach().reshape(posed.vertices.shape)
    hands = zip(index.tolist(), posed.vertices.detach(), by_frame, strict=True)
    shading = Shading(normals, tangents, torch.cat([sky.of(*hand) for hand in hands]))
    skin = seen_skin(view, stack, shading)
    lamp = None
    if config.shadow:
        lamp = visible_lamp(template, posed.vertices, view, normals, appearance.to_lamp, 1)
    color = shade_skin(skin, appearance.maps() if maps is None else maps, appearance.light(), lamp)
    return compose(view, stack, linear_to_srgb(color), target.color)


def optimise_appearance(
    fixed: FixedFrames,
    appearance: AppearanceParameters,
    batches: Sequence[Tensor],
    inside: Tensor,
    config: HarpConfig,
    perceptual: PerceptualTerm,
    progress: Progress,
) -> None:
    """Stage 3: albedo, normal map and light on frozen geometry. Moves `appearance` in place."""
    optimiser = appearance_optimiser(appearance, config)
    generator = torch.Generator().manual_seed(config.seed + 2)
    initial = (appearance.log_ambient.detach().clone(), appearance.log_lamp.detach().clone())
    for index, rate_scale in steps(batches, progress, "recovering skin and light"):
        target = fixed.frames.target(index)
        picture, target = fixed.picture(index, appearance, target)
        energy = appearance_energy(
            picture, appearance, target, inside, initial, config.appearance, generator, perceptual
        )
        optimiser.zero_grad()
        energy.backward()
        optimiser.step(rate_scale)


class GeometryOptimiser:
    """Adam about HARP's rate, by unit: radians faster, betas (of unit variance) much faster, metres slower."""

    def __init__(
        self, parameters: GeometryParameters, config: HarpConfig, scale: float = 1.0, shape_moves: bool = True
    ):
        rate = config.learning_rate_geometry * scale
        motion = config.motion_rate * rate
        self.motion = FrameAdam(
            [
                (parameters.hand_pose, 3 * motion),
                (parameters.global_orient, 3 * motion),
                (parameters.transl, 0.5 * motion),
                *([] if parameters.forearm is None else [(parameters.forearm, 3 * motion)]),
            ]
        )
        shape = [(parameters.betas, 20 * rate), (parameters.offsets, 0.5 * rate)]
        self.shape = Adam(shape if shape_moves else [])

    def zero_grad(self) -> None:
        self.motion.zero_grad()
        self.shape.zero_grad()

    def step(self, index: Tensor, scale: float) -> None:
        """Move the hand, and its pose in the frames [B]."""
        self.motion.step(index, scale)
        self.shape.step(scale)


def appearance_optimiser(appearance: AppearanceParameters, config: HarpConfig) -> Adam:
    """Adam at HARP's rate for all of appearance."""
    return Adam([(leaf, config.learning_rate_appearance) for leaf in vars(appearance).values()])


def steps(batches: Sequence[Tensor], progress: Progress, message: str) -> Iterator[tuple[Tensor, float]]:
    """Each batch with the learning rates' scale at its step, and progress every few steps."""
    for step, index in enumerate(batches):
        if step % 4 == 0:
            progress(step / len(batches), message)
        yield index, cosine_fall(step, len(batches))
    progress(1.0, message)


def one_frame(count: int) -> list[Tensor]:
    """The batches of `count` steps on a sequence of one frame."""
    return [torch.zeros(1, dtype=torch.int64)] * count


def shuffled_batches(
    frames: Tensor, size: int, epochs: int, generator: torch.Generator, least: int = 0
) -> list[Tensor]:
    """Batches of `size` (or all, where there are fewer) that see each of the frames [T] once an epoch, in random order.

    Where the frames do not divide, an epoch's last batch is filled with frames from its beginning. Few frames have as many
    more epochs as give `least` batches.
    """
    size = min(size, len(frames))
    batches: list[Tensor] = []
    while len(batches) < max(epochs * math.ceil(len(frames) / size), least):
        order = frames[torch.randperm(len(frames), generator=generator)]
        missing = -len(order) % size
        batches += list(torch.cat([order, order[:missing]]).split(size))
    return batches
