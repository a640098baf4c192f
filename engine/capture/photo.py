"""One photo → one capture."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import CaptureError, MissingDependencyError
from ..hand.cameras import pinhole_matrix
from ..progress import Progress, silent, sub_progress
from .capture_file import Capture, Quality
from .images import Photo, choose_focal, load_mask, load_photo
from .importers import (
    GivenPose,
    GivenVertices,
    landmarks_from_vertices,
    read_camera,
    read_keypoints,
    read_pose,
)
from .landmarks import HandLandmarks, choose_hand, find_hands
from .mask import hand_mask
from .options import CaptureOptions, hand_model_for, hand_model_name
from .overlay import overlay
from .session import FitSession, Fitted, project_points

log = logging.getLogger(__name__)

POOR_FIT = 0.06
"""Reprojection error, over the hand's size, above which the user is told that something is wrong."""


@dataclass(frozen=True)
class CaptureResult:
    """A capture with the pictures it was made from."""

    capture: Capture
    image: np.ndarray
    """[H,W,3] uint8 sRGB, upright."""
    mask: np.ndarray
    """[H,W] bool."""
    vertices: np.ndarray
    """[V,3] metres, the fitted hand in camera axes."""
    faces: np.ndarray
    """[F,3]."""
    hand: HandLandmarks | None = None
    """What was fitted to; None where it was not kept."""


def capture_photo(
    image_path: Path | str, options: CaptureOptions | None = None, progress: Progress = silent
) -> CaptureResult:
    """Find a hand in a photo, fit the hand model to it and cut it out.

    Raises CaptureError (no hand, unusable photo or option), PoseFileError, HandModelError or MissingDependencyError.
    """
    options = options or CaptureOptions()
    progress(0.0, "reading the photo")
    photo = load_photo(image_path)
    user_mask = None if options.mask is None else load_mask(options.mask, photo.size)
    # files from the user are read before the slow part, so that their errors come at once
    given = read_given(options, photo)
    intrinsics, focal_source = camera_for(photo, options, given.intrinsics)
    progress(0.05, "finding the hand")
    pose = _usable_pose(given, focal_source)
    hand = _landmarks(photo, options, given, pose, intrinsics)
    if pose is not None:
        check_one_side({f"the hand in {photo.path}": hand.handedness, f"pose file {options.pose}": pose.side})
        if pose.side is None and hand.handedness == "left":
            # a pose relative to the mean hand was read with the right hand's mean
            pose = _usable_pose(read_given(replace(options, hand="left"), photo), focal_source)
    session = FitSession(hand_model_for(hand.handedness, options))
    seen = session.observe([hand], intrinsics, np.zeros(1))
    progress(0.2, "fitting the hand")
    state = session.fit_keypoints(seen, pose, sub_progress(progress, 0.2, 0.5))
    fitted = session.mesh(state, intrinsics)
    progress(0.5, "cutting out the hand")
    mask = user_mask if user_mask is not None else _mask(photo.pixels, session, fitted, hand, intrinsics)
    fixed = pose is not None and pose.transl is not None
    if mask.any() and not fixed:
        state = session.refine(
            seen,
            state,
            [mask],
            intrinsics,
            held=pose is not None,
            free_betas=pose is None or pose.betas is None,
            progress=sub_progress(progress, 0.6, 0.85),
        )
        fitted = session.mesh(state, intrinsics)
        if user_mask is None:
            mask = _mask(photo.pixels, session, fitted, hand, intrinsics)
    if not mask.any():
        raise CaptureError(f"the hand in {photo.path} could not be cut out: give --mask")
    quality = session.quality(seen, fitted, [mask], intrinsics)[0]
    if quality.reprojection_relative > POOR_FIT:
        log.warning(
            "the fit is poor (%.1f %% of the hand's size): look at the overlay",
            100 * quality.reprojection_relative,
        )
    progress(0.95, "done")
    capture = make_capture(photo, hand, fitted, 0, intrinsics, focal_source, hand_model_name(options), quality)
    return CaptureResult(capture, photo.pixels, mask, fitted.vertices[0], session.faces, hand)


def overlay_of(result: CaptureResult) -> np.ndarray:
    """The overlay picture of a result, [h,w,3] uint8."""
    capture, quality = result.capture, result.capture.quality
    caption = (
        f"{capture.handedness} hand   landmarks {100 * quality.reprojection_relative:.1f} % of its size off   "
        f"mask overlap {quality.mask_iou:.2f}   focal {capture.K[0, 0]:.0f} px ({capture.focal_source})"
    )
    return overlay(
        result.image,
        result.mask,
        capture.keypoints_2d,
        result.vertices,
        project_points(result.vertices, capture.K),
        result.faces,
        project_points(capture.joints_3d, capture.K),
        caption,
    )


