"""Sets of synthetic scans with known truth, in the layout that `register` reads: to test and to measure registration."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from ..avatar.texture_files import write_png8
from ..datasets.palm_files import Camera, SubjectPoses, write_cameras, write_palm_set
from ..datasets.scan_file import write_scan
from ..datasets.toy_scene import POSES, place_hands, toy_betas
from ..hand.cameras import pinhole_matrix, project
from ..hand.joints import KEYPOINT_PARENTS
from ..hand.model import HandModel
from ..hand.pose_files import load_pose_file
from ..hand.random_poses import random_hand_poses
from ..rendering.rasterize import face_buffer, project_vertices
from .subject_files import KEYPOINTS_FILE, MASKS, SCANS, write_keypoints
from .synthetic_scan import Person, ScanNoise, TrueHand, scanned

SIMPLE = ("flat", "spread", "relaxed", "stop", "fingers_together", "thumb_out")
HARD = ("fist", "ok", "pinch", "claw", "count_three", "horns", "grasp_bar", "point", "thumb_across", "hold_pen")
TRUTH_FILE = "truth.npz"


@dataclass(frozen=True)
class SyntheticConfig:
    """What is made."""

    subjects: int = 5
    scans: int = 10
    """Of each subject: `simple` simple poses first, then hard ones, every third of them a random pose."""
    simple: int = 4
    cameras: int = 7
    width: int = 1224
    height: int = 1024
    distance_m: float = 0.7
    hand_px: float = 620.0
    """Size of 0.2 m in the pictures."""
    noise_px: tuple[float, float] = (2.0, 4.0)
    """Standard deviation of a detected keypoint, drawn for each scan."""
    outliers: float = 0.08
    misses: float = 0.06
    mask_noise_px: float = 1.5
    scan: ScanNoise = field(default_factory=ScanNoise)
    seed: int = 0


class Detections(NamedTuple):
    """Of one scan in M cameras."""

    pixels: np.ndarray
    """[M,21,2], NaN where missed."""
    confidence: np.ndarray
    """[M,21]"""


def write_synthetic_set(root: Path, model: HandModel, config: SyntheticConfig) -> Path:
    """Write ROOT with its subjects' folders, each with truth.npz: keypoints [T,21,3] and MANO's parameters."""
    root.mkdir(parents=True, exist_ok=True)
    write_palm_set(root, {"hand_model": model.name, "exact_masks": False})
    generator = torch.Generator().manual_seed(config.seed)
    for index, betas in enumerate(toy_betas(config.subjects, generator).to(model.v_template)):
        _write_subject(root / f"{index:04d}", model, betas, config, generator, config.seed * 1000 + index)
    return root


def synthetic_cameras(config: SyntheticConfig) -> dict[str, Camera]:
    """Cameras all around the world's origin, above and below its level."""
    matrix = pinhole_matrix(config.hand_px * config.distance_m / 0.2, config.width, config.height)
    return {
        f"MCU_{k + 1:02d}": Camera(matrix, _looking_at_origin(place * config.distance_m), config.height, config.width)
        for k, place in enumerate(_around(config.cameras, 0.0))
    }


def scanner_eyes(config: SyntheticConfig) -> np.ndarray:
    """[2C,3] places of the scanner's own cameras: two between any two of those that take pictures."""
    count = config.cameras
    return config.distance_m * np.concatenate([_around(count, 1 / 3), _around(count, 2 / 3)])


def detected(keypoints: np.ndarray, cameras: dict[str, Camera], config: SyntheticConfig, seed: int) -> Detections:
    """What a detector would say of keypoints [21,3]: noise, gross errors (a neighbour's place, or anywhere), misses."""
    random = np.random.default_rng(seed)
    deviation = random.uniform(*config.noise_px)
    pixels, confidence = [], []
    for camera in cameras.values():
        true = project(keypoints, camera.intrinsics, camera.world_to_camera)
        noise = deviation * random.standard_normal(true.shape)
        found = true + noise
        wrong = random.random(21) < config.outliers
        swapped = true[np.array([KEYPOINT_PARENTS[(k + 7) % 21] for k in range(21)]).clip(0)]
        anywhere = random.uniform(true.min(0) - 40, true.max(0) + 40, (21, 2))
        found[wrong] = np.where(random.random((21, 1)) < 0.5, swapped + noise, anywhere)[wrong]
        say = np.where(wrong, random.uniform(0.2, 0.9, 21), random.uniform(0.5, 1.0, 21))
        missed = random.random(21) < config.misses
        found[missed], say[missed] = np.nan, 0.0
        pixels.append(found)
        confidence.append(say)
    return Detections(np.stack(pixels), np.stack(confidence))


