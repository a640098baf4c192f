"""Skin colour knowledge, filling over a surface, regions, noise, and the pictures' files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from engine.avatar.noise import cell_ridges, octaves, value_noise
from engine.avatar.regions import HandPoints, fingertip_weight, flexion_creases, knuckle_weight, palm_creases
from engine.avatar.relief import crease_waviness, normals_from_height, roughness
from engine.avatar.skin_color import (
    REGION_OFFSETS,
    fit_regions,
    limit_shading_leftovers,
    region_features,
    split_light_from_skin,
)
from engine.avatar.surface_fill import cotangent_laplacian, fill_over_surface
from engine.avatar.texture_files import read_environment, read_png, write_environment, write_png8, write_png16
from engine.errors import AvatarError
from engine.hand.mano import shape_hand
from engine.hand.model import open_hand_model
from engine.hand.subdivide import subdivide_model


@pytest.fixture(scope="module", params=["right", "left"])
def points(request) -> HandPoints:
    model = subdivide_model(open_hand_model(request.param))
    vertices, joints = shape_hand(model, torch.zeros(10))
    nails = model.nail_vertices.float()
    tips = vertices[model.tip_vertices]
    return HandPoints(vertices, model.palm_weight, nails, model.skinning_weights, joints, tips)


@pytest.fixture(scope="module")
def ball() -> tuple[torch.Tensor, torch.Tensor]:
    mesh = trimesh.creation.icosphere(4, radius=0.03)
    return torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(mesh.faces, dtype=torch.int64)


def test_light_and_skin_multiply_to_what_was_seen():
    for observed in ([0.3, 0.2, 0.15], [0.05, 0.04, 0.05], [0.8, 0.7, 0.6], [0.0, 0.0, 0.0]):
        seen = torch.tensor(observed).clamp_min(1e-4)
        albedo, light = split_light_from_skin(torch.tensor(observed))
        assert torch.allclose(albedo * light, seen, rtol=1e-4)
        assert (albedo > 0).all() and (light > 0).all()


def test_typical_skin_in_white_light_needs_no_excuse():
    typical = torch.tensor([0.391, 0.228, 0.153])
    albedo, light = split_light_from_skin(typical * float(np.exp(-0.1)))
    assert torch.allclose(albedo, typical, rtol=0.04)
    assert torch.allclose(light, torch.full((3,), float(np.exp(-0.1))), rtol=0.04)


def test_a_blue_cast_is_given_to_the_light_rather_than_a_green_one():
    typical = torch.tensor([0.391, 0.228, 0.153])
    _, cool = split_light_from_skin(typical * torch.tensor([0.8, 1.0, 1.25]))
    _, green = split_light_from_skin(typical * torch.tensor([0.8, 1.25, 0.8]))
    assert float(cool[2] / cool[0]) > 1.25
    assert float(green[1] / (green[0] * green[2]) ** 0.5) < 1.25


def test_regions_are_recovered_and_unseen_ones_follow_what_is_usual(points):
    features = region_features(points)
    back = torch.log(torch.tensor([0.42, 0.27, 0.19]))
    truth = back + features @ torch.tensor(REGION_OFFSETS)
    everywhere = fit_regions(truth, features, torch.ones(len(truth)))
    assert (everywhere.colors(features) - truth).abs().max() < 0.05
    only_back = (points.palm < 0.2).float()
    guessed = fit_regions(truth, features, only_back).colors(features)
    palm = points.palm > 0.9
    assert (guessed[palm] - truth[palm]).abs().mean() < 0.06


def test_a_dark_hand_has_a_much_lighter_palm(points):
    features = region_features(points)
    truth = torch.log(torch.tensor([0.12, 0.065, 0.045])).expand(len(features), 3)
    model = fit_regions(truth, features, (points.palm < 0.1).float())
    lead = (model.colors(features)[points.palm > 0.95] - model.back).mean()
    light = fit_regions(truth + 1.3, features, (points.palm < 0.1).float())
    assert float(lead) > 0.5 > float((light.colors(features)[points.palm > 0.95] - light.back).mean())


def test_nothing_seen_still_gives_skin(points):
    features = region_features(points)
    model = fit_regions(torch.zeros(len(features), 3), features, torch.zeros(len(features)))
    assert (torch.exp(model.colors(features)) < 0.9).all() and (torch.exp(model.back) > 0.05).all()


def test_small_deviations_pass_and_large_ones_saturate():
    small = torch.tensor([[0.02, 0.01, 0.0]])
    assert torch.allclose(limit_shading_leftovers(small), small, atol=1e-3)
    large = limit_shading_leftovers(torch.tensor([[2.0, 2.0, 2.0], [1.0, 0.0, -1.0]]), 0.16, 0.1)
    assert torch.allclose(large[0], torch.full((3,), 0.16), atol=1e-3)
    assert large[1].abs().max() <= 0.1 + 1e-6


def test_cotangent_laplacian_of_a_sphere(ball):
    """Linear functions are eigenfunctions of a sphere's Laplacian with eigenvalue 2 / r²; areas sum to 4 pi r²."""
    vertices, faces = (part.numpy() for part in ball)
    stiffness, areas = cotangent_laplacian(vertices.astype(float), faces)
    assert areas.sum() == pytest.approx(4 * np.pi * 0.03**2, rel=0.01)
    ratio = (stiffness @ vertices[:, 0].astype(float)) @ vertices[:, 0] / ((areas * vertices[:, 0]) @ vertices[:, 0])
    assert ratio == pytest.approx(2 / 0.03**2, rel=0.02)


