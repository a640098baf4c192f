"""Posed hands with known projections, from which tests write files of published layouts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from engine.datasets.hand_sequence import HandFrame
from engine.hand.cameras import project
from engine.hand.mano import hand_forward
from engine.hand.mirror import mirror_model
from engine.hand.model import HandModel, open_hand_model

TIP_LAST = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
"""Of the project's keypoints, in the order of HARP, FreiHAND and HanCo: wrist, thumb to little finger from root to tip."""
TIP_FIRST = [16, 15, 14, 13, 17, 3, 2, 1, 18, 6, 5, 4, 19, 12, 11, 10, 20, 9, 8, 7, 0]
"""In InterHand2.6M's order: each finger from tip to root, the wrist last."""
KNUCKLE = 4
"""The middle finger's first joint."""


def hand_with_mean(side: str = "right") -> HandModel:
    """The open hand with a mean pose that is not flat, as MANO's is not."""
    right = open_hand_model("right", torch.float64)
    mean = torch.as_tensor(np.random.default_rng(5).normal(0, 0.2, 45))
    right = dataclasses.replace(right, hands_mean=mean)
    return right if side == "right" else mirror_model(right)


class PosedHand(NamedTuple):
    betas: np.ndarray
    orient: np.ndarray
    pose: np.ndarray
    """[45] absolute."""
    relative: np.ndarray
    """[45] relative to the mean pose of its side."""
    transl: np.ndarray
    keypoints: np.ndarray
    """[21,3] the project's order."""
    rest_wrist: np.ndarray


def posed_hands(side: str, count: int, centre: tuple[float, float, float], seed: int = 0) -> list[PosedHand]:
    """Hands of one person whose middle knuckle is near a place, metres."""
    model, generator = hand_with_mean(side), np.random.default_rng(seed)
    betas, hands = generator.normal(0, 1, 10), []
    for _ in range(count):
        relative, orient = generator.normal(0, 0.25, 45), generator.normal(0, 0.8, 3)
        pose = relative + model.hands_mean.numpy()
        given = [torch.as_tensor(values) for values in (betas, orient, pose)]
        place = np.array(centre) + generator.normal(0, 0.01, 3)
        transl = place - hand_forward(model, *given).keypoints[KNUCKLE].numpy()
        output = hand_forward(model, *given, torch.as_tensor(transl))
        hands.append(
            PosedHand(betas, orient, pose, relative, transl, output.keypoints.numpy(), output.rest_joints[0].numpy())
        )
    return hands


def looking_camera(index: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """(rotation world → camera [3,3], the camera's place [3] in metres) of cameras all around, looking about the origin."""
    turn = Rotation.from_euler("yxz", [0.7 * index + 0.2, 0.3 * (index % 3) - 0.2, 0.1 * index]).as_matrix()
    return turn.T, turn @ np.array([0.01, -0.02, -distance])


def write_picture(path: Path, size: tuple[int, int], grey: int | None = None) -> None:
    """A noisy picture, or a flat grey mask, of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if grey is not None:
        Image.new("L", size, grey).save(path)
        return
    pixels = np.random.default_rng(len(path.stem)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def projected(frame: HandFrame, side: str) -> np.ndarray:
    """Where a reader's pose and camera put the hand's keypoints, px."""
    names = ("betas", "global_orient", "hand_pose", "transl")
    output = hand_forward(hand_with_mean(side), *(torch.as_tensor(getattr(frame, name)) for name in names))
    return project(output.keypoints.numpy(), frame.intrinsics, frame.world_to_camera)


def assert_reprojects(frames, truth: dict[str, np.ndarray], side: str, points: bool = True) -> None:
    """Every frame's pose (and annotated points) fall on the known pixels, to a thousandth of one."""
    assert {frame.label for frame in frames} == set(truth)
    for frame in frames:
        np.testing.assert_allclose(projected(frame, side), truth[frame.label], atol=1e-3)
        if points:
            shown = project(frame.keypoints_3d, frame.intrinsics, frame.world_to_camera)
            np.testing.assert_allclose(shown, truth[frame.label], atol=1e-3)
