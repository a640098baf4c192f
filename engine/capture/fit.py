"""Levenberg-Marquardt on the hand: every frame alone first, then all frames together with shared betas and smoothness."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..hand.model import HandModel
from .energy import NormalEquations
from .kinematics import ANGLES, UNKNOWNS, HandState
from .least_squares import smoothness_diagonals, solve_bordered

SeenT_contra = TypeVar("SeenT_contra", contravariant=True)


class Objective(Protocol[SeenT_contra]):
    """What Levenberg-Marquardt asks of an energy, whatever it is that was seen."""

    model: HandModel
    smoothness: Tensor

    def cost(self, state: HandState, seen: SeenT_contra) -> Tensor: ...

    def linearise(self, state: HandState, seen: SeenT_contra) -> NormalEquations: ...

    def betas_cost(self, state: HandState) -> Tensor: ...

    def smoothness_gradient(self, state: HandState, links: np.ndarray) -> tuple[Tensor, Tensor]: ...


@contextmanager
def one_thread() -> Iterator[None]:
    """Tensors this small only lose by torch's threads, which wait for each other by spinning."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def fit_frames_alone(
    energy: Objective[Any], state: HandState, seen: Any, iterations: int = 25, free: Tensor | None = None
) -> tuple[HandState, Tensor]:
    """Fit each frame by itself, betas held. free: [51] bool, the unknowns that may move (default: all).

    Returns the state and the cost of each frame [T].
    """
    damping = torch.full((len(state.angles),), 1e-2).to(state.angles)
    no_betas_step = torch.zeros_like(state.betas)
    cost = energy.cost(state, seen)
    for _ in range(iterations):
        system = energy.linearise(state, seen)
        _hold(system, free)
        diagonal = system.blocks.diagonal(dim1=-2, dim2=-1)
        damped = system.blocks + torch.diag_embed(damping[:, None] * diagonal.clamp_min(1e-6))
        step = -torch.linalg.solve(damped, system.gradient)
        trial = state.moved(_bounded(step), no_betas_step)
        trial_cost = energy.cost(trial, seen)
        better = trial_cost < cost
        state = _choose(better, trial, state)
        progress = torch.where(better, (cost - trial_cost) / cost, torch.zeros_like(cost))
        cost = torch.where(better, trial_cost, cost)
        damping = torch.where(better, damping * 0.3, damping * 5).clamp(1e-6, 1e6)
        if bool(((progress < 1e-4) & (better | (damping > 1e3))).all()):
            break
    return state, cost


@one_thread()
def fit_frames_together(
    energy: Objective[Any],
    state: HandState,
    seen: Any,
    iterations: int = 12,
    free: Tensor | None = None,
    free_betas: bool = True,
) -> HandState:
    """Fit all frames at once: shared betas, and second differences between linked frames kept small."""
    damping = 1e-3
    cost = _total(energy, state, seen)
    for _ in range(iterations):
        system = energy.linearise(state, seen)
        system.gradient = system.gradient + energy.smoothness_gradient(state, seen.links)[1]
        _hold(system, free)
        if not free_betas:
            system.borders = torch.zeros_like(system.borders)
            system.corner = torch.eye(len(state.betas)).to(system.corner)
            system.border_gradient = torch.zeros_like(system.border_gradient)
        coupling = energy.smoothness if free is None else energy.smoothness * free
        accepted = False
        while damping < 1e4 and not accepted:
            step = _damped_step(system, coupling, seen.links, damping)
            if step is not None:
                trial = state.moved(_bounded(step[0]), step[1])
                trial_cost = _total(energy, trial, seen)
                accepted = bool(trial_cost < cost)
            damping = damping * 0.3 if accepted else damping * 6
        if not accepted:
            break
        state, gained, cost = trial, float((cost - trial_cost) / cost), trial_cost
        damping = max(damping, 1e-7)
        if gained < 2e-4:
            break
    return state


def clamp_to_limits(energy: Objective[Any], state: HandState) -> HandState:
    """The state with every joint angle inside its limits."""
    low, high = energy.model.joint_limits.reshape(45, 2).unbind(-1)
    return HandState(state.rotation, torch.minimum(torch.maximum(state.angles, low), high), state.position, state.betas)


def pose_held() -> Tensor:
    """[51] bool for fits that keep a given articulation and move only the whole hand."""
    free = torch.ones(UNKNOWNS, dtype=torch.bool)
    free[ANGLES] = False
    return free


def _total(energy: Objective[Any], state: HandState, seen: Any) -> Tensor:
    return energy.cost(state, seen).sum() + energy.betas_cost(state) + energy.smoothness_gradient(state, seen.links)[0]


def _damped_step(
    system: NormalEquations, coupling: Tensor, links: np.ndarray, damping: float
) -> tuple[Tensor, Tensor] | None:
    own = torch.as_tensor(smoothness_diagonals(links)[0]).to(coupling)[:, None] * coupling
    diagonal = system.blocks.diagonal(dim1=-2, dim2=-1) + own
    blocks = system.blocks + torch.diag_embed(damping * diagonal.clamp_min(1e-6))
    corner = system.corner + torch.diag(damping * system.corner.diagonal())
    return solve_bordered(blocks, system.borders, corner, system.gradient, system.border_gradient, coupling, links)


def _hold(system: NormalEquations, free: Tensor | None) -> None:
    """Take the held unknowns out of the equations."""
    if free is None:
        return
    keep = free.to(system.gradient)
    system.gradient = system.gradient * keep
    system.borders = system.borders * keep[:, None]
    system.blocks = system.blocks * keep[:, None] * keep + torch.diag(1 - keep)


def _bounded(step: Tensor) -> Tensor:
    """Steps shortened so that no angle turns by more than about 40° at once."""
    largest = step[:, :48].abs().amax(-1, keepdim=True)
    return step * (0.7 / largest.clamp_min(0.7))


def _choose(which: Tensor, one: HandState, other: HandState) -> HandState:
    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(which.reshape(-1, *([1] * (a.ndim - 1))), a, b)

    return HandState(
        pick(one.rotation, other.rotation),
        pick(one.angles, other.angles),
        pick(one.position, other.position),
        other.betas,
    )
