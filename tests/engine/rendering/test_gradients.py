"""Slopes of rendered rays by autograd against differences, through the real fields and the real deformer, in float64.

Where rays are looked at is a choice without gradient: it is made once and kept while parameters move.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from engine.fields.bands import Bands, all_bands
from engine.fields.config import OPEN, HashGridConfig
from engine.fields.model import PalmFields
from engine.hand.deformer import Canonical, forward_skinning, make_deformer
from engine.hand.model import open_hand_model
from engine.hand.posed_body import pose_body
from engine.hand.skinning_grid import skinning_grids
from engine.lighting.sg_light import fibonacci_sg_light, sg_radiance
from engine.rendering import volume
from engine.rendering.implicit_hand import ImplicitHand
from engine.rendering.occupancy import occupancy_grid
from engine.rendering.physical import render_rays_pbr
from engine.rendering.ray_sets import to_root_space
from engine.rendering.render_config import RenderConfig
from engine.rendering.surface_search import find_surface, place_samples, points_along

GRID = HashGridConfig(levels=4, log2_table_size=12, per_level_scale=1.6)
SMALL = replace(OPEN, geometry_grid=GRID, radiance_grid=GRID, initial_density_width=0.004)
CONFIG = RenderConfig(step_m=0.008, importance_samples=4, light_rows=4, light_columns=8)
HANDS = torch.tensor([0, 0, 0, 1, 1, 1])


def moved(value: torch.Tensor, size: float) -> torch.Tensor:
    return value + size * torch.randn_like(value)


class Setting:
    """Two hands in a soft shell of fields in which nothing is zero, and six rays."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        model = open_hand_model()
        self.grids = skinning_grids(model.v_template[None], model.skinning_weights, OPEN.box)
        self.model = model.to(dtype=torch.float64)
        self.fields = PalmFields(SMALL, ["one", "other"]).double()
        with torch.no_grad():
            for name, value in self.fields.named_parameters():
                if name.endswith(("table", "weight_v", "codes")):
                    value.copy_(moved(value, 0.05))
            self.fields.geometry.lin1.bias[0] += 0.045
        bent = torch.zeros(2, 15, 3, dtype=torch.float64)
        bent[0, :9] = 0.3 * self.model.joint_axes[:9, 0]
        self.start = {
            "pose": bent.reshape(2, 45),
            "turn": torch.tensor([[0.2, -0.3, 0.4], [0.0, 0.5, 0.1]]).double(),
            "move": torch.tensor([[0.05, 0.02, 0.1], [0.0, 0.0, 0.05]]).double(),
        }
        scene = self.scene(self.start)
        skin, _ = forward_skinning(scene.deformer, self.model.v_template[[100, 400, 700, 100, 400, 900]], HANDS)
        ends = (scene.root[HANDS, :3, :3] @ skin[..., None])[..., 0] + scene.root[HANDS, :3, 3]
        along = normalize(torch.randn(6, 3).double(), dim=1)
        self.rays = ends - 0.4 * along, along, HANDS

    def scene(self, hand: dict[str, torch.Tensor]) -> ImplicitHand:
        body = pose_body(self.model, torch.zeros(2, 10).double(), hand["turn"], hand["pose"], hand["move"])
        deformer = make_deformer(OPEN.box, body.bone_transforms, self.grids, torch.zeros(2, dtype=torch.int64))
        conditions = self.fields.conditions(torch.tensor([0, 1]), hand["pose"])
        bands = Bands(*(band.double() for band in all_bands(SMALL)))
        return ImplicitHand(self.fields, deformer, conditions, bands, body.root, occupancy_grid(body.vertices))


@pytest.fixture(scope="module")
def setting() -> Setting:
    return Setting()


