"""The hash grid's kernels against the torch reference in float64, and its layout against the published numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import MissingDependencyError
from engine.fields.config import OFFICIAL, OPEN, HashGridConfig
from engine.fields.hash_grid import hash_encode, hash_encode_with_jacobian
from engine.fields.hash_grid_reference import hash_encode_reference, hash_jacobian_reference, vertex_entries

SMALL_GRID = HashGridConfig(levels=4, log2_table_size=10, per_level_scale=1.9, base_resolution=5)
"""Two dense levels and two hashed ones."""
ERROR = 1e-5


def relative(value, exact) -> float:
    exact = exact.detach().cpu()
    return float((value.detach().double().cpu() - exact).norm() / exact.norm())


@pytest.fixture
def inputs(device):
    """Points (corners and faces of the cube among them) and table, in float32 on the device and in float64."""
    points = torch.rand(3001, 3)
    points[:4] = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0, 1, 0.5], [1, 0.25, 0]])
    table = torch.randn(SMALL_GRID.parameter_count)
    coarse = [tensor.to(device).requires_grad_() for tensor in (points.clone(), table.clone())]
    fine = [tensor.double().requires_grad_() for tensor in (points, table)]
    return coarse, fine


WEIGHTS = torch.tensor([1.0, 0.25, 0.0, 0.5])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_values_and_jacobian(inputs, weights, device):
    (points, table), fine = inputs
    moved = None if weights is None else weights.to(device)
    features, jacobian = hash_encode_with_jacobian(points, table, SMALL_GRID, moved)
    exact, exact_jacobian = hash_jacobian_reference(*fine, SMALL_GRID, None if weights is None else weights.double())
    assert features.shape == (3001, 8)
    assert jacobian.shape == (3001, 8, 3)
    assert relative(features, exact) < ERROR
    # points on a cell's face have two derivatives: leave them out
    assert relative(jacobian[4:], exact_jacobian[4:]) < ERROR
    assert torch.equal(hash_encode(points, table, SMALL_GRID, moved), features)


def test_gradients_of_both_outputs(inputs, device):
    coarse, fine = inputs
    outputs = hash_encode_with_jacobian(*coarse, SMALL_GRID, WEIGHTS.to(device))
    exact = hash_jacobian_reference(*fine, SMALL_GRID, WEIGHTS.double())
    for value, reference in zip(outputs, exact, strict=True):
        cotangent = torch.randn(value.shape)
        cotangent[:4] = 0
        ours = torch.autograd.grad((value * cotangent.to(device)).sum(), coarse, retain_graph=True)
        theirs = torch.autograd.grad((reference * cotangent.double()).sum(), fine, retain_graph=True)
        assert relative(ours[0], theirs[0]) < ERROR
        assert relative(ours[1], theirs[1]) < ERROR


def test_gradients_of_both_outputs_at_once(inputs):
    coarse, fine = inputs
    features, jacobian = hash_encode_with_jacobian(*coarse, SMALL_GRID)
    exact, exact_jacobian = hash_jacobian_reference(*fine, SMALL_GRID)
    ours = torch.autograd.grad(features[4:].square().sum() + jacobian[4:].square().sum(), coarse)
    theirs = torch.autograd.grad(exact[4:].square().sum() + exact_jacobian[4:].square().sum(), fine)
    for one, other in zip(ours, theirs, strict=True):
        assert relative(one, other) < ERROR


@pytest.mark.parametrize("of", ["points", "table"])
def test_second_order_through_autograd(inputs, of):
    coarse, fine = inputs
    which = ("points", "table").index(of)

    def second(leaves, encode):
        loss = encode(*leaves, SMALL_GRID)[4:].pow(3).sum()
        slope = torch.autograd.grad(loss, leaves[which], create_graph=True)[0]
        return torch.autograd.grad(slope.square().sum(), leaves)

    for one, other in zip(second(coarse, hash_encode), second(fine, hash_encode_reference), strict=True):
        assert relative(one, other) < ERROR


def test_the_reference_passes_gradcheck():
    config = HashGridConfig(levels=2, log2_table_size=4, per_level_scale=1.7, base_resolution=2)
    points = (0.1 + 0.3 * torch.rand(2, 3, dtype=torch.float64)).requires_grad_()
    table = torch.randn(config.parameter_count, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p, t: hash_encode(p, t, config), (points, table), eps=1e-7)
    assert torch.autograd.gradcheck(lambda p, t: hash_encode_with_jacobian(p, t, config), (points, table), eps=1e-7)
    assert torch.autograd.gradgradcheck(lambda p, t: hash_encode(p, t, config), (points, table), eps=1e-7)


def test_third_derivatives_are_refused(inputs):
    points, table = inputs[0]
    _, jacobian = hash_encode_with_jacobian(points, table, SMALL_GRID)
    slope = torch.autograd.grad(jacobian.square().sum(), points, create_graph=True)[0]
    with pytest.raises(NotImplementedError, match="third derivative"):
        slope.sum().backward()


def test_levels_of_weight_zero_are_zero_and_get_no_gradient(inputs, device):
    points, table = inputs[0]
    features, jacobian = hash_encode_with_jacobian(points, table, SMALL_GRID, WEIGHTS.to(device))
    assert features[:, 4:6].abs().max() == 0
    assert jacobian[:, 4:6].abs().max() == 0
    (features.sum() + jacobian.square().sum()).backward()
    level = SMALL_GRID.level_table[2]
    rows = table.grad.reshape(-1, 2)
    assert rows[level.offset : level.offset + level.entries].abs().max() == 0
    assert rows[: level.offset].abs().max() > 0
    nothing = hash_encode(points, table, SMALL_GRID, torch.zeros(4, device=device))
    assert nothing.abs().max() == 0


def test_trilinear_functions_are_reproduced(device):
    """A dense level whose vertices hold a linear function interpolates it exactly, with its slope as the Jacobian."""
    config = HashGridConfig(levels=1, log2_table_size=14, per_level_scale=2.0, base_resolution=16)
    level = config.level_table[0]
    assert not level.hashed
    axes = torch.arange(level.resolution, device=device)
    z, y, x = torch.meshgrid(axes, axes, axes, indexing="ij")
    place = (torch.stack([x, y, z], -1).reshape(-1, 3).float() - 0.5) / level.scale
    slopes = torch.tensor([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]], device=device)
    points = 0.9 * torch.rand(500, 3, device=device)
    features, jacobian = hash_encode_with_jacobian(points, (place @ slopes.T).reshape(-1), config)
    assert torch.allclose(features, points @ slopes.T, atol=1e-5)
    assert torch.allclose(jacobian, slopes.expand(500, 2, 3), atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_any_number_of_points(count, device):
    points = torch.rand(count, 3, device=device).requires_grad_()
    table = torch.randn(SMALL_GRID.parameter_count, device=device).requires_grad_()
    features, jacobian = hash_encode_with_jacobian(points, table, SMALL_GRID)
    (features.sum() + jacobian.sum()).backward()
    assert features.shape == (count, 8)
    assert points.grad.shape == (count, 3)


def test_points_outside_and_broken_points_stay_in_the_table(device):
    points = torch.tensor([[-3.0, 0.5, 9.0], [float("nan"), 0.5, 0.5], [1e30, -1e30, float("inf")]], device=device)
    table = torch.ones(SMALL_GRID.parameter_count, device=device)
    assert hash_encode(points, table, SMALL_GRID).shape == (3, 8)


def test_the_same_result_every_time_and_for_any_number_of_threads():
    points, table = torch.rand(20000, 3), torch.randn(SMALL_GRID.parameter_count)
    before = torch.get_num_threads()

    def run(threads: int) -> list[torch.Tensor]:
        torch.set_num_threads(threads)
        leaves = [points.clone().requires_grad_(), table.clone().requires_grad_()]
        features, jacobian = hash_encode_with_jacobian(*leaves, SMALL_GRID)
        return [features, jacobian, *torch.autograd.grad(features.square().sum() + jacobian.square().sum(), leaves)]

    try:
        runs = [run(threads) for threads in (1, 2, 2, 3)]
    finally:
        torch.set_num_threads(before)
    for other in runs[1:]:
        assert all(torch.equal(one, two) for one, two in zip(runs[0], other, strict=True))


@pytest.mark.parametrize(
    ("points", "table", "weights"),
    [
        (torch.rand(4, 2), torch.zeros(SMALL_GRID.parameter_count), None),
        (torch.rand(4, 3), torch.zeros(SMALL_GRID.parameter_count - 2), None),
        (torch.rand(4, 3).half(), torch.zeros(SMALL_GRID.parameter_count), None),
        (torch.rand(4, 3), torch.zeros(SMALL_GRID.parameter_count).double(), None),
        (torch.rand(4, 3), torch.zeros(SMALL_GRID.parameter_count), torch.ones(3)),
    ],
)
def test_wrong_shapes_and_dtypes_are_named(points, table, weights):
    with pytest.raises(ValueError, match=r"points|table|level_weights"):
        hash_encode(points, table, SMALL_GRID, weights)


def test_tinycudann_says_what_it_needs():
    with pytest.raises(MissingDependencyError, match=r"tinycudann|CUDA"):
        hash_encode(torch.rand(4, 3), torch.zeros(SMALL_GRID.parameter_count), SMALL_GRID, backend="tinycudann")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="tiny-cuda-nn runs on CUDA")
def test_tinycudann_agrees():
    pytest.importorskip("tinycudann")
    points = torch.rand(1000, 3, device="cuda")
    table = torch.randn(OPEN.geometry_grid.parameter_count, device="cuda")
    ours = hash_encode(points, table, OPEN.geometry_grid)
    theirs = hash_encode(points, table, OPEN.geometry_grid, backend="tinycudann")
    assert (ours - theirs).abs().max() < 1e-3


def test_the_official_layout():
    grid = OFFICIAL.geometry_grid
    table = grid.level_table
    assert grid.entry_count == 14_688_568
    assert grid.parameter_count == 29_377_136
    assert [level.resolution for level in table[:6]] == [16, 24, 34, 49, 71, 102]
    assert [level.entries for level in table[:6]] == [4096, 13824, 39304, 117656, 357912, 524288]
    assert [level.offset for level in table[:6]] == [0, 4096, 17920, 57224, 174880, 532792]
    assert {number: table[number].resolution for number in (10, 12, 15, 20, 25, 30, 31)} == {
        10: 646, 12: 1352, 15: 4096, 20: 26008, 25: 165141, 30: 1048576, 31: 1517572
    }  # fmt: skip
    assert [level.hashed for level in table[:6]] == [False] * 5 + [True]


def test_hashes_match_unsigned_arithmetic():
    level = OFFICIAL.geometry_grid.level_table[20]
    cells = torch.randint(0, level.resolution, (1000, 3))
    x, y, z = (cells.numpy().astype(np.uint32)[:, axis] for axis in range(3))
    with np.errstate(over="ignore"):
        expected = (x ^ (y * np.uint32(2654435761)) ^ (z * np.uint32(805459861))) % np.uint32(level.entries)
    assert (vertex_entries(cells, level).numpy() == expected.astype(np.int64)).all()


def test_the_finest_official_levels_keep_their_precision(device):
    """At 10^6 cells a side the place within a cell is worked out in float64."""
    grid = OFFICIAL.geometry_grid
    points = torch.rand(200, 3)
    table = torch.randn(grid.parameter_count)
    features = hash_encode(points.to(device), table.to(device), grid)
    assert relative(features, hash_encode_reference(points.double(), table.double(), grid)) < ERROR


@pytest.mark.parametrize(
    "wrong", [{"levels": 0}, {"per_level_scale": 1.0}, {"log2_table_size": 40}, {"features_per_level": 4}]
)
def test_impossible_grids_are_refused(wrong):
    with pytest.raises(ValueError, match=r"grid|features|log2"):
        HashGridConfig(**{"levels": 4, "log2_table_size": 10, "per_level_scale": 2.0, **wrong})
