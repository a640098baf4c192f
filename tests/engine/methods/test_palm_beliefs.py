"""What a prior's people say of skins, light and shapes."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from palm_tiny import tiny_prior

from engine.lighting.sg_light import sg_irradiance
from engine.methods.palm_beliefs import (
    LEVEL_SPREAD,
    TINT_SPREAD,
    beliefs_of,
    coefficients,
    knows_surfaces,
    light_belief,
    people_betas,
    shape_from_betas,
    skin_belief,
)
from engine.training.prior_file import Prior


@pytest.fixture
def crowd() -> Prior:
    """Forty people whose shape codes follow from their betas."""
    prior, generator = tiny_prior(), torch.Generator().manual_seed(0)
    betas = torch.randn(40, 10, generator=generator)
    axes = torch.randn(10, 2, generator=generator)
    names = tuple(f"{number:04d}" for number in range(40))
    basis = prior.bases["shape"]
    weights = {
        **prior.weights,
        "shape_code.codes": basis.mean + (betas @ axes + 0.5) @ basis.components,
        "appearance_code.codes": torch.randn(40, 32, generator=generator),
    }
    told = {"subject_betas": dict(zip(names, betas.tolist(), strict=True))}
    return dataclasses.replace(prior, subjects=names, weights=weights, provenance=told)


def test_coefficients_are_those_of_the_basis():
    prior = tiny_prior()
    basis = prior.bases["shape"]
    wanted = torch.tensor([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]])
    weights = {**prior.weights, "shape_code.codes": basis.mean + wanted @ basis.components}
    found = coefficients(dataclasses.replace(prior, weights=weights), "shape")
    torch.testing.assert_close(found, wanted)


def test_usual_skin_costs_nothing_and_unusual_skin_its_squared_deviations():
    beliefs = beliefs_of(tiny_prior(), torch.zeros(10), torch.zeros(()))
    spread = coefficients(tiny_prior(), "appearance").std(0)
    basis = tiny_prior().bases["appearance"]
    assert float(skin_belief(basis.mean, beliefs)) == 0
    code = basis.mean + torch.tensor([2.0, -1.0]) * spread @ basis.components
    torch.testing.assert_close(skin_belief(code, beliefs), torch.tensor(5.0), atol=1e-4, rtol=0)
    # off the people's axes nothing is said
    aside = torch.randn(32, generator=torch.Generator().manual_seed(0))
    aside = aside - aside @ basis.components.T @ basis.components
    torch.testing.assert_close(skin_belief(code + aside, beliefs), torch.tensor(5.0), atol=1e-4, rtol=0)


def test_light_like_the_priors_costs_nothing_and_strength_and_tint_their_logarithms():
    prior = tiny_prior()
    beliefs = beliefs_of(prior, torch.zeros(10), torch.zeros(()))
    assert float(light_belief(prior.light, beliefs)) == pytest.approx(0, abs=1e-9)
    brighter = prior.light.clone()
    brighter[:, 4:] *= math.exp(LEVEL_SPREAD)
    assert float(light_belief(brighter, beliefs)) == pytest.approx(1, rel=1e-4)
    tinted = prior.light.clone()
    tinted[:, 4] *= math.exp(3 * TINT_SPREAD)
    expected = (TINT_SPREAD / LEVEL_SPREAD) ** 2 + 4 + 1 + 1
    assert float(light_belief(tinted, beliefs)) == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(beliefs.irradiance, sg_irradiance(prior.light))


def test_codes_that_are_coefficients_already_are_taken_as_they_are():
    prior = tiny_prior()
    wanted = torch.tensor([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]])
    axes = {"shape_code.components": prior.bases["shape"].components}
    weights = {**prior.weights, **axes, "shape_code.codes": wanted, "appearance_code.codes": wanted}
    assert torch.equal(coefficients(dataclasses.replace(prior, weights=weights), "shape"), wanted)


def test_a_prior_without_light_believes_nothing_of_it_and_a_dark_one_stays_finite():
    unlit = beliefs_of(dataclasses.replace(tiny_prior(), light=None), torch.zeros(10), torch.zeros(()))
    assert unlit.irradiance is None and float(light_belief(tiny_prior().light, unlit)) == 0
    dark = tiny_prior().light.clone()
    dark[:, 5] = 0
    beliefs = beliefs_of(dataclasses.replace(tiny_prior(), light=dark), torch.zeros(10), torch.zeros(()))
    assert torch.isfinite(light_belief(tiny_prior().light, beliefs))


def test_gradients_of_the_beliefs():
    beliefs = beliefs_of(tiny_prior(), torch.zeros(10), torch.zeros((), dtype=torch.float64))
    light = (tiny_prior().light.double() * 1.3).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda values: light_belief(values, beliefs), light)
    appearance = torch.linspace(-0.3, 0.2, 32, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda values: skin_belief(values, beliefs), appearance)


def test_a_shape_starts_where_people_of_its_betas_are(crowd):
    person = people_betas(crowd)[7].float()
    torch.testing.assert_close(shape_from_betas(crowd, person), coefficients(crowd, "shape")[7], atol=1e-4, rtol=1e-4)
    spread = coefficients(crowd, "shape").std(0)
    far = shape_from_betas(crowd, 100 * person)
    torch.testing.assert_close(far.abs(), 2.5 * spread, atol=1e-4, rtol=1e-4)


def all_betas(row: list) -> dict:
    return {"subject_betas": dict.fromkeys("abc", row)}


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"subject_betas": {"a": [0.0] * 10}},
        *(all_betas(row) for row in (["x"], [math.nan] * 10, [10**400] * 10, [1e300] * 10, [0.0] * 3, [0.0] * 10)),
    ],
)
def test_a_prior_that_does_not_tell_or_knows_few_starts_at_its_mean(told):
    prior = dataclasses.replace(tiny_prior(), provenance=told)
    assert shape_from_betas(prior, torch.zeros(10)) is None
    assert beliefs_of(prior, torch.zeros(10), torch.zeros(())).shape is None


def test_whether_surfaces_are_the_hand_models_is_in_the_recipe():
    prior = tiny_prior()
    for told, expected in (
        ({"last_geometry": {"steps": 5}}, True),
        ({"last_geometry": {"steps": 0}}, False),
        (7, False),
    ):
        assert knows_surfaces(dataclasses.replace(prior, provenance={"configuration": told})) is expected
    assert not knows_surfaces(dataclasses.replace(prior, provenance={}))
