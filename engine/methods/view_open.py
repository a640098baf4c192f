"""An avatar folder as a hand for the view, and the poses of a file for it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar, read_avatar
from ..errors import InputError
from ..hand.pose_sources import PoseChoice, load_poses
from .view_hand import HandPose, ViewHand
from .view_textured import TexturedHand
from .view_xhand import FastXHand
from .xhand_file import has_xhand, load_xhand


class OpenedHand(NamedTuple):
    hand: ViewHand
    facing: Tensor
    """[3,3] world to camera of the camera of its picture."""
    own: HandPose
    """The pose in its picture."""
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
    return OpenedHand(
        hand, _tensor(avatar.capture.world_to_camera[:3, :3], device), _own_pose(avatar, device), vertices
    )


def _own_pose(avatar: Avatar, device: torch.device) -> HandPose:
    capture = avatar.capture
    return HandPose(*(_tensor(part, device) for part in (capture.global_orient, capture.hand_pose, capture.transl)))


def poses_of_file(path: Path, side: str, device: torch.device) -> tuple[list[HandPose], float | None, tuple[str, ...]]:
    """(poses, frames a second where the file says, notes). Raises PoseFileError, InputError for the other hand's."""
    poses = load_poses(path, PoseChoice(side=side))
    if poses.side is not None and poses.side != side:
        raise InputError(f"{path} is of a {poses.side} hand, the avatar is a {side} one: give its own")
    rows = zip(poses.global_orient, poses.hand_pose, poses.transl, strict=True)
    return [HandPose(*(_tensor(part, device) for part in row)) for row in rows], poses.fps, poses.notes


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float32), device=device)
