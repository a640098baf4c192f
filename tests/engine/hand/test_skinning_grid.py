from __future__ import annotations

import pytest
import torch

from engine.hand.canonical import OPEN_BOX, CanonicalBox
from engine.hand.model import open_hand_model
from engine.hand.skinning_grid import joined_grids, pack_weight_grids, skinning_grid, skinning_grids

BOX = CanonicalBox((0.0, 0.0, 0.0), 1.0)


def test_two_vertices_weigh_by_inverse_distance() -> None:
    vertices = torch.tensor([[-1.0, -1, -1], [1, -1, -1]])
    weights = torch.eye(2)
    grid = skinning_grid(vertices, weights, BOX, resolution=5, neighbours=2)
    assert grid.shape == (5, 5, 5, 2)
    # x runs along the third axis; halfway both count alike, at a quarter three to one
    assert torch.allclose(grid[0, 0, 2], torch.tensor([0.5, 0.5]))
    assert torch.allclose(grid[0, 0, 1], torch.tensor([0.6667, 0.3333]), atol=1e-4)  # distances clamp at 1
    assert torch.allclose(grid[0, 0, 0], torch.tensor([1.0, 0.0]), atol=2e-4)


def test_axes_are_z_y_x() -> None:
    vertices = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    grid = skinning_grid(vertices, torch.eye(3), BOX, resolution=3, neighbours=1)
    assert grid[0, 0, 2].argmax() == 0 and grid[0, 2, 0].argmax() == 1 and grid[2, 0, 0].argmax() == 2


@pytest.fixture(scope="module")
def hand_grids():
    hand = open_hand_model()
    shapes = torch.stack([hand.v_template, hand.v_template + hand.shapedirs[..., 0]])
    return shapes, hand, skinning_grids(shapes, hand.skinning_weights, OPEN_BOX, resolution=32)


def test_rows_sum_to_one(hand_grids) -> None:
    _, _, grids = hand_grids
    assert torch.allclose(grids.weights.sum(1), torch.ones(len(grids.weights)), atol=1e-5)
    assert grids.first_row[-1] == len(grids.weights)


def test_compact_grid_equals_the_plain_one_near_the_hand(hand_grids) -> None:
    shapes, hand, grids = hand_grids
    plain = skinning_grid(shapes[1], hand.skinning_weights, OPEN_BOX, resolution=32)
    compact = grids.weights[grids.first_row[1] + grids.row_of_node[1].long()]
    near = grids.starts[1] != 0
    assert 0.02 < near.float().mean() < 0.5
    assert torch.equal(compact[near], plain[near])


def test_searches_start_where_a_bone_has_weight(hand_grids) -> None:
    _, hand, grids = hand_grids
    joints = hand.joint_regressor @ hand.v_template
    cells = (OPEN_BOX.to_unit(joints) * 31).long()
    bits = grids.starts[0, cells[:, 2], cells[:, 1], cells[:, 0]]
    for joint in range(16):
        assert bits[joint] >> joint & 1, f"joint {joint} is not in its own frame's region"
    assert not bits[3] >> 15 & 1, "the thumb's tip has no say at the index finger's"


def test_plain_grids_keep_every_node() -> None:
    weights = torch.rand(2, 4, 4, 4, 16)
    packed = pack_weight_grids(weights)
    assert packed.first_row == (0, 64, 128)
    assert torch.equal(packed.weights[64 + packed.row_of_node[1].long()], weights[1])


def test_joined_shapes_keep_their_own_rows(hand_grids) -> None:
    shapes, hand, grids = hand_grids
    single = [skinning_grids(shape[None], hand.skinning_weights, OPEN_BOX, resolution=32) for shape in shapes]
    joined = joined_grids(single)
    assert joined.first_row == grids.first_row
    assert all(torch.equal(a, b) for a, b in zip(joined, grids, strict=True) if isinstance(a, torch.Tensor))
