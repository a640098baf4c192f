"""Reflection models: furnaces, closed forms, gradients. That `principled` is Cycles' is tested under tests/blender."""

from __future__ import annotations

import math

import pytest
import torch

from engine.lighting.brdf import BRDFS, SKIN_IOR, outgoing, palm_brdf, principled_brdf
from engine.lighting.microfacet import (
    bump_shadowing,
    dielectric_fresnel,
    ggx_reflection,
    reflection_density,
    sample_reflection,
    smith_lambda,
)
from engine.lighting.microfacet_tables import coat_albedo, ggx_albedo, ggx_mean_albedo, lookup
from engine.lighting.sphere_sampling import hemisphere_directions, sphere_directions, strata

UP = torch.tensor([0.0, 0, 1], dtype=torch.float64)
WHITE = torch.ones(3, dtype=torch.float64)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def towards(cosine: float, azimuth: float = 0.0) -> torch.Tensor:
    sine = math.sqrt(1 - cosine**2)
    return torch.tensor([sine * math.cos(azimuth), sine * math.sin(azimuth), cosine], dtype=torch.float64)


def reflected_share(brdf, cosine: float, roughness: float, metallic: float, albedo: torch.Tensor) -> torch.Tensor:
    """[3] of constant light 1, integrated over the hemisphere."""
    light = hemisphere_directions(strata(1, 256, 256, dtype=torch.float64))[0]
    reflection = brdf(UP, towards(cosine), light, albedo, number(roughness), number(metallic))
    return (outgoing(reflection, albedo, number(metallic)) * math.pi / light[:, 2:]).mean(0)


