"""Windows around the hand: of one size, whole pixels of the picture, nothing of the hand outside."""

from __future__ import annotations

import numpy as np
import pytest
from package_modules import module

from engine.hand.cameras import project

windows, dome, display = (module(f"palm_blender.synthesis.{name}") for name in ("windows", "dome", "display"))


@pytest.fixture(scope="module")
def seen():
    draw = np.random.default_rng(3)
    points = draw.normal(size=(400, 3)) * [0.02, 0.04, 0.03]
    return points[:200], dome.dome_cameras(draw, points, 120, 200, 5)


def test_all_of_the_hand_lies_in_windows_of_few_sizes(seen):
    points, cameras = seen
    placed = windows.by_size(points, cameras)
    assert set(placed) == set(cameras)
    assert len({(window.width, window.height) for window in placed.values()}) <= windows.SIZES < len(cameras)
    for name, camera in cameras.items():
        window = placed[name]
        assert window.left >= 0 and window.top >= 0
        assert window.left + window.width <= camera.width and window.top + window.height <= camera.height
        pixels = project(points, camera.intrinsics, camera.world_to_camera)
        inside = pixels - [window.left, window.top]
        assert (inside > 0).all() and (inside < [window.width, window.height]).all()


def test_batches_hold_a_camera_and_no_more_than_memory_does(seen, monkeypatch):
    _, cameras = seen
    names = tuple(cameras)
    assert windows.batch(cameras, names[3]) == names
    monkeypatch.setattr(windows, "MOST_PIXELS", 2 * 120 * 200)
    assert [windows.batch(cameras, name) for name in names] == [names[:2]] * 2 + [names[2:4]] * 2 + [names[4:]]
    monkeypatch.setattr(windows, "MOST_PIXELS", 1)
    assert windows.batch(cameras, names[1]) == (names[1],)


def test_a_windows_camera_sees_the_same_pixels(seen):
    points, cameras = seen
    camera = next(iter(cameras.values()))
    window = windows.Window(7, 11, 40, 30)
    part = windows.seen_through(window, camera)
    apart = project(points, camera.intrinsics, camera.world_to_camera) - project(
        points, part.intrinsics, part.world_to_camera
    )
    np.testing.assert_allclose(apart, np.tile([window.left, window.top], (len(points), 1)), atol=1e-9)
    assert (part.width, part.height) == (window.width, window.height)


def test_a_windows_picture_goes_where_it_was_taken(seen):
    _, cameras = seen
    camera = next(iter(cameras.values()))
    window = windows.Window(7, 11, 4, 3)
    part = display.Picture(np.ones((3, 4, 3), np.float32), np.full((3, 4), 0.5, np.float32))
    whole = windows.whole(part, window, camera)
    assert whole.radiance.shape == (200, 120, 3)
    assert whole.radiance.sum() == 36
    np.testing.assert_array_equal(np.argwhere(whole.coverage > 0).min(0), [11, 7])
    np.testing.assert_array_equal(np.argwhere(whole.coverage > 0).max(0), [13, 10])
