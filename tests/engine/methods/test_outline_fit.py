"""The capture refined on its photo's outline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_photo import Synthetic, make_photo

from engine.errors import Cancelled
from engine.hand.mano import hand_forward, shape_hand
from engine.hand.subdivide import subdivide_model
from engine.methods.config import quality
from engine.methods.outline_fit import fit_outline
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
