"""Poses at which a learned hand is looked at, to say what it does by simpler functions of the pose."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SWEEP_STEPS = 5
"""Poses of one joint's sweep."""


class SampledPoses(NamedTuple):
    """Hand poses, axis-angle radians about the rest frame's axes, all within the range of the training's."""

    fitted: Tensor
    """[N,45]"""
    held_out: Tensor
    """[M,45] others"""


def sample_poses(training: Tensor, count: int, seed: int, held_out: int | None = None) -> SampledPoses:
    """Training poses [T,45], fingers of different training poses put together, and sweeps of single joints.

    count: of the poses to fit, ≥ 40; held_out: of the others (a fifth as many), new mixes and training poses that are not among
    the fitted.
    """
    generator = torch.Generator().manual_seed(seed)
    held_out = max(8, count // 5) if held_out is None else held_out
    unique = torch.unique(training.detach().cpu().float(), dim=0)
    unique = unique[torch.randperm(len(unique), generator=generator)]
    judged = min(held_out // 2, len(unique) // 5)
    own = unique[judged:][: count // 3]
    sweeps = joint_sweeps(unique)[: count // 3]
    mixed = mixed_poses(unique, count - len(own) - len(sweeps) + held_out - judged, generator)
    fitted = torch.cat([own, sweeps, mixed[held_out - judged :]])
    return SampledPoses(fitted, torch.cat([unique[:judged], mixed[: held_out - judged]]))


def mixed_poses(training: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """[count,45]: each finger from between two training poses [T,45] of its own."""
    ends = torch.randint(len(training), (2, count, 5), generator=generator)
    share = torch.rand(count, 5, 1, generator=generator)
    fingers = training.reshape(len(training), 5, 9)
    each = torch.arange(5)
    return ((1 - share) * fingers[ends[0], each] + share * fingers[ends[1], each]).reshape(count, 45)


def joint_sweeps(training: Tensor) -> Tensor:
    """[15 SWEEP_STEPS,45]: one joint after the other along the direction in which the training [T,45] moves it most, from end to
    end, the others in their mean."""
    joints = training.reshape(-1, 15, 3)
    mean = joints.mean(0)
    poses = mean.repeat(15 * SWEEP_STEPS, 1, 1).reshape(15, SWEEP_STEPS, 15, 3)
    for joint in range(15):
        moved = joints[:, joint] - mean[joint]
        direction = torch.linalg.svd(moved, full_matrices=False).Vh[0]
        along = moved @ direction
        for step, share in enumerate(torch.linspace(0, 1, SWEEP_STEPS).tolist()):
            reach = torch.lerp(along.min(), along.max(), share)
            poses[joint, step, joint] = mean[joint] + reach * direction
    return poses.reshape(-1, 45)