@pytest.mark.parametrize("metallic", [0.0, 1.0, 0.4])
@pytest.mark.parametrize("roughness", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("cosine", [0.15, 0.6, 1.0])
def test_white_furnace_of_principled(roughness, cosine, metallic):
    """White skin and white metal give back all the light that falls in, at any angle."""
    share = reflected_share(principled_brdf, cosine, roughness, metallic, WHITE)
    assert (share - 1).abs().max() < 0.02, share


@pytest.mark.parametrize("roughness", [0.3, 0.5, 0.99])
def test_furnace_of_palm(roughness):
    """Lambert gives back its albedo; the coat adds to it what the published model adds, at most a fifth when facing."""
    light = hemisphere_directions(strata(1, 128, 128, dtype=torch.float64))[0]
    for cosine in (0.4, 1.0):
        reflection = palm_brdf(UP, towards(cosine), light, WHITE, number(roughness), number(0.0))
        weight = math.pi / light[:, 2]
        assert float((reflection.diffuse * weight).mean()) == pytest.approx(1, abs=1e-3)
        assert 0 < float((reflection.specular[:, 0] * weight).mean()) < 0.2


def test_coat_takes_from_the_base_what_it_reflects():
    black = reflected_share(principled_brdf, 0.5, 0.5, 0.0, 0 * WHITE)
    grey = reflected_share(principled_brdf, 0.5, 0.5, 0.0, 0.5 * WHITE)
    assert torch.allclose(grey, black + 0.5 * (1 - black), atol=2e-3)


def test_palm_in_numbers():
    """At normal incidence and roughness ½: D = a²/(π a⁴), G1 = 1, F = 0.04 + 0.96 · 2^(−12.53781)."""
    reflection = palm_brdf(UP, UP, UP, 0.3 * WHITE, number(0.5), number(0.0))
    assert float(reflection.diffuse) == pytest.approx(1 / math.pi)
    fresnel = 0.04 + 0.96 * 2 ** (-5.55473 - 6.98316)
    assert float(reflection.specular[0]) == pytest.approx(0.25 / (math.pi * 0.0625) * fresnel / 4, rel=1e-4)
    metal = palm_brdf(UP, UP, UP, 0.3 * WHITE, number(0.5), number(1.0))
    assert float(metal.specular[0] / reflection.specular[0]) == pytest.approx(
        (0.3 + 0.7 * (fresnel - 0.04) / 0.96) / fresnel
    )


@pytest.mark.parametrize("name", BRDFS)
def test_nothing_from_below_and_shapes_broadcast(name):
    brdf = BRDFS[name]
    points = torch.nn.functional.normalize(torch.randn(4, 1, 3), dim=-1)
    light = torch.nn.functional.normalize(torch.randn(4, 5, 3), dim=-1)
    albedo, roughness = torch.rand(4, 1, 3), torch.rand(4, 1)
    reflection = brdf(points, points, light, albedo, roughness, torch.zeros(4, 1))
    assert reflection.diffuse.shape == (4, 5)
    assert reflection.specular.shape == (4, 5, 3)
    assert reflection.specular.dtype == torch.float32
    below = (points * light).sum(-1) < 0
    assert (reflection.diffuse[below] == 0).all()
    assert (reflection.specular[below] == 0).all()
    unseen = brdf(points, -points, light, albedo, roughness, torch.zeros(4, 1))
    assert (unseen.specular == 0).all()
    assert torch.isfinite(unseen.diffuse).all()


@pytest.mark.parametrize("name", BRDFS)
def test_gradients(name):
    generator = torch.Generator().manual_seed(0)
    numbers = torch.rand(3, 5, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    albedo, roughness, metallic = numbers[:, :3], numbers[:, 3], numbers[:, 4]
    normal = UP + 0.2 * torch.randn(3, 3, generator=generator, dtype=torch.float64)
    camera, light = towards(0.8).expand(3, 3), towards(0.7, 2.0).expand(3, 3)

    def shade(normal, albedo, roughness, metallic):
        unit = torch.nn.functional.normalize(normal, dim=-1)
        return outgoing(BRDFS[name](unit, camera, light, albedo, roughness, metallic), albedo, metallic)

    inputs = [value.clone().requires_grad_() for value in (normal, albedo, roughness, metallic)]
    assert torch.autograd.gradcheck(shade, inputs)


def test_facet_distribution_is_normalised_and_masking_conserves():
    """∫ D (n·h) dh = 1, taken from the reflection at normal view of a surface too smooth to shade itself."""
    u = strata(1, 256, 64, dtype=torch.float64)[0]
    for alpha in (0.3, 0.7):
        # half vectors by the GGX density itself: the estimator is constant
        middle = torch.sqrt((1 - u[:, 1]) / (1 + (alpha**2 - 1) * u[:, 1]))
        light = 2 * middle**2 - 1
        seen = light > 0
        lobe = ggx_reflection(middle[seen], number(1.0), light[seen], number(math.sqrt(alpha)))
        masking = 1 / (1 + smith_lambda(light[seen], number(alpha**2)))
        distribution = 4 * lobe / masking
        exact = alpha**2 / (math.pi * (middle[seen] ** 2 * (alpha**2 - 1) + 1) ** 2)
        assert torch.allclose(distribution, exact)


def test_fresnel_in_closed_form():
    assert float(dielectric_fresnel(number(1.0), 1.5)) == pytest.approx(0.04)
    assert float(dielectric_fresnel(number(0.0), 1.4)) == pytest.approx(1.0)
    brewster = math.cos(math.atan(1.5))
    sine = 1 / 1.5 * math.sqrt(1 - brewster**2)
    perpendicular = ((brewster - 1.5 * math.sqrt(1 - sine**2)) / (brewster + 1.5 * math.sqrt(1 - sine**2))) ** 2
    assert float(dielectric_fresnel(number(brewster), 1.5)) == pytest.approx(perpendicular / 2)


@pytest.mark.parametrize(("roughness", "cosine"), [(0.5, 0.4), (0.8, 0.9), (1.0, 0.2)])
def test_tables_agree_with_plain_integrals(roughness, cosine):
    light = hemisphere_directions(strata(1, 512, 512, dtype=torch.float64))[0]
    half = torch.nn.functional.normalize(light + towards(cosine), dim=1)
    lobe = ggx_reflection(half[:, 2], number(cosine), light[:, 2], number(roughness)) * math.pi / light[:, 2]
    facing = (half * towards(cosine)).sum(1)
    assert float(lookup(ggx_albedo(), number(roughness), number(cosine))) == pytest.approx(float(lobe.mean()), abs=4e-3)
    coat = float((lobe * dielectric_fresnel(facing, SKIN_IOR)).mean())
    assert float(lookup(coat_albedo(SKIN_IOR), number(roughness), number(cosine))) == pytest.approx(coat, abs=2e-3)


def test_tables_at_their_ends():
    assert float(lookup(ggx_albedo(), number(0.0), number(1.0))) == pytest.approx(1, abs=1e-3)
    assert float(lookup(ggx_mean_albedo(), number(0.0))) == pytest.approx(1, abs=1e-3)
    smooth = ((SKIN_IOR - 1) / (SKIN_IOR + 1)) ** 2
    assert float(lookup(coat_albedo(SKIN_IOR), number(0.0), number(1.0))) == pytest.approx(smooth, abs=1e-3)
    assert (ggx_albedo() <= 1 + 1e-9).all()
    assert (ggx_albedo() > 0.3).all()


def test_bump_shadowing():
    """Nothing is lost without a bump or straight above; light from behind the surface is."""
    assert float(bump_shadowing(UP, UP, towards(0.3))) == pytest.approx(1)
    turned = towards(math.cos(0.5))
    assert float(bump_shadowing(UP, turned, UP)) == pytest.approx(1)
    assert 0 < float(bump_shadowing(UP, turned, towards(0.05))) < 0.9
    assert float(bump_shadowing(UP, turned, towards(-0.1))) == 0


@pytest.mark.parametrize("cosine", [1.0, 0.7, 0.2])
@pytest.mark.parametrize("alpha", [0.2, 0.6])
def test_mirrored_directions_have_their_density(alpha, cosine):
    """The density integrates to 1; sampled means of a function equal its integral, within three standard errors."""
    u = strata(1, 300, 300, torch.Generator().manual_seed(0), dtype=torch.float64)
    normal, camera, width = UP[None], towards(cosine, 0.3)[None], number(alpha)[None]
    even = sphere_directions(u)
    density = reflection_density(normal, camera, even, width)
    assert float(density.mean() * 4 * math.pi) == pytest.approx(1, abs=5e-3)
    drawn = sample_reflection(normal, camera, width, u)
    assert torch.allclose(drawn.norm(dim=-1), torch.ones(1).double())
    for axis in range(3):
        exact = (density * even[..., axis]).mean() * 4 * math.pi
        error = 3 * drawn[..., axis].std() / 300 + 2e-3
        assert float((drawn[..., axis].mean() - exact).abs()) < error
