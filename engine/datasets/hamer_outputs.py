"""Reader of HaMeR's results: pictures, and beside them a pickle for each with MANO's parameters.

    ROOT/[images/]NAME.jpg …
         [results/]NAME.pkl (.pickle, .npy), or NAME_0.pkl, NAME_1.pkl … for several people

HaMeR has no file format of its own; what is read is its network's output, saved as it is: {pred_mano_params: {global_orient,
hand_pose (rotation matrices, absolute), betas}, pred_cam_t_full, right, scaled_focal_length}, one row a hand. The camera has
the focal length of the file (or HaMeR's 5000 / 256 of the picture's longer side) and looks at the picture's middle; the world
is the camera. Left hands are stored mirrored and are turned back. There are no masks. PALM's fork of HaMeR saves vertices
instead ({v3d_cam, K}): those are no parameters, and `capture --pose` fits the hand to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..capture.importers import GivenVertices, read_pose
from ..errors import DatasetError, InputError
from ..hand.safe_pickle import load_object_array, load_pickle
from ..outside import numbers
from .hand_sequence import HandFrame, HandSequence
from .palm_pixels import picture_size
from .set_files import Findings, natural_key, plural, some

PICTURES = (".jpg", ".jpeg", ".png")
RESULTS = (".pkl", ".pickle", ".npy")
RESULT_FOLDERS = ("results", "poses", "hamer", "images", ".")
LARGEST_RESULT = 64 << 20
SIDES = ("right", "left")


def is_hamer(root: Path) -> bool:
    pictures, results = _files(root)
    return any(_picture_of(path, pictures) for path in results)


def read_hamer(root: Path | str, findings: Findings | None = None, hand: str | None = None) -> list[HandSequence]:
    """A sequence for each hand that is seen, "right" and "left", in the order of the pictures' names.

    Betas are each picture's own. Raises DatasetError; with `findings` that keep incomplete parts, problems are kept there
    and their pictures left out.
    """
    root, findings = Path(root), findings or Findings()
    pictures, results = _files(root)
    if not pictures:
        raise DatasetError(f"{root} has no pictures: put them there, or into images/")
    frames: dict[str, list[HandFrame]] = {side: [] for side in SIDES}
    notes: dict[str, list[str]] = {side: [] for side in SIDES}
    positions = {name: position + 1 for position, name in enumerate(pictures)}
    seen: set[str] = set()
    for path in results:
        name = _picture_of(path, pictures)
        if name is None:
            findings.complain(f"{path} has no picture of its name: copy that, or remove the file")
            continue
        seen.add(name)
        sides = findings.attempt(_sides, path) or ()
        for side in SIDES if hand is None else (hand,):
            if side not in sides:
                continue
            repeated = sides.count(side) > 1 or any(frame.label == name for frame in frames[side])
            if repeated:
                notes[side].append(f"{name} shows several {side} hands: the first is used")
            if any(frame.label == name for frame in frames[side]):
                continue
            frame = findings.attempt(_frame, path, pictures[name], positions[name], side)
            frames[side] += [] if frame is None else [frame]
    without = [name for name in pictures if name not in seen]
    general = ["no masks: HaMeR makes none"]
    general += [f"{plural(len(without), 'picture')} without a result left out ({some(without)})"] if without else []
    return [
        HandSequence(f"{root.name}_{side}", tuple(frames[side]), side, "mano", (*general, *notes[side]))
        for side in SIDES
        if frames[side]
    ]


def _files(root: Path) -> tuple[dict[str, Path], list[Path]]:
    """{stem: picture} of images/ or the folder itself, and the result files, both in natural order."""
    base = root / "images" if (root / "images").is_dir() else root
    pictures = sorted((path for path in _listed(base) if path.suffix.lower() in PICTURES), key=natural_key)
    results = {
        path.resolve(): path
        for name in RESULT_FOLDERS
        for path in _listed(root / name)
        if path.suffix.lower() in RESULTS
    }
    return {path.stem: path for path in pictures}, sorted(results.values(), key=natural_key)


def _listed(folder: Path) -> list[Path]:
    return (
        [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
        if folder.is_dir()
        else []
    )


def _picture_of(result: Path, pictures: Mapping[str, Path]) -> str | None:
    """The stem of a result's picture: its own, or its own without the number of a person."""
    if result.stem in pictures:
        return result.stem
    stem = re.sub(r"_\d+$", "", result.stem)
    return stem if stem in pictures else None


def _sides(path: Path) -> tuple[str, ...]:
    """The sides of the hands in a result. Raises DatasetError for other files."""
    try:
        if path.stat().st_size > LARGEST_RESULT:
            raise DatasetError(f"{path} is larger than 64 MB: save HaMeR's output without its pictures")
        raw: Any = load_object_array(path) if path.suffix.lower() == ".npy" else load_pickle(path)
    except DatasetError:
        raise
    except InputError as error:
        raise DatasetError(str(error)) from error
    raw = raw[0] if isinstance(raw, (list, tuple)) and raw else raw
    if isinstance(raw, Mapping) and (
        "v3d_cam" in raw or any(isinstance(v, Mapping) and "v3d_cam" in v for v in raw.values())
    ):
        raise DatasetError(
            f"{path} holds vertices, no parameters (PALM's fork of HaMeR): fit them with `capture --pose`"
        )
    if not isinstance(raw, Mapping) or "pred_mano_params" not in raw:
        raise DatasetError(f"{path} has no pred_mano_params: save HaMeR's output as it is")
    flags = numbers(raw.get("right", raw.get("is_right", 1)), f"{path}: right", DatasetError).ravel()
    return tuple("right" if flag > 0.5 else "left" for flag in flags)


def _frame(path: Path, image: Path, position: int, side: str) -> HandFrame:
    size = picture_size(image)
    try:
        given = read_pose(path, size, side, lambda _: np.zeros(45))
    except InputError as error:
        raise DatasetError(str(error)) from error
    if (
        isinstance(given, GivenVertices)
        or given.transl is None
        or given.intrinsics is None
        or given.global_orient is None
    ):
        raise DatasetError(f"{path} has no pred_cam_t_full, so where the hand stands is unknown: save it too")
    if given.betas is None:
        raise DatasetError(f"{path} has no betas: save all of pred_mano_params")
    digits = re.search(r"(\d{1,9})$", image.stem)
    return HandFrame(
        label=image.stem,
        number=int(digits[1]) if digits else position,
        camera="0",
        image=image,
        mask=None,
        intrinsics=given.intrinsics,
        world_to_camera=np.eye(4),
        height=size[1],
        width=size[0],
        betas=given.betas,
        global_orient=given.global_orient[0],
        hand_pose=given.hand_pose[0],
        transl=given.transl[0],
    )