def noisy_mask(hand: TrueHand, camera: Camera, noise_px: float, seed: int) -> np.ndarray:
    """[H,W] bool: the hand and its forearm as a segmentation draws them, the border off by about `noise_px`."""
    points = hand.vertices @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    screen = project_vertices(torch.as_tensor(points), torch.as_tensor(camera.intrinsics))
    screen = torch.cat([screen[:, :2], 1 / screen[:, 2:]], 1)
    exact = (face_buffer(screen, torch.as_tensor(hand.faces), camera.height, camera.width) >= 0).numpy()
    if noise_px <= 0:
        return exact
    signed = cv2.distanceTransform(exact.astype(np.uint8), cv2.DIST_L2, 3)
    signed = signed - cv2.distanceTransform((~exact).astype(np.uint8), cv2.DIST_L2, 3)
    coarse = np.random.default_rng(seed).standard_normal((camera.height // 12 + 1, camera.width // 12 + 1))
    wave = cv2.resize(coarse.astype(np.float32), (camera.width, camera.height), interpolation=cv2.INTER_CUBIC)
    return signed > noise_px * wave


def _write_subject(
    folder: Path, model: HandModel, betas: torch.Tensor, config: SyntheticConfig, generator: torch.Generator, seed: int
) -> None:
    for name in (SCANS, MASKS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    cameras, eyes = synthetic_cameras(config), scanner_eyes(config)
    poses = place_hands(model, betas, _poses(model, config, generator), generator)
    person = Person(model, betas, config.scan, seed)
    true, found = [], []
    for scan in range(config.scans):
        parts = (torch.as_tensor(part[scan]) for part in (poses.global_orient, poses.hand_pose, poses.transl))
        hand = person.posed(*parts)
        own = seed * 1000 + scan
        write_scan(folder / SCANS / f"{scan + 1:06d}.ply", *scanned(hand, eyes, config.scan, own))
        for number, (name, camera) in enumerate(cameras.items()):
            mask = noisy_mask(hand, camera, config.mask_noise_px, own * 100 + number)
            (folder / MASKS / name).mkdir(exist_ok=True)
            write_png8(folder / MASKS / name / f"{scan + 1:06d}.png", np.where(mask, 255, 0).astype(np.uint8))
        true.append(hand.keypoints)
        found.append(detected(hand.keypoints, cameras, config, own))
    write_cameras(folder / "cameras.npy", cameras)
    stacked = Detections(*(np.stack(values) for values in zip(*found, strict=True)))
    write_keypoints(folder / KEYPOINTS_FILE, stacked.pixels, stacked.confidence, list(cameras))
    _write_truth(folder / TRUTH_FILE, np.stack(true), poses)


def _write_truth(path: Path, keypoints: np.ndarray, poses: SubjectPoses) -> None:
    np.savez(path, keypoints=keypoints, **poses._asdict())


def _poses(model: HandModel, config: SyntheticConfig, generator: torch.Generator) -> torch.Tensor:
    """[T,45] simple poses, then hard ones, all a little off their names'."""
    simple = min(config.simple, config.scans)
    hard = config.scans - simple
    random = random_hand_poses(model, max(hard, 1), generator)
    first = int(torch.randint(len(HARD), (1,), generator=generator))
    poses = [_named(model, SIMPLE[k % len(SIMPLE)], generator) for k in range(simple)]
    for k in range(hard):
        poses.append(random[k] if k % 3 == 2 else _named(model, HARD[(first + k) % len(HARD)], generator))
    return torch.stack(poses)


def _named(model: HandModel, name: str, generator: torch.Generator) -> torch.Tensor:
    pose = torch.as_tensor(load_pose_file(POSES / f"{name}.json").hand_pose[0]).to(model.v_template)
    turns = torch.tensor([0.08, 0.02, 0.01]) * torch.randn(15, 3, generator=generator)
    return pose + torch.einsum("jax,ja->jx", model.joint_axes, turns.to(pose)).reshape(45)


def _around(count: int, phase: float) -> np.ndarray:
    """[count,3] unit vectors in a zigzag about the vertical (y down)."""
    azimuth = 2 * np.pi * (np.arange(count) + phase) / count
    height = np.radians(28) * np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    return np.stack([np.sin(azimuth) * np.cos(height), -np.sin(height), -np.cos(azimuth) * np.cos(height)], 1)


def _looking_at_origin(place: np.ndarray) -> np.ndarray:
    """[4,4] world to camera of a level camera."""
    forward = -place / np.linalg.norm(place)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    matrix[:3, 3] = -matrix[:3, :3] @ place
    return matrix
