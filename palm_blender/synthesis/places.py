"""Where a data set's own files lie, beside the folders of pictures that `layout` writes."""

from __future__ import annotations

from pathlib import Path

from .recipe import Recipe

RECIPE_FILE = "recipe.json"
SOURCES_FILE = "sources.json"
AVATARS = "avatars"
RUNS = "runs"


def avatar_folder(root: Path, recipe: Recipe, index: int) -> Path:
    """Where a unit's ground truth is written."""
    name = f"relit_{index:02d}" if recipe.kind == "harp-relit" else f"{index:04d}"
    return root / AVATARS / f"{name}.palmhand"
