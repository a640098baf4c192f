"""The linear algebra of the fit: frames coupled by smoothness (a band) and by shared betas (a border)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def smoothness_diagonals(links: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Main, first and second lower diagonals of Dᵀ diag(links) D, D the second differences (1, -2, 1) of T frames.

    links: [T] ≥ 0, the weight of the difference around each frame (0 at the first and last).
    """
    frames = len(links)
    middle = np.flatnonzero(links)
    weight = links[middle].astype(float)
    diagonals = np.zeros(frames), np.zeros(max(frames - 1, 0)), np.zeros(max(frames - 2, 0))
    for offset, value in ((-1, 1.0), (0, 4.0), (1, 1.0)):
        np.add.at(diagonals[0], middle + offset, value * weight)
    np.add.at(diagonals[1], middle - 1, -2.0 * weight)
    np.add.at(diagonals[1], middle, -2.0 * weight)
    np.add.at(diagonals[2], middle - 1, weight)
    return diagonals


def solve_bordered(
    blocks: Tensor,
    borders: Tensor,
    corner: Tensor,
    gradient: Tensor,
    border_gradient: Tensor,
    coupling: Tensor,
    links: np.ndarray,
) -> tuple[Tensor, Tensor] | None:
    """One Newton step for T frames with n unknowns each and b shared ones: an exact solve of the whole system.

    blocks [T,n,n] each frame's own matrix; borders [T,n,b]; corner [b,b]; gradient [T,n]; border_gradient [b];
    coupling [n] weights of the squared second differences between frames (added here), links as `smoothness_diagonals`.
    Returns the steps ([T,n], [b]), or None when the matrix is not positive definite.
    """
    frames, unknowns = gradient.shape
    right = torch.cat([gradient[..., None], borders], dim=-1)
    try:
        if links.any():
            solved = _solve_chain(blocks, right, coupling, links)
        else:
            solved = torch.cholesky_solve(right, torch.linalg.cholesky(blocks))
        flat, flat_border = solved.flatten(0, 1), borders.flatten(0, 1)
        schur = corner - flat_border.T @ flat[:, 1:]
        shared_step = -torch.linalg.solve(schur, border_gradient - flat_border.T @ flat[:, 0])
    except torch.linalg.LinAlgError:
        return None
    step = -(flat[:, 0] + flat[:, 1:] @ shared_step)
    if not bool(step.isfinite().all() and shared_step.isfinite().all()):
        return None
    return step.reshape(frames, unknowns), shared_step


def _solve_chain(blocks: Tensor, right: Tensor, coupling: Tensor, links: np.ndarray) -> Tensor:
    """Solve for right sides [T,n,k] where each frame touches the two before it: block Cholesky over pairs of frames.

    Two frames together make a block that touches only its neighbours. An odd last frame gets an idle companion.
    """
    frames, n, sides = right.shape
    pairs = (frames + 1) // 2
    main, first, second = (torch.as_tensor(d).to(right) for d in smoothness_diagonals(links))
    weights = torch.diag(coupling)
    idle = torch.eye(n).to(right)
    own = [blocks[t] + main[t] * weights if t < frames else idle for t in range(2 * pairs)]
    padded = torch.cat([right, right.new_zeros(2 * pairs - frames, n, sides)]).reshape(pairs, 2 * n, sides)
    nothing = torch.zeros_like(weights)

    def between(diagonal: Tensor, t: int) -> Tensor:
        return diagonal[t] * weights if t < len(diagonal) else nothing

    factors: list[Tensor] = []
    lowers: list[Tensor] = []
    forward: list[Tensor] = []
    for pair in range(pairs):
        t = 2 * pair
        inner = between(first, t)
        block = torch.cat([torch.cat([own[t], inner], 1), torch.cat([inner, own[t + 1]], 1)])
        side = padded[pair]
        if pair:
            # rows: this pair's frames; columns: those of the pair before
            link = torch.cat(
                [
                    torch.cat([between(second, t - 2), between(first, t - 1)], 1),
                    torch.cat([nothing, between(second, t - 1)], 1),
                ]
            )
            lower = torch.linalg.solve_triangular(factors[-1], link.T, upper=False).T
            block = block - lower @ lower.T
            side = side - lower @ forward[-1]
            lowers.append(lower)
        factor = torch.linalg.cholesky(block)
        factors.append(factor)
        forward.append(torch.linalg.solve_triangular(factor, side, upper=False))
    backward = forward
    for pair in reversed(range(pairs)):
        side = forward[pair] if pair == pairs - 1 else forward[pair] - lowers[pair].T @ backward[pair + 1]
        backward[pair] = torch.linalg.solve_triangular(factors[pair].T, side, upper=True)
    return torch.stack(backward).reshape(2 * pairs, n, sides)[:frames]


def robust(squared: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Geman-McClure's cost and weight of squared residuals [*]: the cost tends to scale², the weight of the squares to 0.

    squared and scale are in the same unit-free measure (residuals over their expected size).
    """
    limit = scale * scale
    ratio = limit / (limit + squared)
    return squared * ratio, ratio * ratio
