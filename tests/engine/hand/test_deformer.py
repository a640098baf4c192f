from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from engine.hand.canonical import OPEN_BOX
from engine.hand.deformer import (
    NO_HIT_SDF_M,
    Deformer,
    attach_pose_gradient,
    canonicalise,
    forward_skinning,
    inverse_skinning,
    make_deformer,
    skinning_weights_at,
)
from engine.hand.model import HandModel, open_hand_model
from engine.hand.posed_body import PosedBody, pose_body
from engine.hand.signed_distance import signed_distance
from engine.hand.skinning_grid import SkinningGrids, skinning_grids
from engine.rendering.surface import vertex_normals

HANDS = 50


class Scene(NamedTuple):
    model: HandModel
    grids: SkinningGrids
    betas: torch.Tensor
    hand_pose: torch.Tensor
    body: PosedBody
    deformer: Deformer
    points: torch.Tensor
    hand: torch.Tensor


@pytest.fixture(scope="module")
def scene() -> Scene:
    """50 poses anywhere within the joints' limits, two shapes, points within 15 mm of the posed surface on both sides."""
    generator = torch.Generator().manual_seed(0)
    model = open_hand_model()
    limits = model.joint_limits
    angles = limits[..., 0] + (limits[..., 1] - limits[..., 0]) * torch.rand(HANDS, 15, 3, generator=generator)
    hand_pose = torch.einsum("jkc,bjk->bjc", model.joint_axes, angles).flatten(1)
    shapes = torch.randn(2, 10, generator=generator)
    grid_of_hand = torch.arange(HANDS) % 2
    betas = shapes[grid_of_hand]
    body = pose_body(model, betas, torch.zeros(HANDS, 3), hand_pose, torch.zeros(HANDS, 3))
    grids = skinning_grids(body.rest_vertices[:2], model.skinning_weights, OPEN_BOX)
    deformer = make_deformer(OPEN_BOX, body.bone_transforms, grids, grid_of_hand)
    hand = torch.arange(HANDS).repeat_interleave(200)
    vertex = torch.randint(0, len(model.v_template), (len(hand),), generator=generator)
    normals = torch.stack([vertex_normals(vertices, model.faces) for vertices in body.vertices])
    offset = (torch.rand(len(hand), 1, generator=generator) * 2 - 1) * 0.015
    points = body.vertices[hand, vertex] + offset * normals[hand, vertex]
    return Scene(model, grids, betas, hand_pose, body, deformer, points, hand)


def body_sdf(scene: Scene):
    """Signed distance to each shape's rest surface."""

    def sdf(points: torch.Tensor, hand: torch.Tensor) -> torch.Tensor:
        values = torch.empty(len(points))
        for shape in (0, 1):
            own = scene.deformer.grid_of_hand[hand] == shape
            values[own] = signed_distance(scene.body.rest_vertices[shape], scene.model.faces, points[own])
        return values

    return sdf


def test_points_return_to_where_they_came_from(scene: Scene) -> None:
    found = canonicalise(scene.deformer, scene.points, scene.hand, body_sdf(scene))
    posed, linear = forward_skinning(scene.deformer, found.points, scene.hand)
    error = (posed - scene.points).norm(dim=1)
    assert (error <= 1.001e-5).float().mean() >= 0.995
    assert found.valid.float().mean() >= 0.995
    assert torch.allclose(linear[found.valid], found.linear[found.valid], atol=1e-5)


def test_every_candidate_maps_to_its_point(scene: Scene) -> None:
    found = inverse_skinning(scene.deformer, scene.points, scene.hand)
    assert found.points.shape == (len(scene.points), 16, 3) and found.inverse_jacobian.shape[1:] == (16, 3, 3)
    rows, columns = found.valid.nonzero().unbind(1)
    posed, _ = forward_skinning(scene.deformer, found.points[rows, columns], scene.hand[rows])
    assert (posed - scene.points[rows]).norm(dim=1).max() < 1.1e-5
    distance = torch.cdist(found.points, found.points) + 1e3 * (~found.valid[:, None] | ~found.valid[:, :, None])
    distance.diagonal(dim1=1, dim2=2).add_(1.0)
    assert distance.min() > 1e-4, "equal candidates were kept"
    assert (found.valid.int().diff(dim=1) <= 0).all(), "valid candidates come first"


def test_skipped_starts_change_less_than_a_thousandth(scene: Scene) -> None:
    everywhere = scene.grids._replace(starts=torch.full_like(scene.grids.starts, 0xFFFF))
    full = scene.deformer._replace(grids=everywhere)
    thorough = canonicalise(full, scene.points, scene.hand, body_sdf(scene))
    quick = canonicalise(scene.deformer, scene.points, scene.hand, body_sdf(scene))
    assert (quick.sdf > thorough.sdf + 1e-4).float().mean() < 1e-3


