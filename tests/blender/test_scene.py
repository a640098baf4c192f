"""Cameras, light and skin, against actual Cycles renders."""

from __future__ import annotations

import avatars
import numpy as np
import pytest

from engine.hand.cameras import project


def turned_camera() -> np.ndarray:
    """A world_to_camera that is far from the identity."""
    from scipy.spatial.transform import Rotation

    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0.5, -0.9, 0.4]).as_matrix()
    pose[:3, 3] = [0.05, -0.02, 0.1]
    return pose


@pytest.mark.parametrize("aspect", [1.0, 1.15, 0.87])
def test_camera_shows_points_where_the_pinhole_does(blender, tmp_path, aspect):
    """Principal point off the centre, picture not square, pixels not square, camera turned, picture scaled."""
    intrinsics = np.array([[620.0, 0, 181.0], [0, 620.0 * aspect, 143.0], [0, 0, 1]])
    size = (420, 300)
    pose = turned_camera()
    pixels = np.array([[60.0, 50.0], [350.0, 90.0], [200.0, 250.0]])
    rays = np.concatenate([pixels, np.ones((3, 1))], 1) @ np.linalg.inv(intrinsics).T
    points = (rays * [[0.6], [0.45], [0.7]] - pose[:3, 3]) @ pose[:3, :3]
    assert np.allclose(project(points, intrinsics, pose), pixels)
    facts = blender(
        "render_jobs.project_dots",
        intrinsics=intrinsics.tolist(),
        world_to_camera=pose.tolist(),
        image_size=size,
        dots=points.tolist(),
        size=315,
        work=tmp_path,
    )
    scale = np.array(facts["size"]) / size
    assert facts["size"] == [315, 225]
    assert np.abs(np.array(facts["centres"]) - pixels * scale).max() < 0.15
    scaled = np.diag([*scale, 1.0]) @ intrinsics
    assert np.allclose(facts["intrinsics"], scaled, rtol=1e-5, atol=1e-3)
    assert np.allclose(facts["pose"], pose, atol=1e-6)


@pytest.mark.parametrize(("rotation", "version"), [(0.7, "4.5"), (0.0, "5.2")])
def test_environment_lies_as_the_design_says(blender, tmp_path, rotation, version):
    """u = 0.5 - atan2(dy, dx) / 2π, v from the top = acos(dz) / π: looked at directly, and in a mirror ball."""
    height = 128
    smooth = direction_colours(height)
    avatars.write_environment(tmp_path / "sky.exr", smooth)
    directions = np.random.default_rng(2).normal(size=(2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    facts = blender(
        "render_jobs.look_around",
        version=version,
        environment=tmp_path / "sky.exr",
        rotation=rotation,
        directions=directions.tolist(),
        work=tmp_path,
    )
    assert np.abs(np.array(facts["seen"]) - light_from(directions, rotation)).max() < 0.02
    ball = np.load(tmp_path / "ball.npy")
    inside, normals = ball_normals(len(ball))
    view = np.array([0.0, 1.0, 0.0])
    reflected = view - 2 * (normals @ view)[..., None] * normals
    difference = np.abs(ball[inside][:, :3] - light_from(reflected[inside], rotation))
    assert np.median(difference) < 0.01
    assert np.quantile(difference, 0.95) < 0.04


def direction_colours(height: int) -> np.ndarray:
    """Equirectangular picture whose colour is the direction itself, (d + 1) / 2, by the design's formula."""
    v, u = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(2 * height) + 0.5) / (2 * height), indexing="ij")
    azimuth, polar = (0.5 - u) * 2 * np.pi, v * np.pi
    direction = [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)]
    return np.stack(direction, axis=-1) / 2 + 0.5


def light_from(directions: np.ndarray, rotation: float) -> np.ndarray:
    """Colour expected from directions [*,3] when the environment is turned by `rotation` about +Z."""
    c, s = np.cos(rotation), np.sin(rotation)
    return directions @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) / 2 + 0.5


def ball_normals(size: int, frame: float = 0.22, radius: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [H,W] well inside the ball's disc, and its normals there, seen along +Y with +Z up."""
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    x, z = (columns / size - 0.5) * frame / radius, (0.5 - rows / size) * frame / radius
    inside = x**2 + z**2 < 0.9**2
    y = -np.sqrt(np.clip(1 - x**2 - z**2, 0, None))
    return inside, np.stack([x, y, z], axis=-1)


def test_only_a_coarse_mesh_is_smoothed_in_renders(blender, tmp_path):
    avatars.make_avatar(tmp_path / "coarse.palmhand", avatars.hand_model("right", 0))
    facts = blender("render_jobs.skin_settings", avatar=tmp_path / "coarse.palmhand")
    assert facts["subdivision"] == [1]


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.0", "5.2"])
def test_skin_and_scene_settings(blender, avatar_folders, version):
    facts = blender("render_jobs.skin_settings", version=version, avatar=avatar_folders["right"][0])
    assert facts["method"] == "RANDOM_WALK_SKIN"
    assert facts["weight"] == 1.0
    assert 0.3 <= facts["deepest_mm"] <= 5.0
    assert facts["spaces"] == {"Base Color": "sRGB", "Roughness": "Non-Color", "Normal": "Non-Color"}
    assert facts["files"] == {"Base Color": "albedo.png", "Roughness": "roughness.png", "Normal": "normal.png"}
    assert facts["packed"]
    assert facts["unit_scale"] == 1.0
    assert facts["background"] == ["photo.png"]
    # drawn as its normal map was made for it
    assert facts["subdivision"] == [0]
    assert len(facts["materials"]) == 1
    # the mottled skin's mean, 0.80, 0.60, 0.50 as sRGB encodes it, is what solid shading shows
    assert facts["viewport_color"] == pytest.approx([0.604, 0.319, 0.214, 1.0], abs=0.03)


def test_bundled_environments_are_the_eight(blender):
    names = blender("render_jobs.environment_names")["names"]
    assert names == ["city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset"]
