"""The open hand with its forearm: the same hand, a straight arm until it is bent, and an elbow."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import trimesh

from engine.errors import HandModelError
from engine.hand.forearm import bend_forearm
from engine.hand.loop_model import loop_model
from engine.hand.mano import hand_forward
from engine.hand.model import OPEN_FOREARM, HandModel, load_hand_model, open_hand_model
from engine.hand.rotations import axis_angle_to_matrix
from engine.hand.subdivide import subdivide_model

BENT = torch.tensor([0.1, -0.2, math.radians(40)], dtype=torch.float64)


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return open_hand_model(dtype=torch.float64)


@pytest.fixture(scope="module")
def arm() -> HandModel:
    return open_hand_model(dtype=torch.float64, template="forearm")


def skin_count(hand: HandModel) -> int:
    """Vertices that the hand alone and the hand with forearm share: all but the lid's."""
    return int(hand.faces[~hand.cap_faces].max()) + 1


def random_parameters(seed: int, count: int = 3) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        scale * torch.randn(count, width, generator=generator, dtype=torch.float64)
        for width, scale in ((10, 1.0), (3, 0.8), (45, 0.3), (3, 0.2))
    )


def test_it_is_the_same_hand_with_the_same_parameters(hand, arm):
    count = skin_count(hand)
    alone, together = hand_forward(hand, *random_parameters(0)), hand_forward(arm, *random_parameters(0))
    torch.testing.assert_close(together.vertices[:, :count], alone.vertices[:, :count], atol=1e-7, rtol=0)
    torch.testing.assert_close(together.keypoints, alone.keypoints, atol=1e-6, rtol=0)
    assert alone.elbow is None
    assert together.elbow.shape == (3, 3)


def test_hand_stays_what_is_loaded_by_default(hand):
    assert hand.forearm_weight is None
    assert len(hand.v_template) == 1670


