"""Bones that point along the fingers, and how MANO's poses and correctives read in their axes. NumPy only.

MANO turns every joint about the rest frame's axes. A Blender bone turns about its own, the columns of its rest basis B
[3,3] (x, y, z in the rest frame). A joint rotation R is then B R' Bᵀ for the bone's own rotation R'.
"""

from __future__ import annotations

import numpy as np

from ..engine.hand.joints import JOINT_NAMES, MANO_PARENTS

LAST_JOINTS = (3, 6, 9, 12, 15)
"""Joints that carry a fingertip: index, middle, little, ring, thumb."""

FIRST_KNUCKLES = (1, 4, 7, 10)
THUMB = (13, 14, 15)
FINGER_FLEXION = (0.0, 0.0, 1.0)
THUMB_FLEXION = (0.53, -0.70, 0.48)
"""Axes of flexion in the right hand's rest frame: MANO's for the fingers, the open hand's mean for the thumb."""


def bone_tails(joints: np.ndarray, vertices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Where each bone ends [16,3]: at the next joint, at the fingertip, and for the wrist among the knuckles.

    joints [16,3], vertices [V,3] metres; weights [V,16].
    """
    tails = np.empty((16, 3))
    for joint, parent in enumerate(MANO_PARENTS):
        if parent > 0:
            tails[parent] = joints[joint]
    tails[0] = joints[list(FIRST_KNUCKLES)].mean(0)
    owners = weights.argmax(1)
    for joint in LAST_JOINTS:
        direction = _unit(joints[joint] - joints[MANO_PARENTS[joint]])
        own = vertices[owners == joint]
        reach = (own - joints[joint]) @ direction if len(own) else np.array([0.02])
        # the bone follows the flesh: to the middle of the outermost tenth of it
        outer = own[reach >= np.quantile(reach, 0.9)].mean(0) if len(own) else joints[joint] + 0.02 * direction
        tails[joint] = joints[joint] + _unit(outer - joints[joint]) * max(float(reach.max()), 0.005)
    return tails


def bone_bases(joints: np.ndarray, tails: np.ndarray, side: str) -> np.ndarray:
    """Rest axes of the bones [16,3,3], columns x, y, z: y along the bone, +x the axis about which it flexes.

    Rotating a bone about its own x by a positive angle closes the hand, on either side.
    """
    bases = np.empty((16, 3, 3))
    for joint in range(16):
        y = _unit(tails[joint] - joints[joint])
        axis = np.array(THUMB_FLEXION if joint in THUMB else FINGER_FLEXION)
        axis = axis if side == "right" else mirror_axis_angle(axis)
        x = _unit(axis - (axis @ y) * y)
        bases[joint] = np.stack([x, y, np.cross(x, y)], axis=1)
    return bases


def to_bone_rotations(axis_angle: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Unit quaternions [*,16,4] (w, x, y, z) of the bones' own rotations.

    axis_angle [*,16,3] radians about the rest frame's axes; bases [16,3,3]. Since exp of a turned vector is the turned
    rotation, only the axes are re-expressed.
    """
    own = np.einsum("jdc,...jd->...jc", bases, axis_angle)
    angle = np.linalg.norm(own, axis=-1, keepdims=True)
    # sin(a/2)/a by NumPy's sinc, which is exact at 0
    return np.concatenate([np.cos(angle / 2), own * 0.5 * np.sinc(angle / (2 * np.pi))], axis=-1)


def from_bone_rotations(quaternions: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """The inverse of `to_bone_rotations`: [*,16,4] → axis-angle [*,16,3] about the rest frame's axes, ≤ π long."""
    quaternions = quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)
    quaternions = np.where(quaternions[..., :1] < 0, -quaternions, quaternions)
    sine = np.linalg.norm(quaternions[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternions[..., :1])
    own = quaternions[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)
    return np.einsum("jcd,...jd->...jc", bases, own)


def continuous_signs(quaternions: np.ndarray) -> np.ndarray:
    """Quaternions [T,*,4] with signs chosen so that neighbouring frames lie on one half: q and -q turn alike, but
    interpolating from one to the other spins the long way round."""
    flips = np.sign(np.sum(quaternions[1:] * quaternions[:-1], axis=-1, keepdims=True))
    signs = np.cumprod(np.where(flips == 0, 1.0, flips), axis=0)
    return np.concatenate([quaternions[:1], quaternions[1:] * signs])


def to_bone_correctives(pose_basis: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Pose correctives re-expressed for the bones' own rotations: P'_cd = Σ_ab B_ac B_bd P_ab.

    pose_basis [135,V,3] metres per entry of R_j - I (joints 1..15, row-major), bases [16,3,3] → the same shape, per
    entry of R'_j - I. Exact, because the sum over all nine entries of a joint is unchanged.
    """
    per_joint = np.asarray(pose_basis, dtype=float).reshape(15, 3, 3, -1)
    turned = np.einsum("jac,jbd,jabn->jcdn", bases[1:], bases[1:], per_joint, optimize=True)
    return turned.reshape(pose_basis.shape)


def bone_name(joint: int, side: str) -> str:
    """Blender's naming for left/right tools: `index1.R`."""
    return f"{JOINT_NAMES[joint]}.{side[0].upper()}"


def mirror_axis_angle(axis_angle: np.ndarray) -> np.ndarray:
    """Axis-angle vectors [*,3] of one hand → the mirrored rotations of the other (mirror plane X = 0)."""
    return axis_angle * np.array([1.0, -1.0, -1.0])


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-12 else np.array([-1.0, 0.0, 0.0])
