"""HARP with the forearm template: the arm is bent at the wrist where outlines say so, and is straight without them."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from engine.errors import InputError
from engine.hand.model import open_hand_model
from engine.hand.rotations import axis_angle_to_matrix
from engine.methods.config import HarpConfig
from engine.methods.harp_forearm import start_forearm
from engine.methods.harp_frames import Frames
from engine.methods.harp_model import GeometryParameters, Template, build_template, pose_hand
from engine.methods.harp_stages import Reference, one_frame, optimise_geometry
from engine.methods.photo_input import charted_hand_model
from engine.methods.wrist import beyond_wrist
from engine.progress import silent
from engine.rendering.frame_stack import see_stack
from engine.rendering.mesh import compose

SIDE = 96
CAMERA = torch.tensor([[130.0, 0, SIDE / 2], [0, 130.0, SIDE / 2], [0, 0, 1]])
ORIENT = torch.tensor([1.2, 1.2, 1.2])
"""Fingers up, palm to the camera."""


@pytest.fixture(scope="module")
def template() -> Template:
    return build_template(open_hand_model(template="forearm"), levels=0)


def parameters(template: Template, forearm: torch.Tensor | None) -> GeometryParameters:
    def leaf(values: torch.Tensor) -> torch.Tensor:
        return values.clone().requires_grad_(True)

    wrist = (template.model.joint_regressor @ template.model.v_template)[0]
    return GeometryParameters(
        leaf(torch.zeros(10)),
        leaf(ORIENT[None]),
        leaf(torch.zeros(1, 45)),
        leaf((torch.tensor([0.0, -0.02, 0.6]) - wrist)[None]),
        leaf(torch.zeros(len(template.smoother))),
        None if forearm is None else leaf(forearm[None]),
    )


@torch.no_grad()
def seen(template: Template, geometry: GeometryParameters) -> Frames:
    vertices = pose_hand(template, geometry).vertices
    view = see_stack(vertices, template.topology, CAMERA[None], SIDE, SIDE)
    mask = compose(view, template.topology, torch.ones(len(view.fragments.pixels), 1)).coverage
    eight = (mask * 255 + 0.5).to(torch.uint8)
    planes = torch.stack([eight, torch.full_like(eight, 255), eight], dim=-1)
    return Frames(torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8), planes[None], CAMERA[None])


def test_outline_bends_the_forearm(template):
    # about the camera's line of sight, as seen from the hand
    true = -math.radians(25) * (axis_angle_to_matrix(ORIENT).T @ torch.tensor([0.0, 0.0, 1.0]))
    frames = seen(template, parameters(template, true))
    start = parameters(template, torch.zeros(3))
    with torch.no_grad():
        reference = Reference(pose_hand(template, start).joints.clone())
    config = dataclasses.replace(HarpConfig(), learning_rate_geometry=4e-3)
    optimise_geometry(template, start, frames, reference, one_frame(25), config, silent)
    off = axis_angle_to_matrix(start.forearm[0].detach()).T @ axis_angle_to_matrix(true)
    left = math.degrees(math.acos(min(1.0, (float(off.trace()) - 1) / 2)))
    assert left < 8  # of 25


@pytest.mark.parametrize("degrees", [-25, 0, 20])
def test_it_starts_where_the_mask_has_it(template, degrees):
    true = math.radians(degrees) * (axis_angle_to_matrix(ORIENT).T @ torch.tensor([0.0, 0.0, 1.0]))
    start = parameters(template, torch.zeros(3))
    start_forearm(template, start, seen(template, parameters(template, true)))
    off = axis_angle_to_matrix(start.forearm[0].detach()).T @ axis_angle_to_matrix(true)
    assert math.degrees(math.acos(min(1.0, (float(off.trace()) - 1) / 2))) < 10
    assert start.forearm.requires_grad


def test_without_forearm_given_it_is_straight(template):
    plain, straight = (pose_hand(template, parameters(template, bend)) for bend in (None, torch.zeros(3)))
    torch.testing.assert_close(plain.vertices, straight.vertices)
    assert plain.joints.shape == (1, 16, 3)


def test_what_lies_beyond_the_opening_is_told_along_the_forearm(template):
    model = template.model
    cap = model.faces[model.cap_faces].unique()
    away = math.radians(80) * (axis_angle_to_matrix(ORIENT).T @ torch.tensor([0.0, 0.0, 1.0]))
    posed = pose_hand(template, parameters(template, away))
    beyond = beyond_wrist(posed.vertices[0], cap, posed.joints[0], CAMERA, SIDE, SIDE)
    points = posed.vertices[0].detach() @ CAMERA.T
    x, y = (points[:, :2] / points[:, 2:]).long().clamp(0, SIDE - 1).unbind(1)
    hidden = beyond[y, x]
    assert 0.01 < hidden.float().mean() < 0.15
    assert (model.forearm_weight[hidden] == 1).all()


def test_forearm_is_the_open_hands_alone():
    class Args:
        template, hand_model = "forearm", "MANO_RIGHT.pkl"

    with pytest.raises(InputError, match="leave out --hand-model"):
        charted_hand_model(Args, "right")
    Args.hand_model = None
    assert charted_hand_model(Args, "left").side == "left"
