"""Gestures, smooth moves between them, and random poses that do not sink into themselves. NumPy only.

Poses are MANO's hand_pose [45] of a right hand, axis-angle radians, absolute; a left hand mirrors them
(`pose_sequences.for_side`).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...engine.errors import PoseFileError
from ...engine.hand.joints import FINGERS
from ...engine.hand.pose_files import load_pose_file
from .. import bone_math
from .contact import SOFT_CONTACT_M, ContactTest, penetration
from .hand_shape import HandShape, hand_pose_of, joint_angles, pose_hand, within_limits

POSES = Path(__file__).parents[2] / "assets" / "poses"
THUMB = FINGERS.index("thumb")
_SAME_AXES = np.broadcast_to(np.eye(3), (15, 3, 3))


def gesture_names(folder: Path = POSES) -> list[str]:
    """The named gestures, sorted."""
    return sorted(path.stem for path in folder.glob("*.json"))


def load_gesture(name: str, folder: Path = POSES) -> np.ndarray:
    """[45]. Raises PoseFileError naming the gestures that there are."""
    if name not in gesture_names(folder):
        raise PoseFileError(f"there is no gesture {name!r}: choose one of {', '.join(gesture_names(folder))}")
    return load_pose_file(folder / f"{name}.json").hand_pose[0]


class Timing(NamedTuple):
    """When each finger moves within a move of length 1; fingers in MANO's order."""

    begin: tuple[float, ...]
    end: tuple[float, ...]
    thumb_aside: bool = False
    """Whether the thumb makes way first and comes to its place last."""


# the thumb's side leads a little, the little finger comes last
_LAG = np.array([0.0, 0.04, 0.12, 0.08, 0.0])
_FINGER_SPAN = 1 - _LAG.max()


def _timing(fingers: tuple[float, float], thumb: tuple[float, float], thumb_aside: bool = False) -> Timing:
    length = fingers[1] - fingers[0]
    begin = fingers[0] + length * _LAG
    end = begin + length * _FINGER_SPAN
    begin[THUMB], end[THUMB] = thumb
    return Timing(tuple(begin), tuple(end), thumb_aside)


TIMINGS = (
    _timing((0.0, 1.0), (0.02, 0.92)),
    _timing((0.0, 0.7), (0.35, 1.0)),
    _timing((0.3, 1.0), (0.0, 0.65)),
    _timing((0.2, 0.8), (0.0, 1.0), thumb_aside=True),
)
"""All together; thumb last, as a fist closes; thumb first, as it opens; thumb out of the way."""


def ease(share: np.ndarray) -> np.ndarray:
    """0 to 1 with neither speed nor acceleration at the ends (quintic), constant outside [0,1]."""
    t = np.clip(share, 0.0, 1.0)
    return t**3 * (10 - 15 * t + 6 * t**2)


def slerp(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """[T,45] between two poses [45], each joint along its shortest rotation. share [T,15] in [0,1]."""
    a, b = (bone_math.to_bone_rotations(pose.reshape(15, 3), _SAME_AXES) for pose in (start, end))
    cosine = (a * b).sum(-1)
    b = np.where(cosine[:, None] < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))[:, None]
    near = angle < 1e-6
    sine = np.where(near, 1.0, np.sin(angle))
    t = share[..., None]
    of_a = np.where(near, 1 - t, np.sin((1 - t) * angle) / sine)
    of_b = np.where(near, t, np.sin(t * angle) / sine)
    return bone_math.from_bone_rotations(of_a * a + of_b * b, _SAME_AXES).reshape(-1, 45)


def timed_move(shape: HandShape, start: np.ndarray, end: np.ndarray, frames: int, timing: Timing) -> np.ndarray:
    """[frames,45] from `start` (exclusive) to `end` (inclusive), within the joints' limits."""
    time = np.arange(1, frames + 1)[:, None] / frames
    begin, finish = (np.repeat(np.array(values), 3) for values in (timing.begin, timing.end))
    poses = slerp(start, end, ease((time - begin) / (finish - begin)))
    if timing.thumb_aside:
        aside = _thumb_aside(shape)
        there = slerp(start, aside, ease(time / 0.45).repeat(15, axis=1))
        back = slerp(aside, end, ease((time - 0.55) / 0.45).repeat(15, axis=1))
        poses[:, 3 * 12 :] = np.where(time < 0.5, there, back)[:, 3 * 12 :]
    limited = within_limits(shape, poses)
    limited[-1] = end
    return limited


