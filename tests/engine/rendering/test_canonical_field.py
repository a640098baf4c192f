"""From a prior's networks to a mesh: fields that learned the open hand's distance give the open hand back."""

from __future__ import annotations

import pytest
import torch

from engine.errors import AvatarError
from engine.fields.bands import all_bands
from engine.fields.config import FieldsConfig, HashGridConfig
from engine.fields.model import PalmFields
from engine.hand.canonical import OPEN_BOX
from engine.hand.model import open_hand_model
from engine.hand.sealing import seal
from engine.hand.signed_distance import pretraining_points, signed_distance
from engine.rendering.avatar_bake import BakeConfig, bake_hand
from engine.rendering.canonical_field import canonical_field

GRID = HashGridConfig(levels=6, log2_table_size=14, per_level_scale=1.5)
CONFIG = FieldsConfig("small", GRID, GRID, OPEN_BOX)


@pytest.fixture(scope="module")
def fields() -> PalmFields:
    """A small prior after a few seconds of learning the open hand's signed distance."""
    torch.manual_seed(0)
    fields = PalmFields(CONFIG, ["a"])
    model = open_hand_model()
    vertices, faces = seal(model.v_template, model.faces)
    generator = torch.Generator().manual_seed(0)
    points = pretraining_points(vertices, faces, 40000, generator)
    target = signed_distance(vertices, faces, points)
    bands = all_bands(CONFIG)
    optimiser = torch.optim.Adam(fields.geometry.parameters(), lr=1e-2, eps=1e-15)
    steps = 250
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 1e-2 * 0.05 ** (step / steps)
        rows = torch.randint(0, len(points), (4096,), generator=generator)
        with torch.no_grad():
            conditions = fields.conditions(torch.zeros(1, dtype=torch.int64), torch.zeros(1, 45))
        hand = torch.zeros(len(rows), dtype=torch.int64)
        sample = fields.geometry(points[rows], hand, conditions, bands, with_gradient=False)
        loss = 1e4 * (sample.sdf - target[rows]).square().clamp_max(4e-4).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return fields


def conditions_of(fields: PalmFields):
    with torch.no_grad():
        return fields.conditions(torch.zeros(1, dtype=torch.int64), torch.zeros(1, 45))


@pytest.mark.slow
@pytest.mark.parametrize("surface", ["template", "marching"])
def test_a_trained_prior_becomes_a_hand(fields: PalmFields, surface: str) -> None:
    model = open_hand_model()
    field = canonical_field(fields, conditions_of(fields), all_bands(CONFIG))
    config = BakeConfig(surface=surface, subdivisions=0, marching_cells=64, texture_px=128)
    baked = bake_hand(field, model, torch.zeros(10), OPEN_BOX, config)
    error = signed_distance(model.v_template, model.faces, torch.as_tensor(baked.mesh.vertices)).abs()
    assert error.mean() < 1e-3 and error.quantile(0.95) < 2.5e-3
    assert baked.metrics["surface_distance_mm"] < 0.1 and baked.metrics["texels_on_surface"] > 0.9
    inside = baked.maps.inside
    assert (baked.maps.albedo[inside] >= 0).all() and (baked.maps.albedo[inside] <= 0.8).all()


@pytest.mark.slow
def test_distance_alone_equals_distance_with_gradient(fields: PalmFields) -> None:
    field = canonical_field(fields, conditions_of(fields), all_bands(CONFIG))
    points = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)) * 0.05
    assert torch.allclose(field.distance(points), field.sdf_and_gradient(points)[0], atol=1e-6)


def test_roughness_is_converted_to_the_principled_shaders() -> None:
    torch.manual_seed(0)
    fields = PalmFields(CONFIG, ["a"])
    points = torch.randn(50, 3) * 0.05
    palm, principled = (
        canonical_field(fields, conditions_of(fields), all_bands(CONFIG), brdf).materials(points)
        for brdf in ("palm", "principled")
    )
    assert torch.allclose(palm[1] ** 2, principled[1]) and torch.equal(palm[0], principled[0])
    with pytest.raises(AvatarError, match="reflectance"):
        canonical_field(fields, conditions_of(fields), all_bands(CONFIG), "phong")
