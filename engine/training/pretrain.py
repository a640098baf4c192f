"""Geometry before pictures: the SDF network is fitted to the hand model's own surface (PALM, supplement 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..datasets.palm import PalmFrame
from ..fields.bands import Bands
from ..fields.model import PalmFields
from ..hand.mano import pose_features, shape_hand
from ..hand.model import HandModel
from ..hand.random_poses import random_hand_poses
from ..hand.rotations import axis_angle_to_matrix
from ..hand.sealing import seal
from ..hand.signed_distance import pretraining_points, signed_distance
from ..progress import Progress
from .config import PretrainConfig
from .losses import eikonal, sdf_regression
from .sampling import generator_for

PARTS = ("geometry", "density", "pose_encoder", "shape_code")
"""Parameters that pre-training moves, by the first word of their names."""


class PretrainPool(NamedTuple):
    """Points around the canonical surfaces of K poses, of frames and random ones."""

    points: Tensor
    """[K,P,3] canonical metres."""
    sdf: Tensor
    """[K,P] metres."""
    hand_pose: Tensor
    """[K,45]"""
    subject: Tensor
    """[K] int64"""


def canonical_surface(model: HandModel, betas: Tensor, hand_pose: Tensor) -> Tensor:
    """Zero-pose vertices [*,V,3] with the pose's correctives added: what the geometry network has to represent.

    betas [*,10]; hand_pose [*,45] absolute.
    """
    rest, _ = shape_hand(model, betas)
    rotations = axis_angle_to_matrix(
        torch.cat([torch.zeros_like(hand_pose[..., :3]), hand_pose], -1).unflatten(-1, (16, 3))
    )
    return rest + torch.einsum("vcp,...p->...vc", model.posedirs, pose_features(rotations))


def spread_frames(frames: Sequence[PalmFrame], count: int) -> list[PalmFrame]:
    """At most `count` frames with different (subject, pose), taken in turn from every subject."""
    by_subject: dict[str, dict[int, PalmFrame]] = {}
    for frame in frames:
        by_subject.setdefault(frame.subject, {}).setdefault(frame.frame, frame)
    queues = [list(poses.values()) for poses in by_subject.values()]
    longest = max((len(queue) for queue in queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)][:count]


def pretraining_pool(
    frames: Sequence[PalmFrame],
    subjects: Sequence[str],
    model: HandModel,
    config: PretrainConfig,
    seed: int,
    progress: Progress,
) -> PretrainPool:
    """Points and their signed distances for the chosen frames and random poses; a fraction of a second each."""
    chosen = spread_frames(frames, config.poses)
    like = model.v_template
    points, distances, poses = [], [], []
    looked_at = config.steps * config.batch // config.points_per_pose  # more poses than that would be made for nothing
    imagined = random_hand_poses(model, min(config.random_poses, looked_at), generator_for(seed, 0, 6_666))
    shapes = [chosen[place % len(chosen)] for place in range(len(imagined))]
    pairs = [(frame, torch.as_tensor(np.asarray(frame.hand_pose)).to(like)) for frame in chosen]
    pairs += list(zip(shapes, imagined, strict=True))
    for place, (frame, pose) in enumerate(pairs):
        progress(place / len(pairs), "distances to the hand model")
        betas = torch.as_tensor(np.asarray(frame.betas)).to(like)
        vertices, faces = seal(canonical_surface(model, betas, pose), model.faces)
        generator = generator_for(seed, place, 7_777)
        around = pretraining_points(vertices, faces, config.points_per_pose, generator)
        points.append(around)
        distances.append(signed_distance(vertices, faces, around))
        poses.append(pose)
    place_of = {name: place for place, name in enumerate(subjects)}
    subject = torch.tensor([place_of[frame.subject] for frame, _ in pairs], device=like.device)
    return PretrainPool(torch.stack(points), torch.stack(distances), torch.stack(poses), subject)


def pretrain_loss(
    fields: PalmFields, pool: PretrainPool, bands: Bands, config: PretrainConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Energy () of one random batch, and the mean absolute distance error () in metres."""
    count, per_hand = pool.sdf.shape
    picked = torch.randint(count * per_hand, (config.batch,), generator=generator).to(pool.sdf.device)
    hand = picked // per_hand
    conditions = fields.conditions(pool.subject, pool.hand_pose)
    sample = fields.geometry(pool.points.reshape(-1, 3)[picked], hand, conditions, bands, with_gradient=True)
    target = pool.sdf.reshape(-1)[picked]
    energy = config.scale * sdf_regression(sample.sdf, target).mean()
    assert sample.gradient is not None
    return energy + config.eikonal * eikonal(sample.gradient).mean(), (sample.sdf - target).detach().abs().mean()


def anchor_loss(fields: PalmFields, pool: PretrainPool, bands: Bands, count: int, generator: torch.Generator) -> Tensor:
    """Mean squared distance error (), in millimetres squared, at `count` random points of the pool."""
    total, per_hand = pool.sdf.shape
    picked = torch.randint(total * per_hand, (count,), generator=generator).to(pool.sdf.device)
    conditions = fields.conditions(pool.subject, pool.hand_pose)
    points, hand = pool.points.reshape(-1, 3)[picked], picked // per_hand
    sdf = fields.geometry(points, hand, conditions, bands, with_gradient=False).sdf
    return 1e6 * sdf_regression(sdf, pool.sdf.reshape(-1)[picked], limit_m=0.005).mean()


def run_pretraining(
    fields: PalmFields,
    pool: PretrainPool,
    bands_at_share: Callable[[float], Bands],
    config: PretrainConfig,
    seed: int,
    progress: Progress,
) -> float:
    """Fit the geometry; returns the mean absolute error over the last steps in metres. The learning rate falls to a tenth."""
    moved = [parameter for name, parameter in fields.named_parameters() if name.split(".")[0] in PARTS]
    optimiser = torch.optim.Adam(moved, lr=config.rate, betas=(0.9, 0.99), eps=1e-15, fused=True)
    recent: list[float] = []
    for step in range(config.steps):
        share = step / config.steps
        for group in optimiser.param_groups:
            group["lr"] = config.rate * 0.1**share
        generator = generator_for(seed, step, 8_888)
        energy, error = pretrain_loss(fields, pool, bands_at_share(share), config, generator)
        optimiser.zero_grad(set_to_none=True)
        energy.backward()
        optimiser.step()
        recent = [*recent[-49:], float(error)]
        if step % 10 == 0:
            progress(share, f"geometry from the hand model: {1000 * float(error):.1f} mm off")
    optimiser.zero_grad(set_to_none=True)  # or the first step of what follows would move by what is left here
    return float(np.mean(recent)) if recent else float("nan")
