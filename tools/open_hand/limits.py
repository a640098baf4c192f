"""Rotation axes and ranges of motion of the joints.

Ranges: American Academy of Orthopaedic Surgeons, "Joint Motion: Method of Measuring and Recording" (1965) for the
fingers and the thumb's outer joints; Cooney, Lucca, Chao & Linscheid, "The kinesiology of the thumb
trapeziometacarpal joint", J. Bone Joint Surg. 63-A (1981) for the thumb's base (53° flexion–extension, 42°
abduction–adduction, 17° rotation about its middle). MANO gives the thumb's base the whole turn of the metacarpal from
beside the palm to opposition, which in the body is shared with the carpus, so its twist is wider here than Cooney's.
"""

from __future__ import annotations

import numpy as np

from tools.open_hand.skeleton import FINGERS

_LONG_FINGER_DEG = (
    # knuckle: flexion, abduction (towards the thumb), twist
    ((-30, 90), (-20, 20), (-10, 10)),
    # middle joint
    ((-5, 105), (-6, 6), (-6, 6)),
    # end joint
    ((-10, 85), (-6, 6), (-6, 6)),
)
_THUMB_DEG = (
    ((-25, 50), (-25, 45), (-20, 60)),
    ((-20, 60), (-15, 15), (-15, 20)),
    ((-20, 80), (-6, 6), (-8, 8)),
)
_KNUCKLE_ABDUCTION_DEG = {"index": (-20, 25), "middle": (-20, 20), "ring": (-20, 20), "pinky": (-30, 20)}


def joint_limits() -> np.ndarray:
    """[15, 3, 2] radians: (min, max) of the rotation vector's component along flexion, abduction and twist axes."""
    limits = np.empty((15, 3, 2))
    for f, finger in enumerate(FINGERS):
        limits[3 * f : 3 * f + 3] = np.deg2rad(_THUMB_DEG if finger == "thumb" else _LONG_FINGER_DEG)
        if finger != "thumb":
            limits[3 * f, 1] = np.deg2rad(_KNUCKLE_ABDUCTION_DEG[finger])
    return limits


def joint_axes(joints: np.ndarray, thumb_tip: np.ndarray, thumb_nail_normal: np.ndarray) -> np.ndarray:
    """[15, 3, 3]: rows are the unit flexion, abduction and twist axes of joints 1..15 in the rest frame.

    With d the bone's direction away from the wrist and n its dorsal normal: flexion n × d (positive bends towards the
    palm), abduction n (positive moves towards the thumb's side; for the thumb away from the palm), twist −d.
    joints [16, 3]; thumb_tip [3]; thumb_nail_normal [3]: the thumb's dorsal side is the side of its nail.
    """
    axes = np.empty((15, 3, 3))
    for f, finger in enumerate(FINGERS):
        chain = joints[1 + 3 * f : 4 + 3 * f]
        bones = np.diff(chain, axis=0)
        last = thumb_tip - chain[2] if finger == "thumb" else bones[-1]
        dorsal = thumb_nail_normal if finger == "thumb" else np.array([0.0, 1.0, 0.0])
        for k, bone in enumerate((*bones, last)):
            d = bone / np.linalg.norm(bone)
            n = dorsal - d * (d @ dorsal)
            n /= np.linalg.norm(n)
            axes[3 * f + k] = np.cross(n, d), n, -d
    return axes
