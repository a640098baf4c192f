"""Fields and deformer together: the right place, the right gradients, every part of the fields reached."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch.nn.functional import normalize

from engine.fields.bands import all_bands
from engine.fields.config import OPEN
from engine.fields.density import laplace_density
from engine.fields.geometry import GeometrySample
from engine.fields.model import PalmFields
from engine.hand.deformer import forward_skinning, make_deformer
from engine.hand.model import open_hand_model
from engine.hand.posed_body import pose_body
from engine.hand.skinning_grid import skinning_grids
from engine.rendering.implicit_hand import ImplicitHand
from engine.rendering.occupancy import occupancy_grid
from engine.rendering.physical import render_rays_pbr
from engine.rendering.volume import RenderConfig, render_rays

CONFIG = RenderConfig(weight_cutoff=1e-4)
RADIUS = 0.006


class BallFields(NamedTuple):
    """Stands for fields whose surface is a ball of 6 mm at a canonical point."""

    centre: torch.Tensor

    def geometry(self, points, hand, conditions, bands, with_gradient):
        offset = points - self.centre
        sdf = offset.norm(dim=1) - RADIUS
        feature = sdf[:, None].expand(-1, 13)
        return GeometrySample(sdf, feature, normalize(offset, dim=1) if with_gradient else None)

    def density(self, sdf):
        return laplace_density(sdf, torch.tensor(1e-4).to(sdf))


@pytest.fixture(scope="module")
def hand():
    return open_hand_model()


@pytest.fixture(scope="module")
def grids(hand):
    return skinning_grids(hand.v_template[None], hand.skinning_weights, OPEN.box)


@pytest.fixture(scope="module")
def ball(hand):
    """Inside the index finger's last joint, where skinning is nearly rigid."""
    return hand.v_template[hand.skinning_weights[:, 3] > 0.95].mean(0)


def bent_pose(hand):
    """The index finger bent by 0.5 rad in each of its joints."""
    pose = torch.zeros(15, 3)
    pose[:3] = 0.5 * hand.joint_axes[:3, 0]
    return pose.reshape(1, 45)


def scene_of(fields, hand, grids, pose, global_orient=None, transl=None, conditions=None):
    turn = torch.tensor([[0.2, -0.3, 0.4]]) if global_orient is None else global_orient
    move = torch.tensor([[0.05, 0.02, 0.1]]) if transl is None else transl
    count = len(pose)
    body = pose_body(hand, torch.zeros(count, 10), turn.expand(count, 3), pose, move.expand(count, 3))
    which = torch.zeros(count, dtype=torch.int64)
    deformer = make_deformer(OPEN.box, body.bone_transforms, grids, which)
    return ImplicitHand(fields, deformer, conditions, all_bands(OPEN), body.root, occupancy_grid(body.vertices))


def place_of(scene, point):
    """World position [3] of a canonical point of hand 0."""
    posed, _ = forward_skinning(scene.deformer, point[None], torch.zeros(1, dtype=torch.int64))
    return (scene.root[0] @ torch.cat([posed[0], torch.ones(1)]))[:3]


def rays_towards(point, direction):
    along = normalize(torch.tensor([direction]), dim=1)
    return point[None] - 0.4 * along, along, torch.zeros(1, dtype=torch.int64)


def test_a_ball_in_the_finger_moves_with_it(hand, grids, ball):
    scene = scene_of(BallFields(ball), hand, grids, bent_pose(hand))
    there = place_of(scene, ball)
    assert (there - place_of(scene_of(BallFields(ball), hand, grids, torch.zeros(1, 45)), ball)).norm() > 0.02
    for direction in ([0.0, 0, 1], [0.3, 1.0, -0.2]):
        origins, along, owner = rays_towards(there, direction)
        seen = render_rays(scene, origins, along, owner, CONFIG, want=("normals",))
        assert float(seen.opacity) > 0.99
        assert float(seen.depth / seen.opacity) == pytest.approx(0.4 - RADIUS, abs=5e-4)
        assert float((normalize(seen.normal_w, dim=1) * -along).sum()) > 0.98
        assert torch.allclose(seen.samples.surface.points_c, ball.expand(1, 3), atol=0.008)


