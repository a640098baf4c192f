"""Silhouettes and masks on pictures drawn here, whose true outline is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from engine.capture.landmarks import HandLandmarks
from engine.capture.mask import hand_mask, wrist_ring
from engine.capture.session import FitSession, project_points
from engine.capture.silhouette import contour_points, cover, front_facing, iou, mesh_edges, window_around
from engine.capture.start import start_from_metric
from engine.hand.cameras import pinhole_matrix
from engine.hand.model import open_hand_model

SIZE = (400, 320)
INTRINSICS = pinhole_matrix(700.0, *SIZE)


def test_cover_of_a_square_and_its_outline() -> None:
    points = np.array([[10, 10], [30, 10], [30, 30], [10, 30.0]])
    drawn = cover(points, np.array([[0, 1, 2], [0, 2, 3]]), 50, 40)
    assert abs(np.count_nonzero(drawn) - 400) <= 41  # the far edge's pixels may count or not
    outline, normals = contour_points(drawn, 1)
    middle = outline.mean(0)
    assert middle == pytest.approx([20, 20], abs=0.6)
    assert ((outline - middle) * normals).sum(1).min() > 0


def test_front_faces_wind_counter_clockwise_seen_from_the_camera() -> None:
    # y grows downward, so this triangle winds counter-clockwise to the eye
    assert front_facing(np.array([[0, 0], [0, 1], [1, 0.0]]), np.array([[0, 1, 2]])).all()
    assert not front_facing(np.array([[0, 0], [1, 0], [0, 1.0]]), np.array([[0, 1, 2]])).any()


def test_closed_mesh_has_half_as_many_edges_more_than_faces() -> None:
    model = open_hand_model("right")
    edges, owners = mesh_edges(model.faces.numpy())
    assert len(edges) == 1.5 * len(model.faces)
    assert (owners[:, 0] != owners[:, 1]).all()


def test_wrist_ring_lies_behind_the_wrist() -> None:
    model = open_hand_model("right")
    ring = wrist_ring(model.faces.numpy(), model.cap_faces.numpy())
    assert len(ring) > 8
    # fingers point along -X, so the ring is on the far side of nearly everything
    assert model.v_template[ring, 0].min() > model.v_template[:, 0].quantile(0.9)


def test_window_stays_inside_the_picture() -> None:
    window = window_around(np.array([[-50, -50], [500, 400.0]]), SIZE, 0.2, 100)
    assert window.corner == (0, 0) and (window.width, window.height) == (100, 80)
    back = window.to_image(window.to_window(np.array([[7.0, 9.0]])))
    np.testing.assert_allclose(back, [[7, 9]])


@pytest.mark.parametrize("noise", [4, 14])
def test_mask_finds_the_drawn_hand_and_cuts_the_arm(noise: int) -> None:
    session = FitSession(open_hand_model("right"))
    evaluator = session.energy.evaluator
    rotation = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])  # fingers up, palm to the camera
    rest = session.mesh(
        start_from_metric(
            session.model,
            evaluator,
            session.observe([_flat_hand(session, rotation)], INTRINSICS, np.zeros(1)),
            torch.zeros(10, dtype=torch.float64),
        ),
        INTRINSICS,
    )
    pixels, keypoints = rest.pixels[0], project_points(rest.keypoints[0], INTRINSICS)
    truth = cover(pixels, session.faces, *SIZE) > 0
    wrist = session.wrist(rest, 0, INTRINSICS)
    generator = np.random.default_rng(0)
    picture = np.full((SIZE[1], SIZE[0], 3), (120, 150, 170), float)
    skin = np.array((214, 160, 135.0))
    picture[truth] = skin
    centre, end = wrist.centre, wrist.centre + 200 * wrist.direction
    arm = np.zeros(truth.shape, np.uint8)
    cv2.line(arm, tuple(centre.astype(int).tolist()), tuple(end.astype(int).tolist()), 1, int(1.8 * wrist.half_width))
    picture[arm > 0] = skin
    picture = (picture + generator.normal(0, noise, picture.shape)).clip(0, 255).astype(np.uint8)
    # the mask starts from a hand that is a few pixels off, as a fit is
    shifted = pixels + np.array([5, -3])
    found = hand_mask(picture, shifted, session.faces, keypoints, wrist)
    assert iou(found, truth) > 0.93
    assert iou(found, truth) > iou(cover(shifted, session.faces, *SIZE), truth)
    far_arm = (arm > 0) & ~truth
    assert far_arm.sum() > 500
    assert found[far_arm].mean() < 0.1


def _flat_hand(session: FitSession, rotation: np.ndarray) -> HandLandmarks:
    model = session.model
    joints = (model.joint_regressor @ model.v_template).numpy()
    keypoints = np.concatenate([joints, model.v_template[model.tip_vertices].numpy()]) @ rotation.T
    keypoints += np.array([0.0, -0.05, 0.8]) - keypoints.mean(0)
    pixels = project_points(keypoints, INTRINSICS)
    return HandLandmarks("right", 1.0, pixels, np.ones(21), keypoints, in_camera_axes=True)
