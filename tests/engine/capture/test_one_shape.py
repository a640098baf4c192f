"""Several photos of one hand get one shape: against hands whose shape is known, from different cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.capture.capture_file import Capture
from engine.capture.kinematics import HandState, mano_parameters
from engine.capture.landmarks import HandLandmarks
from engine.capture.one_shape import joined, with_one_shape
from engine.capture.photo import CaptureResult
from engine.capture.session import FitSession, Fitted, project_points
from engine.capture.silhouette import cover, front_facing
from engine.errors import CaptureError
from engine.hand.cameras import pinhole_matrix
from engine.hand.model import open_hand_model
from engine.hand.rotations import axis_angle_to_matrix

CAMERAS = ((900.0, 720, 540), (500.0, 480, 500), (1200.0, 900, 800))
"""Focal length, width, height: three different ones."""
NOISE_PX = 2.0


def drawn(session: FitSession, state: HandState, camera: tuple[float, int, int]) -> tuple[np.ndarray, Fitted]:
    focal, width, height = camera
    intrinsics = pinhole_matrix(focal, width, height)
    fitted = session.mesh(state, intrinsics)
    front = session.faces[front_facing(fitted.pixels[0], session.faces)]
    return cover(fitted.pixels[0], front, width, height).astype(bool), fitted


@pytest.fixture(scope="module")
def known() -> tuple[torch.Tensor, list[CaptureResult]]:
    """True betas, and photos of the hand, each fitted alone from noisy landmarks."""
    session = FitSession(open_hand_model())
    generator = torch.Generator().manual_seed(4)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    betas = 3 * uniform(10) - 1.5
    low, high = session.model.joint_limits.reshape(45, 2).unbind(-1)
    results = []
    for camera in CAMERAS:
        angles = (0.3 * (low + (high - low) * (0.3 + 0.4 * uniform(1, 45)))).double()
        rotation = axis_angle_to_matrix(torch.tensor([[0.0, 0, -1.57]]).double() + 0.8 * (uniform(1, 3) - 0.5))
        true = HandState(rotation, angles, torch.tensor([[0.0, 0.08, 0.5]]).double(), betas)
        mask, shown = drawn(session, true, camera)
        intrinsics = pinhole_matrix(*camera)
        pixels = project_points(shown.keypoints[0], intrinsics) + NOISE_PX * (uniform(21, 2) - 0.5).numpy()
        hand = HandLandmarks("right", 1.0, pixels, np.ones(21), shown.keypoints[0], in_camera_axes=True)
        seen = session.observe([hand], intrinsics, np.zeros(1))
        state = session.refine(seen, session.fit_keypoints(seen), [mask], intrinsics)
        alone = session.mesh(state, intrinsics)
        quality = session.quality(seen, alone, [mask], intrinsics)[0]
        named = {name: value.numpy() for name, value in mano_parameters(session.model, state).items()}
        capture = Capture(
            "right", f"{camera[1]}.png", "0" * 64, camera[1:], intrinsics, named["betas"],
            *(named[name][0] for name in ("global_orient", "hand_pose", "transl")),
            pixels, alone.keypoints[0], quality,
        )  # fmt: skip
        image = np.zeros((camera[2], camera[1], 3), np.uint8)
        results.append(CaptureResult(capture, image, mask, alone.vertices[0], session.faces, hand))
    return betas, results


def shape_error_mm(betas: np.ndarray, true: torch.Tensor) -> float:
    """Mean distance of the rest shapes' vertices, less their difference in size, which no uncalibrated photo shows."""
    model = open_hand_model().to(dtype=torch.float64)
    rest = [
        (model.v_template + model.shapedirs[..., :10] @ torch.as_tensor(values)) for values in (betas, true.numpy())
    ]
    centred = [values - values.mean(0) for values in rest]
    scaled = [values / values.norm() * 1.5 for values in centred]
    return float((scaled[0] - scaled[1]).norm(dim=1).mean()) * 1000


def test_photos_together_know_the_shape_better_than_alone(known):
    true, alone = known
    together = with_one_shape(alone)
    for result in together[1:]:
        np.testing.assert_array_equal(result.capture.betas, together[0].capture.betas)
    error = shape_error_mm(together[0].capture.betas, true)
    assert error < np.mean([shape_error_mm(result.capture.betas, true) for result in alone])
    for before, after in zip(alone, together, strict=True):
        assert after.capture.quality.reprojection_relative < before.capture.quality.reprojection_relative + 0.005
        assert after.capture.quality.mask_iou > before.capture.quality.mask_iou - 0.02
        assert after.mask is before.mask and after.capture.image == before.capture.image
        np.testing.assert_allclose(
            project_points(after.vertices, after.capture.K).mean(0),
            project_points(before.vertices, before.capture.K).mean(0),
            atol=5,
        )


def test_one_photo_stays_as_it_is(known):
    _, alone = known
    assert with_one_shape(alone[:1]) == alone[:1]


def test_hands_of_both_sides_are_named(known):
    _, alone = known
    other = replace(alone[1], capture=replace(alone[1].capture, handedness="left"))
    with pytest.raises(CaptureError, match=r"480\.png shows a left hand, 720\.png a right one: .* --hand"):
        with_one_shape([alone[0], other])


def test_every_photo_keeps_its_own_camera(known):
    _, alone = known
    session = FitSession(open_hand_model())
    seen = joined([session.observe([result.hand], result.capture.K, np.zeros(1)) for result in alone])
    assert seen.intrinsics.shape == (3, 3, 3) and seen.keypoints.shape == (3, 21, 2)
    assert seen.intrinsics[:, 0, 0].tolist() == [camera[0] for camera in CAMERAS]
    assert not seen.links.any() and seen.outline is None
