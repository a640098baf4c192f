"""Filling colours over a mesh's surface: smooth across chart borders because it never leaves the surface."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from torch import Tensor


def cotangent_laplacian(vertices: np.ndarray, faces: np.ndarray) -> tuple[coo_matrix, np.ndarray]:
    """(stiffness [V,V] positive semi-definite, vertex areas [V] m²) of a triangle mesh (Pinkall & Polthier 1993).

    Negative weights of very obtuse triangles are clipped to zero, so that a harmonic fill stays within its boundary values.
    """
    rows, columns, values = [], [], []
    areas = np.zeros(len(vertices))
    for corner in range(3):
        i, j, k = (faces[:, (corner + step) % 3] for step in range(3))
        to_i, to_j = vertices[i] - vertices[k], vertices[j] - vertices[k]
        doubled = np.linalg.norm(np.cross(to_i, to_j), axis=1)
        cotangent = np.clip((to_i * to_j).sum(1) / np.maximum(doubled, 1e-14), 0, 50) / 2
        rows += [i, j]
        columns += [j, i]
        values += [cotangent, cotangent]
        np.add.at(areas, k, doubled / 6)
    count = len(vertices)
    weights = coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count)
    ).tocsr()
    return diags(np.asarray(weights.sum(1)).ravel()) - weights, areas


def fill_over_surface(
    vertices: Tensor,
    faces: Tensor,
    observed: Tensor,
    confidence: Tensor,
    expected: Tensor,
    smoothing: float = 4e-6,
    reach: float = 0.02,
) -> Tensor:
    """Values on all vertices that agree with the observed ones and, away from them, glide to what is expected.

    Minimises, for r = x − expected: ∫ c |r − r_observed|² + smoothing ∫ |∇r|² + smoothing / reach² ∫ |r|² over the surface.
    vertices [V,3] m; faces [F,3]; observed, expected [V,C]; confidence [V] ≥ 0 (0 = not seen); smoothing m² (its root is
    the blur length where the confidence is 1); reach m: how far what was seen influences what was not. Returns [V,C].
    """
    stiffness, areas = cotangent_laplacian(vertices.double().cpu().numpy(), faces.cpu().numpy())
    weight = confidence.double().cpu().numpy() * areas
    target = (observed - expected).double().cpu().numpy()
    target = np.where(weight[:, None] > 0, target, 0.0)
    system = diags(weight + smoothing / reach**2 * areas + 1e-18) + smoothing * stiffness
    residual = splu(system.tocsc()).solve(weight[:, None] * target)
    return expected + torch.as_tensor(residual).to(expected)
