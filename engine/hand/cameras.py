"""Camera conventions in one place. NumPy only: Blender's Python uses this too.

The project's cameras have OpenCV axes (x right, y down, z forward); K is in pixels and the first pixel's centre lies at
(0.5, 0.5). Blender's camera looks along its own -Z with +Y up; the avatar scene's world is the photo camera's frame,
turned so that +Z is up: (x, y, z)_blender = (x, z, -y)_opencv, hence the photo camera looks along +Y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLENDER_FROM_OPENCV_WORLD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Turns OpenCV-like world axes (y down, z forward) into Blender's (z up)."""

OPENCV_FROM_BLENDER_CAMERA = np.diag([1.0, -1.0, -1.0])
"""Turns Blender's camera axes (y up, looking along -z) into OpenCV's, and back: it is its own inverse."""


def project(points: np.ndarray, intrinsics: np.ndarray, world_to_camera: np.ndarray | None = None) -> np.ndarray:
    """Pinhole projection of points [*, 3] (metres, world) to pixels [*, 2]. intrinsics [3,3], world_to_camera [4,4]."""
    points = np.asarray(points, dtype=float)
    if world_to_camera is not None:
        points = points @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    homogeneous = points @ np.asarray(intrinsics, dtype=float).T
    return homogeneous[..., :2] / homogeneous[..., 2:3]


def pinhole_matrix(focal_px: float, width: int, height: int) -> np.ndarray:
    """Intrinsics [3,3] with square pixels and the principal point at the picture's centre."""
    return np.array([[focal_px, 0.0, width / 2], [0.0, focal_px, height / 2], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class BlenderCamera:
    """What a Blender camera needs to reproduce an OpenCV pinhole camera with square pixels."""

    matrix_world: np.ndarray
    """[4,4] camera to Blender world."""
    focal_mm: float
    sensor_width_mm: float
    shift_x: float
    """Of the longer picture side, as Blender counts."""
    shift_y: float
    pixel_aspect_y: float
    """Height of a pixel over its width."""


def to_blender_camera(
    intrinsics: np.ndarray,
    world_to_camera: np.ndarray,
    width: int,
    height: int,
    sensor_width_mm: float = 36.0,
) -> BlenderCamera:
    """OpenCV camera → Blender camera (sensor fit HORIZONTAL). Skew is not representable and must be 0.

    intrinsics [3,3] px; world_to_camera [4,4], world in OpenCV-like axes (the world too is turned to +Z up).
    """
    intrinsics = np.asarray(intrinsics, dtype=float)
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    camera_to_world = np.linalg.inv(np.asarray(world_to_camera, dtype=float))
    matrix = np.eye(4)
    matrix[:3, :3] = BLENDER_FROM_OPENCV_WORLD @ camera_to_world[:3, :3] @ OPENCV_FROM_BLENDER_CAMERA
    matrix[:3, 3] = BLENDER_FROM_OPENCV_WORLD @ camera_to_world[:3, 3]
    # A shift moves the frame, so the principal point moves the other way; both shifts count in picture widths.
    return BlenderCamera(
        matrix_world=matrix,
        focal_mm=fx * sensor_width_mm / width,
        sensor_width_mm=sensor_width_mm,
        shift_x=(width / 2 - intrinsics[0, 2]) / width,
        shift_y=(intrinsics[1, 2] - height / 2) * (fx / fy) / width,
        pixel_aspect_y=fx / fy,
    )


def from_blender_camera(camera: BlenderCamera, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Blender camera → (intrinsics [3,3] px, world_to_camera [4,4] with an OpenCV-like world)."""
    fx = camera.focal_mm * width / camera.sensor_width_mm
    fy = fx / camera.pixel_aspect_y
    cx = width / 2 - camera.shift_x * width
    cy = height / 2 + camera.shift_y * width / camera.pixel_aspect_y
    intrinsics = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    camera_to_world = np.eye(4)
    camera_to_world[:3, :3] = BLENDER_FROM_OPENCV_WORLD.T @ camera.matrix_world[:3, :3] @ OPENCV_FROM_BLENDER_CAMERA
    camera_to_world[:3, 3] = BLENDER_FROM_OPENCV_WORLD.T @ camera.matrix_world[:3, 3]
    return intrinsics, np.linalg.inv(camera_to_world)
