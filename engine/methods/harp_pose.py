"""Poses of a hand whose shape and skin are known: everything rests but pose and place (HARP, sections 4.2 and E.4)."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..progress import Progress
from ..rendering.frame_stack import stack_topology
from ..training.perceptual import PerceptualTerm
from .adam import Adam
from .config import HarpConfig
from .harp_frames import Frames
from .harp_model import AppearanceParameters, GeometryParameters, Template, pose_hand
from .harp_render import SkyViews
from .harp_stages import (
    GeometryOptimiser,
    Reference,
    geometry_energy,
    joint_picture,
    photo_energy,
    shuffled_batches,
    steps,
)


def fit_poses(
    template: Template,
    geometry: GeometryParameters,
    appearance: AppearanceParameters,
    frames: Frames,
    reference: Reference,
    index: Tensor,
    config: HarpConfig,
    perceptual: PerceptualTerm,
    progress: Progress,
    light_moves: bool = False,
) -> None:
    """Find pose and place in the frames [T] from outline and colour. Moves those rows of `geometry` in place, nothing else but,
    with light_moves, the light.

    The same energies as in the joint stage. What holds the mesh together is constant here and left out; so is the anchor at
    the first poses, which are what is to be mended.
    """
    rate = dataclasses.replace(config, motion_rate=config.video.refinement_rate)
    optimiser = GeometryOptimiser(geometry, rate, shape_moves=False)
    light = [appearance.log_ambient, appearance.log_lamp, appearance.to_lamp] if light_moves else []
    light_steps = Adam([(leaf.requires_grad_(True), config.learning_rate_appearance) for leaf in light])
    generator = torch.Generator().manual_seed(config.seed * 10 + 4)
    batches = shuffled_batches(index, config.video.batch, config.video.refinement_epochs, generator)
    stack = stack_topology(template.topology, len(batches[0]))
    sky = SkyViews(template, config.moving_occlusion_rays)
    maps = appearance.maps().detach()
    free = {"anchor": 0.0, "displacement": 0.0, "laplacian": 0.0, "normal_consistency": 0.0, "edge_length": 0.0}
    weights = dataclasses.replace(config.geometry, **free)
    for rows, rate_scale in steps(batches, progress, "finding poses with the known hand"):
        target = frames.target(rows, config.video.geometry_shrink)
        chosen = geometry.frames(rows)
        posed = pose_hand(template, chosen)
        picture = joint_picture(template, stack, posed, appearance, target, rows, sky, config, maps)
        energy = geometry_energy(template, chosen, posed, picture.coverage, target, reference.joints[rows], weights)
        energy = energy + photo_energy(picture, target, config.appearance, perceptual)
        optimiser.zero_grad()
        light_steps.zero_grad()
        energy.backward()
        optimiser.step(rows, rate_scale)
        light_steps.step(rate_scale)
