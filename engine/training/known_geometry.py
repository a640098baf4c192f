"""The finished geometry once more against surfaces that are known: places and normals, which rendering alone leaves rough.

Volume rendering settles for a surface within its shell and for normals within its noise. Where the people are synthetic their
surfaces are known exactly, in every pose: distances around them, and on them zero distance and the normal. Ours; see `pretrain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from ..fields.bands import Bands
from ..fields.model import PalmFields
from ..hand.model import HandModel
from ..hand.signed_distance import surface_places
from ..progress import Progress
from ..rendering.rasterize import interpolate
from ..rendering.surface import vertex_normals
from .config import KnownGeometryConfig
from .evaluate import mean_metrics
from .losses import eikonal, sdf_regression
from .pretrain import PretrainPool, canonical_surface
from .sampling import generator_for

PARTS = ("geometry", "pose_encoder", "shape_code")
POOL_SLOT, FIT_SLOT = 3_333, 2_222


class KnownGeometry(NamedTuple):
    """Surface points of the K poses of a `PretrainPool`."""

    points: Tensor
    """[K,Q,3] canonical metres."""
    normals: Tensor
    """[K,Q,3] unit, outward, canonical axes."""


@torch.no_grad()
def known_geometry(
    pool: PretrainPool,
    subjects: tuple[str, ...],
    betas: Mapping[str, np.ndarray],
    model: HandModel,
    config: KnownGeometryConfig,
    seed: int,
) -> KnownGeometry:
    """Points and normals of every pose in the pool. betas: of each subject; model: as the pool was made with."""
    points, normals = [], []
    for place, (owner, pose) in enumerate(zip(pool.subject.tolist(), pool.hand_pose, strict=True)):
        shape = torch.as_tensor(np.asarray(betas[subjects[owner]])).to(model.v_template)
        vertices = canonical_surface(model, shape, pose)
        at = surface_places(vertices, model.faces, config.points_per_pose, generator_for(seed, place, POOL_SLOT))
        corners = model.faces[at.faces]
        points.append(interpolate(vertices, corners, at.barycentric))
        normals.append(normalize(interpolate(vertex_normals(vertices, model.faces), corners, at.barycentric), dim=1))
    return KnownGeometry(torch.stack(points), torch.stack(normals))


def geometry_terms(
    fields: PalmFields,
    pool: PretrainPool,
    known: KnownGeometry,
    bands: Bands,
    config: KnownGeometryConfig,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Means () over half a batch around the surfaces and half a batch on them.

    distance, place: squared, in mm²; normal: 1 − cosine; eikonal.
    """
    conditions = fields.conditions(pool.subject, pool.hand_pose)
    half = config.batch // 2
    around, on = (
        torch.randint(values.shape[0] * values.shape[1], (half,), generator=generator).to(values.device)
        for values in (pool.sdf, known.points)
    )
    points = torch.cat([pool.points.reshape(-1, 3)[around], known.points.reshape(-1, 3)[on]])
    hand = torch.cat([around // pool.sdf.shape[1], on // known.points.shape[1]])
    sample = fields.geometry(points, hand, conditions, bands, with_gradient=True)
    assert sample.gradient is not None
    target = pool.sdf.reshape(-1)[around]
    cosine = cosine_similarity(sample.gradient[half:], known.normals.reshape(-1, 3)[on], dim=1)
    return {
        "distance": 1e6 * sdf_regression(sample.sdf[:half], target).mean(),
        "place": 1e6 * sample.sdf[half:].square().mean(),
        "normal": (1 - cosine).mean(),
        "eikonal": eikonal(sample.gradient).mean(),
    }


def geometry_energy(terms: dict[str, Tensor], config: KnownGeometryConfig) -> Tensor:
    """() the weighted sum."""
    distances = terms["distance"] + terms["place"]
    return distances + config.normal * terms["normal"] + config.eikonal * terms["eikonal"]


def fit_geometry(
    fields: PalmFields,
    pool: PretrainPool,
    known: KnownGeometry,
    bands: Bands,
    config: KnownGeometryConfig,
    seed: int,
    progress: Progress,
) -> dict[str, float]:
    """Move geometry, pose encoder and shape codes; returns the terms' means over the last steps. The rate falls to a tenth."""
    moved = [value for name, value in fields.named_parameters() if name.split(".")[0] in PARTS]
    optimiser = torch.optim.Adam(moved, lr=config.rate, betas=(0.9, 0.99), eps=1e-15, fused=True)
    recent: list[dict[str, float]] = []
    for step in range(config.steps):
        share = step / config.steps
        for group in optimiser.param_groups:
            group["lr"] = config.rate * 0.1**share
        terms = geometry_terms(fields, pool, known, bands, config, generator_for(seed, step, FIT_SLOT))
        optimiser.zero_grad(set_to_none=True)
        geometry_energy(terms, config).backward()
        optimiser.step()
        recent = [*recent[-49:], {name: float(value.detach()) for name, value in terms.items()}]
        if step % 10 == 0:
            progress(share, f"geometry on known surfaces: {recent[-1]['place'] ** 0.5:.2f} mm off")
    fields.zero_grad(set_to_none=True)
    return mean_metrics(recent)
