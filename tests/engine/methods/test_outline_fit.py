"""The capture refined on its photo's outline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_photo import Synthetic, make_photo

from engine.capture.capture_file import Quality
from engine.errors import Cancelled, CaptureError
from engine.hand.mano import hand_forward, shape_hand
from engine.hand.subdivide import subdivide_model
from engine.methods.config import quality
from engine.methods.outline_fit import fit_outline, refined_captures
from engine.methods.photo_input import CapturedPhoto
from engine.progress import silent
from engine.rendering.mesh import compose, mesh_topology, see

CONFIG = replace(quality("draft"), geometry_steps=40, geometry_px=160)


def overlap(photo: Synthetic, vertices: torch.Tensor) -> float:
    """IoU of a posed mesh, subdivided once, with the photo's mask."""
    fine = subdivide_model(photo.model)
    topology = mesh_topology(fine.faces, fine.uv, fine.uv_faces)
    height, width = photo.mask.shape
    view = see(vertices, topology, torch.as_tensor(photo.capture.K).float(), height, width)
    shown = compose(view, topology, torch.ones(len(view.fragments.pixels), 1)).coverage.numpy() > 0.5
    return float((shown & photo.mask).sum() / (shown | photo.mask).sum())


def posed(photo: Synthetic, capture, rest: torch.Tensor | None = None) -> torch.Tensor:
    """[V,3] at a capture; rest: displaced vertices in place of the betas' own."""
    fine = subdivide_model(photo.model)
    values = (capture.betas, capture.global_orient, capture.hand_pose, capture.transl)
    betas, *pose = (torch.as_tensor(value).float() for value in values)
    if rest is not None:
        fine = replace(fine, v_template=fine.v_template + rest - shape_hand(fine, betas)[0])
        joints = fine.joint_regressor @ (shape_hand(fine, betas)[0] - rest)
        assert float(joints.norm(dim=1).max()) < 0.01
    return hand_forward(fine, betas, *pose).vertices


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_capture_that_is_off_comes_nearer_to_its_photo(side):
    photo = make_photo(side, pose_error=0.05)
    found = fit_outline(CapturedPhoto(photo.capture, photo.image, photo.mask), photo.model, CONFIG, silent)
    assert found is not None and found.capture.handedness == side
    before, after = overlap(photo, posed(photo, photo.capture)), overlap(photo, posed(photo, found.capture))
    assert before < 0.95 < after
    assert overlap(photo, posed(photo, found.capture, found.rest_vertices)) > after - 0.005
    assert found.rest_vertices.shape == (len(subdivide_model(photo.model).v_template), 3)
    assert np.array_equal(found.capture.keypoints_2d, photo.capture.keypoints_2d)
    # its quality is the refined hand's
    shown = overlap(photo, posed(photo, found.capture, found.rest_vertices))
    assert found.capture.quality.mask_iou == pytest.approx(shown, abs=0.01)
    assert found.overlap_before == pytest.approx(before, abs=0.01) and found.better


def test_the_same_seed_gives_the_same():
    photo = make_photo(pose_error=0.05)
    seen, few = CapturedPhoto(photo.capture, photo.image, photo.mask), replace(CONFIG, geometry_steps=3)
    one, two = (fit_outline(seen, photo.model, few, silent) for _ in range(2))
    assert torch.equal(one.rest_vertices, two.rest_vertices)


def test_a_camera_that_is_not_the_world_is_left_as_it_is():
    photo = make_photo()
    elsewhere = np.eye(4)
    elsewhere[2, 3] = 0.1
    capture = replace(photo.capture, world_to_camera=elsewhere)
    assert fit_outline(CapturedPhoto(capture, photo.image, photo.mask), photo.model, CONFIG, silent) is None


def test_it_can_be_cancelled():
    photo = make_photo()

    def stop(fraction: float, message: str = "", preview: object = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fit_outline(CapturedPhoto(photo.capture, photo.image, photo.mask), photo.model, CONFIG, stop)


def as_seen(**quality) -> CapturedPhoto:
    photo = make_photo(pose_error=0.05)
    capture = replace(photo.capture, quality=replace(Quality(0.0, 0.0, 1.0, None), **quality))
    return CapturedPhoto(capture, photo.image, photo.mask)


def test_the_joints_error_follows_them():
    photo, seen = make_photo(pose_error=0.05), as_seen(reprojection_px=40.0, reprojection_relative=0.04)
    truth = photo.capture.joints_3d @ photo.capture.K.T
    detected = replace(seen.capture, keypoints_2d=truth[:, :2] / truth[:, 2:])
    found = fit_outline(seen._replace(capture=detected), photo.model, CONFIG, silent)
    assert found is not None
    assert found.capture.quality.reprojection_px < 40.0 and found.capture.quality.reprojection_relative < 0.04
    assert np.abs(found.capture.joints_3d - photo.capture.joints_3d).max() > 0


def test_what_makes_a_capture_worse_is_not_taken():
    photo = make_photo()  # captured without any error: no outline can do better
    seen = CapturedPhoto(photo.capture, photo.image, photo.mask)
    found = refined_captures([seen], photo.model, replace(CONFIG, geometry_steps=3), True)
    if not found.said["taken"]:
        assert found.photos[0].capture is seen.capture and found.rest_vertices is None
        assert found.said["mask_iou"] < found.said["mask_iou_before"]
    # joints that are nearly too far off already may not go farther
    fit = fit_outline(as_seen(reprojection_relative=0.2), photo.model, replace(CONFIG, geometry_steps=3), silent)
    assert fit is not None and not fit.better


def test_several_photos_and_poor_captures():
    seen = as_seen()
    model = make_photo().model
    both = refined_captures([seen, seen], model, CONFIG, True)
    assert both.rest_vertices is None and not both.said["taken"] and "several" in both.said["why"]
    with pytest.raises(CaptureError, match="overlap"):
        refined_captures([as_seen(mask_iou=0.3)], model, CONFIG, True)
