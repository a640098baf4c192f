"""XHand's fine mesh: the hand model rounded by Loop's scheme, then cut to a wanted number of vertices."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import HandModelError
from ..hand.loop_model import loop_model
from ..hand.model import HandModel
from ..hand.refine import Refinement, refined, refinement


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
