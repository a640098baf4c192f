"""XHand's energy terms: values that can be worked out by hand."""

from __future__ import annotations

import pytest
import torch
from synthetic_sequence import true_hand

from engine.methods.losses import laplacian_vectors, uniform_laplacian
from engine.methods.xhand_config import XHandWeights
from engine.methods.xhand_losses import (
    mask_energy,
    part_aware_laplacian,
    photo_energy,
    regularity,
    structural_similarity,
)
from engine.methods.xhand_model import Features
from engine.rendering.antialias import edge_table
from engine.rendering.mesh import Picture

FAN = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1]])
"""A pyramid's four sides: vertex 0 has the neighbours 1 to 4, each of those three."""


def test_the_laplacian_of_a_pyramid():
    table = uniform_laplacian(edge_table(FAN), 5)
    values = torch.tensor([[4.0], [0], [0], [0], [0]])
    torch.testing.assert_close(
        laplacian_vectors(values, table), torch.tensor([[-4.0], [4 / 3], [4 / 3], [4 / 3], [4 / 3]])
    )
    everyone = part_aware_laplacian(values, table, 0.0, 0.1)
    assert float(everyone) == pytest.approx((4 + 4 * 4 / 3) / 5, rel=1e-5)
    # below the median there are three of the five, which weigh a tenth
    half = part_aware_laplacian(values + torch.tensor([[0.0], [0.3], [0], [0], [0]]), table, 0.5, 0.1)
    lengths = laplacian_vectors(values + torch.tensor([[0.0], [0.3], [0], [0], [0]]), table).abs()[:, 0]
    kept = torch.where(lengths <= lengths.sort().values[1], 0.1, 1.0)
    assert float(half) == pytest.approx(float((kept * lengths).mean()), rel=1e-4)
    assert float(part_aware_laplacian(torch.ones(5, 3), table, 0.5, 0.1)) < 1e-5


def test_similarity_is_one_for_equal_pictures_and_falls_with_noise():
    pictures = torch.rand(20, 30, 3, generator=torch.Generator().manual_seed(0))
    assert float(structural_similarity(pictures, pictures)) == pytest.approx(1, abs=1e-5)
    noise = 0.2 * torch.randn(20, 30, 3, generator=torch.Generator().manual_seed(1))
    assert float(structural_similarity(pictures + noise, pictures)) < 0.9
    with pytest.raises(ValueError, match="7 pixels"):
        structural_similarity(pictures[:5], pictures[:5])


def test_similarity_is_scikit_images():
    metrics = pytest.importorskip("skimage.metrics")
    one, two = torch.rand(2, 24, 31, 3, generator=torch.Generator().manual_seed(2)).double()
    wanted, _ = metrics.structural_similarity(
        one.numpy(), two.numpy(), channel_axis=2, data_range=1.0, use_sample_covariance=False, full=True
    )
    assert float(structural_similarity(one, two)) == pytest.approx(wanted, abs=1e-6)


def test_the_photo_term_counts_pixels_of_hand_and_leaves_out_what_has_no_weight():
    weights = XHandWeights(absolute=1.0)
    target, hand_px = torch.zeros(16, 16, 3), torch.tensor(32.0)
    weight = torch.ones(16, 16)
    color = target.clone()
    color[4, 4] = 0.5
    assert float(photo_energy(color, target, weight, hand_px, weights)) == pytest.approx(0.5 / 32)
    weight[4, 4] = 0
    assert float(photo_energy(color, target, weight, hand_px, weights)) == 0


def test_the_structural_part_is_that_of_the_hands_share_of_the_crop():
    target, color = torch.rand(2, 16, 16, 3, generator=torch.Generator().manual_seed(5))
    unlike, weights = 1 - float(structural_similarity(color, target)), XHandWeights(absolute=0.25)
    absolute = float((color - target).abs().mean(-1).sum())
    for hand_px, share in ((32.0, 32 / 256), (2.0, 0.05)):  # of a few pixels no more is made
        found = photo_energy(color, target, torch.ones(16, 16), torch.tensor(hand_px), weights)
        assert float(found) == pytest.approx(0.25 * absolute / hand_px + 0.75 * unlike / share, rel=1e-5)


def test_what_holds_the_surface_to_the_hand_models():
    hand = true_hand()
    table = uniform_laplacian(hand.topology.edges, len(hand.rest_vertices))
    rest = hand.rest_pose(torch.zeros(45), torch.zeros(3), torch.zeros(3))
    skinned, none = hand.template.skinning_weights, torch.zeros_like(rest.vertices)

    def energy(shift, albedo, skinning_weights, **terms):
        off = dict.fromkeys(("displacement_laplacian", "albedo_laplacian", "edge", "displacement", "skinning"), 0.0)
        features = Features(shift, skinning_weights, albedo)
        return float(regularity(hand, rest, features, table, XHandWeights(**{**off, **terms})))

    even = torch.full_like(none, 0.3)
    shifted, larger = none + torch.tensor([0.003, 0, 0.004]), 0.01 * rest.vertices
    assert energy(shifted, even, skinned, displacement=2.0) == pytest.approx(2 * 25, rel=1e-4)
    assert energy(shifted, even, skinned, edge=1.0, displacement_laplacian=1.0) == pytest.approx(0, abs=1e-3)
    ends = rest.vertices[hand.topology.edges.vertices]
    stretched = float((10 * (ends[:, 0] - ends[:, 1]).norm(dim=1)).square().mean())
    assert energy(larger, even, skinned, edge=3.0) == pytest.approx(3 * stretched, rel=1e-3)
    moved = skinned + 0.1 * torch.eye(16)[3]
    assert energy(none, even, moved, skinning=5.0) == pytest.approx(5 * 0.01, rel=1e-3)
    rough = part_aware_laplacian(rest.vertices, table, 0.25, 0.1)
    assert energy(none, rest.vertices, skinned, albedo_laplacian=1.0) == pytest.approx(float(rough), rel=1e-4)


def test_the_mask_term():
    mask = torch.zeros(8, 8)
    mask[:4] = 1
    coverage = mask.clone()
    coverage[4] = 0.25
    assert float(mask_energy(Picture(coverage[..., None], coverage), mask, mask.sum())) == pytest.approx(8 * 0.25 / 32)


def test_gradients():
    table = uniform_laplacian(edge_table(FAN), 5)
    generator = torch.Generator().manual_seed(4)
    values = torch.randn(5, 3, generator=generator).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: part_aware_laplacian(v, table, 0.5, 0.1), (values,))
    color, target = torch.rand(2, 9, 9, 3, generator=generator).double()
    weight, hand_px = torch.ones(9, 9).double(), torch.tensor(40.0).double()

    def photo(found):
        return photo_energy(found, target, weight, hand_px, XHandWeights())

    assert torch.autograd.gradcheck(photo, (color.requires_grad_(),))
