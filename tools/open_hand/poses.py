"""Poses of the open hand from angles about its joints' axes."""

from __future__ import annotations

import numpy as np


def hand_pose(angles_deg: np.ndarray, joint_axes: np.ndarray) -> np.ndarray:
    """Rotation vectors [*, 45] from degrees [*, 15, 3] about the joints' axes [15, 3, 3]."""
    vectors = np.einsum("...ja,jax->...jx", np.deg2rad(angles_deg), joint_axes)
    return vectors.reshape(*vectors.shape[:-2], 45)
