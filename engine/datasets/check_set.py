"""What a data set holds and what is wrong with it, found by reading all of it as a method would."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError
from ..hand.cameras import project
from ..hand.mano import hand_forward
from ..hand.model import HandModel
from ..progress import Progress
from .check_progress import CheckProgress
from .formats import FORMATS, format_of
from .hand_sequence import HandFrame, HandSequence, load_pixels
from .interhand import complete_palm_sequences
from .interhand_selection import PALM_SEQUENCES
from .palm_check import decoded
from .palm_files import read_quality
from .palm_scans import find_scans, read_palm_scan
from .palm_sequences import RELEASES
from .set_files import Findings, plural
from .true_surface import has_true_surface, true_surface

QUALITY_FILE = "quality_dict_feb_27.npy"
OUTSIDE = 0.5
"""Of a hand's keypoints; a frame that has more of them outside its picture does not show the hand, or has another camera."""
FAR_M = 0.02
"""Mean distance between annotated joints and the posed model's, from which on conventions or releases are mixed."""
POSED_FRAMES = 200
"""Of a sequence, at most, whose joints are compared with the posed model's."""


@dataclass
class SetReport:
    """What was found; counts are of what can be used."""

    format: str
    sequences: int = 0
    frames: int = 0
    moments: int = 0
    hands: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    cameras: set[str] = field(default_factory=set)
    hand_models: set[str] = field(default_factory=set)
    masks: int = 0
    normals: int = 0
    keypoints: int = 0
    scans: int = 0
    surfaces: int = 0
    joint_errors: list[float] = field(default_factory=list)
    decoded: int | None = None
    """Frames whose pictures could be read; None where that was not tried."""
    notes: Counter[str] = field(default_factory=Counter)

    def as_dict(self, findings: Findings) -> dict[str, Any]:
        """As the command returns it."""
        return {
            "format": self.format,
            "sequences": self.sequences,
            "frames": self.frames,
            "moments": self.moments,
            "cameras": len(self.cameras),
            "sizes": dict(self.sizes.most_common(8)),
            "hands": dict(self.hands),
            "hand_model": ", ".join(sorted(self.hand_models)) or None,
            "masks": self.masks,
            "normals": self.normals,
            "keypoints": self.keypoints,
            "scans": self.scans or None,
            "true_surfaces": self.surfaces or None,
            "joint_error_mm": 1000 * float(np.mean(self.joint_errors)) if self.joint_errors else None,
            "decoded": self.decoded,
            "notes": [note if count == 1 else f"{note} ({count} sequences)" for note, count in self.notes.items()],
            "problems": findings.problems,
            "problem_count": findings.count,
        }


def check_set(
    root: Path,
    findings: Findings,
    progress: Progress,
    name: str = "auto",
    model: HandModel | None = None,
    pixels: bool = True,
) -> SetReport:
    """Read a set whole; problems go to `findings`, which has to keep incomplete parts, and whose watch tells `progress`.

    model: MANO, with which annotated joints are compared with posed ones. pixels: decode every picture. Raises DatasetError
    for a folder that is no set, Cancelled.
    """
    found = format_of(root) if name == "auto" else name
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder: give the folder of a data set")
    report = SetReport(found, decoded=0 if pixels else None)
    layout = FORMATS[found]
    progress(0.0, f"reading {layout.summary}")
    told = CheckProgress(progress, root, pixels)
    findings.watch = told.watch
    moments: set[tuple[str, int]] = set()
    sequences = []
    for sequence in layout.read(root, model if layout.needs_mano else None, findings):
        sequences.append(sequence)
        _count(report, sequence, told)
        moments |= {(sequence.name, number) for number in sequence.numbers}
        _look_at_keypoints(sequence, findings)
        report.surfaces += _true_surfaces(sequence, findings)
        if model is not None and layout.needs_mano:
            _compare_joints(report, sequence, model, findings)
        told.tell(f"sequence {report.sequences}: {plural(len(sequence), 'picture')}")
    for number, sequence in enumerate(sequences if pixels else ()):
        for _, problem in decoded(sequence.frames, _load, _quiet(told, number + 1)):
            told.decoded_frame()
            if problem is None:
                report.decoded = (report.decoded or 0) + 1
            else:
                findings.complain(problem)
    if found == "interhand":
        complete = len(complete_palm_sequences(root))
        report.notes[
            f"of the {len(PALM_SEQUENCES)} sequences of PALM's comparison {complete} have all their pictures"
        ] = 1
    if found == "palm":
        _look_at_quality(report, root, moments, findings)
        _look_at_scans(report, root, findings, told, pixels)
    return report


def _quiet(told: CheckProgress, number: int) -> Progress:
    """How much of a sequence is done is not how much of the set is: its number is told, and that work can be cancelled."""

    def quiet(_: float, message: str = "", preview: Path | None = None) -> None:
        told.tell(f"sequence {number}: {message}", preview)

    return quiet