def test_fill_keeps_what_is_seen_and_returns_to_what_is_expected(ball):
    vertices, faces = ball
    seen = (vertices[:, 2] > 0.01).float()
    observed = torch.full((len(vertices), 3), 0.5)
    expected = torch.tensor([0.1, 0.2, 0.3]).expand(len(vertices), 3)
    filled = fill_over_surface(vertices, faces, observed, seen, expected, smoothing=1e-6, reach=0.008)
    assert (filled[vertices[:, 2] > 0.015] - 0.5).abs().max() < 0.03
    assert (filled[vertices[:, 2] < -0.025] - expected[0]).abs().max() < 0.03
    # between the two it never leaves their range
    assert (filled <= 0.5 + 1e-4).all() and (filled >= expected - 1e-4).all()
    step = (filled[faces[:, 0]] - filled[faces[:, 1]]).abs().max()
    assert step < 0.12


def test_fill_without_observations_is_what_is_expected(ball):
    vertices, faces = ball
    expected = torch.rand(len(vertices), 3, generator=torch.Generator().manual_seed(0))
    filled = fill_over_surface(
        vertices, faces, torch.full_like(expected, torch.nan), torch.zeros(len(vertices)), expected
    )
    assert torch.allclose(filled, expected, atol=1e-5)


def test_noise_repeats_differs_by_seed_and_is_smooth():
    places = torch.rand(20000, 3, generator=torch.Generator().manual_seed(1)) * 0.2
    noise = value_noise(places, 0.004, 5)
    assert torch.equal(noise, value_noise(places, 0.004, 5))
    assert float(torch.corrcoef(torch.stack([noise, value_noise(places, 0.004, 6)]))[0, 1]) < 0.05
    assert abs(float(noise.mean())) < 0.05 and 0.8 < float(noise.std()) < 1.2
    near = value_noise(places + 2e-5, 0.004, 5)
    assert (near - noise).abs().max() < 0.15
    assert float(octaves(places, (0.01, 0.003), (0.3, 0.4), 2).std()) == pytest.approx(0.5, rel=0.15)
    ridges = cell_ridges(places, 0.001, 3)
    assert 0 <= float(ridges.min()) < 0.05 and float(ridges.max()) == 1


def test_regions_lie_where_hands_have_them(points):
    knuckles, tips = knuckle_weight(points), fingertip_weight(points)
    assert (knuckles >= 0).all() and (knuckles <= 1).all()
    # the middle finger's second joint: its back is knuckle, its palm side is not
    beside = (points.position - points.joints[5]).norm(dim=1) < 0.013
    assert knuckles[beside & (points.palm < 0.1)].mean() > 0.5 > knuckles[beside & (points.palm > 0.9)].max()
    assert tips[(points.position - points.joints[0]).norm(dim=1) < 0.06].max() < 0.01
    for tip in points.tips:
        assert tips[(points.position - tip).norm(dim=1).argsort()[:5]].max() > 0.4


def test_creases_cross_the_fingers_and_the_palm(points):
    still = torch.zeros(len(points.palm))
    fingers, palm = flexion_creases(points, still), palm_creases(points, still)
    assert fingers.max() > 0.3 and palm.max() > 0.3
    assert palm[points.palm < 0.3].max() == 0
    on_palm = points.position[palm > 0.2] - points.joints[0]
    assert len(on_palm) > 5 and on_palm.norm(dim=1).max() < 0.12


def test_relief_normals_tilt_little_and_nails_shine(points):
    some = points.select(torch.arange(0, len(points.palm), 5))
    normal = torch.nn.functional.normalize(
        torch.randn(len(some.palm), 3, generator=torch.Generator().manual_seed(0)), dim=1
    )
    tangent = torch.nn.functional.normalize(torch.cross(normal, normal.roll(1, 1), dim=1), dim=1)
    bitangent = torch.cross(normal, tangent, dim=1)
    wavy = crease_waviness(some.position, 0)
    assert 1e-4 < float(wavy.std()) < 1e-3
    relief = normals_from_height(some, tangent, bitangent, wavy, 0, torch.ones(len(some.palm)))
    assert torch.allclose(relief.norm(dim=1), torch.ones(len(relief)), atol=1e-5)
    assert relief[:, 2].min() > 0.5 and relief[:, 2].mean() > 0.97
    gloss = roughness(points, 0)
    assert gloss[points.nail > 0].mean() < gloss[points.nail == 0].mean() - 0.15
    assert (gloss >= 0.2).all() and (gloss <= 0.8).all()


def test_pngs_keep_sixteen_bits_and_channel_order(tmp_path):
    picture = np.linspace(0, 1, 7 * 5 * 3, dtype=np.float32).reshape(7, 5, 3)
    write_png16(tmp_path / "a.png", picture)
    assert np.abs(read_png(tmp_path / "a.png") - picture).max() < 1 / 65535
    write_png16(tmp_path / "b.png", picture[..., 0])
    assert np.abs(read_png(tmp_path / "b.png") - picture[..., 0]).max() < 1 / 65535
    write_png8(tmp_path / "c.png", (picture * 255).astype(np.uint8))
    assert np.abs(read_png(tmp_path / "c.png") - picture).max() <= 1 / 255
    (tmp_path / "d.png").write_bytes(b"not a picture")
    with pytest.raises(AvatarError, match=r"d\.png"):
        read_png(tmp_path / "d.png")


def test_environments_keep_their_floats(tmp_path):
    radiance = np.random.default_rng(0).gamma(0.5, 20.0, (8, 16, 3)).astype(np.float32)
    write_environment(tmp_path / "e.exr", radiance)
    assert np.array_equal(read_environment(tmp_path / "e.exr"), radiance)
    (tmp_path / "f.exr").write_bytes(b"\x76\x2f\x31\x01 broken")
    with pytest.raises(AvatarError, match=r"f\.exr"):
        read_environment(tmp_path / "f.exr")
