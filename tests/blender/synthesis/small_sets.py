"""Small data sets written by the project's own writers from rasterised hands."""

from __future__ import annotations

from pathlib import Path

from package_modules import module
from rasterised import frame_pixels

from engine.files import write_json

layout, plan, recipes, shots = (
    module(f"palm_blender.synthesis.{name}") for name in ("layout", "plan", "recipe", "shots")
)
SIZE = 96


def recipe_of_kind(kind: str, **changes):
    values = {"seed": 1, "units": 2, "frames": 2, "cameras": 2, "width": SIZE, "height": SIZE, "samples": 4}
    return recipes.Recipe(kind, **{**values, **changes})


COHORT = recipe_of_kind("cohort", radiance=True)
RELIT = recipe_of_kind("harp-relit", frames=3, cameras=1, environments=("rig", "studio"))


def write_set(root: Path, recipe) -> None:
    root.mkdir()
    write_json(root / "recipe.json", recipes.to_json(recipe))
    for index in range(plan.unit_count(recipe)):
        unit = plan.build_unit(recipe, index)
        layout.write_folder_files(root, unit)
        for shot in unit.shots:
            layout.write_shot(root, unit, shot, frame_pixels(shots, unit, shot), recipe)