def test_depth_follows_pose_and_place(hand, grids, ball):
    """Slopes of the depth in finger pose, global rotation and translation, against finite differences."""
    start = {
        "pose": bent_pose(hand),
        "global_orient": torch.tensor([[0.2, -0.3, 0.4]]),
        "transl": torch.tensor([[0.05, 0.02, 0.1]]),
    }
    fields = BallFields(ball)
    rays = rays_towards(place_of(scene_of(fields, hand, grids, **start), ball) + 0.002, [0.3, 1.0, -0.2])

    def depth(values, pose_gradient):
        seen = render_rays(scene_of(fields, hand, grids, **values), *rays, CONFIG, None, (), pose_gradient)
        return (seen.depth / seen.opacity).sum()

    free = {name: value.clone().requires_grad_(True) for name, value in start.items()}
    slopes = torch.autograd.grad(depth(free, True), list(free.values()))
    for (name, value), slope in zip(start.items(), slopes, strict=True):
        direction = normalize(slope.reshape(-1), dim=0).reshape(slope.shape)
        width = 2e-3 if name == "transl" else 1e-2
        with torch.no_grad():
            ends = [depth(start | {name: value + sign * width * direction}, False) for sign in (1, -1)]
        measured = float(ends[0] - ends[1]) / (2 * width)
        assert measured == pytest.approx(float(slope.norm()), rel=0.12), name


@pytest.fixture(scope="module")
def fresh(hand, grids):
    """Fields of two subjects (a big ball around the hand) on two hands."""
    torch.manual_seed(0)
    fields = PalmFields(OPEN, ["one", "other"])
    with torch.no_grad():
        # fresh geometry does not look at its table and codes yet
        fields.geometry.lin0.weight_v += 0.01 * torch.randn_like(fields.geometry.lin0.weight_v)
    pose = torch.cat([torch.zeros(1, 45), bent_pose(hand)])
    conditions = fields.conditions(torch.tensor([0, 1]), pose)
    scene = scene_of(fields, hand, grids, pose, conditions=conditions)
    middle = hand.v_template.mean(0)
    origins = torch.stack([place_of(scene, middle) + torch.tensor([0.01 * i, 0.0, -0.4]) for i in range(6)])
    rays = origins, torch.tensor([[0.0, 0, 1]]).expand(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])
    return fields, scene, rays


def test_every_part_of_the_fields_is_reached(fresh):
    fields, scene, rays = fresh
    fields.zero_grad()
    light = torch.tensor([0.3, 0.4, 0.5], requires_grad=True)
    few = RenderConfig(importance_samples=8, light_rows=2, light_columns=4)
    seen = render_rays(scene, *rays, few, torch.Generator().manual_seed(0))
    lit = render_rays_pbr(scene, *rays, lambda d: light.expand(len(d), 3), few, torch.Generator().manual_seed(0))
    (seen.radiance.sum() + seen.normal_w.square().sum() + lit.color.sum()).backward()
    missed = {name for name, value in fields.named_parameters() if value.grad is None or not value.grad.abs().max() > 0}
    # the material's bounds do not bind at the start
    assert all("bound" in name for name in missed), missed
    assert light.grad.abs().max() > 0


def test_the_same_rays_give_the_same_result(fresh):
    _, scene, rays = fresh
    one, other = (render_rays(scene, *rays, CONFIG, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.radiance, other.radiance) and torch.equal(one.depth, other.depth)
    alone = render_rays(scene, *(values[2:3] for values in rays), CONFIG)
    together = render_rays(scene, *rays, CONFIG)
    assert torch.allclose(alone.radiance[0], together.radiance[2], atol=1e-5)
    none = render_rays(scene, *(values[:0] for values in rays), CONFIG)
    assert none.radiance.shape == (0, 3) and none.roughness.shape == (0,)


def test_radiance_needs_normals(fresh):
    _, scene, rays = fresh
    samples = render_rays(scene, *rays, CONFIG, want=()).samples
    with pytest.raises(ValueError, match="gradient=True"):
        scene.appearance(samples.surface, rays[1][samples.ray], False)
