"""A sequence with known poses and masks (HARP's release, InterHand2.6M, sets of our own …) as a video for HARP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..capture.capture_file import Capture, Quality
from ..capture.options import CaptureOptions, hand_model_for, hand_model_name
from ..datasets.formats import read_sequences
from ..datasets.hand_sequence import HandFrame, HandSequence, load_pixels
from ..errors import InputError
from ..files import sha256_of
from ..hand.cameras import project
from ..hand.mano import hand_forward, shape_hand
from ..hand.model import HandModel
from ..hand.pose_files import matrix_to_axis_angle
from ..hand.rotations import axis_angle_to_matrix
from .harp_video_input import HandVideo, usable_frames


def video_of_sequence(folder: Path, options: CaptureOptions, count: int | None) -> HandVideo:
    """The one sequence of a folder, seen by its one camera. Raises PalmError."""
    model = None if options.hand_model is None else hand_model_for("right", options)
    sequences = [sequence for sequence in read_sequences(folder, model) if len(sequence)]
    if len(sequences) != 1:
        names = ", ".join(sequence.name for sequence in sequences[:6])
        raise InputError(f"{folder} holds {len(sequences)} sequences ({names}): give the folder of one")
    return video_of_hand_sequence(sequences[0], options, count, str(folder))


def video_of_hand_sequence(sequence: HandSequence, options: CaptureOptions, count: int | None, where: str) -> HandVideo:
    """A sequence's frames with their poses as captures, in the camera's axes. Raises InputError, DatasetError."""
    if len(sequence.cameras) > 1:
        raise InputError(f"{where} was seen by {len(sequence.cameras)} cameras: give a sequence of one")
    if sequence.hand_model != hand_model_name(options) and (
        sequence.hand_model == "open" or options.hand_model is None
    ):
        remedy = "leave out --hand-model" if sequence.hand_model == "open" else "add --hand-model with MANO's file"
        raise InputError(f"{where} has poses of the hand model {sequence.hand_model!r}: {remedy}")
    bare = [frame.label for frame in sequence.frames if frame.mask is None]
    if bare:
        raise InputError(
            f"{where}: {len(bare)} frames have no mask ({', '.join(bare[:4])} …): capture its video instead"
        )
    numbers: dict[int, HandFrame] = {}
    for frame in sequence.frames:
        if (other := numbers.setdefault(frame.number, frame)) is not frame:
            raise InputError(
                f"{where}: {other.label} and {frame.label} have one number, {frame.number}: give a sequence of one camera"
            )
    model = hand_model_for(sequence.handedness, options)
    name = hand_model_name(options)
    betas = np.mean([frame.betas for frame in sequence.frames], axis=0)
    captures = [_capture(frame, model, name, betas) for frame in sequence.frames]
    first = min(numbers)
    dense: list[Capture | None] = [None] * (max(numbers) - first + 1)
    for number, capture in zip(numbers, captures, strict=True):
        dense[number - first] = capture
    chosen, notes = usable_frames(dense, count, where, known=True, first=first)
    chosen_frames = [numbers[capture.frame or 0] for capture in chosen]

    def pictures() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for frame in chosen_frames:
            image, mask = load_pixels(frame)
            assert mask is not None
            yield image, mask.astype(np.float32) / 255

    return HandVideo(chosen, pictures, None, (*sequence.notes, *notes))


def _capture(frame: HandFrame, model: HandModel, hand_model: str, betas: np.ndarray) -> Capture:
    orient, transl = in_camera(frame, model, betas)
    values = (betas, orient, frame.hand_pose, transl)
    posed = hand_forward(model, *(torch.as_tensor(np.asarray(value)).float() for value in values))
    keypoints = posed.keypoints.double().numpy()
    return Capture(
        handedness=model.side,
        image=str(frame.image),
        image_sha256=sha256_of(frame.image),
        image_size=(frame.width, frame.height),
        K=np.asarray(frame.intrinsics, dtype=float),
        betas=betas,
        global_orient=orient,
        hand_pose=np.asarray(frame.hand_pose, dtype=float),
        transl=transl,
        keypoints_2d=project(keypoints, np.asarray(frame.intrinsics)),
        joints_3d=keypoints,
        quality=Quality(0.0, 0.0, 1.0, None),
        focal_source="data set",
        hand_model=hand_model,
    )


def in_camera(frame: HandFrame, model: HandModel, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(global_orient [3], transl [3]) of a frame's hand in its camera's axes."""
    turn, shift = np.asarray(frame.world_to_camera)[:3, :3], np.asarray(frame.world_to_camera)[:3, 3]
    if np.allclose(turn, np.eye(3)) and np.allclose(shift, 0):
        return np.asarray(frame.global_orient, dtype=float), np.asarray(frame.transl, dtype=float)
    rotation = turn @ axis_angle_to_matrix(torch.as_tensor(np.asarray(frame.global_orient, dtype=float))).numpy()
    wrist = shape_hand(model, torch.as_tensor(betas).to(model.v_template))[1][0].double().numpy()
    # the turn is about the rest wrist: x' = R (x - w) + w + t
    return matrix_to_axis_angle(rotation), turn @ (wrist + np.asarray(frame.transl)) + shift - wrist
