"""An avatar folder that HARP made, as what HARP works with: shape and skin known, poses free."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.avatar.folder import read_avatar
from engine.hand.model import open_hand_model
from engine.lighting.color import linear_to_srgb
from engine.methods.config import HarpConfig
from engine.methods.harp_frames import Frames, geometry_from_captures
from engine.methods.harp_model import AppearanceParameters, GeometryParameters, Template, build_template, pose_hand
from engine.methods.harp_pose import fit_poses
from engine.methods.harp_stages import FixedFrames, Reference
from engine.methods.harp_video_input import HandVideo, cut_out
from engine.methods.harp_video_metrics import VideoScores, compared_pictures, measure
from engine.methods.rerender import load_avatar
from engine.progress import silent
from engine.training.perceptual import perceptual_term


class KnownHand(NamedTuple):
    template: Template
    """Its model is the avatar at betas 0."""
    appearance: AppearanceParameters
    betas: np.ndarray
    """[10] of the avatar"""


def known_hand(folder: Path) -> KnownHand:
    """Read an avatar that HARP made of the open hand. Raises AvatarError."""
    avatar = read_avatar(folder)
    loaded = load_avatar(avatar)
    template = build_template(open_hand_model(avatar.handedness), 1)
    rest, joints = (
        torch.as_tensor(np.asarray(values)).float() for values in (avatar.mesh.vertices, avatar.mesh.joints)
    )
    model = dataclasses.replace(
        template.model,
        v_template=rest,
        joint_regressor=regressor_to(joints, rest, template.model.joint_regressor),
        shapedirs=torch.zeros_like(template.model.shapedirs),
    )
    light = loaded.light
    normal = loaded.normal[..., :2] / loaded.normal[..., 2:3].clamp_min(0.05)
    appearance = AppearanceParameters(
        linear_to_srgb(loaded.albedo).clamp(0, 1),
        normal,
        torch.log(light.ambient.clamp_min(1e-6)),
        torch.log(light.lamp.clamp_min(1e-6)),
        light.to_lamp,
    )
    return KnownHand(template._replace(model=model), appearance, avatar.betas)


def regressor_to(joints: Tensor, vertices: Tensor, near: Tensor) -> Tensor:
    """The regressor [J,V] nearest to another that gives these joints [J,3] of these vertices [V,3]; rows sum to 1."""
    known = torch.cat([vertices, torch.ones_like(vertices[:, :1])], dim=1).double()
    missing = torch.cat([joints, torch.ones_like(joints[:, :1])], dim=1).double() - near.double() @ known
    return (near.double() + missing @ torch.linalg.solve(known.T @ known, known.T)).to(near)


def known_geometry(hand: KnownHand, video: HandVideo) -> GeometryParameters:
    """Leaves at the video's poses; the avatar's shape."""
    geometry = geometry_from_captures(video.captures, hand.template)
    return dataclasses.replace(geometry, betas=torch.zeros_like(geometry.betas))


def _frames(hand: KnownHand, video: HandVideo, geometry: GeometryParameters, config: HarpConfig) -> Frames:
    return cut_out(video, hand.template, geometry, config.video.crop_px, silent)


def _fixed(hand: KnownHand, video: HandVideo, config: HarpConfig) -> FixedFrames:
    geometry = known_geometry(hand, video)
    return FixedFrames(hand.template, geometry, _frames(hand, video, geometry, config), config)


def scored(hand: KnownHand, video: HandVideo, config: HarpConfig) -> dict[str, float]:
    """HARP's scores of the avatar in the video's poses, the means over its frames."""
    found = measure(video, _fixed(hand, video, config), hand.appearance, range(len(video.captures)), silent)
    values = dataclasses.asdict(VideoScores.mean(list(found.values())))
    return {name: float(value) for name, value in values.items() if name != "frames"}


@torch.no_grad()
def pictures_of(hand: KnownHand, video: HandVideo, config: HarpConfig) -> list[tuple[Tensor, Tensor]]:
    """(frame, render) [S,S,3] over white of each frame."""
    fixed, pairs = _fixed(hand, video, config), []
    for number, (image, mask) in enumerate(video.pictures()):
        camera = np.asarray(video.captures[number].K)
        frame, _, render, _ = compared_pictures(image, mask, camera, fixed, number, hand.appearance)
        pairs.append((frame, render))
    return pairs


class FramePose(NamedTuple):
    global_orient: np.ndarray
    hand_pose: np.ndarray
    transl: np.ndarray


def fitted(hand: KnownHand, video: HandVideo, config: HarpConfig) -> list[FramePose]:
    """The frames' poses as known-appearance refinement finds them from the video's."""
    geometry = known_geometry(hand, video)
    with torch.no_grad():
        reference = Reference(pose_hand(hand.template, geometry).joints.clone())
    frames = _frames(hand, video, geometry, config)
    index = torch.arange(len(video.captures))
    perceptual = perceptual_term(config.vgg16_weights)
    fit_poses(hand.template, geometry, hand.appearance, frames, reference, index, config, perceptual, silent)
    values = (value.detach().numpy() for value in (geometry.global_orient, geometry.hand_pose, geometry.transl))
    return [FramePose(*one) for one in zip(*values, strict=True)]
