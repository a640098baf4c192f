"""Friction ridges: how far apart, where, and that they fade before texels alias them."""

from __future__ import annotations

import numpy as np
import pytest
from package_modules import ROOT, module

maps = module("palm_blender.synthesis.skin_maps")
noise = module("palm_blender.synthesis.skin_noise")
patterns = module("palm_blender.synthesis.skin_patterns")
regions = module("palm_blender.synthesis.skin_regions")
ridges = module("palm_blender.synthesis.skin_ridges")
traits = module("palm_blender.synthesis.skin_traits")
model_file = module("engine.hand.model_file")


@pytest.fixture(scope="module")
def hand():
    return regions.hand_surface(model_file.read_model_file(ROOT / "assets" / "hand" / "open_hand_right.npz"))


def sampled(hand, chosen, count, generator):
    """Points [N] of some faces, and the two edges [N,3] of the face that each lies on."""
    faces = generator.choice(np.flatnonzero(chosen), count)
    share = generator.dirichlet(np.ones(3), count)
    corners = hand.faces[faces]

    def mix(values):
        return np.einsum("nk,nk...->n...", share, values[corners]).astype(np.float32)

    points = regions.SkinPoints(mix(hand.vertices), mix(hand.normals), mix(hand.palm), mix(hand.skinning))
    edges = hand.vertices[corners[:, 1:]] - hand.vertices[corners[:, :1]]
    return points, edges


@pytest.mark.parametrize("where", ["palm", "pads"])
def test_ridges_keep_their_distance(hand, where):
    """The median slope of a wave sin(2 pi x / P) is 2 pi / P times the root of a half: P is 0.42 to 0.62 mm."""
    palmar = hand.palm[hand.faces].min(1) > 0.9
    ends = hand.skinning[:, [3, 6, 9, 12, 15]].sum(1)[hand.faces].min(1) > 0.9
    wrist = hand.skinning[:, 0][hand.faces].min(1) > 0.8
    points, edges = sampled(hand, palmar & (ends if where == "pads" else wrist), 6000, np.random.default_rng(0))
    frames, field = regions.nail_frames(hand), noise.make_noise(np.random.default_rng(1))

    def height(step):
        moved = points._replace(position=points.position + step.astype(np.float32))
        return ridges.friction_ridges(hand, frames, moved, field, 5).astype(float)

    # the gradient in the face's plane, by differences over 0.02 mm
    first = edges[:, 0] / np.linalg.norm(edges[:, 0], axis=1, keepdims=True)
    second = edges[:, 1] - (edges[:, 1] * first).sum(1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    size = 2e-5
    slope = np.hypot(*((height(size / 2 * way) - height(-size / 2 * way)) / size for way in (first, second)))
    period = 2 * np.pi * 0.5**0.5 / np.median(slope)
    assert 4.2e-4 < period < 6.2e-4
    value = height(np.zeros(3))
    assert -1.3 < value.min() < -1.0 and 0.8 < value.max() < 1.3 and abs(value.mean()) < 0.05


def test_ridges_are_of_palmar_skin_only_and_fade_before_they_alias(hand):
    person = traits.sample_traits("tan", 40, False, 6)
    skin = patterns.skin_model(hand, person)
    generator = np.random.default_rng(2)
    for chosen, ridged in ((hand.palm[hand.faces].min(1) > 0.9, True), (hand.palm[hand.faces].max(1) < 0.1, False)):
        points, _ = sampled(hand, chosen, 3000, generator)
        height = {mm: patterns.evaluate(skin, points, mm * 1e-3).height for mm in (0.06, 0.121, 0.3)}
        fine = height[0.06] - height[0.121]
        # pores are lost too between these sizes, but they are shallow
        assert (fine.std() > 7e-6) == ridged
        if ridged:
            np.testing.assert_allclose(height[0.121], height[0.3], atol=1.2e-5)


def test_prints_differ_from_finger_to_finger_and_person_to_person(hand):
    frames, field = regions.nail_frames(hand), noise.make_noise(np.random.default_rng(1))
    points, _ = sampled(hand, hand.palm[hand.faces].min(1) > 0.9, 2000, np.random.default_rng(3))
    one, same, other = (ridges.friction_ridges(hand, frames, points, field, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.5
