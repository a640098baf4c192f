"""The finished geometry against known surfaces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity

from engine.errors import Cancelled
from engine.fields.bands import all_bands
from engine.fields.model import PalmFields
from engine.hand.sealing import seal
from engine.hand.signed_distance import signed_distance
from engine.progress import silent
from engine.training.config import KnownGeometryConfig
from engine.training.known_geometry import KnownGeometry, fit_geometry, geometry_energy, geometry_terms, known_geometry
from engine.training.pretrain import canonical_surface
from engine.training.sampling import generator_for

CONFIG = KnownGeometryConfig(steps=80, points_per_pose=600, batch=1_024, rate=5e-3)


@pytest.fixture(scope="module")
def known(setting) -> KnownGeometry:
    betas = {frame.subject: frame.betas for frame in setting.training.frames}
    return known_geometry(setting.pool, setting.subjects, betas, setting.surface, CONFIG, 0)


def test_points_lie_on_each_poses_surface_with_its_outward_normals(setting, known):
    assert known.points.shape == known.normals.shape == (len(setting.pool.subject), 600, 3)
    betas = {frame.subject: frame.betas for frame in setting.training.frames}
    for place in (0, len(known.points) - 1):
        shape = torch.as_tensor(betas[setting.subjects[int(setting.pool.subject[place])]]).float()
        mesh = seal(canonical_surface(setting.surface, shape, setting.pool.hand_pose[place]), setting.surface.faces)
        assert float(signed_distance(*mesh, known.points[place]).abs().max()) < 1e-5
        outside = signed_distance(*mesh, known.points[place] + 5e-4 * known.normals[place])
        assert float((outside > 0).float().mean()) > 0.99


def test_fitting_brings_the_surface_and_its_normals_nearer(setting, known):
    torch.manual_seed(0)
    fields = PalmFields(setting.config.fields, setting.subjects)
    others = {name: value.detach().clone() for name, value in fields.named_parameters() if name.startswith("radiance")}
    bands = all_bands(fields.config)

    def terms() -> dict[str, torch.Tensor]:
        return geometry_terms(fields, setting.pool, known, bands, CONFIG, generator_for(9, 9, 9))

    before = {name: float(value.detach()) for name, value in terms().items()}
    fit_geometry(fields, setting.pool, known, bands, CONFIG, 0, silent)
    after = {name: float(value.detach()) for name, value in terms().items()}
    assert after["place"] < 0.2 * before["place"] and after["normal"] < 0.8 * before["normal"]
    assert all(torch.equal(value, dict(fields.named_parameters())[name]) for name, value in others.items())
    assert all(parameter.grad is None for parameter in fields.parameters())


def test_the_energy_is_the_weighted_sum(setting, known):
    fields = PalmFields(setting.config.fields, setting.subjects)
    config = replace(CONFIG, normal=3.0, eikonal=0.5)
    terms = geometry_terms(fields, setting.pool, known, all_bands(fields.config), config, generator_for(0, 0, 0))
    expected = terms["distance"] + terms["place"] + 3 * terms["normal"] + 0.5 * terms["eikonal"]
    torch.testing.assert_close(geometry_energy(terms, config), expected)


def test_normals_have_unit_length_and_agree_with_neighbours(known):
    torch.testing.assert_close(known.normals.norm(dim=-1), torch.ones(known.normals.shape[:2]))
    apart = torch.cdist(known.points[0], known.points[0]) + torch.eye(600)
    nearest = apart.argmin(1)
    assert float(cosine_similarity(known.normals[0], known.normals[0][nearest], dim=1).median()) > 0.97


def test_it_can_be_cancelled(setting, known):
    def stop(fraction: float, message: str = "", preview: object = None) -> None:
        raise Cancelled

    fields = PalmFields(setting.config.fields, setting.subjects)
    with pytest.raises(Cancelled):
        fit_geometry(fields, setting.pool, known, all_bands(fields.config), CONFIG, 0, stop)
