"""XHand's fine mesh: the hand model rounded by Loop's scheme, then cut to a wanted number of vertices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ..errors import HandModelError
from ..hand.loop_model import loop_model
from ..hand.model import HandModel
from ..hand.refine import Refinement, refined, refinement
from ..hand.subdivide import split_faces


class XHandTemplate(NamedTuple):
    """A fine hand and how it came from the coarse one, whose vertices are its first ones."""

    coarse: HandModel
    """With texture charts."""
    loop_levels: int
    how: Refinement
    """Of the rounded hand."""
    model: HandModel
    """Fine."""


def build_template(coarse: HandModel, vertices: int, loop_levels: int = 1) -> XHandTemplate:
    """A hand of about `vertices` vertices; loop_levels: of Loop's scheme (the paper: all levels; 0: facets stay flat).

    Raises HandModelError for a hand without texture charts (`with_texture_charts`) or fewer than one vertex.
    """
    if not len(coarse.uv):
        raise HandModelError(f"the hand model {coarse.name} has no texture charts: cut them first")
    rounded = loop_model(coarse, loop_levels)
    how = refinement(rounded, vertices)
    return XHandTemplate(coarse, loop_levels, how, refined(rounded, how))


def refining_edges(template: XHandTemplate) -> list[Tensor]:
    """[E,2] of each pass from the coarse hand to the fine one: between which vertices it puts new ones (Loop's but nearly)."""
    faces, count, passes = template.coarse.faces, len(template.coarse.v_template), []
    for _ in range(template.loop_levels):
        split = split_faces(faces, count)
        passes.append(split.edges)
        faces, count = split.faces, count + len(split.edges)
    return [*passes, *template.how.edges]


def places_between(template: XHandTemplate) -> Tensor:
    """[V,C] sparse: of each fine vertex, the shares of the coarse ones that it lies between; rows sum to 1."""
    whole = sparse.identity(len(template.coarse.v_template), format="csr")
    for ends in refining_edges(template):
        one, two = ends.cpu().numpy().T
        whole = sparse.vstack([whole, 0.5 * (whole[one] + whole[two])], format="csr")
    found = whole.tocoo()
    places = torch.as_tensor(np.stack([found.row, found.col]).astype(np.int64))
    shares = torch.sparse_coo_tensor(places, torch.as_tensor(found.data), found.shape, check_invariants=True)
    return shares.to(template.coarse.v_template)
