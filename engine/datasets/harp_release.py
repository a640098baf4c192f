"""Reader of HARP's released sequences (and of folders that its preprocessing makes): a monocular video of a right hand.

    ROOT/SEQUENCE/image/0001.png …                          the video's frames
                  unscreen/0001.png                         matted, RGBA
                  unscreen_cropped/0001.jpg                 448×448 on white: the frame with its shorter side at 448, its middle
                  mask/0001_mask.jpg                        448×448, soft
                  metro_mano/0001_mano.pkl                  MANO fitted to METRO's mesh, numbered as the frames are
                  metro_mano_smooth/0001_mano.pkl           the same smoothed over time, numbered by POSITION

    pickle: rot (1,3), pose (1,45) relative to MANO's mean, shape (1,10), trans (1,3) metres; joints (1,21,3) and verts in
    millimetres; cam (3,) = (s, tx, ty)

The camera is HARP's: f = 2000 px at 448, the principal point in the middle, and the hand moved by (tx, ty, 2f / (448 s)). The
focal length is made up, so depth and size hold only within a sequence. Here the world is the camera: that shift is part of
`transl`. The hand's placement is MANO's own (`trans` after the turn about the rest wrist) or, in fits with HARP's arm model,
from the wrist (the joints' first equals `trans`); which one it is shows in the pickle's joints.

A frame without a pose has no file in metro_mano/, and metro_mano_smooth/ closes the gap: from there on every smoothed pose would
fall on the wrong picture. The poses are matched back through metro_mano/'s numbers; without that folder such a sequence is
refused. Train/test of the released subject: sequences 1 to 5, 6 to 9.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError, InputError
from ..hand.joints import to_palm
from ..hand.model import HandModel
from ..hand.safe_pickle import load_pickle
from .hand_sequence import HandFrame, HandSequence
from .set_files import (
    UNPOSED,
    Findings,
    field,
    folders_in,
    mean_pose,
    numbered,
    plural,
    rest_joints,
    sized_alike,
    some,
)

FOCAL_PER_PX = 1000 / 224
"""Focal length over the side of the square crop."""
TRAIN, TEST = ("1", "2", "3", "4", "5"), ("6", "7", "8", "9")
LARGEST_PICKLE = 16 << 20
AT_WRIST_M = 1e-4
"""How near a pickle's first joint lies to `trans` in fits whose origin is the wrist."""
WHAT = "HARP's poses"
FITS = ("metro_mano_smooth", "metro_mano")


def is_harp(root: Path) -> bool:
    """Whether a folder is one sequence, or holds some."""
    return _is_sequence(root) or any(_is_sequence(folder) for folder in folders_in(root))


def _is_sequence(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in ("unscreen_cropped", *FITS))


def read_harp(
    root: Path | str,
    model: HandModel | None,
    names: Collection[str] | None = None,
    findings: Findings | None = None,
) -> Iterator[HandSequence]:
    """The sequences of a folder (or the one that it is), by name.

    model: MANO; None only to look at a set. names: only these sequences. Raises DatasetError; with `findings` that keep
    incomplete parts, problems are kept there and their frames left out.
    """
    root, findings = Path(root), findings or Findings()
    folders = [root] if _is_sequence(root) else [folder for folder in folders_in(root) if _is_sequence(folder)]
    if not folders:
        findings.complain(
            f"{root} has no sequence (1/unscreen_cropped, 1/metro_mano …): give the folder of the sequences"
        )
    missing = sorted(set(names or ()) - {folder.name for folder in folders})
    if missing:
        findings.complain(f"{root} has no sequence {some(missing)}: check the names")
    for folder in folders:
        if names is None or folder.name in names:
            sequence = findings.attempt(_sequence, folder, model, findings)
            if sequence is not None and sequence.frames:
                yield sequence


def crop_matrix(width: int, height: int, side: int = 448) -> np.ndarray:
    """Pixels of a video frame → pixels of HARP's crop of it [3,3]: the shorter side to `side`, then the middle square.

    Corners are where torchvision's Resize and CenterCrop put them: the longer side's length is cut to whole pixels, half
    the rest is rounded.
    """
    scale = side / min(width, height)
    sizes = [
        side if length == min(width, height) else int(side * length / min(width, height)) for length in (width, height)
    ]
    left, top = (round((length - side) / 2) for length in sizes)
    scales = [sizes[0] / width, sizes[1] / height] if width != height else [scale, scale]
    return np.array([[scales[0], 0, -left], [0, scales[1], -top], [0, 0, 1.0]])


def _sequence(folder: Path, model: HandModel | None, findings: Findings) -> HandSequence:
    pictures = numbered(folder / "unscreen_cropped", r"(\d{1,8})\.(?:jpg|png)", findings)
    if not pictures:
        raise DatasetError(f"{folder / 'unscreen_cropped'} has no pictures: run HARP's preprocessing, or copy it again")
    masks = numbered(folder / "mask", r"(\d{1,8})_mask\.(?:jpg|png)", findings)
    fits, notes = matched_fits(folder, list(pictures), findings)
    pictures, size = sized_alike(pictures, findings)
    if size[0] != size[1]:
        raise DatasetError(
            f"{folder / 'unscreen_cropped'} has pictures of {size[0]}×{size[1]}, not square: crop them again"
        )
    if masks:
        masks, _ = sized_alike(_paired(masks, pictures, folder, "masks", findings), findings, size)
    else:
        findings.complain(
            f"{folder / 'mask'} has no masks: copy it again; the pictures are on white, without masks of their own"
        )
    fits = _paired(fits, pictures, folder, "poses", findings)
    mean = mean_pose(model, "right", WHAT)
    frames, origins = [], set()
    for number in sorted(set(pictures) & set(fits) & (set(masks) if masks else set(pictures))):
        values = findings.attempt(_pickled, fits[number])
        placed = None if values is None else findings.attempt(_placed, values, fits[number], size[0], model)
        if values is not None and placed is not None:
            transl, keypoints, origin = placed
            origins.add(origin)
            frames.append(
                HandFrame(
                    label=f"{number:04d}",
                    number=number,
                    camera="0",
                    image=pictures[number],
                    mask=masks.get(number),
                    intrinsics=_intrinsics(size[0]),
                    world_to_camera=np.eye(4),
                    height=size[1],
                    width=size[0],
                    betas=values["shape"],
                    global_orient=values["rot"],
                    hand_pose=values["pose"] + mean,
                    transl=transl,
                    keypoints_3d=keypoints,
                )
            )
    notes += [UNPOSED] if model is None else []
    notes += [f"fitted with {origin}" for origin in sorted(origins)]
    return HandSequence(folder.name, tuple(frames), "right", "mano", tuple(notes))


