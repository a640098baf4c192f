"""A hand that really depends on its pose, seen by a few cameras in a few moments, as a sequence on disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from engine.datasets.formats import read_sequences
from engine.datasets.hand_sequence import HandSequence
from engine.datasets.palm_files import Camera as FileCamera
from engine.datasets.palm_files import SubjectPoses
from engine.datasets.palm_sequences import OPEN_HAND_NAME
from engine.datasets.palm_writer import SubjectFrame, write_palm_subject
from engine.fields.feature_embedding import EmbeddingConfig
from engine.fields.neural_renderer import RendererConfig
from engine.hand.model import HandModel, open_hand_model
from engine.hand.random_poses import random_hand_poses
from engine.methods.pose_range import pose_range
from engine.methods.xhand_config import XHandConfig, XHandStage
from engine.methods.xhand_model import Camera, Features, XHandModel, XHandNetworks
from engine.methods.xhand_template import build_template

WIDTH, HEIGHT, FOCAL, DISTANCE = 72, 96, 190.0, 0.5
SMALL = EmbeddingConfig(2, 16)
NETWORKS = XHandNetworks(SMALL, SMALL, SMALL, RendererConfig(2, 16, latent=4))
CONFIG = XHandConfig(
    1_670,
    NETWORKS,
    XHandStage(8, (2,)),
    XHandStage(8, (2, 1)),
    XHandStage(4, (1,)),
    views=2,
    loop_levels=0,
    initial_moments=2,
    checkpoint_s=0.0,
)
"""As small as a training can be."""


def true_hand(coarse: HandModel | None = None) -> XHandModel:
    """An XHand without networks, for `true_features`."""
    coarse = coarse or open_hand_model()
    return XHandModel(build_template(coarse, 1_670, 0), torch.zeros(10), pose_range(torch.zeros(2, 45)), NETWORKS)


def true_features(hand: XHandModel, pose: torch.Tensor) -> Features:
    """Skin 2 mm thicker, with waves whose height follows the index finger, and stripes that fade as it bends."""
    points, normals = hand.rest_vertices, torch.nn.functional.normalize(hand.rest_vertices, dim=1)
    bend = pose[:3].norm()
    waves = torch.sin(300 * points[:, :1])
    albedo = torch.tensor([0.5, 0.3, 0.22]) * (1 + 0.3 * (1 - bend) * torch.sin(150 * points[:, 2:]))
    return Features((0.002 + 0.001 * bend * waves) * normals, hand.template.skinning_weights, albedo.clamp(0, 1))


def cameras(count: int) -> list[Camera]:
    """Around the hand, looking at its middle."""
    found = []
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False):
        back = np.array([0.0, np.sin(angle), np.cos(angle)])
        right = np.array([1.0, 0.0, 0.0])
        turn = np.stack([right, np.cross(-back, right), -back])
        eye = np.array([-0.08, 0.0, 0.0]) + DISTANCE * back
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn, -turn @ eye
        intrinsics = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
        found.append(Camera(intrinsics, torch.as_tensor(matrix).float(), HEIGHT, WIDTH))
    return found


@torch.no_grad()
def write_set(folder: Path, moments: int = 3, views: int = 3, names: Sequence[str] = ("toy",)) -> None:
    """Render it as a set in this project's own layout, of one sequence or several that are alike."""
    hand = true_hand()
    light = torch.zeros(9, 3)
    light[0], light[1], light[2] = 3.0, 0.6, 1.0
    poses = 0.6 * random_hand_poses(hand.source.coarse, moments, torch.Generator().manual_seed(3))
    orients = torch.arange(moments)[:, None] * torch.tensor([0.1, 0.0, 0.0])
    around = {f"cam{index}": camera for index, camera in enumerate(cameras(views))}
    frames = []
    for number, (pose, orient) in enumerate(zip(poses, orients, strict=True)):
        posed = hand.posed(pose, orient, torch.zeros(3), true_features(hand, pose))
        for name, camera in around.items():
            picture = hand.picture(posed, camera, light)
            mask = picture.coverage.numpy() > 0.5
            frames.append(SubjectFrame(number, name, picture.color.clamp(0, 1).numpy(), mask, mask))
    said = SubjectPoses(np.zeros(10), orients.double().numpy(), poses.double().numpy(), np.zeros((moments, 3)))
    files = {
        name: FileCamera(camera.intrinsics.double().numpy(), camera.world_to_camera.double().numpy(), HEIGHT, WIDTH)
        for name, camera in around.items()
    }
    for name in names:
        write_palm_subject(folder / "folders", name, files, said, frames, np.zeros(45))
    facts = {"schema_version": 1, "hand_model": OPEN_HAND_NAME, "exact_masks": True}
    (folder / "dataset.json").write_text(json.dumps(facts))


def write_sequence(folder: Path, moments: int = 3, views: int = 3) -> HandSequence:
    """The same, read back."""
    write_set(folder, moments, views)
    return next(iter(read_sequences(folder, None)))


def shortened(**changes: object) -> XHandConfig:
    """CONFIG with other fields."""
    return dataclasses.replace(CONFIG, **changes)
