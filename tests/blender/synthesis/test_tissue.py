"""The living surface: sizes of skin, nothing that moves where nothing should, and the underlying hand untouched below it."""

from __future__ import annotations

import numpy as np
import pytest
from package_modules import ROOT, module

bends, fine, shapes, tissues = (
    module(f"palm_blender.synthesis.{name}") for name in ("bending", "fine_hand", "hand_shape", "tissue")
)
creases, maps, patterns, posed_mesh, poses, regions, shots, traits = (
    module(f"palm_blender.synthesis.{name}")
    for name in (
        "skin_creases", "skin_maps", "skin_patterns", "posed_mesh", "poses", "skin_regions", "shots", "skin_traits",
    )
)  # fmt: skip
loop = module("engine.hand.loop_refinement")
BETAS = np.linspace(-1, 1, 10)


@pytest.fixture(scope="module")
def fields():
    return module("engine.hand.model_file").read_model_file(ROOT / "assets" / "hand" / "open_hand_right.npz")


@pytest.fixture(scope="module")
def skin(fields):
    return patterns.skin_model(regions.hand_surface(fields), traits.sample_traits("tan", 45, False, 9))


@pytest.fixture(scope="module")
def hand(fields, skin):
    """With edges of 2.5 mm: folds are too coarse there to be looked at, but all else is the same."""
    return fine.fine_hand(fields, shapes.load_hand_shape(BETAS), BETAS, skin, 1)


def pose_of(name):
    orient = np.array([0.3, -0.8, 1.1])
    return shots.HandPose(orient, poses.load_gesture(name), np.array([0.02, -0.01, 0.5]))


def test_displacement_is_the_own_shape_and_each_field_times_its_amount(hand):
    angles = shapes.joint_angles(hand.shape, poses.load_gesture("half_closed"))
    amounts = bends.bending(angles)
    total = tissues.displacement(hand.tissue, amounts)
    rows = sum(
        amount * row
        for name in bends.Bending._fields
        if name != "blanch"
        for amount, row in zip(getattr(amounts, name), getattr(hand.tissue, name), strict=True)
    )
    np.testing.assert_allclose(total, hand.tissue.own + rows, atol=1e-8)


@pytest.mark.parametrize(
    ("field", "least_mm", "most_mm"),
    [("own", 1.0, 2.0), ("pad", 1.2, 2.1), ("mound", 1.5, 3.01), ("knuckle", 1.0, 2.2), ("cushion", 1.0, 2.0)],
)
def test_swellings_have_the_size_of_flesh(hand, field, least_mm, most_mm):
    highest = 1e3 * getattr(hand.tissue, field).max()
    assert least_mm <= highest <= most_mm


def test_nails_are_plates_that_bending_leaves_alone(fields, skin):
    surface = regions.hand_surface(fields)
    parts = (surface.vertices, surface.normals, surface.palm, surface.skinning)
    points = regions.SkinPoints(*(np.asarray(part, np.float32) for part in parts))
    plate = regions.nails(skin.frames, points, 5e-4).plate > 0.999
    assert plate.sum() > 20
    tissue = tissues.tissue_of(skin, points)
    for name in tissues.Tissue._fields:
        if name != "own":
            assert np.abs(getattr(tissue, name)[:, plate]).max() < 3e-6, name


@pytest.mark.parametrize("field", ["fold", "crease", "line"])
def test_furrows_have_the_depth_of_skins(hand, field):
    depth = -1e3 * getattr(hand.tissue, field).min()
    assert 0.2 <= depth <= 0.65


def test_a_fist_changes_palm_and_back_as_flesh_does(hand):
    flat, fist = (
        tissues.displacement(hand.tissue, hand.amounts(pose_of(name))) - hand.tissue.own for name in ("flat", "fist")
    )
    assert np.abs(flat).max() < 1.7e-3
    assert 2e-3 < (fist - flat).max() < 4e-3
    # no folds on the back of the fingers of a fist, all of them on a flat hand's
    folds = np.abs(hand.tissue.fold).max(0) > 1e-4
    own = (hand.amounts(pose_of(name)).fold @ hand.tissue.fold for name in ("flat", "fist"))
    before, after = (np.abs(values[folds]).mean() for values in own)
    assert after < 0.1 * before


def test_the_rim_of_the_wrist_stays_where_it_is(hand):
    for name in ("flat", "fist"):
        lid = np.unique(hand.mesh.faces[hand.mesh.cap_faces])
        moved = hand.frame(pose_of(name)).vertices - hand.underlying(pose_of(name))
        assert np.abs(moved[lid]).max() < 1.5e-4


def test_below_lies_the_model_at_its_parameters(hand, fields):
    """Correctives carried from the coarse mesh are those of the fine one, and keypoints are the model's."""
    refined = loop.refined_fields(fields, 1)
    pose = pose_of("pinch")
    rest = posed_mesh.rest_hand(posed_mesh.shaped_mesh(refined, BETAS))
    vertices, joints = posed_mesh.pose_points(rest, pose)
    np.testing.assert_allclose(hand.underlying(pose), vertices, atol=2e-6)
    keypoints = hand.frame(pose).keypoints
    np.testing.assert_allclose(keypoints[:16], joints, atol=1e-6)
    np.testing.assert_allclose(keypoints[16:], vertices[fields["tip_vertices"]], atol=2e-6)


def test_maps_follow_the_joints_they_lie_at(hand):
    straight, bent = (hand.frame(pose_of(name)).weights for name in ("flat", "fist"))
    knuckle = np.linalg.norm(hand.mesh.vertices - hand.mesh.joints[5], axis=1).argmin()
    assert straight.fold[knuckle] > 0.9
    assert bent.fold[knuckle] == 0
    assert bent.crease[knuckle] > 1.4 > 0.8 > straight.crease[knuckle]
    assert straight.blanch.max() == 0
    assert 0.8 < bent.blanch.max() <= 1


def test_moving_maps_at_full_strength_are_the_still_ones_but_for_the_valleys(skin):
    """The parts of the relief add up to the height that a person at rest has."""
    points = regions.SkinPoints(*(values[:4000].astype(np.float32) for values in (
        skin.hand.vertices, skin.hand.normals, skin.hand.palm, skin.hand.skinning)))  # fmt: skip
    sample = patterns.evaluate(skin, points, 3e-4)
    assert min(part.min() for part in (sample.fold, sample.crease, sample.valley)) >= -6e-4
    assert max(part.max() for part in (sample.fold, sample.crease, sample.valley)) <= 0
    moving = maps.moving_maps(skin, 96)
    still = maps.skin_maps(skin.hand, skin.traits, 96)
    np.testing.assert_array_equal(moving.albedo, still.albedo)
    total = moving.still + moving.fold + moving.crease
    slopes = still.normal[..., :2] / still.normal[..., 2:]
    near = np.abs(total - slopes).max(-1) < 1e-3
    assert 0.6 < near.mean() < 1  # what is left are the palm's valleys, geometry in a sequence
