"""Reader of FreiHAND: 32,560 training pictures of right hands with four backgrounds each, 3,960 for evaluation.

    ROOT/training/rgb/00000000.jpg …          224×224; number = sample + 32,560 × background (gs, hom, sample, auto)
         training/mask/00000000.jpg           of the samples, once
         training_K.json, training_mano.json, training_xyz.json      (also _scale, _verts: not read)
         evaluation/rgb/…, evaluation_K.json; evaluation_mano.json and _xyz.json since version 2

    K: [3×3 per sample]   xyz: [21×3 metres in the camera's frame]   mano: [[61 numbers]]

The 61 numbers are the turn and 45 finger angles relative to MANO's mean pose, 10 betas, the middle finger's knuckle in the
picture (u, v) and a scale with which it lies at (u − cx, v − cy, f) / scale metres. The world is the camera. Fingertips are
other vertices of MANO than smplx's, some millimetres away. How many samples there are is read off the K file, so parts of the
set work too. JPEG masks are grey at edges: 128 and more is hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError
from ..hand.joints import to_palm
from ..hand.model import HandModel
from .hand_sequence import HandFrame, HandSequence
from .set_files import (
    UNPOSED,
    Findings,
    mean_pose,
    measured,
    numbered,
    pinhole,
    plural,
    read_annotations,
    rest_joints,
    rotation_matrix,
    sized_alike,
    some,
)

BACKGROUNDS = ("gs", "hom", "sample", "auto")
"""Green screen, homogenised, and two ways of recolouring: the blocks of the training pictures."""
SAMPLES = {"training": 32_560, "evaluation": 3_960}
MOST_SAMPLES = 1_000_000
KNUCKLE = 4
"""MANO's joint that places the hand: the middle finger's first."""
WHAT = "FreiHAND's poses"


def is_freihand(root: Path) -> bool:
    return any((root / f"{split}_K.json").is_file() or (root / split / "rgb").is_dir() for split in SAMPLES)


def read_freihand(
    root: Path | str,
    model: HandModel | None,
    backgrounds: Collection[str] = ("gs",),
    splits: Collection[str] = tuple(SAMPLES),
    findings: Findings | None = None,
) -> Iterator[HandSequence]:
    """One sequence a split: pictures of many people, `number` the sample and `camera` its background.

    model: MANO, which also places the hand; None only to look at a set (transl is then the knuckle's place). Raises
    DatasetError; with `findings` that keep incomplete parts, problems are kept there and their frames left out.
    """
    root, findings = Path(root), findings or Findings()
    unknown = sorted(set(backgrounds) - set(BACKGROUNDS))
    if unknown:
        raise DatasetError(f"FreiHAND has no backgrounds {some(unknown)}: use {', '.join(BACKGROUNDS)}")
    if not is_freihand(root):
        findings.complain(f"{root} has no training_K.json and no training/rgb: give the set's top folder")
    for split in SAMPLES:
        present = (root / f"{split}_K.json").is_file() or (root / split / "rgb").is_dir()
        if split in splits and present:
            wanted = [name for name in BACKGROUNDS if name in backgrounds] if split == "training" else ["gs"]
            sequence = findings.attempt(_split, root, split, model, wanted, findings)
            if sequence is not None and sequence.frames:
                yield sequence


def _split(
    root: Path, split: str, model: HandModel | None, backgrounds: list[str], findings: Findings
) -> HandSequence | None:
    cameras = read_annotations(root / f"{split}_K.json", list)
    if not (root / f"{split}_mano.json").is_file() and split == "evaluation":
        findings.complain(
            f"{root / 'evaluation_mano.json'} is missing: version 1 of the set has no evaluation poses; download version 2's"
        )
        return None
    hands, points = (read_annotations(root / f"{split}_{kind}.json", list) for kind in ("mano", "xyz"))
    if not len(cameras) == len(hands) == len(points):
        raise DatasetError(
            f"{root}: {split}_K.json has {len(cameras)} samples, _mano.json {len(hands)}, _xyz.json {len(points)}:"
            " the files are of different versions; download them again"
        )
    if len(cameras) > MOST_SAMPLES:
        raise DatasetError(
            f"{root / split}_K.json has {len(cameras)} samples, more than any release: download it again"
        )
    notes = [UNPOSED] if model is None else []
    if len(cameras) != SAMPLES[split]:
        notes.append(f"{plural(len(cameras), 'sample')}, where the published {split} part has {SAMPLES[split]}")
    pictures = numbered(root / split / "rgb", r"(\d{8})\.jpg", findings)
    masks = numbered(root / split / "mask", r"(\d{8})\.jpg", findings)
    blocks = len(BACKGROUNDS) if split == "training" else 1
    _complain_of_counts(root / split, pictures, masks, len(cameras), blocks, findings)
    chosen = {
        sample + len(cameras) * BACKGROUNDS.index(name): (sample, name)
        for sample in range(len(cameras))
        for name in backgrounds
    }
    usable, size = sized_alike({n: pictures[n] for n in chosen if n in pictures}, findings)
    if masks:
        masks, _ = sized_alike({n: path for n, path in masks.items() if n < len(cameras)}, findings, size)
    mean = mean_pose(model, "right", WHAT)
    labelled: dict[int, dict[str, Any] | None] = {}
    frames = []
    for number, path in usable.items():
        sample, background = chosen[number]
        if sample not in labelled:
            entries = (cameras[sample], hands[sample], points[sample])
            labelled[sample] = findings.attempt(_labels, entries, f"{root / split}: sample {sample}", size, model, mean)
        values = labelled[sample]
        if values is None or (masks and sample not in masks):
            continue
        label = f"{path.stem} {background}" if split == "training" else path.stem
        frames.append(
            HandFrame(label, sample, background, path, masks.get(sample), height=size[1], width=size[0], **values)
        )
    frames.sort(key=lambda frame: (frame.number, BACKGROUNDS.index(frame.camera)))
    return HandSequence(split, tuple(frames), "right", "mano", tuple(notes))


def _complain_of_counts(
    folder: Path, pictures: dict[int, Path], masks: dict[int, Path], samples: int, blocks: int, findings: Findings
) -> None:
    """Whole blocks of pictures may be absent (a part of the set), single ones not."""
    for block in range(blocks):
        wanted = range(samples * block, samples * (block + 1))
        missing = [number for number in wanted if number not in pictures]
        if missing and (len(missing) < samples or block == 0):
            listed = some(f"{number:08d}.jpg" for number in missing)
            findings.complain(
                f"{folder / 'rgb'} lacks {plural(len(missing), 'picture')} of {samples} ({listed}): unpack it again"
            )
    extra = [number for number in pictures if number >= samples * blocks]
    if extra:
        listed = some(f"{number:08d}.jpg" for number in extra)
        findings.complain(f"{folder / 'rgb'} has pictures without annotations ({listed}): use files of one version")
    without = [number for number in range(samples) if number not in masks] if masks else []
    if without:
        listed = some(f"{number:08d}.jpg" for number in without)
        findings.complain(
            f"{folder / 'mask'} has {len(masks)} masks for {samples} samples (missing: {listed}): unpack it again"
        )


def _labels(
    entries: tuple[Any, Any, Any],
    where: str,
    size: tuple[int, int],
    model: HandModel | None,
    mean: np.ndarray,
) -> dict[str, Any]:
    """The fields of a HandFrame that a sample's annotations give."""
    camera = measured(entries[0], f"{where}: K", (3, 3))
    hand = measured(entries[1], f"{where}: mano").ravel()
    points = measured(entries[2], f"{where}: xyz", (21, 3))
    if hand.shape != (61,):
        raise DatasetError(
            f"{where}: mano has {hand.size} numbers, not 61: it is of another version; download it again"
        )
    pinhole(camera, size, where)
    u, v, scale = hand[58:]
    if scale <= 0:
        raise DatasetError(f"{where}: the hand's scale is {scale:g}: the file is damaged; download it again")
    focal = 0.5 * (camera[0, 0] + camera[1, 1])
    knuckle = np.array([u - camera[0, 2], v - camera[1, 2], focal]) / scale
    betas, orient = hand[48:58], hand[:3]
    if model is not None:
        rest = rest_joints(model, "right", betas)
        knuckle = knuckle - rest[0] - rotation_matrix(orient) @ (rest[KNUCKLE] - rest[0])
    return {
        "intrinsics": camera,
        "world_to_camera": np.eye(4),
        "betas": betas,
        "global_orient": orient,
        "hand_pose": hand[3:48] + mean,
        "transl": knuckle,
        "keypoints_3d": to_palm(points, "freihand"),
    }
