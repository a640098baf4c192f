"""Joint orders and camera conversions."""

from __future__ import annotations

import numpy as np
import pytest

from engine.hand import cameras
from engine.hand.joints import (
    JOINT_NAMES,
    KEYPOINT_NAMES,
    KEYPOINT_PARENTS,
    MANO_PARENTS,
    OTHER_ORDERS,
    from_palm,
    to_palm,
)


def test_mano_tree():
    assert len(JOINT_NAMES) == len(MANO_PARENTS) == 16
    for joint, parent in enumerate(MANO_PARENTS[1:], 1):
        root = JOINT_NAMES[joint].endswith("1")
        assert JOINT_NAMES[parent] == (
            "wrist" if root else f"{JOINT_NAMES[joint][:-1]}{int(JOINT_NAMES[joint][-1]) - 1}"
        )
    for tip in range(16, 21):
        assert KEYPOINT_NAMES[KEYPOINT_PARENTS[tip]] == KEYPOINT_NAMES[tip].replace("_tip", "3")


@pytest.mark.parametrize("order", OTHER_ORDERS)
def test_orders_invert(order):
    keypoints = np.arange(2 * 21 * 3.0).reshape(2, 21, 3)
    np.testing.assert_array_equal(to_palm(from_palm(keypoints, order), order), keypoints)


def test_known_positions():
    labels = np.array(KEYPOINT_NAMES)[:, None]
    assert from_palm(labels, "mediapipe")[:, 0].tolist()[:6] == [
        *("wrist", "thumb1", "thumb2", "thumb3", "thumb_tip", "index1"),
    ]
    assert from_palm(labels, "interhand")[[0, 3, 4, 20], 0].tolist() == ["thumb_tip", "thumb1", "index_tip", "wrist"]


def test_projection_of_the_centre_pixel():
    intrinsics = cameras.pinhole_matrix(500.0, 640, 480)
    np.testing.assert_allclose(cameras.project(np.array([0, 0, 2.0]), intrinsics), [320, 240])
    np.testing.assert_allclose(cameras.project(np.array([0.2, -0.1, 1.0]), intrinsics), [420, 190])


def test_blender_camera_looks_along_plus_y_for_a_photo():
    camera = cameras.to_blender_camera(cameras.pinhole_matrix(500, 640, 480), np.eye(4), 640, 480)
    np.testing.assert_allclose(camera.matrix_world[:3, :3] @ [0, 0, -1], [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(camera.matrix_world[:3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-15)
    assert camera.focal_mm == pytest.approx(500 / 640 * 36)


def test_blender_camera_round_trip():
    generator = np.random.default_rng(0)
    intrinsics = np.array([[620.0, 0, 300], [0, 580.0, 260], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    pose[:3, :3] *= np.linalg.det(pose[:3, :3])
    pose[:3, 3] = generator.normal(size=3)
    camera = cameras.to_blender_camera(intrinsics, pose, 640, 480)
    back, back_pose = cameras.from_blender_camera(camera, 640, 480)
    np.testing.assert_allclose(back, intrinsics, atol=1e-9)
    np.testing.assert_allclose(back_pose, pose, atol=1e-12)