def _load(frame: HandFrame) -> None:
    pixels = load_pixels(frame)
    if pixels.mask is not None and not (pixels.mask > 127).any():
        raise DatasetError(f"{frame.mask} shows no hand: copy it again, or leave the frame out")


def _count(report: SetReport, sequence: HandSequence, told: CheckProgress) -> None:
    report.sequences += 1
    report.frames += len(sequence)
    report.moments += len(sequence.numbers)
    report.hands[sequence.handedness] += len(sequence)
    report.hand_models.add(sequence.hand_model)
    report.cameras.update(sequence.cameras)
    for frame in sequence.frames:
        told.found_frame(frame)
        report.sizes[f"{frame.width}×{frame.height}"] += 1
        report.masks += frame.mask is not None
        report.normals += frame.normal is not None
        report.keypoints += frame.keypoints_3d is not None
    report.notes.update(dict.fromkeys(sequence.notes, 1))


def _true_surfaces(sequence: HandSequence, findings: Findings) -> int:
    """Moments whose true surface can be read, in a sequence that has them."""
    folders = {frame.number: frame.image.parents[2] for frame in sequence.frames if len(frame.image.parents) > 2}
    found = 0
    for number, folder in folders.items():
        if has_true_surface(folder):
            findings.watch()
            found += findings.attempt(true_surface, folder, number) is not None
    return found


def _look_at_keypoints(sequence: HandSequence, findings: Findings) -> None:
    """Hands that their picture does not show: one line a sequence."""
    lost, behind = [], []
    for frame in sequence.frames:
        if frame.keypoints_3d is None or not np.isfinite(frame.keypoints_3d).any():
            continue
        points = frame.keypoints_3d[np.isfinite(frame.keypoints_3d).all(1)]
        depths = points @ frame.world_to_camera[2, :3] + frame.world_to_camera[2, 3]
        if (depths <= 0).any():
            behind.append(frame.label)
            continue
        places = project(points, frame.intrinsics, frame.world_to_camera)
        outside = ((places < 0) | (places > (frame.width, frame.height))).any(1)
        if outside.mean() > OUTSIDE:
            lost.append(frame.label)
    for labels, what in ((behind, "behind the camera"), (lost, "outside the picture")):
        if labels:
            findings.complain(
                f"{sequence.name}: the hand is {what} in {plural(len(labels), 'picture')} ({', '.join(labels[:3])}):"
                " cameras or annotations are of another release; leave these out"
            )


def _compare_joints(report: SetReport, sequence: HandSequence, model: HandModel, findings: Findings) -> None:
    """Annotated joints beside those of the posed model: far apart where files or conventions are mixed."""
    import torch

    from ..hand.mirror import mirror_model

    posed = model if model.side == sequence.handedness else mirror_model(model)
    frames = [frame for frame in sequence.frames if frame.keypoints_3d is not None]
    frames = frames[:: max(1, len(frames) // POSED_FRAMES)]
    if not frames:
        return
    names = ("betas", "global_orient", "hand_pose", "transl")
    betas, *pose = (
        torch.as_tensor(np.stack([getattr(f, name) for f in frames]), dtype=posed.v_template.dtype) for name in names
    )
    with torch.no_grad():
        joints = hand_forward(posed, betas[:, : posed.num_betas], *pose).keypoints.numpy()
    known = np.stack([frame.keypoints_3d for frame in frames if frame.keypoints_3d is not None])
    errors = np.linalg.norm(joints - known, axis=-1)
    if not np.isfinite(errors).any():
        return
    error = float(np.nanmean(errors))
    report.joint_errors.append(error)
    if error > FAR_M:
        findings.complain(
            f"{sequence.name}: the posed hand's joints are {1000 * error:.0f} mm from the annotated ones:"
            " poses and joints are of different releases, or the hand model is another one"
        )


def _look_at_quality(report: SetReport, root: Path, moments: set[tuple[str, int]], findings: Findings) -> None:
    """PALM's file of fitting errors, where it is: how many of the moments it judges."""
    files = (place / QUALITY_FILE for place in (root, *(root / name for name in RELEASES)))
    path = next((path for path in files if path.is_file()), None)
    errors = None if path is None else findings.attempt(read_quality, path)
    if errors is not None:
        judged = sum((subject, number - 1) in errors for subject, number in moments)
        report.notes[f"{QUALITY_FILE} judges {judged} of {len(moments)} moments"] = 1


def _look_at_scans(report: SetReport, root: Path, findings: Findings, told: CheckProgress, read: bool) -> None:
    scans = findings.attempt(find_scans, root, findings) or ()
    for place, scan in enumerate(scans):
        told.tell(f"scan {place + 1} of {len(scans)}")
        if not read or findings.attempt(read_palm_scan, scan) is not None:
            report.scans += 1
