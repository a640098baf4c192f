"""Reader of HanCo: FreiHAND's recordings as video, eight cameras around a right hand.

    ROOT/rgb/0110/cam0/00000000.jpg …             224×224, 1,518 sequences (rgb_merged/, rgb_homo/ …: other backgrounds)
         mask_hand/…, mask_fg/…                   the same names: the hand, the hand with what it holds
         calib/0110/00000000.json                 {K: 8×3×3, M: 8×4×4 world → camera, metres}
         xyz/0110/00000000.json                   21×3 metres, world
         shape/0110/00000000.json                 {poses: 1×48, shapes: 1×10, global_t: 1×1×3}, world
         meta.json                                per sequence and frame: is_train, subject_id, is_valid, object_id, has_fit

Poses are relative to MANO's mean pose; global_t is added after the turn about the rest wrist. Frames without a fit have no
file in shape/ and are left out. JPEG masks are grey at edges: 128 and more is hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..hand.joints import to_palm
from ..hand.model import HandModel
from .hand_sequence import HandFrame, HandSequence
from .set_files import (
    LARGEST_FRAME_JSON,
    UNPOSED,
    Findings,
    field,
    folders_in,
    mean_pose,
    measured,
    numbered,
    pinhole,
    plural,
    read_annotations,
    rigid,
    sized_alike,
    some,
)

CAMERAS = 8
MASKS = ("mask_hand", "mask_fg")
WHAT = "HanCo's poses"


def is_hanco(root: Path) -> bool:
    return (root / "calib").is_dir() and (root / "rgb").is_dir()


def read_hanco(
    root: Path | str,
    model: HandModel | None,
    names: Collection[str] | None = None,
    findings: Findings | None = None,
) -> Iterator[HandSequence]:
    """The sequences, by name ("0110"); frames of one moment share its number.

    model: MANO; None only to look at a set. Raises DatasetError; with `findings` that keep incomplete parts, problems are
    kept there and their frames left out.
    """
    root, findings = Path(root), findings or Findings()
    folders = folders_in(root / "rgb")
    missing = sorted(set(names or ()) - {folder.name for folder in folders})
    if missing:
        findings.complain(f"{root / 'rgb'} has no sequence {some(missing)}: check the names, or unpack it")
    if not folders:
        findings.complain(f"{root / 'rgb'} has no sequences (0000/cam0/00000000.jpg): unpack the set's pictures there")
    mean = mean_pose(model, "right", WHAT)
    for folder in folders:
        if names is None or folder.name in names:
            frames, notes = _sequence(root, folder, mean, findings)
            if frames:
                notes += [UNPOSED] if model is None else []
                yield HandSequence(folder.name, tuple(frames), "right", "mano", tuple(notes))


def _sequence(root: Path, folder: Path, mean: np.ndarray, findings: Findings) -> tuple[list[HandFrame], list[str]]:
    views: dict[int, dict[int, Path]] = {}
    for place in folders_in(folder):
        number_said = place.name.removeprefix("cam")
        if not number_said.isdecimal() or int(number_said) >= CAMERAS:
            findings.complain(f"{place} is none of cam0 to cam{CAMERAS - 1}: move it elsewhere")
            continue
        views[int(number_said)] = numbered(place, r"(\d{8})\.jpg", findings)
    counts = {f"cam{index}": len(pictures) for index, pictures in views.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        findings.complain(f"{folder} has unequal numbers of pictures ({said}): unpack it again")
    masks_of = next((name for name in MASKS if (root / name / folder.name).is_dir()), None)
    if not (root / "shape" / folder.name).is_dir():
        missing = root / "shape" / folder.name
        findings.complain(f"{missing} is missing, so sequence {folder.name} has no poses: unpack HanCo_shape.zip")
        return [], []
    moments = sorted({number for pictures in views.values() for number in pictures})
    labels = {number: findings.attempt(_moment, root, folder.name, number) for number in moments}
    frames: list[HandFrame] = []
    for index, pictures in views.items():
        usable, size = sized_alike(pictures, findings)
        masks: dict[int, Path] | None = None
        if masks_of is not None:
            masks = _masks(root / masks_of / folder.name / f"cam{index}", usable, size, findings)
        for number, path in usable.items():
            values = labels[number]
            if not values or (masks is not None and number not in masks):
                continue
            camera = findings.attempt(_camera, values, index, size, root / "calib" / folder.name / f"{number:08d}.json")
            if camera is not None:
                mask = None if masks is None else masks[number]
                frames.append(_frame(number, index, path, mask, size, camera, values, mean))
    frames.sort(key=lambda frame: (frame.number, frame.camera))
    if moments and not any(value != {} for value in labels.values()):
        findings.complain(
            f"{folder} has {plural(len(moments), 'moment')}, none with a fit in shape/: leave the sequence out"
        )
    unfitted = sum(labels[number] == {} for number in moments)
    notes = [f"{plural(unfitted, 'moment')} of {len(moments)} without a fit left out"] if unfitted else []
    notes += ["no masks (mask_hand/)"] if masks_of is None else [f"masks from {masks_of}/"]
    return frames, notes


def _masks(folder: Path, pictures: dict[int, Path], size: tuple[int, int], findings: Findings) -> dict[int, Path]:
    masks = numbered(folder, r"(\d{8})\.jpg", findings)
    missing, extra = sorted(set(pictures) - set(masks)), sorted(set(masks) - set(pictures))
    if missing or extra:
        what = f"missing: {some(missing)}" if missing else f"without a picture: {some(extra)}"
        findings.complain(
            f"{folder} has {len(masks)} masks for {plural(len(pictures), 'picture')} ({what}): unpack it again"
        )
    return sized_alike({n: path for n, path in masks.items() if n in pictures}, findings, size)[0]


def _moment(root: Path, name: str, number: int) -> dict[str, Any]:
    """The annotations of a moment; empty where it has no fit."""
    fit = root / "shape" / name / f"{number:08d}.json"
    if not fit.is_file():
        return {}
    calibration = root / "calib" / name / f"{number:08d}.json"
    hand = read_annotations(fit, dict, LARGEST_FRAME_JSON)
    cameras = read_annotations(calibration, dict, LARGEST_FRAME_JSON)
    values: dict[str, Any] = {
        key: field(hand, key, str(fit), (width,)) for key, width in (("poses", 48), ("shapes", 10), ("global_t", 3))
    }
    for key, shape in (("K", (CAMERAS, 3, 3)), ("M", (CAMERAS, 4, 4))):
        values[key] = field(cameras, key, str(calibration), shape)
    points = root / "xyz" / name / f"{number:08d}.json"
    values["xyz"] = None
    if points.is_file():
        read = read_annotations(points, list, LARGEST_FRAME_JSON)
        values["xyz"] = to_palm(measured(read, str(points), (21, 3)), "freihand")
    return values


def _camera(values: dict[str, Any], index: int, size: tuple[int, int], path: Path) -> tuple[np.ndarray, np.ndarray]:
    matrix = values["M"][index]
    where = f"{path}: camera {index}"
    world_to_camera = rigid(matrix[:3, :3], matrix[:3, 3], f"{where}: M")
    return pinhole(values["K"][index], size, where), world_to_camera


def _frame(
    number: int,
    index: int,
    image: Path,
    mask: Path | None,
    size: tuple[int, int],
    camera: tuple[np.ndarray, np.ndarray],
    values: dict[str, Any],
    mean: np.ndarray,
) -> HandFrame:
    return HandFrame(
        label=f"cam{index}/{number:08d}",
        number=number,
        camera=f"cam{index}",
        image=image,
        mask=mask,
        intrinsics=camera[0],
        world_to_camera=camera[1],
        height=size[1],
        width=size[0],
        betas=values["shapes"],
        global_orient=values["poses"][:3],
        hand_pose=values["poses"][3:] + mean,
        transl=values["global_t"],
        keypoints_3d=values["xyz"],
    )
