"""The capture that a personalisation starts from, with a set's own pose, camera and mask, or by the detector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..capture.capture_file import Capture, Quality
from ..capture.options import CaptureOptions, hand_model_name
from ..datasets.hand_sequence import HandFrame, load_pixels
from ..datasets.palm import PalmFrame, load_frame
from ..datasets.palm_sequences import OPEN_HAND_NAME
from ..errors import DatasetError
from ..files import sha256_of
from ..hand.cameras import project
from ..hand.mano import hand_forward
from ..hand.model import HandModel, open_hand_model
from ..methods.photo_input import CapturedPhoto
from ..progress import Progress, silent

FOCAL_SOURCE = "data set"
KnownFrame = PalmFrame | HandFrame
"""A picture with everything known of its hand."""


def captured(
    frame: KnownFrame, how: str = "known", progress: Progress = silent, model: HandModel | None = None
) -> CapturedPhoto:
    """The capture of one picture. how: "known" or "detected" (with the set's focal length, nothing else of it).

    model: whose parameters the frame holds (None: the bundled right hand). The real detector finds no hand in some pictures.
    Raises CaptureError, DatasetError, MissingDependencyError; ValueError for another `how`.
    """
    if how == "known":
        return known_capture(frame, model or open_hand_model("right"))
    if how != "detected":
        raise ValueError(f"a capture is known or detected, not {how!r}")
    from ..capture.photo import capture_photo

    options = CaptureOptions(focal_px=float(frame.intrinsics[0, 0]), hand="right")
    made = capture_photo(frame.image, options, progress)
    return CapturedPhoto(made.capture, made.image, made.mask)


def known_capture(frame: KnownFrame, model: HandModel) -> CapturedPhoto:
    """A frame's capture as its data set has it; the picture's quality figures are a perfect capture's. Raises DatasetError."""
    image, mask = _pixels(frame)
    numbers = (frame.betas, frame.global_orient, frame.hand_pose, frame.transl)
    posed = hand_forward(model, *(torch.as_tensor(values).float() for values in numbers))
    keypoints = posed.keypoints.double().numpy()
    capture = Capture(
        handedness=model.side,
        image=str(frame.image),
        image_sha256=sha256_of(frame.image),
        image_size=(frame.width, frame.height),
        K=np.asarray(frame.intrinsics),
        betas=frame.betas,
        global_orient=frame.global_orient,
        hand_pose=frame.hand_pose,
        transl=frame.transl,
        keypoints_2d=project(keypoints, frame.intrinsics, frame.world_to_camera),
        joints_3d=keypoints,
        quality=Quality(0.0, 0.0, 1.0, None),
        focal_source=FOCAL_SOURCE,
        hand_model=hand_model_name(CaptureOptions()) if model.name == OPEN_HAND_NAME else model.name,
    )
    return CapturedPhoto(replace(capture, world_to_camera=np.asarray(frame.world_to_camera)), image, mask)


def _pixels(frame: KnownFrame) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [H,W,3] and the hand's mask [H,W] bool."""
    if isinstance(frame, PalmFrame):
        pixels = load_frame(frame)
        return (pixels.image_srgb.numpy() * 255 + 0.5).astype(np.uint8), pixels.mask.numpy()
    image, mask = load_pixels(frame)
    if mask is None:
        raise DatasetError(f"{frame.image} has no mask: methods need one to tell the hand from what is behind it")
    return image, mask >= 128