def camera_for(photo: Photo, options: CaptureOptions, from_pose: np.ndarray | None) -> tuple[np.ndarray, str]:
    """(K [3,3], where its focal length comes from): the user's camera or focal, the pose file's, EXIF's, the default."""
    if options.camera is not None:
        return read_camera(options.camera, photo.size), "camera file"
    if options.focal_px is None and from_pose is not None:
        return from_pose, "pose file"
    focal_px, source = choose_focal(photo.focal_px, photo.size, options.focal_px)
    return pinhole_matrix(focal_px, *photo.size), source


def make_capture(
    photo: Photo,
    hand: HandLandmarks,
    fitted: Fitted,
    frame: int,
    intrinsics: np.ndarray,
    focal_source: str,
    model_name: str,
    quality: Quality,
) -> Capture:
    parameters = fitted.parameters
    return Capture(
        handedness=hand.handedness,
        image=str(photo.path),
        image_sha256=photo.sha256,
        image_size=photo.size,
        K=intrinsics,
        betas=parameters["betas"],
        global_orient=parameters["global_orient"][frame],
        hand_pose=parameters["hand_pose"][frame],
        transl=parameters["transl"][frame],
        keypoints_2d=hand.keypoints_2d,
        joints_3d=fitted.keypoints[frame],
        quality=quality,
        focal_source=focal_source,
        hand_model=model_name,
    )


@dataclass(frozen=True)
class Given:
    """What the user supplied in place of the detector's or the fit's answers."""

    pose: GivenPose | None = None
    hand: HandLandmarks | None = None
    intrinsics: np.ndarray | None = None


def read_given(options: CaptureOptions, photo: Photo) -> Given:
    """Read the pose and keypoint files; all errors in them come from here, also when they are of different hands."""
    side = options.hand if options.hand in ("left", "right") else None
    hand = None if options.keypoints is None else read_keypoints(options.keypoints, side, photo.size)
    told = {"--hand": side, f"keypoints {options.keypoints}": None if hand is None else hand.handedness}
    check_one_side(told)
    if options.pose is None:
        return Given(hand=hand)
    which = options.hand if options.hand is not None or hand is None else hand.handedness
    pose = read_pose(options.pose, photo.size, which, lambda side: hand_model_for(side, options).hands_mean.numpy())
    check_one_side({**told, f"pose file {options.pose}": pose.side})
    if isinstance(pose, GivenVertices):
        model = hand_model_for(pose.side, options)
        regressor, tips = model.joint_regressor.numpy(), model.tip_vertices.numpy()
        hand = landmarks_from_vertices(pose.vertices, pose.intrinsics, regressor, tips, model.side)
        return Given(hand=hand, intrinsics=pose.intrinsics)
    if options.hand_model is None and pose.betas is not None:
        # betas mean something else in every hand model
        pose = replace(pose, betas=None)
    return Given(pose, hand, pose.intrinsics)


def check_one_side(told: dict[str, str | None]) -> None:
    """told: who says so → side, None where nothing is said. Raises CaptureError when they differ."""
    known = {source: side for source, side in told.items() if side is not None}
    if len(set(known.values())) > 1:
        said = " but ".join(f"{source} is {side}" for source, side in known.items())
        raise CaptureError(f"{said}: give all of one hand")


def _usable_pose(given: Given, focal_source: str) -> GivenPose | None:
    """The first pose of the file; its translation only where the camera it was made for is the one in use."""
    pose = given.pose
    if pose is None:
        return None
    if len(pose.hand_pose) > 1:
        log.info("the pose file holds %d poses; the first is used", len(pose.hand_pose))
    parts = {name: getattr(pose, name) for name in ("hand_pose", "global_orient", "transl")}
    first = replace(pose, **{name: value[:1] for name, value in parts.items() if value is not None})
    same_camera = focal_source in (("pose file",) if pose.intrinsics is not None else ("camera file", "given"))
    return first if same_camera else replace(first, transl=None)


def _landmarks(
    photo: Photo, options: CaptureOptions, given: Given, pose: GivenPose | None, intrinsics: np.ndarray
) -> HandLandmarks:
    if given.hand is not None:
        return given.hand
    which = options.hand if options.hand is not None or pose is None else pose.side
    try:
        return choose_hand(find_hands(photo.pixels), which, str(photo.path))
    except (CaptureError, MissingDependencyError):
        if pose is None or pose.transl is None or which not in ("left", "right"):
            raise
    log.info("no landmarks were found; the pose file's own are used")
    session = FitSession(hand_model_for(which, options))
    keypoints = session.mesh(session.given_state(pose), intrinsics).keypoints[0]
    return HandLandmarks(which, 1.0, project_points(keypoints, intrinsics), np.ones(21), None)


def _mask(
    image: np.ndarray, session: FitSession, fitted: Fitted, hand: HandLandmarks, intrinsics: np.ndarray
) -> np.ndarray:
    wrist = session.wrist(fitted, 0, intrinsics)
    return hand_mask(image, fitted.pixels[0], session.faces, hand.keypoints_2d, wrist)