def matched_fits(folder: Path, pictures: list[int], findings: Findings) -> tuple[dict[int, Path], list[str]]:
    """{picture's number: pickle}, smoothed ones where there are any, and what was decided.

    Raises DatasetError where smoothed poses cannot be matched with pictures for sure.
    """
    smooth, plain = (numbered(folder / name, r"(\d{1,8})_mano\.pkl", findings) for name in FITS)
    if not smooth and not plain:
        raise DatasetError(
            f"{folder} has no poses (metro_mano/0001_mano.pkl): run HARP's preprocessing, or copy it again"
        )
    if not smooth:
        return plain, ["poses that were not smoothed (there is no metro_mano_smooth/)"]
    by_position = list(smooth) == list(range(1, len(smooth) + 1))
    if plain and by_position:
        if len(plain) != len(smooth):
            findings.complain(
                f"{folder / FITS[0]} has {len(smooth)} poses, metro_mano {len(plain)}: which belong together is unknown;"
                " smooth them again (the unsmoothed ones are used)"
            )
            return plain, ["unsmoothed poses: the smoothed ones do not match them"]
        matched = dict(zip(plain, smooth.values(), strict=True))
        shifted = [number for number, path in matched.items() if int(path.stem.split("_")[0]) != number]
        if not shifted:
            return matched, []
        note = f"from frame {shifted[0]} on they were matched through metro_mano/"
        return matched, [f"smoothed poses are numbered by position: {note}"]
    if not plain and by_position and list(smooth) != pictures:
        raise DatasetError(
            f"{folder / FITS[0]} numbers its {len(smooth)} poses by position, and pictures are numbered {pictures[0]} to"
            f" {pictures[-1]} ({len(pictures)}): which belong together is unknown; add metro_mano/ with the frames' numbers"
        )
    return smooth, []


def _paired(
    files: Mapping[int, Path], pictures: Mapping[int, Path], folder: Path, kind: str, findings: Findings
) -> dict[int, Path]:
    """Those files whose picture is there; complains of the others and of pictures without a file."""
    missing, extra = sorted(set(pictures) - set(files)), sorted(set(files) - set(pictures))
    if missing or extra:
        parts = [f"no {kind} for picture {some(missing)}"] if missing else []
        parts += [f"no picture for {some(extra)}"] if extra else []
        findings.complain(
            f"{folder} has {plural(len(pictures), 'usable picture')} but {len(files)} {kind} ({'; '.join(parts)}): copy it again"
        )
    return {number: path for number, path in files.items() if number in pictures}


def _pickled(path: Path) -> dict[str, np.ndarray]:
    """rot [3], pose [45], shape [10], trans [3], cam [3], and joints [21,3] in millimetres where there are any."""
    try:
        if path.stat().st_size > LARGEST_PICKLE:
            raise DatasetError(f"{path} is larger than 16 MB, which is no pose: copy it again")
        raw: Any = load_pickle(path)
    except DatasetError:
        raise
    except InputError as error:
        raise DatasetError(str(error)) from error
    widths = {"rot": (3,), "pose": (45,), "shape": (10,), "trans": (3,), "cam": (3,)}
    values = {name: field(raw, name, str(path), shape) for name, shape in widths.items()}
    if "joints" in raw:
        values["joints"] = field(raw, "joints", str(path), (21, 3))
    return values


def _placed(
    values: Mapping[str, np.ndarray], path: Path, side: int, model: HandModel | None
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """(transl [3] in the camera's frame, keypoints [21,3] or None, the origin in words)."""
    scale, shift_x, shift_y = values["cam"]
    if scale <= 1e-6:
        raise DatasetError(f"{path}: the camera's scale is {scale:g}, so the hand has no distance: fit the frame again")
    shift = np.array([shift_x, shift_y, 2 * FOCAL_PER_PX * side / (side * scale + 1e-9)])
    transl, joints = values["trans"], values.get("joints")
    if joints is None:
        return transl + shift, None, "MANO's own origin (assumed: the pickles have no joints)"
    if np.ptp(joints, axis=0).max() < 1:
        raise DatasetError(f"{path}: joints are not in millimetres: it is of another version; run HARP's fit again")
    at_wrist = np.linalg.norm(joints[0] / 1000 - transl) < AT_WRIST_M
    keypoints = to_palm(joints / 1000 + shift, "harp")
    if not at_wrist:
        return transl + shift, keypoints, "MANO's own origin"
    rest = np.zeros(3) if model is None else rest_joints(model, "right", values["shape"])[0]
    return transl - rest + shift, keypoints, "the wrist as origin (HARP's arm model)"


def _intrinsics(side: int) -> np.ndarray:
    focal = FOCAL_PER_PX * side
    return np.array([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1.0]])
