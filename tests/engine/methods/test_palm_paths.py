"""The encoded path has the direct path's values and gradients, stage by stage."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from palm_tiny import CONFIG, tiny_photos, tiny_posed, tiny_prior

from engine.hand.model import open_hand_model
from engine.methods.palm import begin
from engine.methods.palm_encoded import encode_shell, shell_picture
from engine.methods.palm_frozen import encode_frozen, frozen_picture
from engine.methods.palm_hands import PosedPrior, Unknowns, first_unknowns, pose_prior
from engine.methods.palm_heads import geometry_head, material_head, mirror_head, radiance_head
from engine.methods.palm_objective import PalmStage, enter_stage
from engine.methods.palm_placement import fixed_samples, movement, surface_metric
from engine.methods.palm_rays import RayPlan, plan_rays
from engine.rendering.volume import surface_samples

STAGES = [PalmStage(True, False), PalmStage(False, False), PalmStage(False, True)]
# without a cutoff both paths shade the same samples, not only the same but for those of least weight; without a grid they look at
# the same distances
EXACT = replace(CONFIG, render=replace(CONFIG.render, weight_cutoff=0.0), shadow_grid_m=0.0)


@lru_cache(maxsize=1)
def posed_double() -> PosedPrior:
    return pose_prior(tiny_prior(), open_hand_model(), tiny_photos(), dtype=torch.float64)


def started(posed: PosedPrior, stage: PalmStage) -> tuple[tuple[RayPlan, ...], Unknowns]:
    unknowns = first_unknowns(posed, tiny_prior().light)
    with torch.no_grad():
        unknowns.shape.add_(0.05)
        unknowns.appearance.sub_(0.3)
    enter_stage(unknowns, stage)
    return plan_rays(tiny_photos(), EXACT, posed.root), unknowns


def energy_and_gradients(path: str, stage: PalmStage, posed: PosedPrior, moved: float = 0.0):
    plans, unknowns = started(posed, stage)
    evaluate = begin(path, posed, plans, stage, unknowns, EXACT)
    with torch.no_grad():  # away from where the samples were placed
        unknowns.shape.add_(moved if stage.shape else 0.0)
        unknowns.appearance.add_(moved)
    energy = evaluate(unknowns, 3)
    energy.total.backward()
    return energy, [value.grad for value in unknowns]


@pytest.mark.parametrize("stage", STAGES, ids=["shape", "skin", "light"])
def test_encoded_values_and_gradients_are_the_direct_ones(stage):
    direct, expected = energy_and_gradients("direct", stage, posed_double(), moved=0.02)
    encoded, found = energy_and_gradients("encoded", stage, posed_double(), moved=0.02)
    assert encoded.terms.keys() == direct.terms.keys()
    assert ("physical" in encoded.terms, "curvature" in encoded.terms) == (stage.physical, stage.shape)
    for name, value in direct.terms.items():
        torch.testing.assert_close(encoded.terms[name], value, atol=1e-7, rtol=1e-5, msg=name)
    assert [value is not None for value in found] == [stage.shape, True, stage.physical]
    for ours, theirs in zip(found, expected, strict=True):
        if ours is not None:
            assert float(theirs.norm()) > 0
            torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-5)


def test_single_precision_agrees_as_far_as_it_goes():
    for stage in STAGES[1:]:
        direct, expected = energy_and_gradients("direct", stage, tiny_posed())
        encoded, found = energy_and_gradients("encoded", stage, tiny_posed())
        torch.testing.assert_close(encoded.total, direct.total, atol=1e-5, rtol=1e-4)
        for ours, theirs in zip(found, expected, strict=True):
            if ours is not None:
                torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-3)


def test_some_light_is_blocked_and_some_comes_from_other_skin():
    posed = tiny_posed()
    plans, unknowns = started(posed, STAGES[2])
    heads = radiance_head(posed), material_head(posed)
    encoded = [encode_frozen(posed, plan, unknowns, EXACT, True, *heads).physical for plan in plans]
    assert all(one is not None for one in encoded)
    assert any(one.bounce is not None and float(one.bounce.share.sum()) > 0 for one in encoded)
    assert any(bool(((one.angles.cosine > 0.1) & (one.angles.received == 0)).any()) for one in encoded)


def test_renewed_samples_estimate_the_same_energy():
    for stage in STAGES:
        fixed = energy_and_gradients("encoded", stage, tiny_posed())[0].terms
        renewed = energy_and_gradients("renewed", stage, tiny_posed())[0].terms
        assert fixed.keys() == renewed.keys()
        for name in ("radiance", "mask", "physical"):
            if name in fixed:
                assert float(renewed[name]) == pytest.approx(float(fixed[name]), rel=0.25, abs=0.01), (stage, name)


def test_candidates_serve_shapes_near_the_one_they_were_placed_around():
    posed = tiny_posed()
    plans, unknowns = started(posed, STAGES[0])
    heads = geometry_head(posed), radiance_head(posed), material_head(posed)
    shell = encode_shell(posed, plans[0], unknowns, CONFIG, 0, *heads[:2])
    for moved in (0.0, 0.02):
        with torch.no_grad():
            unknowns.shape.add_(moved)
            picture = shell_picture(posed, shell, unknowns, heads[0], mirror_head(heads[1], posed.bands.sh))
            truth = encode_frozen(posed, plans[0], unknowns, CONFIG, False, *heads[1:])
        assert float((picture.opacity - truth.opacity).abs().mean()) < 0.01
        code = posed.conditions(unknowns).appearance[0]
        with torch.no_grad():
            expected = frozen_picture(truth, code, heads[1]).radiance
            assert float((picture.radiance - expected).abs().mean()) < 0.01


def test_what_the_codes_do_not_move_is_constant():
    posed = tiny_posed()
    plans, unknowns = started(posed, STAGES[0])
    before = fixed_samples(posed, plans[0], unknowns, CONFIG, 0)
    again = fixed_samples(posed, plans[0], unknowns, CONFIG, 0)
    assert all(torch.equal(a, b) for a, b in zip(before.intervals, again.intervals, strict=True))
    evaluate = begin("encoded", posed, plans, STAGES[1], unknowns, CONFIG)
    first = evaluate(unknowns, 0).terms["mask"]
    with torch.no_grad():
        unknowns.appearance.add_(0.5)
    assert torch.equal(evaluate(unknowns, 0).terms["mask"], first)


def test_the_metric_says_how_far_the_surface_moves():
    posed = tiny_posed()
    plans, unknowns = started(posed, STAGES[0])
    metric = surface_metric(posed, plans[0], unknowns, CONFIG)
    change = torch.tensor([0.01, -0.02])
    samples = surface_samples(posed.scene(unknowns), *plans[0].batch[:3], CONFIG.render)
    moved = unknowns._replace(shape=unknowns.shape.detach() + change)
    with torch.no_grad():
        points, hand = samples.surface.points_c, samples.surface.hand
        sdf = posed.fields.geometry(points, hand, posed.conditions(moved), posed.bands, with_gradient=False).sdf
        apart = samples.weights * (sdf - samples.surface.sdf).square()
        expected = float((apart.sum() / samples.weights.sum()).sqrt())
    assert movement(metric, change) == pytest.approx(expected, rel=0.1)
    assert expected > 1e-5


@pytest.mark.parametrize("path", ["encoded", "direct", "renewed"])
def test_batches_that_miss_the_hand_have_an_energy(path):
    posed = tiny_posed()
    for stage in STAGES:
        plans, unknowns = started(posed, stage)
        away = [plan._replace(batch=plan.batch._replace(origins=plan.batch.origins + 9.0)) for plan in plans]
        energy = begin(path, posed, away, stage, unknowns, CONFIG)(unknowns, 0)
        energy.total.backward()
        assert torch.isfinite(energy.total)
        assert float(energy.terms["radiance"]) == 0
        assert all(value.grad is None or bool(torch.isfinite(value.grad).all()) for value in unknowns)


def test_unknown_samplings_are_refused():
    from engine.methods.palm_direct import begin_direct
    from engine.training.perceptual import pyramid_l1

    posed = tiny_posed()
    plans, unknowns = started(posed, STAGES[0])
    with pytest.raises(ValueError, match="there are fixed, renewed"):
        begin_direct(posed, plans, STAGES[0], unknowns, CONFIG, pyramid_l1, "twice")