@pytest.fixture
def kept_samples(setting, monkeypatch) -> None:
    """The same intervals whatever the parameters are, and their canonical points found to the last digit."""
    scene = setting.scene(setting.start)
    with torch.no_grad():
        origins, directions = to_root_space(scene.root, HANDS, *setting.rays[:2])
        intervals = find_surface(scene, origins, directions, HANDS, CONFIG)
        intervals, _, first = place_samples(scene, origins, directions, HANDS, intervals, 1e-3)
    assert len(intervals.ray) > 50

    def place(scene, origins, directions, hand, *_):
        with torch.no_grad():
            points = points_along(origins, directions, intervals.ray, intervals.middle)
            found, owner = first.points, hand[intervals.ray]
            for _ in range(12):
                posed, linear = forward_skinning(scene.deformer, found, owner)
                found = found - (first.inverse_jacobian @ (posed - points)[..., None])[..., 0]
            assert float((posed - points).abs().max()) < 1e-14
            return intervals, points, Canonical(found, first.sdf, first.valid, first.inverse_jacobian, linear)

    monkeypatch.setattr(volume, "find_surface", lambda *_: intervals)
    monkeypatch.setattr(volume, "place_samples", place)


def assert_slope(value, leaves: dict[str, torch.Tensor], step: float) -> None:
    """The slope of value() along a random direction of each leaf, by autograd and by differences."""
    slopes = torch.autograd.grad(value(), list(leaves.values()))
    for (name, leaf), slope in zip(leaves.items(), slopes, strict=True):
        direction = torch.randn_like(leaf)
        with torch.no_grad():
            here = leaf.clone()
            ends = []
            for sign in (1, -1):
                leaf.copy_(here + sign * step * direction)
                ends.append(float(value()))
            leaf.copy_(here)
        measured = (ends[0] - ends[1]) / (2 * step)
        assert measured == pytest.approx(float((slope * direction).sum()), rel=2e-3, abs=1e-6), name
        assert measured != 0, name


def test_maps_of_the_radiance_field_have_their_slopes(setting, kept_samples):
    """Opacity, depth, colour, normals and materials in every parameter of the fields and in the hands' pose and place."""
    weights: list[torch.Tensor] = []

    def value() -> torch.Tensor:
        maps = render_maps_of(setting, hand)
        if not weights:
            weights.extend(torch.randn_like(m) for m in maps)
        return sum((m * w).sum() for m, w in zip(maps, weights, strict=True))

    hand = {name: start.clone().requires_grad_(True) for name, start in setting.start.items()}
    # the bounds of the materials' layers do not bind at the start
    fields = {name: p for name, p in setting.fields.named_parameters() if not name.endswith("bound")}
    assert_slope(value, fields, 1e-7)
    # short steps: the slopes of grids jump from cell to cell
    assert_slope(value, hand, 1e-8)


def render_maps_of(setting: Setting, hand: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    seen = volume.render_rays(setting.scene(hand), *setting.rays, CONFIG, pose_gradient=True)
    return [seen.opacity, seen.depth, seen.radiance, seen.normal_w, seen.albedo, seen.roughness, seen.metallic]


def test_scattered_light_has_its_slopes_in_light_and_materials(setting):
    light = fibonacci_sg_light(8, torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_(True)
    scene = setting.scene(setting.start)
    names = ("material.layers.0.weight", "material.layers.2.bias", "radiance.encoding.table")
    leaves = {name: dict(setting.fields.named_parameters())[name] for name in names}

    def value() -> torch.Tensor:
        # what blocks the light also sends some, and that counts as fixed
        dark = replace(CONFIG, bounce=False)
        seen = render_rays_pbr(
            scene, *setting.rays, lambda d: sg_radiance(light, d), dark, torch.Generator().manual_seed(2), jitter=False
        )
        return (seen.color * torch.tensor([1.0, -0.5, 2.0])).sum()

    assert_slope(value, {"light": light, **leaves}, 1e-6)


def test_the_pose_gets_gradients_only_where_asked_for(setting):
    hand = {name: start.clone().requires_grad_(True) for name, start in setting.start.items()}
    scene = setting.scene(hand)
    still = setting.fields.conditions(torch.tensor([0, 1]), setting.start["pose"])
    for asked in (False, True):
        seen = volume.render_rays(scene._replace(conditions=still), *setting.rays, CONFIG, pose_gradient=asked)
        total = seen.normal_w.sum() + seen.depth.sum()
        slopes = torch.autograd.grad(total, list(hand.values()), allow_unused=True)
        assert all((slope is not None and bool(slope.any())) == asked for slope in slopes)