def test_mesh_is_closed_and_reaches_near_the_elbow(arm):
    mesh = trimesh.Trimesh(arm.v_template.numpy(), arm.faces.numpy(), process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    output = hand_forward(arm, torch.zeros(10).double(), torch.zeros(3).double(), torch.zeros(45).double())
    forearm = torch.linalg.norm(output.elbow - output.joints[0])
    assert 0.20 < forearm < 0.28
    beyond = output.vertices[:, 0].max() - output.joints[0, 0]
    assert 0.7 * forearm < beyond < forearm


def test_the_forearm_is_part_of_the_wrist_and_nothing_else(hand, arm):
    share, whole = arm.forearm_weight, arm.skinning_weights[:, 0]
    assert (share >= 0).all()
    assert (share <= whole + 1e-6).all()
    lid = arm.faces[arm.cap_faces].unique()
    assert (share[lid] == 1).all()
    # skin of fingers and palm takes no notice of the forearm
    knuckle = (arm.joint_regressor @ arm.v_template)[4, 0]
    assert (share[arm.v_template[:, 0] < knuckle + 0.05] == 0).all()


def test_a_bent_wrist_leaves_the_forearm_where_it_is(arm):
    """The hand turns by R about the wrist and the forearm by R's inverse relative to it: the arm rests."""
    zero, flat = torch.zeros(10).double(), torch.zeros(45).double()
    straight = hand_forward(arm, zero, torch.zeros(3).double(), flat)
    bent = hand_forward(arm, zero, BENT, flat, forearm=-BENT)
    whole = arm.forearm_weight == 1
    assert whole.sum() > 300
    torch.testing.assert_close(bent.vertices[whole], straight.vertices[whole])
    torch.testing.assert_close(bent.elbow, straight.elbow)
    hand_only = arm.forearm_weight == 0
    turned = (straight.vertices - straight.joints[0]) @ axis_angle_to_matrix(BENT).T + straight.joints[0]
    torch.testing.assert_close(bent.vertices[hand_only], turned[hand_only])


def test_no_rotation_is_the_straight_forearm_and_batches_broadcast(arm):
    betas, orient, pose, transl = random_parameters(1)
    plain = hand_forward(arm, betas, orient, pose, transl)
    same = hand_forward(arm, betas, orient, pose, transl, forearm=torch.zeros(3).double())
    torch.testing.assert_close(same.vertices, plain.vertices)
    many = hand_forward(arm, betas[0], orient[0], pose[0], transl[0], forearm=BENT.repeat(4, 1))
    one = hand_forward(arm, betas[0], orient[0], pose[0], transl[0], forearm=BENT)
    assert many.vertices.shape == (4, len(arm.v_template), 3)
    torch.testing.assert_close(many.vertices[2], one.vertices)
    torch.testing.assert_close(many.elbow[2], one.elbow)
    assert many.joints.shape == (4, 16, 3)


def test_skin_keeps_its_volume_when_the_wrist_bends(arm):
    zero, flat = torch.zeros(10).double(), torch.zeros(45).double()
    for angle in (-40, 40):
        turn = torch.tensor([0, 0, math.radians(angle)]).double()
        posed = hand_forward(arm, zero, turn, flat, forearm=-turn).vertices
        mesh = trimesh.Trimesh(posed.numpy(), arm.faces.numpy(), process=False)
        rest = trimesh.Trimesh(arm.v_template.numpy(), arm.faces.numpy(), process=False)
        assert mesh.volume == pytest.approx(rest.volume, rel=0.02)


def test_gradients_reach_the_forearm(arm):
    betas, orient, pose, transl = (value[0] for value in random_parameters(2))
    some = slice(1700, 1703)

    def vertices(forearm):
        return hand_forward(arm, betas, orient, pose, transl, forearm=forearm).vertices[some]

    assert torch.autograd.gradcheck(vertices, (BENT.clone().requires_grad_(),))


def test_left_arm_is_the_mirror_image(arm):
    left = open_hand_model("left", torch.float64, "forearm")
    flip = torch.tensor([-1.0, 1, 1]).double()
    zero, flat = torch.zeros(10).double(), torch.zeros(45).double()
    right_arm = hand_forward(arm, zero, BENT, flat, forearm=BENT)
    left_arm = hand_forward(left, zero, -BENT * flip, flat, forearm=-BENT * flip)
    torch.testing.assert_close(left_arm.vertices, right_arm.vertices * flip)
    torch.testing.assert_close(left_arm.elbow, right_arm.elbow * flip)


@pytest.mark.parametrize("refine", [subdivide_model, loop_model])
def test_refined_arms_bend_alike(arm, refine):
    fine = refine(arm, 1)
    zero, flat = torch.zeros(10).double(), torch.zeros(45).double()
    coarse_arm, fine_arm = (hand_forward(model, zero, BENT, flat, forearm=-BENT) for model in (arm, fine))
    torch.testing.assert_close(fine_arm.elbow, coarse_arm.elbow, atol=1e-6, rtol=0)
    near = fine_arm.vertices[: len(arm.v_template)] - coarse_arm.vertices
    assert near.norm(dim=1).max() < (1e-9 if refine is subdivide_model else 1.5e-3)
    assert (fine.forearm_weight <= fine.skinning_weights[:, 0] + 1e-6).all()


def test_charts_cover_the_square_without_folds(hand, arm):
    corners = arm.uv[arm.uv_faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    assert (area > 0).all()
    assert arm.uv.min() >= 0
    assert arm.uv.max() <= 1
    assert 0.5 * area.sum() > 0.5
    # no face lies on another chart: each face's centre is in itself alone. All against those of the forearm
    new = np.flatnonzero((arm.faces >= skin_count(hand)).any(1).numpy())
    centres, corners = corners.mean(1).numpy(), corners[new].numpy()
    inside = np.ones((len(centres), len(corners)), bool)
    for k in range(3):
        a, b = corners[:, k - 1], corners[:, k]
        side = (b[:, 0] - a[:, 0]) * (centres[:, None, 1] - a[:, 1])
        inside &= side - (b[:, 1] - a[:, 1]) * (centres[:, None, 0] - a[:, 0]) > 1e-12
    assert (np.argwhere(inside) == np.stack([new, np.arange(len(new))], axis=1)).all()


def test_what_there_is_not_is_named(hand, tmp_path):
    with pytest.raises(HandModelError, match=r"template .arm. is unknown.*hand, forearm"):
        open_hand_model(template="arm")
    zero = torch.zeros(3).double()
    with pytest.raises(HandModelError, match=r"ends at the wrist.*template=.forearm."):
        bend_forearm(hand, torch.eye(4).double().expand(16, 4, 4), zero, zero)
    with np.load(OPEN_FOREARM) as stored:
        fields = {name: stored[name] for name in stored.files}
    np.savez(tmp_path / "half.npz", **{name: value for name, value in fields.items() if name != "elbow_regressor"})
    with pytest.raises(HandModelError, match="only one of forearm_weight and elbow_regressor"):
        load_hand_model(tmp_path / "half.npz")
    np.savez(tmp_path / "more.npz", **{**fields, "forearm_weight": fields["forearm_weight"] + 0.5})
    with pytest.raises(HandModelError, match="no part of the wrist's weights"):
        load_hand_model(tmp_path / "more.npz")
