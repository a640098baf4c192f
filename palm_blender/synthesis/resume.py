"""What of a data set is whole, judged by the pixels that its files hold. NumPy only."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from ...engine.avatar.folder import read_avatar
from ...engine.datasets.true_surface import true_surface
from ...engine.errors import InputError
from .layout import kinds_of, picture_path, present_digests, read_picture, record_path
from .places import avatar_folder
from .plan import shot_list
from .png_files import pixel_digest
from .recipe import Recipe
from .records import read_record
from .shots import Folder, ShotId


def stem_of(recipe: Recipe, shot: ShotId) -> str:
    """Name of a shot's files without suffix, as `Folder.stem` gives it."""
    return Folder({}, (), 4 if recipe.kind == "harp-relit" else 6).stem(shot.frame)


def shot_is_whole(root: Path, recipe: Recipe, shot: ShotId, decode: bool = True) -> bool:
    """Whether a shot's record can be read and every file that it names has the pixels that were written.

    Without `decode` files need only be there: records are written last, so that is all a run must ask of another's pictures.
    """
    home, stem = root / shot.folder, stem_of(recipe, shot)
    try:
        record = read_record(home / record_path(shot.camera, stem))
        files = record["files"]
        if set(files) != {picture_path(kind, shot.camera, stem) for kind in kinds_of(recipe)}:
            return False
        if not decode:
            return all((home / path).is_file() for path in files)
        return all(pixel_digest(read_picture(home / path)) == digest for path, digest in files.items())
    except InputError:
        return False


def missing_shots(root: Path, recipe: Recipe, index: int, decode: bool = True) -> tuple[ShotId, ...]:
    """The shots of a unit that are to be taken, again or for the first time; decode: see `shot_is_whole`."""
    return tuple(shot for shot in shot_list(recipe, index) if not shot_is_whole(root, recipe, shot, decode))


def folder_files_are_whole(root: Path, recipe: Recipe, index: int) -> bool:
    """Whether a unit's cameras.npy, poses.npy and dataset.json are those that its records name; else
    `write_folder_files` mends them. For units whose shots are whole."""
    for folder, shot in {shot.folder: shot for shot in shot_list(recipe, index)}.items():
        home = root / folder
        try:
            record = read_record(home / record_path(shot.camera, stem_of(recipe, shot)))
        except InputError:
            return False
        if record.get("folder_files") != present_digests(home) or not (home.parent.parent / "dataset.json").is_file():
            return False
    return True


def other_files_are_whole(root: Path, recipe: Recipe, index: int) -> bool:
    """Whether a unit has everything beside its pictures: its folders' files, its avatar where one is asked for, and a
    sequence's true surfaces."""
    return (
        avatar_is_whole(root, recipe, index)
        and folder_files_are_whole(root, recipe, index)
        and not missing_surfaces(root, recipe, index)
    )


def missing_surfaces(root: Path, recipe: Recipe, index: int) -> tuple[int, ...]:
    """Frames, from 0, of a sequence whose true surface cannot be read; none where the recipe is of no sequence."""
    if recipe.kind != "sequence":
        return ()
    (folder,) = {shot.folder for shot in shot_list(recipe, index)}
    return tuple(frame for frame in range(recipe.frames) if not _has_surface(root / folder, frame))


def _has_surface(home: Path, frame: int) -> bool:
    try:
        true_surface(home, frame + 1)
    except InputError:
        return False
    return True


def avatar_is_whole(root: Path, recipe: Recipe, index: int) -> bool:
    """Whether a unit's avatar can be read; true where the recipe asks for none."""
    if not recipe.avatars:
        return True
    try:
        read_avatar(avatar_folder(root, recipe, index))
    except InputError:
        return False
    return True


def remove_unfinished_avatar(root: Path, recipe: Recipe, index: int) -> None:
    """Remove the temporary folders that a run left which was killed as it wrote a unit's avatar. Only while nobody does."""
    avatar = avatar_folder(root, recipe, index)
    for left in avatar.parent.glob(f".{avatar.stem}-*"):
        shutil.rmtree(left, ignore_errors=True)


def remove_leftovers(root: Path, folders: Iterable[str]) -> int:
    """Remove the temporary files that a killed run left in these folders, and say how many.

    Only while nobody writes there: to every reader but this one they would be pictures without a number.
    """
    removed = 0
    for folder in folders:
        for path in (root / folder).glob("**/.*"):
            if path.is_file() and path.suffix in (".png", ".exr", ".json", ".npy", ".npz"):
                path.unlink(missing_ok=True)
                removed += 1
    return removed
