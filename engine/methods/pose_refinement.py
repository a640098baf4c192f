"""Poses of a video found anew with a known avatar (HARP, section 4.2): everything is frozen but pose and place.

The starts are the video's captures. Their hands have other betas: a pose's wrist is put on the same ray at the distance at which
the avatar's palm is as long in the picture as the capture's.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar
from ..hand.model import HandModel
from ..progress import Progress, silent, sub_progress
from ..rendering.frame_stack import see_stack
from ..rendering.mesh import compose
from ..training.perceptual import perceptual_term
from .avatar_template import appearance_of, template_of
from .config import HarpConfig
from .harp import repeatable
from .harp_frames import Frames
from .harp_model import GeometryParameters, Template, pose_hand
from .harp_pose import fit_poses
from .harp_stages import Reference
from .harp_video_input import HandVideo, cut_out


class RefinedPoses(NamedTuple):
    """T frames' poses of an avatar; it has no betas of its own, and `transl` goes with its own joints."""

    global_orient: np.ndarray
    """[T,3]"""
    hand_pose: np.ndarray
    """[T,45]"""
    transl: np.ndarray
    """[T,3] metres"""
    keypoints: np.ndarray
    """[T,21,3] metres, camera axes"""
    overlap_before: np.ndarray
    """[T] of the avatar's outline and the mask, as captured"""
    overlap: np.ndarray
    """[T] as found"""


def refine_poses(
    avatar: Avatar,
    video: HandVideo,
    model: HandModel,
    config: HarpConfig | None = None,
    light_moves: bool = False,
    progress: Progress = silent,
) -> RefinedPoses:
    """Find the avatar's pose in every frame. model: the hand that it was made with.

    light_moves: the light is found as well, for videos that were not lit as the avatar's. Raises AvatarError, Cancelled.
    """
    config = config or HarpConfig()
    config = dataclasses.replace(config, shadow_samples=config.video.shadow_samples)
    with repeatable(config.seed):
        template = template_of(avatar, model, config.subdivision)
        geometry = start_poses(video, template)
        frames = cut_out(video, template, geometry, config.video.crop_px, sub_progress(progress, 0.0, 0.2))
        before, joints = _overlaps(template, geometry, frames, config)
        appearance = appearance_of(avatar)
        for leaf in vars(appearance).values():
            leaf.requires_grad_(False)
        index = torch.arange(len(frames))
        own = sub_progress(progress, 0.2, 1.0)
        perceptual = perceptual_term(config.vgg16_weights)
        reference = Reference(joints)
        fit_poses(template, geometry, appearance, frames, reference, index, config, perceptual, own, light_moves)
        after, _ = _overlaps(template, geometry, frames, config)
        with torch.no_grad():
            parts = index.split(16)
            keypoints = torch.cat([pose_hand(template, geometry.frames(part)).keypoints for part in parts])
    values = (geometry.global_orient, geometry.hand_pose, geometry.transl, keypoints)
    turn, pose, place, points = (value.detach().double().cpu().numpy() for value in values)
    return RefinedPoses(turn, pose, place, points, before, after)


def start_poses(video: HandVideo, template: Template) -> GeometryParameters:
    """The captures' poses as the avatar's."""
    like = template.model.v_template
    rest = (template.model.joint_regressor @ template.model.v_template).double().cpu().numpy()
    palm = np.linalg.norm(rest[4] - rest[0])
    places = []
    for capture in video.captures:
        wrist = capture.joints_3d[0]
        scale = palm / max(float(np.linalg.norm(capture.joints_3d[4] - wrist)), 1e-6)
        places.append(wrist * scale - rest[0])

    def leaf(values: list[np.ndarray]) -> Tensor:
        return torch.tensor(np.stack(values), dtype=like.dtype, requires_grad=True)

    return GeometryParameters(
        betas=torch.zeros(template.model.num_betas).to(like),
        global_orient=leaf([capture.global_orient for capture in video.captures]),
        hand_pose=leaf([capture.hand_pose for capture in video.captures]),
        transl=leaf(places),
        offsets=torch.zeros(len(template.smoother)).to(like),
    )


@torch.no_grad()
def _overlaps(
    template: Template, geometry: GeometryParameters, frames: Frames, config: HarpConfig
) -> tuple[np.ndarray, Tensor]:
    """Each frame's IoU on the hand's side of the wrist, and its joints [T,16,3]."""
    found, joints = [], []
    for number in torch.arange(len(frames)):
        target = frames.target(number[None], config.video.geometry_shrink)
        posed = pose_hand(template, geometry.frames(number))
        view = see_stack(posed.vertices[None], template.topology, target.intrinsics, target.height, target.width)
        ones = torch.ones(len(view.fragments.pixels), 1).to(posed.vertices)
        drawn = compose(view, template.topology, ones).coverage > 0.5
        told = target.silhouette_weight > 0.5
        wanted, shown = (target.mask > 0.5) & told, drawn & told
        found.append(float((wanted & shown).sum()) / max(float((wanted | shown).sum()), 1.0))
        joints.append(posed.joints)
    return np.array(found), torch.stack(joints)
