"""XHand's hand, untrained: what it is before anything is learned, and what follows from its parts."""

from __future__ import annotations

import copy
import dataclasses
import logging

import pytest
import torch

from engine.fields.feature_embedding import EmbeddingConfig
from engine.fields.neural_renderer import RendererConfig
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.hand.random_poses import random_hand_poses
from engine.lighting.color import linear_to_srgb
from engine.methods.pose_range import pose_range
from engine.methods.xhand_model import FIRST_ALBEDO, Camera, Features, XHandModel, XHandNetworks
from engine.methods.xhand_template import build_template
from engine.rendering.mesh import compose

SMALL = EmbeddingConfig(2, 8)
NETWORKS = XHandNetworks(SMALL, SMALL, SMALL, RendererConfig(2, 8, latent=4))
CAMERA = Camera(
    torch.tensor([[220.0, 0, 48], [0, 220.0, 40], [0, 0, 1]]),
    torch.tensor([[1.0, 0, 0, 0.05], [0, 0, 1, 0], [0, -1, 0, 0.5], [0, 0, 0, 1]]),
    80,
    96,
)


@pytest.fixture(scope="module")
def hand() -> XHandModel:
    coarse = open_hand_model()
    poses = random_hand_poses(coarse, 6, torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    return XHandModel(build_template(coarse, 2_500), 0.3 * torch.ones(10), pose_range(poses), NETWORKS)


@pytest.fixture(scope="module")
def moment() -> dict[str, torch.Tensor]:
    pose = random_hand_poses(open_hand_model(), 1, torch.Generator().manual_seed(1))[0]
    return {
        "hand_pose": pose,
        "global_orient": torch.tensor([0.2, -0.4, 0.1]),
        "transl": torch.tensor([0.01, 0.02, -0.01]),
    }


def test_untrained_it_is_the_hand_model_in_plain_skin(hand, moment):
    posed = hand.posed(**moment)
    told = hand_forward(hand.template, hand.betas, moment["global_orient"], moment["hand_pose"], moment["transl"])
    torch.testing.assert_close(posed.vertices, told.vertices, atol=2e-5, rtol=0)
    assert len(posed.vertices) == len(hand.template.v_template)
    plain = torch.tensor(FIRST_ALBEDO).expand_as(posed.vertices)
    torch.testing.assert_close(posed.features.albedo, plain)
    # an even light of radiance 1 shows matt skin in its own colour
    torch.testing.assert_close(hand.shade(posed, hand.light_of()), plain, atol=1e-5, rtol=0)
    picture = hand.picture(posed, CAMERA)
    inner = picture.coverage == 1
    assert inner.sum() > 200 and picture.color.shape == (80, 96, 3)
    wanted = linear_to_srgb(torch.tensor(FIRST_ALBEDO)).expand(int(inner.sum()), 3)
    torch.testing.assert_close(picture.color[inner], wanted, atol=1e-4, rtol=0)


def test_the_neural_picture_begins_as_the_shaded_one(hand, moment):
    posed = hand.posed(**moment)
    shaded = hand.picture(posed, CAMERA)
    neural = hand.picture(posed, CAMERA, neural=True, hand_pose=moment["hand_pose"])
    torch.testing.assert_close(neural.color, shaded.color, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="pose"):
        hand.picture(posed, CAMERA, neural=True)


def test_displacement_lies_in_the_rest_frame_before_skinning(hand, moment):
    moved = Features(
        torch.tensor([0.0, 0.003, 0.0]).expand(len(hand.rest_vertices), 3),
        hand.template.skinning_weights,
        torch.full((len(hand.rest_vertices), 3), 0.5),
    )
    plain = hand.posed(**moment, features=moved._replace(displacement=torch.zeros_like(hand.rest_vertices)))
    shift = hand.posed(**moment, features=moved).vertices - plain.vertices
    rotations = hand.rest_pose(**moment).transforms[:, :3, :3]
    blended = torch.einsum("vj,jrc->vrc", hand.template.skinning_weights, rotations)
    torch.testing.assert_close(shift, 0.003 * blended[:, :, 1], atol=1e-6, rtol=0)


def test_the_global_rotation_changes_no_feature_but_a_finger_does(hand, moment):
    with torch.no_grad():
        hand.displacement.out.weight.normal_()
    try:
        first = hand.posed(**moment).features
        turned = hand.posed(moment["hand_pose"], moment["global_orient"] + 1.0, moment["transl"]).features
        torch.testing.assert_close(turned.displacement, first.displacement)
        other = hand.features(torch.zeros(45))
        assert (other.displacement - first.displacement).abs().max() > 1e-5
        assert torch.equal(hand.mean_features().displacement, torch.zeros_like(first.displacement))
    finally:
        with torch.no_grad():
            hand.displacement.out.weight.zero_()


def test_constant_networks_ignore_the_pose():
    still = dataclasses.replace(NETWORKS, pose_dependent=False)
    coarse = open_hand_model()
    model = XHandModel(build_template(coarse, 1_670, 0), torch.zeros(10), pose_range(torch.zeros(1, 45)), still)
    with torch.no_grad():
        for part in (model.displacement, model.skinning, model.albedo):
            part.out.weight.normal_()
    for found, mean in zip(model.features(torch.ones(45)), model.mean_features(), strict=True):
        assert torch.equal(found, mean)


def test_poses_far_outside_are_told_once_and_change_no_more_features(hand, caplog):
    with torch.no_grad():
        hand.displacement.out.weight.normal_()
    far = hand.pose_range.high + 1.5
    with caplog.at_level(logging.WARNING):
        first = hand.features(far).displacement
        again = hand.features(far + 0.5).displacement
    assert sum("bend farther" in line for line in caplog.messages) == 1
    torch.testing.assert_close(first, again, atol=1e-6, rtol=1e-4)
    with torch.no_grad():
        hand.displacement.out.weight.zero_()


def test_lights_by_camera_and_their_mean_for_a_new_one():
    model = XHandModel(
        build_template(open_hand_model(), 1_670, 0),
        torch.zeros(10),
        pose_range(torch.zeros(1, 45)),
        NETWORKS,
        cameras=("a", "b"),
    )
    with torch.no_grad():
        model.light[1] *= 3
    torch.testing.assert_close(model.light_of("b"), 3 * model.light_of("a"))
    torch.testing.assert_close(model.light_of("new"), 2 * model.light_of("a"))


def test_it_moves_to_another_precision_with_its_template(moment):
    model = XHandModel(
        build_template(open_hand_model(), 1_670, 0), torch.zeros(10), pose_range(torch.zeros(1, 45)), NETWORKS
    ).double()
    posed = model.posed(**{name: value.double() for name, value in moment.items()})
    assert posed.vertices.dtype == posed.features.albedo.dtype == torch.float64
    assert model.template.faces.dtype == torch.int64


@pytest.fixture(scope="module")
def under_a_sky() -> XHandModel:
    torch.manual_seed(0)
    networks = dataclasses.replace(NETWORKS, sky=64)
    seen = pose_range(random_hand_poses(open_hand_model(), 6, torch.Generator().manual_seed(1)))
    return XHandModel(build_template(open_hand_model(), 2_500), 0.3 * torch.ones(10), seen, networks).eval()


@torch.no_grad()
def test_an_untrained_sky_is_even_and_fingers_hide_some_of_it(under_a_sky, moment):
    model = under_a_sky
    posed = model.posed(**moment)
    assert posed.visibility.shape == (len(posed.vertices), 64)
    assert 0 <= posed.visibility.min() < 0.1 and posed.visibility.max() == pytest.approx(1)
    albedo = posed.features.albedo
    bare = model.shade(posed._replace(visibility=None), model.light_of())
    torch.testing.assert_close(bare, albedo, atol=0, rtol=0.04)
    shown = model.shade(posed, model.light_of())
    assert (shown <= bare + 1e-6).all() and (shown[:, 0] < 0.8 * bare[:, 0]).float().mean() > 0.05
    torch.testing.assert_close(model.radiance(model.light_of(), posed.normals), torch.ones_like(albedo))
    flat = model.rest_pose(**moment, see_sky=False)
    assert flat.visibility is None and model.placed(flat, posed.features).visibility is None


@torch.no_grad()
def test_what_is_hidden_turns_with_the_hand(under_a_sky, moment):
    first = under_a_sky.rest_pose(**moment).visibility
    shifted = under_a_sky.rest_pose(moment["hand_pose"], moment["global_orient"], moment["transl"] + 0.2).visibility
    turned = under_a_sky.rest_pose(moment["hand_pose"], moment["global_orient"] + 1.0, moment["transl"]).visibility
    assert (first != shifted).float().mean() < 1e-3 < (first != turned).float().mean()


@torch.no_grad()
def test_gloss_brightens_the_picture_and_harmonics_have_none(under_a_sky, hand, moment):
    posed = under_a_sky.posed(**moment)
    gloss = under_a_sky.gloss(posed, under_a_sky.light_of(), CAMERA)
    assert gloss.min() >= 0 and gloss.max() > 0.02
    with_gloss = under_a_sky.picture(posed, CAMERA).color
    view = under_a_sky.view(posed, CAMERA)
    matt = under_a_sky.shaded_points(view, under_a_sky.shade(posed, under_a_sky.light_of()))
    assert with_gloss.sum() > compose(view, under_a_sky.topology, matt).color.sum()
    assert not hand.gloss(hand.posed(**moment), hand.light_of(), CAMERA).any()


def test_a_sky_moves_to_another_precision(under_a_sky, moment):
    model = copy.deepcopy(under_a_sky).double()
    posed = model.posed(**{name: value.double() for name, value in moment.items()})
    assert posed.visibility.dtype == model.shade(posed, model.light_of()).dtype == torch.float64
