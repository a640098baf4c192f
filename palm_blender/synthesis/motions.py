"""The two motions of HARP's synthetic benchmark: a hand that flips, and fingers that move (HARP, appendix A).

HARP says of them that they last 5 s at 30 frames a second and are the same for every subject. Global rotations are
about the rest frame's axes: the forearm lies along X.
"""

from __future__ import annotations

import numpy as np

from ...engine.hand.pose_files import PoseSequence, matrix_to_axis_angle
from .contact import ContactTest
from .hand_shape import HandShape, rotation_matrices
from .poses import ease, gesture_sequence, load_gesture

FPS = 30.0
SECONDS = 5.0
FRAMES = int(FPS * SECONDS)

FLIP_GESTURES = ("relaxed", "spread", "flat", "fingers_together", "flat", "relaxed")
FINGER_GESTURES = (
    "spread", "index_bent", "middle_bent", "ring_bent", "pinky_bent", "half_closed", "fist", "point", "relaxed",
    "pinch", "relaxed", "spread",
)  # fmt: skip


def hand_flip(shape: HandShape, test: ContactTest) -> PoseSequence:
    """150 frames: the palm turns away about the forearm, shows the back, and returns, the fingers easy meanwhile."""
    time = np.arange(FRAMES) / FPS
    turned = np.pi * (ease((time - 0.3) / 1.9) - ease((time - 2.8) / 1.9))
    sway = np.deg2rad(6) * np.sin(2 * np.pi * time / SECONDS)
    lean = np.deg2rad(5) * np.sin(4 * np.pi * time / SECONDS)
    return _motion(shape, test, FLIP_GESTURES, np.stack([turned, sway, lean], axis=1))


def finger_movement(shape: HandShape, test: ContactTest) -> PoseSequence:
    """150 frames: the fingers bend one by one, close to a fist, point, pinch and open; the hand sways by a few degrees."""
    time = np.arange(FRAMES) / FPS
    wave = np.sin(2 * np.pi * time / SECONDS)
    turns = np.deg2rad(np.stack([14 * wave, 5 * np.sin(4 * np.pi * time / SECONDS), 4 * wave], axis=1))
    return _motion(shape, test, FINGER_GESTURES, turns)


def _motion(shape: HandShape, test: ContactTest, names: tuple[str, ...], turns: np.ndarray) -> PoseSequence:
    """Visit gestures at an even pace over FRAMES frames. turns [FRAMES,3]: about X, then Y, then Z (radians)."""
    gestures = np.stack([load_gesture(name) for name in names])
    moves = len(names) - 1
    length = -(-(FRAMES - 1) // moves)
    poses = gesture_sequence(shape, test, gestures, length)
    # the last frames of the rounded-up length would be cut: play the whole move over FRAMES frames instead
    times = np.linspace(0, len(poses) - 1, FRAMES)
    before = np.minimum(times.astype(int), len(poses) - 2)
    share = (times - before)[:, None]
    # neighbouring frames differ by a few degrees, where rotation vectors may be mixed
    poses = (1 - share) * poses[before] + share * poses[before + 1]
    zero = np.zeros((FRAMES, 3))
    return PoseSequence(_composed(turns), poses, zero, np.zeros(10), "right", FPS)


def _composed(turns: np.ndarray) -> np.ndarray:
    """Axis-angle [T,3] of turns about X [T,0], followed by Y and Z, continuous from frame to frame."""
    x, y, z = (rotation_matrices(turns[:, axis, None] * np.eye(3)[axis]) for axis in range(3))
    vectors = matrix_to_axis_angle(z @ y @ x)
    for frame in range(1, len(vectors)):
        # near half a turn the same rotation has two vectors: keep the one beside the frame before
        angle = np.linalg.norm(vectors[frame])
        other = vectors[frame] * (1 - 2 * np.pi / angle) if angle > 1e-9 else vectors[frame]
        if np.linalg.norm(other - vectors[frame - 1]) < np.linalg.norm(vectors[frame] - vectors[frame - 1]):
            vectors[frame] = other
    return vectors
