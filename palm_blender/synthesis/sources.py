"""What of the user's files a data set is made from: none of them may change between its first picture and its last."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ...engine.errors import OutputError
from ...engine.files import read_json, sha256_of, write_json
from .environments import candidates, environment_names
from .places import SOURCES_FILE
from .recipe import Recipe

AVATAR_FILES = ("avatar.json", "mesh.npz", "albedo.png", "roughness.png", "normal.png")
"""Those that labels follow from."""


def keep_sources(out: Path, recipe: Recipe) -> None:
    """Note, in the data set, what its recipe's files hold now. Raises OutputError."""
    write_json(out / SOURCES_FILE, sources_of(recipe))


def check_sources(out: Path, recipe: Recipe) -> None:
    """Raises OutputError naming what has changed since `keep_sources`: half of the set would be of the one, half of the
    other."""
    if not (out / SOURCES_FILE).exists():
        keep_sources(out, recipe)
        return
    kept = read_json(out / SOURCES_FILE, "description of a data set's sources")
    names = {
        "poses": f"pose file {recipe.poses}",
        "avatar": f"avatar {recipe.avatar}",
        "environments": f"what {' '.join(recipe.environments)} holds",
    }
    for source, found in sources_of(recipe).items():
        if kept.get(source) != found:
            raise OutputError(
                f"{names[source]} has changed since {out} was begun: put it back, or choose another --out"
            )


def sources_of(recipe: Recipe) -> dict[str, Any]:
    """Digests of the pose file and of the avatar; names and sizes of all environments that are drawn from, in order."""
    lights = [name for light in recipe.environments for name in candidates(light)]
    return {
        "poses": recipe.poses and sha256_of(Path(recipe.poses)),
        "avatar": recipe.avatar and _avatar_digest(Path(recipe.avatar)),
        "environments": [
            [light, 0] if light in environment_names() else [Path(light).name, Path(light).stat().st_size]
            for light in lights
        ],
    }


def _avatar_digest(folder: Path) -> str:
    files = [folder / name for name in AVATAR_FILES]
    return hashlib.sha256("".join(sha256_of(path) if path.is_file() else "-" for path in files).encode()).hexdigest()
