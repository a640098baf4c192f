"""What a recipe photographs, unit by unit: any unit made alone is that unit of the whole. NumPy only."""

from __future__ import annotations

from .animation_plan import animation_shots, animation_unit
from .cohort_plan import cohort_shots, cohort_unit
from .recipe import Recipe
from .relit_plan import relit_shots, relit_unit
from .sequence_plan import sequence_shots, sequence_unit
from .shots import ShotId, Unit


def unit_count(recipe: Recipe) -> int:
    """How many hands are built: subjects, sequences, or the one avatar."""
    return 1 if recipe.kind == "animate" else recipe.units


def shot_list(recipe: Recipe, index: int) -> tuple[ShotId, ...]:
    """The pictures of unit `index` (from 0) in the order of `build_unit`'s shots, found without posing anything.

    Raises InputError for a pose file with too few poses, PoseFileError for one that cannot be read.
    """
    if recipe.kind == "cohort":
        return cohort_shots(recipe, index)
    if recipe.kind == "sequence":
        return sequence_shots(recipe, index)
    return relit_shots(recipe, index) if recipe.kind == "harp-relit" else animation_shots(recipe)


def build_unit(recipe: Recipe, index: int) -> Unit:
    """Unit `index`: the hand, its poses, cameras and lights. Raises PalmError for what the user's files lack."""
    if not 0 <= index < unit_count(recipe):
        raise IndexError(f"unit {index} of {unit_count(recipe)}")
    if recipe.kind == "cohort":
        return cohort_unit(recipe, index)
    if recipe.kind == "sequence":
        return sequence_unit(recipe, index)
    return relit_unit(recipe, index) if recipe.kind == "harp-relit" else animation_unit(recipe)