def test_rigid_hand_maps_exactly(device: torch.device) -> None:
    """Where one bone has all the weight, the canonical point is the rigid one."""
    weights = torch.zeros(1, 8, 8, 8, 16)
    weights[..., 5] = 1
    transforms = torch.eye(4).expand(1, 16, 4, 4).clone()
    angle = torch.tensor(0.7)
    transforms[0, 5, :2, :2] = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
    transforms[0, 5, :3, 3] = torch.tensor([0.01, -0.02, 0.005])
    deformer = make_deformer(
        OPEN_BOX, transforms.to(device), weights.to(device), torch.zeros(1, dtype=torch.int64, device=device)
    )
    points = (torch.rand(100, 3, generator=torch.Generator().manual_seed(0)) - 0.5).to(device) * 0.1
    hand = torch.zeros(100, dtype=torch.int64, device=device)
    rotation, translation = transforms[0, 5, :3, :3].to(device), transforms[0, 5, :3, 3].to(device)
    found = canonicalise(deformer, points, hand, lambda x, _: x.norm(dim=1))
    assert torch.allclose(found.points, (points - translation) @ rotation, atol=1e-6)
    assert torch.allclose(found.inverse_jacobian, rotation.T.expand(100, 3, 3), atol=1e-5)
    assert torch.allclose(found.linear, rotation.expand(100, 3, 3), atol=1e-5)
    assert torch.allclose(found.sdf, found.points.norm(dim=1), atol=1e-6)


def test_far_points_have_no_canonical_point(scene: Scene) -> None:
    points, hand = torch.full((5, 3), 3.0), torch.zeros(5, dtype=torch.int64)
    found = canonicalise(scene.deformer, points, hand, lambda x, _: x.norm(dim=1))
    assert not found.valid.any() and (found.sdf == NO_HIT_SDF_M).all()
    assert torch.equal(found.linear, torch.eye(3).expand(5, 3, 3))
    assert canonicalise(scene.deformer, points[:0], hand[:0], lambda x, _: x[:, 0]).points.shape == (0, 3)


def test_points_that_are_no_numbers_have_none_either(scene: Scene) -> None:
    points = scene.points[:4].clone()
    points[0, 1], points[1] = torch.nan, torch.inf
    found = canonicalise(scene.deformer, points, scene.hand[:4], lambda x, _: x.norm(dim=1))
    assert found.valid.tolist() == [False, False, True, True]
    broken = make_deformer(
        OPEN_BOX, scene.body.bone_transforms[:1] * torch.nan, scene.grids, scene.deformer.grid_of_hand[:1]
    )
    assert not inverse_skinning(broken, scene.points[:100], torch.zeros(100, dtype=torch.int64)).valid.any()


def test_the_inverse_jacobian_is_the_maps(scene: Scene) -> None:
    # strictly inside cells, where the trilinear map is smooth
    found = inverse_skinning(scene.deformer, scene.points[:2000], scene.hand[:2000])
    rows, columns = found.valid.nonzero().unbind(1)
    points, inverse, hand = (
        found.points[rows, columns].double(),
        found.inverse_jacobian[rows, columns],
        scene.hand[rows],
    )
    cell = OPEN_BOX.to_unit(points) * 63
    inner = ((cell - cell.floor() - 0.5).abs() < 0.45).all(1)
    deformer = scene.deformer._replace(bone_transforms=scene.deformer.bone_transforms.double())
    step = 1e-6
    columns_of_jacobian = []
    for axis in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[axis] = step
        ahead, behind = (forward_skinning(deformer, points + sign * shift, hand)[0] for sign in (1, -1))
        columns_of_jacobian.append((ahead - behind) / (2 * step))
    jacobian = torch.stack(columns_of_jacobian, dim=2)
    regular = inner & (torch.linalg.det(jacobian).abs() > 0.05)
    product = inverse[regular].double() @ jacobian[regular]
    assert regular.float().mean() > 0.5
    assert (product - torch.eye(3, dtype=torch.float64)).abs().amax((1, 2)).quantile(0.99) < 1e-2


def test_hands_do_not_mix(scene: Scene) -> None:
    """Shuffled points of many hands give what each hand alone gives."""
    order = torch.randperm(len(scene.points), generator=torch.Generator().manual_seed(1))[:500]
    mixed = inverse_skinning(scene.deformer, scene.points[order], scene.hand[order])
    alone = make_deformer(OPEN_BOX, scene.body.bone_transforms[7:8], scene.grids, scene.deformer.grid_of_hand[7:8])
    own = scene.hand[order] == 7
    single = inverse_skinning(alone, scene.points[order][own], torch.zeros(int(own.sum()), dtype=torch.int64))
    assert torch.equal(mixed.valid[own], single.valid) and torch.allclose(mixed.points[own], single.points, atol=1e-7)


