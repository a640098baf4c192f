"""A cohort: people who hold a hand up in the capture volume, each in poses of their own, in one light. NumPy only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...engine.hand.pose_files import matrix_to_axis_angle
from .draws import Stream, draws
from .hand_shape import HandShape, load_hand_shape, pose_hand, rotation_matrices
from .light_plan import light_of, noise_seeds
from .people import sample_person
from .placement import DIGITS, enclosing_sphere, rounded, turned_upright
from .pose_choice import chosen_poses, freed, poses_of_file, spread
from .recipe import Recipe
from .ring import VOLUME_RADIUS_M, chosen_cameras, ring_cameras
from .shots import Folder, HandPose, Shot, ShotId, Unit

YAW_DEG, PITCH_DEG, ROLL_DEG = 25.0, 12.0, 12.0
"""A hand is turned by up to this much from upright."""
SWAY_M = 0.012
"""Its middle lies this near the volume's, at most."""
STEM_DIGITS = 6


def subject_folder(index: int) -> str:
    return f"folders/{index:04d}"


def cohort_shots(recipe: Recipe, index: int) -> tuple[ShotId, ...]:
    """By frame, then camera."""
    if recipe.poses is not None:
        spread(len(poses_of_file(Path(recipe.poses))), recipe.frames, f"pose file {recipe.poses}")
    cameras = chosen_cameras(recipe.cameras)
    folder = subject_folder(index)
    return tuple(ShotId(folder, frame, camera) for frame in range(recipe.frames) for camera in cameras)


def cohort_unit(recipe: Recipe, index: int) -> Unit:
    """Subject `index` from 0."""
    person = sample_person(recipe.seed, index)
    betas = np.round(person.betas, DIGITS)
    shape = load_hand_shape(betas)
    poses = tuple(
        _held_up(shape, pose, recipe.seed, index, frame) for frame, pose in enumerate(_poses(recipe, shape, index))
    )
    cameras = ring_cameras(recipe.width, recipe.height, recipe.cameras)
    folder = subject_folder(index)
    shots = []
    for frame in range(recipe.frames):
        light = light_of(recipe, recipe.environments, index, frame)
        seeds = noise_seeds(recipe, index, frame, len(cameras))
        shots += [Shot(folder, frame, name, light, seed) for name, seed in zip(cameras, seeds, strict=True)]
    folders = {folder: Folder(cameras, poses, STEM_DIGITS)}
    return Unit(f"{index:04d}", person, None, betas, folders, tuple(shots))


def _poses(recipe: Recipe, shape: HandShape, index: int) -> list[np.ndarray]:
    if recipe.poses is None:
        return chosen_poses(shape, recipe.seed, index, recipe.frames)
    own = poses_of_file(Path(recipe.poses))
    frames = spread(len(own), recipe.frames, f"pose file {recipe.poses}")
    return freed(shape, [own.hand_pose[frame] for frame in frames])


def _held_up(shape: HandShape, hand_pose: np.ndarray, seed: int, index: int, frame: int) -> HandPose:
    """The hand upright near the middle of the volume, turned a little, never reaching out of it."""
    own = draws(seed, Stream.TURN, index, frame)
    yaw, pitch, roll = np.deg2rad([YAW_DEG, PITCH_DEG, ROLL_DEG]) * own.uniform(-1, 1, 3)
    orient = matrix_to_axis_angle(turned_upright(yaw, pitch, roll))
    turn, wrist = rotation_matrices(orient), shape.joints[0]
    ball = enclosing_sphere((pose_hand(shape, hand_pose) - wrist) @ turn.T)
    direction = own.standard_normal(3)
    sway = min(SWAY_M, max(0.0, VOLUME_RADIUS_M - ball.radius)) * own.random()
    middle = sway * direction / np.linalg.norm(direction)
    return rounded(HandPose(orient, hand_pose, middle - ball.centre - wrist))
