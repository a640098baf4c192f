"""Adam (Kingma & Ba 2015), written out: torch's own pulls its compiler in on first use, seconds on a small machine."""

from __future__ import annotations

import torch
from torch import Tensor


class Adam:
    """Steps on leaf tensors, each with its own rate."""

    def __init__(self, rates: list[tuple[Tensor, float]], betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8):
        self.rates = rates
        self.betas = betas
        self.eps = eps
        self.moments = [(torch.zeros_like(leaf), torch.zeros_like(leaf)) for leaf, _ in rates]
        self.count = 0

    def zero_grad(self) -> None:
        for leaf, _ in self.rates:
            leaf.grad = None

    @torch.no_grad()
    def step(self, scale: float = 1.0) -> None:
        """One step at `scale` times each tensor's rate. Tensors without a gradient stay."""
        self.count += 1
        first, second = self.betas
        for (leaf, rate), (mean, square) in zip(self.rates, self.moments, strict=True):
            if leaf.grad is None:
                continue
            # One degenerate pixel must not cost the whole fit: its share of the gradient counts as none.
            gradient = torch.nan_to_num(leaf.grad, nan=0.0, posinf=0.0, neginf=0.0)
            mean.mul_(first).add_(gradient, alpha=1 - first)
            square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            deviation = (square / (1 - second**self.count)).sqrt_().add_(self.eps)
            leaf.addcdiv_(mean, deviation, value=-rate * scale / (1 - first**self.count))


class FrameAdam:
    """Adam on tensors [T,...] of which a step sees only some rows: a row moves, and counts its steps, when it is seen.

    Plain Adam would carry every row on by the memory of its last gradient.
    """

    def __init__(self, rates: list[tuple[Tensor, float]], betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8):
        self.rates = rates
        self.betas = betas
        self.eps = eps
        self.moments = [(torch.zeros_like(leaf), torch.zeros_like(leaf)) for leaf, _ in rates]
        self.counts = torch.zeros(len(rates[0][0]), device=rates[0][0].device, dtype=rates[0][0].dtype)

    def zero_grad(self) -> None:
        for leaf, _ in self.rates:
            leaf.grad = None

    @torch.no_grad()
    def step(self, rows: Tensor, scale: float = 1.0) -> None:
        """One step of rows [B] int64, each there once. Tensors without a gradient stay."""
        self.counts[rows] += 1
        first, second = self.betas
        for (leaf, rate), (mean, square) in zip(self.rates, self.moments, strict=True):
            if leaf.grad is None:
                continue
            gradient = torch.nan_to_num(leaf.grad[rows], nan=0.0, posinf=0.0, neginf=0.0)
            count = self.counts[rows].reshape(-1, *[1] * (leaf.dim() - 1))
            mean[rows] = first * mean[rows] + (1 - first) * gradient
            square[rows] = second * square[rows] + (1 - second) * gradient**2
            deviation = (square[rows] / (1 - second**count)).sqrt() + self.eps
            leaf[rows] -= rate * scale * mean[rows] / (1 - first**count) / deviation


def cosine_fall(step: int, count: int, final: float = 0.1) -> float:
    """Scale of the rate at a step: from 1 along a half cosine to `final`."""
    import math

    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * step / max(count, 1)))
