"""A sequence: one person's hand in one motion, seen by many cameras around it at every moment. NumPy only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...engine.hand.pose_files import matrix_to_axis_angle
from .cohort_plan import STEM_DIGITS, subject_folder
from .dome import DOME_NAMES, dome_cameras
from .draws import Stream, draws
from .hand_shape import HandShape, load_hand_shape, pose_hand, rotation_matrices
from .light_plan import light_of, noise_seeds
from .people import sample_person
from .placement import DIGITS, enclosing_sphere, placed_vertices, rounded
from .pose_choice import freed, hand_contact, poses_of_file, spread
from .recipe import Recipe
from .sequence_motion import hand_poses, turns
from .shots import Folder, HandPose, Shot, ShotId, Unit

FLESH_M = 0.003
"""By so much the true surface reaches beyond the hand model's at most, about."""


def sequence_shots(recipe: Recipe, index: int) -> tuple[ShotId, ...]:
    """By frame in the order of `halving`, then camera."""
    if recipe.poses is not None:
        spread(len(poses_of_file(Path(recipe.poses))), recipe.frames, f"pose file {recipe.poses}")
    folder = subject_folder(index)
    cameras = DOME_NAMES[: recipe.cameras]
    return tuple(ShotId(folder, frame, camera) for frame in halving(recipe.frames) for camera in cameras)


def halving(count: int) -> list[int]:
    """0 to count - 1 in an order whose every beginning is spread over the whole: 0, half-way, the quarters, …

    A set of which a part is rendered shows all of the motion already.
    """
    bits = max(1, (count - 1).bit_length())
    turned = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return [number for number in turned if number < count]


def sequence_unit(recipe: Recipe, index: int) -> Unit:
    """Subject `index` from 0."""
    person = sample_person(recipe.seed, index)
    betas = np.round(person.betas, DIGITS)
    shape = load_hand_shape(betas)
    turned = turns(recipe.seed, index, recipe.frames)
    poses = tuple(
        rounded(_in_the_middle(shape, pose, turn))
        for pose, turn in zip(_hand_poses(recipe, shape, index), turned, strict=True)
    )
    cameras = dome_cameras(
        draws(recipe.seed, Stream.RIG, index), _reach(shape, poses), recipe.width, recipe.height, recipe.cameras
    )
    folder = subject_folder(index)
    shots = []
    for frame in halving(recipe.frames):
        # the light stands still as the hand moves
        light = light_of(recipe, recipe.environments, index, 0)
        # nor do a moment's pictures differ in any setting, so that Cycles takes in the hand once for all of them
        (seed,) = noise_seeds(recipe, index, frame, 1)
        shots += [Shot(folder, frame, name, light, seed) for name in cameras]
    return Unit(f"{index:04d}", person, None, betas, {folder: Folder(cameras, poses, STEM_DIGITS)}, tuple(shots))


def _hand_poses(recipe: Recipe, shape: HandShape, index: int) -> np.ndarray:
    """[T,45]"""
    if recipe.poses is None:
        return hand_poses(shape, hand_contact(), recipe.seed, index, recipe.frames)
    own = poses_of_file(Path(recipe.poses))
    frames = spread(len(own), recipe.frames, f"pose file {recipe.poses}")
    return np.stack(freed(shape, [own.hand_pose[frame] for frame in frames]))


def _in_the_middle(shape: HandShape, hand_pose: np.ndarray, turn: np.ndarray) -> HandPose:
    """The hand turned, its middle at the world's origin."""
    orient = matrix_to_axis_angle(turn)
    wrist = shape.joints[0]
    ball = enclosing_sphere((pose_hand(shape, hand_pose) - wrist) @ rotation_matrices(orient).T)
    return HandPose(orient, hand_pose, -ball.centre - wrist)


def _reach(shape: HandShape, poses: tuple[HandPose, ...]) -> np.ndarray:
    """[N,3] points of the world beyond which no frame's surface lies."""
    posed = np.concatenate([placed_vertices(shape, pose) for pose in poses])
    middle = (posed.min(0) + posed.max(0)) / 2
    away = posed - middle
    distance = np.linalg.norm(away, axis=1, keepdims=True)
    return posed + FLESH_M * away / np.maximum(distance, 1e-9)
