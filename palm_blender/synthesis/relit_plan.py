"""HARP-relit: a hand that flips or moves its fingers before a phone, one frame in light A, the others in light B. NumPy only.

HARP (Karunratanakul et al. 2023), appendix A: two motions of 5 s for every subject; PALM, section 5.1: one frame to
personalise, the rest to judge the relighting.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...engine.hand.pose_files import PoseSequence
from .draws import Stream, draws
from .hand_shape import HandShape, load_hand_shape
from .light_plan import light_of, noise_seeds
from .people import sample_person
from .placement import DIGITS, moved_rigidly, placed_vertices, rounded, turned_upright
from .pose_choice import freed, poses_of_file, spread
from .poses import POSES
from .recipe import Recipe
from .shots import Folder, HandPose, Shot, ShotId, Unit
from .views import outermost, phone_camera, phone_shift

MOTIONS = ("hand_flip", "finger_movement")
"""Sequences take them in turn."""
CAMERA = "MCU_02"
"""The one name that the published readers of personalisation folders know."""
STEM_DIGITS = 4
YAW_DEG, PITCH_DEG, ROLL_DEG = 15.0, 10.0, 8.0


def sequence_folders(index: int) -> tuple[str, str]:
    """Of the personalisation frame and of the evaluation frames."""
    return f"relit_{index:02d}/folders/_train", f"relit_{index:02d}/folders/_val"


def relit_shots(recipe: Recipe, index: int) -> tuple[ShotId, ...]:
    _frames(recipe, index)
    train, val = sequence_folders(index)
    return (ShotId(train, 0, CAMERA), *(ShotId(val, frame, CAMERA) for frame in range(recipe.frames - 1)))


def relit_unit(recipe: Recipe, index: int) -> Unit:
    """Sequence `index` from 0, of the person of the same number."""
    person = sample_person(recipe.seed, index)
    betas = np.round(person.betas, DIGITS)
    shape = load_hand_shape(betas)
    camera = phone_camera(recipe.width, recipe.height)
    motion, chosen = _frames(recipe, index)
    hand_poses = freed(shape, [motion.hand_pose[frame] for frame in chosen])
    poses = [
        HandPose(motion.global_orient[frame], pose, motion.transl[frame])
        for frame, pose in zip(chosen, hand_poses, strict=True)
    ]
    poses = _before_the_phone(recipe, shape, poses, index)
    train, val = sequence_folders(index)
    folders = {train: Folder({CAMERA: camera}, poses[:1], STEM_DIGITS)}
    if len(poses) > 1:
        folders[val] = Folder({CAMERA: camera}, poses[1:], STEM_DIGITS)
    # the light is the sequence's: turned and dimmed once for each of the two folders
    light_a, light_b = (light_of(recipe, (name,), index, place) for place, name in enumerate(recipe.environments))
    seeds = noise_seeds(recipe, index, 0, len(poses))
    shots = [Shot(train, 0, CAMERA, light_a, seeds[0])]
    shots += [Shot(val, frame, CAMERA, light_b, seed) for frame, seed in enumerate(seeds[1:])]
    return Unit(f"relit_{index:02d}", person, None, betas, folders, tuple(shots))


def _frames(recipe: Recipe, index: int) -> tuple[PoseSequence, list[int]]:
    """The motion and the frames that are taken of it."""
    path = POSES / f"{MOTIONS[index % len(MOTIONS)]}.npz" if recipe.poses is None else Path(recipe.poses)
    motion = poses_of_file(path)
    return motion, spread(len(motion), recipe.frames, f"the motion {path.name}")


def _before_the_phone(recipe: Recipe, shape: HandShape, poses: list[HandPose], index: int) -> tuple[HandPose, ...]:
    """The motion as a whole held upright and turned a little, so near that the picture just holds all of it."""
    own = draws(recipe.seed, Stream.VIEW, index)
    yaw, pitch, roll = np.deg2rad([YAW_DEG, PITCH_DEG, ROLL_DEG]) * own.uniform(-1, 1, 3)
    rotation = turned_upright(yaw, pitch, roll)
    origin = rotation @ shape.joints[0]
    held = [moved_rigidly(shape, pose, rotation, -origin) for pose in poses]
    camera = phone_camera(recipe.width, recipe.height)
    points = np.concatenate([outermost(placed_vertices(shape, pose), camera) for pose in held])
    shift = phone_shift(points, camera, own.random())
    return tuple(rounded(pose._replace(transl=pose.transl + shift)) for pose in held)
