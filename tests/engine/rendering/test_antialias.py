"""Outlines: coverage equals area, and its gradient equals the area's derivative, however fine the mesh."""

from __future__ import annotations

import math

import pytest
import torch

from engine.rendering.antialias import edge_table
from engine.rendering.mesh import compose, mesh_topology, see


def coverage_of(vertices, faces, camera, height, width):
    topology = mesh_topology(faces, torch.zeros(len(vertices), 2).to(vertices), faces)
    view = see(vertices, topology, camera, height, width)
    return compose(view, topology, torch.ones(len(view.fragments.pixels), 1).to(vertices)).coverage


def test_a_rectangle_covers_its_area_exactly(device):
    corners = torch.tensor([[10.25, 5.6, 1], [30.75, 5.6, 1], [30.75, 20.1, 1], [10.25, 20.1, 1]], device=device)
    intrinsics = torch.eye(3, device=device)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], device=device)
    coverage = coverage_of(corners, faces, intrinsics, 32, 48)
    # edges are exact; each corner may be off by a quarter of its pixel
    assert float(coverage.sum()) == pytest.approx(20.5 * 14.5, abs=4 * 0.25)
    row = coverage[12]
    assert float(row[10]) == pytest.approx(0.75, abs=1e-4)
    assert float(row[30]) == pytest.approx(0.75, abs=1e-4)
    assert float(row[9]) == 0 and float(row[20]) == 1


@pytest.mark.parametrize("subdivisions", [3, 4, 5])
def test_sphere_area_and_its_derivative(make_sphere, device, subdivisions):
    """The outline of a sphere of radius r at distance d is a circle of radius f tan(asin(r/d)) about the axis."""
    camera = torch.tensor([[800.0, 0, 128], [0, 800, 128], [0, 0, 1]], device=device)
    vertices, faces = make_sphere(0.04, (0.0, 0.0, 0.4), subdivisions)
    centre = torch.tensor([0.0, 0, 0.4], device=device)

    def area(scale: float) -> float:
        return math.pi * (800 * math.tan(math.asin(0.1 * scale))) ** 2

    scale = torch.ones((), device=device, requires_grad=True)
    covered = coverage_of((vertices - centre) * scale + centre, faces, camera, 256, 256).sum()
    covered.backward()
    derivative = (area(1.001) - area(0.999)) / 0.002
    # a polyhedron of 1280 faces lacks about one percent of its sphere
    tolerance = 0.025 if subdivisions == 3 else 0.012
    assert covered.item() == pytest.approx(area(1.0), rel=tolerance)
    assert float(scale.grad) == pytest.approx(derivative, rel=2 * tolerance)


def test_moving_sideways_moves_the_first_moment(make_sphere, device):
    camera = torch.tensor([[600.0, 0, 80], [0, 600, 80], [0, 0, 1]], device=device)
    vertices, faces = make_sphere(0.03, (0.0, 0.0, 0.4), 4)
    shift = torch.zeros(3, device=device, requires_grad=True)
    coverage = coverage_of(vertices + shift, faces, camera, 160, 160)
    x = torch.arange(160, device=device) + 0.5
    (coverage * x).sum().backward()
    moved = coverage.sum().item() * 600 / 0.4
    assert float(shift.grad[0]) == pytest.approx(moved, rel=0.03)


def test_an_inner_outline_mixes_near_and_far_colours(device):
    """A small square before a large one: its outline carries gradient although both lie on the mesh."""
    square = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], device=device)
    near, far = (
        square * 0.1 + torch.tensor([0.013, 0, 1.0], device=device),
        square + torch.tensor([0.0, 0, 2], device=device),
    )
    vertices = torch.cat([near, far]).requires_grad_(True)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], device=device)
    camera = torch.tensor([[50.0, 0, 16], [0, 50, 16], [0, 0, 1]], device=device)
    topology = mesh_topology(faces, torch.zeros(8, 2, device=device), faces)
    view = see(vertices, topology, camera, 32, 32)
    white_on_grey = torch.where(view.fragments.faces < 2, 1.0, 0.25)[:, None]
    picture = compose(view, topology, white_on_grey)
    picture.color.sum().backward()
    # widening the near square by 1 mm a side at 1 m turns 10 px × 0.05 px per side from 0.25 to 1
    widening = (vertices.grad[:4, 0] * torch.tensor([-1.0, 1, 1, -1], device=device)).sum()
    assert float(widening) == pytest.approx(2 * 10 * 50 * 0.75, rel=0.1)


def test_edge_table_of_a_closed_mesh(make_sphere):
    _, faces = make_sphere(subdivisions=2)
    table = edge_table(faces)
    assert len(table.vertices) == len(faces) * 3 // 2
    assert (table.faces >= 0).all() and (table.faces[:, 0] != table.faces[:, 1]).all()
    for column in (0, 1):
        assert all(
            set(v) <= set(f)
            for v, f in zip(table.vertices.tolist(), faces[table.faces[:, column]].tolist(), strict=True)
        )


def test_edge_table_of_one_triangle():
    table = edge_table(torch.tensor([[0, 1, 2]]))
    assert len(table.vertices) == 3 and (table.faces[:, 1] == -1).all()
    assert [
        sorted([*edge, third]) for edge, third in zip(table.vertices.tolist(), table.opposite.tolist(), strict=True)
    ] == [[0, 1, 2]] * 3
