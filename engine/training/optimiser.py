"""Adam over the parts of the model, each with its own rate, as the stages switch them on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..fields.model import PalmFields
from .config import LearningRates
from .schedules import Schedule, Stage, rate_factor

SLOW_PARTS = ("geometry", "pose_encoder", "shape_code", "appearance_code")
GEOMETRY_PARTS = ("geometry", "pose_encoder", "shape_code")
"""What stays fixed while only the radiance learns."""
RADIANCE_TABLE = "radiance.encoding.table"


def part_of(name: str) -> str:
    """The part of the model that a parameter belongs to: the first word of its name."""
    return name.split(".", maxsplit=1)[0]


def make_optimiser(fields: PalmFields, light: Tensor, rates: LearningRates) -> torch.optim.Adam:
    """One group a kind of parameter. The light [K,7] counts as a network."""
    slow: list[Tensor] = []
    quick: list[Tensor] = [light]
    grid: list[Tensor] = []
    density: list[Tensor] = []
    for name, parameter in fields.named_parameters():
        if part_of(name) in SLOW_PARTS:
            slow.append(parameter)
        elif name == RADIANCE_TABLE:
            grid.append(parameter)
        elif part_of(name) == "density":
            density.append(parameter)
        else:
            quick.append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": slow, "rate": rates.slow},
        {"params": quick, "rate": rates.networks},
        {"params": density, "rate": rates.density},
        {"params": grid, "rate": rates.networks, "weight_decay": rates.radiance_decay},
    ]
    fused = light.device.type in ("cpu", "cuda")
    return torch.optim.Adam(groups, lr=rates.networks, betas=rates.betas, eps=rates.epsilon, fused=fused)


def enter_stage(fields: PalmFields, light: Tensor, stage: Stage, known_materials: bool = False) -> None:
    """Let gradients reach what this stage trains, and nothing else. known_materials: the material trains from the start."""
    for name, parameter in fields.named_parameters():
        part = part_of(name)
        if part in GEOMETRY_PARTS:
            parameter.requires_grad_(stage.geometry)
        elif part == "material":
            parameter.requires_grad_(stage.physical or known_materials)
    light.requires_grad_(stage.physical)


def take_step(
    optimiser: torch.optim.Adam, step: int, schedule: Schedule, rates: LearningRates, clip_to: float
) -> float:
    """Clip the gradients' norm, set this step's rates and move; returns the norm before clipping. `step` counts from 0.

    Gradients whose norm is not finite move nothing, or one bad step would spoil every parameter for good.
    """
    moved = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(moved, clip_to)
    for group in optimiser.param_groups:
        group["lr"] = group["rate"] * rate_factor(step, schedule)
    if torch.isfinite(norm):
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(norm)
