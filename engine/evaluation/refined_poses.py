"""Poses of a sequence found anew with a known avatar before it is judged, as HARP does for its test pictures (section 4.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from ..avatar.folder import Avatar
from ..capture.options import CaptureOptions
from ..datasets.hand_sequence import HandFrame, HandSequence
from ..hand.mano import HandOutput, hand_forward
from ..hand.model import HandModel
from ..methods.harp_sequence_input import video_of_hand_sequence
from ..methods.pose_refinement import refine_poses
from ..progress import Progress, silent
from .frame_scores import Scores
from .known_capture import KnownFrame
from .pose_metrics import aligned_error_mm, mean_point_error_mm
from .settings import MakingConfig, hand_model_of, harp_settings
from .shots import Shot, wrist_of


def with_refined_poses(
    shots: Sequence[Shot], avatar: Avatar, name: str, config: MakingConfig, progress: Progress = silent
) -> list[Shot]:
    """The same shots with the avatar's pose and place found from outline and colour; shape, skin and light rest.

    Frames must be of one camera, which is the world's origin. Raises InputError for too few of them, AvatarError, Cancelled.
    """
    frames = [shot.frame for shot in shots if isinstance(shot.frame, HandFrame)]
    ordered = tuple(sorted(frames, key=lambda frame: frame.number))
    sequence = HandSequence(name, ordered, "right", "open" if config.hand_model is None else "mano")
    options = CaptureOptions(hand_model=config.hand_model)
    video = video_of_hand_sequence(sequence, options, None, f"sequence {name}")
    model = hand_model_of(config)
    found = refine_poses(avatar, video, model, harp_settings(config), progress=progress)
    posed = {}
    for place, frame in enumerate(ordered):
        # the refined place goes with the avatar's own wrist; a picture puts that on the true one
        shift = np.asarray(avatar.mesh.joints[0]) - wrist_of(model, frame.betas).double().numpy()
        posed[frame.label] = dataclasses.replace(
            frame,
            global_orient=found.global_orient[place],
            hand_pose=found.hand_pose[place],
            transl=found.transl[place] + shift,
        )
    return [shot._replace(frame=posed[shot.label]) for shot in shots]


def pose_errors(found: KnownFrame, true: KnownFrame, model: HandModel) -> Scores:
    """Of a pose and place that were found, in mm, on the true shape: nothing but the pose differs."""
    ours, theirs = _posed(found, true.betas, model), _posed(true, true.betas, model)
    errors = {
        "pa_mpjpe_mm": aligned_error_mm(ours.keypoints, theirs.keypoints),
        "mpjpe_mm": mean_point_error_mm(ours.keypoints, theirs.keypoints, root=0),
        "pa_mpvpe_mm": aligned_error_mm(ours.vertices, theirs.vertices),
        "mpvpe_mm": mean_point_error_mm(ours.vertices, theirs.vertices),
    }
    return {name: float(value) for name, value in errors.items()}


def _posed(frame: KnownFrame, betas: np.ndarray, model: HandModel) -> HandOutput:
    numbers = (betas, frame.global_orient, frame.hand_pose, frame.transl)
    return hand_forward(model, *(torch.as_tensor(np.asarray(values)).float() for values in numbers))