def _thumb_aside(shape: HandShape) -> np.ndarray:
    """[45] all joints at rest but the thumb, which stands off the palm beside it."""
    angles = np.zeros((15, 3))
    angles[12] = np.deg2rad((-10, 25, 5))
    return hand_pose_of(shape, np.clip(angles, shape.joint_limits[..., 0], shape.joint_limits[..., 1]))


def move(
    shape: HandShape, test: ContactTest, start: np.ndarray, end: np.ndarray, frames: int,
    limit_m: float = SOFT_CONTACT_M,
) -> np.ndarray:  # fmt: skip
    """[frames,45] from one pose to another by the first timing that keeps the fingers apart, else by the best.

    Depth is measured on every frame, so that fast fingers do not pass through the thumb unseen.
    """
    best, least = np.empty(0), np.inf
    for timing in TIMINGS:
        poses = timed_move(shape, start, end, frames, timing)
        deepest = 0.0
        for pose in poses:
            deepest = max(deepest, penetration(shape, test, pose))
            if deepest > limit_m and deepest >= least:
                break
        if deepest < least:
            best, least = poses, deepest
        if deepest <= limit_m:
            break
    return best


def gesture_sequence(
    shape: HandShape, test: ContactTest, poses: np.ndarray, move_frames: int, hold_frames: int = 0
) -> np.ndarray:
    """[T,45] that visits poses [K,45] in turn: T = 1 + hold + (K-1)(move + hold) frames."""
    frames = [np.repeat(poses[:1], 1 + hold_frames, axis=0)]
    for start, end in pairwise(poses):
        frames.append(move(shape, test, start, end, move_frames))
        frames.append(np.repeat(end[None], hold_frames, axis=0))
    return np.concatenate(frames)


def freed_pose(
    shape: HandShape, test: ContactTest, hand_pose: np.ndarray, limit_m: float = SOFT_CONTACT_M, step: float = 0.05
) -> np.ndarray:
    """The same pose [45] where this hand sinks into itself by at most `limit_m`, else one near it that does so.

    The fingers that sink in deepest open towards an easy hand by a share `step` at a time, until they are apart; the others
    keep their angles. Gestures are settled on the mean hand: this fits them to other people's.
    """
    angles = joint_angles(shape, hand_pose)
    easy = joint_angles(shape, load_gesture("relaxed"))
    rounds = int(np.ceil(3 / step))
    for attempt in range(rounds):
        contact = test.measure(pose_hand(shape, hand_pose_of(shape, angles)))
        if contact.deepest <= limit_m:
            return hand_pose_of(shape, angles) if attempt else hand_pose
        worst = int(contact.depth.argmax())
        parts = {int(test.parts[worst]), int(test.parts[contact.partner[worst]])} - {0}
        fingers = {(part - 1) // 3 for part in parts} if attempt < rounds // 2 else range(5)
        for finger in fingers:
            own = slice(3 * finger, 3 * finger + 3)
            angles[own] += step * (easy[own] - angles[own])
    return hand_pose_of(shape, easy)


def random_pose(
    shape: HandShape, test: ContactTest, generator: np.random.Generator, limit_m: float = SOFT_CONTACT_M
) -> np.ndarray:
    """[45] within the limits, sinking into itself by at most `limit_m`: a draw as of `engine.hand.random_poses`, freed."""
    low, high = np.moveaxis(shape.joint_limits, -1, 0)
    return freed_pose(shape, test, hand_pose_of(shape, _draw(low, high, generator)), limit_m, step=0.2)


def _draw(low: np.ndarray, high: np.ndarray, generator: np.random.Generator, own_share: float = 0.25) -> np.ndarray:
    """[15,3] angles: each finger bends as a whole, more or less as the others do, but for `own_share` of the range."""
    agreement = np.sqrt(generator.random())
    finger = agreement * generator.random() + (1 - agreement) * generator.random(5)
    own = generator.random((15, 3))
    bend = (1 - own_share) * np.repeat(finger, 3) + own_share * own[:, 0]
    rest = -low / (high - low)
    share = rest + own_share * (own - rest)
    share[:, 0] = bend
    return low + share * (high - low)


def random_poses(
    shape: HandShape, test: ContactTest, count: int, generator: np.random.Generator, limit_m: float = SOFT_CONTACT_M
) -> np.ndarray:
    """[count,45], as `random_pose`."""
    return np.stack([random_pose(shape, test, generator, limit_m) for _ in range(count)])
