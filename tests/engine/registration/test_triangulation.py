import numpy as np
import pytest
from scipy.optimize import least_squares

from engine.hand.cameras import project
from engine.registration.synthetic import SyntheticConfig, synthetic_cameras
from engine.registration.triangulation import (
    NO_AGREEMENT,
    PARALLEL_RAYS,
    TOO_FEW_VIEWS,
    TriangulationConfig,
    camera_agreement,
    triangulate,
)


@pytest.fixture
def cameras():
    return synthetic_cameras(SyntheticConfig(cameras=7))


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform(-0.1, 0.1, (40, 3))


def seen_by(points, cameras):
    return np.stack([project(points, camera.intrinsics, camera.world_to_camera) for camera in cameras.values()], 1)


def test_exact_projections_give_the_exact_points(cameras, points):
    pixels = seen_by(points, cameras)
    found = triangulate(pixels, np.ones(pixels.shape[:2]), cameras)
    np.testing.assert_allclose(found.points, points, atol=1e-9)
    assert found.inliers.all() and found.known.all()
    assert found.error_px.max() < 1e-6


def test_two_views_are_enough_and_one_is_not(cameras, points):
    pixels = seen_by(points, cameras)
    confidence = np.zeros(pixels.shape[:2])
    confidence[:, [1, 4]] = 0.8
    confidence[0, 4] = 0
    found = triangulate(pixels, confidence, cameras)
    np.testing.assert_allclose(found.points[1:], points[1:], atol=1e-9)
    assert np.isnan(found.points[0]).all() and found.status[0] == TOO_FEW_VIEWS
    assert not found.inliers[0].any()


@pytest.mark.parametrize("wrong", [1, 2, 3])
def test_gross_errors_are_rejected_and_do_not_move_the_point(cameras, points, wrong):
    random = np.random.default_rng(wrong)
    pixels = seen_by(points, cameras)
    bad = np.zeros(pixels.shape[:2], bool)
    for row in bad:
        row[random.choice(7, wrong, replace=False)] = True
    angle = random.uniform(0, 2 * np.pi, bad.sum())
    pixels[bad] += random.uniform(60, 300, bad.sum())[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    found = triangulate(pixels, np.ones(bad.shape), cameras)
    np.testing.assert_allclose(found.points, points, atol=1e-8)
    np.testing.assert_array_equal(found.inliers, ~bad)


def test_two_errors_of_seven_that_meet_make_no_point(cameras, points):
    random = np.random.default_rng(5)
    pixels = random.uniform(300, 900, (40, 7, 2))
    pixels[:, [2, 5]] = seen_by(points, cameras)[:, [2, 5]]
    found = triangulate(pixels, np.ones((40, 7)), cameras)
    assert (found.status == NO_AGREEMENT).mean() > 0.9 and np.isnan(found.points[~found.known]).all()
    trusting = triangulate(pixels, np.ones((40, 7)), cameras, TriangulationConfig(least_agreeing_share=0.0))
    assert trusting.known.all()


def test_a_missing_detection_is_no_detection(cameras, points):
    pixels = seen_by(points, cameras)
    pixels[:, 2] = np.nan
    found = triangulate(pixels, np.ones(pixels.shape[:2]), cameras)
    np.testing.assert_allclose(found.points, points, atol=1e-9)
    assert np.isnan(found.errors_px[:, 2]).all() and not found.inliers[:, 2].any()
    assert camera_agreement(found, cameras)[2] == ("MCU_03", 0, None, None)


def test_parallel_rays_are_refused(cameras, points):
    one = cameras["MCU_01"]
    beside = one._replace(world_to_camera=one.world_to_camera.copy())
    beside.world_to_camera[0, 3] += 0.002
    pair = {"a": one, "b": beside}
    pixels = seen_by(points, pair)
    found = triangulate(pixels, np.ones(pixels.shape[:2]), pair)
    assert (found.status == PARALLEL_RAYS).all() and np.isnan(found.points).all()
    loose = triangulate(pixels, np.ones(pixels.shape[:2]), pair, TriangulationConfig(least_angle_deg=0.01))
    np.testing.assert_allclose(loose.points, points, atol=1e-6)


def test_noisy_points_are_the_least_squares_ones(cameras, points):
    pixels = seen_by(points, cameras) + 0.3 * np.random.default_rng(1).standard_normal((40, 7, 2))
    found = triangulate(pixels, np.ones(pixels.shape[:2]), cameras)
    for index in range(3):
        exact = least_squares(
            lambda point, index=index: (seen_by(point[None], cameras)[0] - pixels[index]).ravel(), points[index]
        )
        np.testing.assert_allclose(found.points[index], exact.x, atol=1e-7)
        covariance = np.linalg.inv(exact.jac.T @ exact.jac)
        np.testing.assert_allclose(found.covariance[index], covariance, rtol=1e-3)
        assert found.error_px[index] == pytest.approx(np.sqrt(exact.fun @ exact.fun / 7), rel=1e-6)


def test_the_camera_that_disagrees_stands_out(cameras, points):
    pixels = seen_by(points, cameras)
    turned = dict(cameras)
    matrix = cameras["MCU_03"].world_to_camera.copy()
    matrix[0, 3] += 0.05
    turned["MCU_03"] = cameras["MCU_03"]._replace(world_to_camera=matrix)
    found = triangulate(pixels, np.ones(pixels.shape[:2]), turned)
    shares = {camera.camera: camera.agreeing_share for camera in camera_agreement(found, turned)}
    assert shares.pop("MCU_03") < 0.05
    assert min(shares.values()) == 1


def test_the_pairs_that_are_tried_are_bounded(points):
    many = synthetic_cameras(SyntheticConfig(cameras=24))
    pixels = seen_by(points, many)
    found = triangulate(pixels, np.ones(pixels.shape[:2]), many, TriangulationConfig(pairs_at_most=30))
    np.testing.assert_allclose(found.points, points, atol=1e-9)


def test_no_points_and_shapes_that_do_not_fit(cameras):
    none = triangulate(np.zeros((0, 7, 2)), np.zeros((0, 7)), cameras)
    assert len(none.points) == 0 and none.inliers.shape == (0, 7)
    with pytest.raises(ValueError, match="do not fit 7 cameras"):
        triangulate(np.zeros((4, 3, 2)), np.zeros((4, 3)), cameras)