def test_weights_between_nodes_are_trilinear() -> None:
    values = torch.rand(1, 4, 4, 4, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    deformer = make_deformer(
        OPEN_BOX, torch.eye(4, dtype=torch.float64).expand(1, 16, 4, 4), values, torch.zeros(1, dtype=torch.int64)
    )
    points = OPEN_BOX.from_unit(
        torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 1.4 - 0.2
    )
    found = skinning_weights_at(deformer, points, torch.zeros(50, dtype=torch.int64))
    wanted = torch.nn.functional.grid_sample(
        values.permute(0, 4, 1, 2, 3),
        (OPEN_BOX.to_unit(points) * 2 - 1)[None, None, None],
        align_corners=True,
        padding_mode="border",
    )[0, :, 0, 0].T
    assert torch.allclose(found, wanted, atol=1e-12)


def test_forward_skinning_gradient(scene: Scene) -> None:
    points = scene.body.rest_vertices[0, ::80].double()
    hand = torch.zeros(len(points), dtype=torch.int64)
    transforms = scene.deformer.bone_transforms[:1].double().clone().requires_grad_()

    def carried(bones: torch.Tensor) -> torch.Tensor:
        posed, linear = forward_skinning(scene.deformer._replace(bone_transforms=bones), points, hand)
        return torch.cat([posed, linear.flatten(1)], dim=1)

    assert torch.autograd.gradcheck(carried, (transforms,))


def test_forward_skinning_gradient_in_the_points(scene: Scene) -> None:
    """The weights change from place to place, and with them both the posed point and the turn."""
    points = scene.body.rest_vertices[0].double()
    cell = OPEN_BOX.to_unit(points) * 63
    points = points[((cell - cell.floor() - 0.5).abs() < 0.45).all(1)][::80].requires_grad_()
    hand = torch.zeros(len(points), dtype=torch.int64)
    deformer = scene.deformer._replace(bone_transforms=scene.deformer.bone_transforms[:1].double())

    def carried(places: torch.Tensor) -> torch.Tensor:
        posed, linear = forward_skinning(deformer, places, hand)
        return torch.cat([posed, linear.flatten(1)], dim=1)

    assert torch.autograd.gradcheck(carried, (points,))


@pytest.mark.parametrize("name", ["hand_pose", "betas"])
def test_pose_gradient_against_finite_differences(scene: Scene, name: str) -> None:
    """d(canonical point)/d(parameter) by the implicit function theorem, and by searching again with it changed."""
    model = scene.model.to(dtype=torch.float64)
    index = 3
    values = {
        "betas": scene.betas[index : index + 1].double(),
        "hand_pose": scene.hand_pose[index : index + 1].double(),
    }
    own = (scene.hand == index).nonzero()[:, 0]
    points, hand = scene.points[own], torch.zeros(len(own), dtype=torch.int64)
    zero = torch.zeros(1, 3, dtype=torch.float64)

    def deformer_at(parameters: dict[str, torch.Tensor]) -> Deformer:
        bones = pose_body(model, parameters["betas"], zero, parameters["hand_pose"], zero).bone_transforms
        return make_deformer(OPEN_BOX, bones, scene.grids, scene.deformer.grid_of_hand[index : index + 1])

    def located(parameters: dict[str, torch.Tensor], near: torch.Tensor) -> torch.Tensor:
        deformer = deformer_at(parameters)
        # the found points are polished in float64, so that differences of small steps mean something
        found = canonicalise(deformer, points, hand, lambda x, _: x.norm(dim=1))
        x = near.clone()
        for _ in range(5):
            posed, _ = forward_skinning(deformer, x, hand)
            x = x - (inverse @ (posed - points.double())[..., None])[..., 0]
        return torch.where(found.valid[:, None], x, torch.full_like(x, torch.nan))

    start = canonicalise(deformer_at(values), points, hand, body_sdf(scene))
    inverse = start.inverse_jacobian.double()
    base = located(values, start.points.double())
    generator = torch.Generator().manual_seed(2)
    direction = torch.randn(values[name].shape, generator=generator, dtype=torch.float64)
    step = 1e-5
    ahead, behind = (located({**values, name: values[name] + sign * step * direction}, base) for sign in (1, -1))
    numeric = (ahead - behind) / (2 * step)

    parameter = values[name].clone().requires_grad_()
    moving = deformer_at({**values, name: parameter})
    attached = attach_pose_gradient(moving, base.nan_to_num(), inverse, hand)
    probe = torch.randn(attached.shape, generator=generator, dtype=torch.float64)
    analytic = []
    for row in range(0, len(own), 10):
        (gradient,) = torch.autograd.grad((attached[row] * probe[row]).sum(), parameter, retain_graph=True)
        analytic.append((gradient * direction).sum())
    wanted = (numeric * probe).sum(1)[::10]
    keep = wanted.isfinite()
    assert keep.sum() >= 15
    error = (torch.stack(analytic) - wanted)[keep].abs()
    assert (error <= 1e-2 * wanted[keep].abs() + 1e-4).float().mean() >= 0.9


def test_the_value_of_attached_points_is_unchanged(scene: Scene) -> None:
    points, hand = scene.body.rest_vertices[0, :10], torch.zeros(10, dtype=torch.int64)
    attached = attach_pose_gradient(scene.deformer, points, torch.eye(3).expand(10, 3, 3), hand)
    assert torch.equal(attached, points)
