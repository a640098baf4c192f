"""Directions as the radiance network sees them: reflected at the surface, in spherical harmonics."""

from __future__ import annotations

import torch
from torch import Tensor

SH_COUNT = 16
"""Values of a direction: bands 0 … 3."""


def reflect(directions: Tensor, normals: Tensor) -> Tensor:
    """Mirror directions d − 2 (d·n) n (Ref-NeRF, Verbin et al. 2022, eq. 4). directions, normals [*,3] unit → [*,3] unit."""
    return directions - 2 * (directions * normals).sum(-1, keepdim=True) * normals


def spherical_harmonics(directions: Tensor) -> Tensor:
    """Real spherical harmonics of unit directions [*,3] → [*,16], in tiny-cuda-nn's order and signs.

    Orthonormal over the sphere; signs follow the Condon-Shortley phase. The direction itself goes in, not its [0,1] form.
    """
    x, y, z = directions.unbind(-1)
    xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
    return torch.stack(
        [
            torch.full_like(x, 0.28209479177387814),
            -0.48860251190291987 * y,
            0.48860251190291987 * z,
            -0.48860251190291987 * x,
            1.0925484305920792 * xy,
            -1.0925484305920792 * yz,
            0.94617469575755997 * zz - 0.31539156525251999,
            -1.0925484305920792 * xz,
            0.54627421529603959 * (xx - yy),
            0.59004358992664352 * y * (yy - 3 * xx),
            2.8906114426405538 * xy * z,
            0.45704579946446572 * y * (1 - 5 * zz),
            0.3731763325901154 * z * (5 * zz - 3),
            0.45704579946446572 * x * (1 - 5 * zz),
            1.4453057213202769 * z * (xx - yy),
            0.59004358992664352 * x * (3 * yy - xx),
        ],
        dim=-1,
    )
