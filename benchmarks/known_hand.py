"""An avatar folder that HARP made, shown and compared in the poses of a video."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.avatar.folder import Avatar, read_avatar
from engine.hand.model import open_hand_model
from engine.methods.avatar_template import appearance_of, template_of
from engine.methods.config import HarpConfig
from engine.methods.harp_fixed import FixedFrames
from engine.methods.harp_frames import geometry_from_captures
from engine.methods.harp_model import AppearanceParameters, Template
from engine.methods.harp_video_input import HandVideo, cut_out
from engine.methods.harp_video_metrics import VideoScores, compare, compared_pictures
from engine.methods.pose_refinement import refine_poses
from engine.progress import silent


class KnownHand(NamedTuple):
    avatar: Avatar
    template: Template
    """Its model is the avatar at betas 0."""
    appearance: AppearanceParameters


class FramePose(NamedTuple):
    global_orient: np.ndarray
    hand_pose: np.ndarray
    transl: np.ndarray


def known_hand(folder: Path) -> KnownHand:
    """Read an avatar that HARP made of the open hand. Raises AvatarError."""
    avatar = read_avatar(folder)
    return KnownHand(avatar, template_of(avatar, open_hand_model(avatar.handedness)), appearance_of(avatar))


class Shown(NamedTuple):
    """The avatar in a video's poses."""

    scores: dict[str, float]
    """HARP's, the means over frames"""
    pairs: list[tuple[Tensor, Tensor]]
    """(frame, render) [S,S,3] over white"""


@torch.no_grad()
def shown(hand: KnownHand, video: HandVideo, config: HarpConfig) -> Shown:
    """Show the avatar in the video's poses, in its own light, and compare."""
    geometry = geometry_from_captures(video.captures, hand.template)
    geometry = dataclasses.replace(geometry, betas=torch.zeros_like(geometry.betas))
    frames = cut_out(video, hand.template, geometry, config.video.crop_px, silent)
    fixed = FixedFrames(hand.template, geometry, frames, config)
    maps, light = hand.appearance.maps(), hand.appearance.light()
    scores, pairs = [], []
    for number, (image, mask) in enumerate(video.pictures()):
        camera = np.asarray(video.captures[number].K)
        frame, seen, render, coverage = compared_pictures(image, mask, camera, fixed, number, maps, light)
        scores.append(compare(frame, seen, render, coverage))
        pairs.append((frame, render))
    means = dataclasses.asdict(VideoScores.mean(scores))
    return Shown({name: float(value) for name, value in means.items() if name != "frames"}, pairs)


def fitted(hand: KnownHand, video: HandVideo, config: HarpConfig) -> list[FramePose]:
    """The frames' poses as known-appearance refinement finds them from the video's."""
    found = refine_poses(hand.avatar, video, open_hand_model(hand.avatar.handedness), config)
    values = zip(found.global_orient, found.hand_pose, found.transl, strict=True)
    return [FramePose(*one) for one in values]
