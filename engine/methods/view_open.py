"""An avatar folder as a hand for the view, and the poses of a file for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import read_avatar
from ..errors import AvatarError, InputError
from ..hand.pose_sources import PoseChoice, load_poses
from ..hand.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ..outside import numbers
from .view_hand import HandPose, ViewHand
from .view_textured import TexturedHand
from .view_xhand import FastXHand
from .xhand_file import WORLD_TO_CAMERA, has_xhand, load_xhand

FARTHEST_M = 1e3
SLIGHT_TURN = 0.5
"""Radians from the rest hand's own axes up to which a file tells of fingers alone."""


class OpenedHand(NamedTuple):
    hand: ViewHand
    facing: Tensor
    """[3,3] world to camera of the camera of its picture; the world's axes are those of the hand's light."""
    own: HandPose
    """The pose in its picture, in the world."""
    vertices: int


def open_hand(folder: Path, device: torch.device) -> OpenedHand:
    """Raises AvatarError."""
    avatar = read_avatar(folder)
    hand: ViewHand
    if has_xhand(folder):
        model = load_xhand(folder).to(device)
        hand, vertices = FastXHand(model), len(model.template.v_template)
    else:
        hand, vertices = TexturedHand(avatar, device), len(avatar.mesh.vertices)
    if hand.side != avatar.handedness:
        raise InputError(
            f"{folder} says {avatar.handedness}, its learned hand is a {hand.side} one: copy the whole folder again"
        )
    capture = avatar.capture
    own = HandPose(*(_tensor(part, device) for part in (capture.global_orient, capture.hand_pose, capture.transl)))
    facing = _tensor(capture.world_to_camera[:3, :3], device)
    if WORLD_TO_CAMERA in avatar.provenance:
        matrix = _tensor(_rigid(avatar.provenance[WORLD_TO_CAMERA], folder), device)
        own, facing = _in_world(own, hand.joints[0], matrix), facing @ matrix[:3, :3]
    return OpenedHand(hand, facing, own, vertices)


def _rigid(value: object, folder: Path) -> np.ndarray:
    """A [4,4] matrix from a stranger's file. Raises AvatarError."""
    matrix = numbers(value, f"{folder}: {WORLD_TO_CAMERA}", AvatarError, (4, 4))
    if not np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-4) or np.abs(matrix).max() > FARTHEST_M:
        raise AvatarError(
            f"{folder}: {WORLD_TO_CAMERA} is no turn and shift: copy the folder again, or make the avatar again"
        )
    return matrix


def _in_world(pose: HandPose, wrist: Tensor, world_to_camera: Tensor) -> HandPose:
    """A pose given in a camera's axes, in the world's. wrist [3]: at rest, about which the hand turns."""
    turn, shift = world_to_camera[:3, :3], world_to_camera[:3, 3]
    orient = matrix_to_axis_angle(turn.T @ axis_angle_to_matrix(pose.global_orient))
    return pose._replace(global_orient=orient, transl=turn.T @ (wrist + pose.transl - shift) - wrist)


def held_as(own: HandPose, poses: Sequence[HandPose]) -> list[HandPose]:
    """Poses of fingers, whose hand hardly turns, with the hand held as in its picture; others as they are.

    Flat along its own axes a hand would be seen from its edge.
    """
    if any(float(pose.global_orient.norm()) > SLIGHT_TURN for pose in poses):
        return list(poses)
    turn = axis_angle_to_matrix(own.global_orient)
    orients = [matrix_to_axis_angle(turn @ axis_angle_to_matrix(pose.global_orient)) for pose in poses]
    return [pose._replace(global_orient=orient, transl=own.transl) for pose, orient in zip(poses, orients, strict=True)]


def poses_of_file(path: Path, side: str, device: torch.device) -> tuple[list[HandPose], float | None, tuple[str, ...]]:
    """(poses, frames a second where the file says, notes). Raises PoseFileError, InputError for the other hand's."""
    poses = load_poses(path, PoseChoice(side=side))
    if poses.side is not None and poses.side != side:
        raise InputError(f"{path} is of a {poses.side} hand, the avatar is a {side} one: give its own")
    rows = zip(poses.global_orient, poses.hand_pose, poses.transl, strict=True)
    return [HandPose(*(_tensor(part, device) for part in row)) for row in rows], poses.fps, poses.notes


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float32), device=device)
