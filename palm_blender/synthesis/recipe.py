"""What a data set is made from: everything that its pixels follow from, in one value that is stored beside it. NumPy only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...engine.errors import InputError
from ...engine.files import read_json

KINDS = ("cohort", "sequence", "harp-relit", "animate")
"""A sequence is a cohort in motion."""
MOST_CAMERAS = {"cohort": 7, "sequence": 36}
BACKGROUNDS = ("black", "environment", "transparent")
VIEWS = ("capture", "fitted")
MAX_SIDE_PX = 16_384
MAX_TEXTURE_PX = 4096


@dataclass(frozen=True)
class Recipe:
    """A data set to be rendered. The same recipe gives the same labels everywhere, the same pictures on the same machine."""

    kind: str
    """one of KINDS"""
    seed: int
    units: int
    """subjects of a cohort, sequences of HARP-relit, 1 for an animation"""
    frames: int
    """poses a subject; frames a sequence, the personalisation frame included; frames of an animation (0: all)"""
    cameras: int
    """1 to 7 of the ring, 1 to 36 around a sequence; 1 otherwise"""
    width: int
    height: int
    samples: int
    denoise: bool = True
    environments: tuple[str, ...] = ("rig",)
    """names or files: one for a cohort (or several to draw from), [personalisation, evaluation] for HARP-relit"""
    vary_light: bool = False
    """turn the environment and change its strength by seed, per frame in a cohort and per sequence in HARP-relit"""
    background: str = "black"
    texture: int = 0
    """side of the skin's maps in texels; 0: follows from the picture's size"""
    avatar: str | None = None
    """avatar folder of an animation"""
    poses: str | None = None
    """pose file of an animation, or of the user's own for the other kinds; None: the project's"""
    view: str = "capture"
    """an animation's camera: the photo's, or one fitted to the whole motion"""
    radiance: bool = False
    """also write linear pictures as OpenEXR"""
    avatars: bool = False
    """also write each subject as an avatar folder: the ground truth"""

    def texture_px(self) -> int:
        """Side of the maps: about two texels a pixel of the hand, a power of two from 256 to MAX_TEXTURE_PX."""
        if self.texture:
            return self.texture
        side = 256
        while side < 2 * max(self.width, self.height) and side < MAX_TEXTURE_PX:
            side *= 2
        return side

    def refine_levels(self) -> int:
        """Subdivisions of the hand's mesh: edges of 2.5 mm below 640 pixels, of 1.2 mm above.

        In a sequence, whose folds are geometry, of 0.5 mm but for the tiniest pictures.
        """
        if self.kind == "sequence":
            return 3 if max(self.width, self.height) > 128 else 1
        return 1 if max(self.width, self.height) <= 640 else 2


def to_json(recipe: Recipe) -> dict[str, Any]:
    return asdict(recipe)


def read_recipe(path: Path) -> Recipe:
    """The recipe stored beside a data set. Raises InputError naming the file and the field."""
    values = read_json(path, "recipe of a data set")
    names = {name: type(value) for name, value in asdict(_EXAMPLE).items()}
    unknown = sorted(set(values) - set(names))
    missing = sorted(set(names) - set(values))
    if unknown or missing:
        raise InputError(
            f"{path} is no recipe of this version ({', '.join(unknown + missing)}): render into a new folder"
        )
    for name, kind in names.items():
        wanted = (str, type(None)) if name in ("avatar", "poses") else (list,) if kind is tuple else (kind,)
        if type(values[name]) not in wanted:
            raise InputError(f"{path}: {name} is {values[name]!r}: render into a new folder")
    if not all(isinstance(name, str) for name in values["environments"]):
        raise InputError(f"{path}: environments are no names: render into a new folder")
    recipe = replace(_EXAMPLE, **{**values, "environments": tuple(values["environments"])})
    check_recipe(recipe)
    return recipe


def check_recipe(recipe: Recipe) -> None:
    """Raises InputError naming the option that cannot be used."""
    limits = {
        "subjects or sequences": (recipe.units, 1, 1_000_000),
        "poses or frames": (recipe.frames, 0 if recipe.kind == "animate" else 1, 1_000_000),
        "cameras": (recipe.cameras, 1, MOST_CAMERAS.get(recipe.kind, 1)),
        "width": (recipe.width, 16, MAX_SIDE_PX),
        "height": (recipe.height, 16, MAX_SIDE_PX),
        "samples": (recipe.samples, 1, 1 << 20),
        "seed": (recipe.seed, 0, (1 << 31) - 1),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise InputError(f"{value} {name} cannot be rendered: give {low} to {high}")
    if recipe.kind not in KINDS or recipe.background not in BACKGROUNDS:
        raise InputError(f"{recipe.kind} on {recipe.background} cannot be rendered: see --help")
    if recipe.view not in VIEWS:
        raise InputError(f"the view {recipe.view!r} is unknown: give {' or '.join(VIEWS)}")
    if recipe.texture and not 64 <= recipe.texture <= MAX_TEXTURE_PX:
        raise InputError(f"skin maps of {recipe.texture} texels cannot be made: give 64 to {MAX_TEXTURE_PX}")
    if len(recipe.environments) != 2 and recipe.kind == "harp-relit":
        raise InputError("HARP-relit needs two environments: --train-env and --eval-env")
    if recipe.avatars and recipe.kind == "sequence":
        raise InputError("a sequence's skin follows its poses, which an avatar folder cannot hold: leave --avatars out")
    if not recipe.environments:
        raise InputError("no environment is given: name one with --env")


_EXAMPLE = Recipe("cohort", 0, 1, 1, 1, 256, 256, 16)
