"""Distances of posed hands on a grid: the fields' own near the surface, and shadows as by the fields."""

from __future__ import annotations

from dataclasses import replace

import torch
from palm_tiny import CONFIG, tiny_photos, tiny_posed, tiny_prior

from engine.methods.palm_distance_grid import FAR_M, NEAR_M, gridded
from engine.methods.palm_frozen import encode_frozen
from engine.methods.palm_hands import first_unknowns
from engine.methods.palm_heads import material_head, radiance_head
from engine.methods.palm_rays import plan_rays


def test_distances_are_the_fields_near_the_surface_and_close_to_them_elsewhere():
    posed = tiny_posed()
    scene = posed.scene(first_unknowns(posed, tiny_prior().light))
    grid = gridded(scene, 0.002)
    generator = torch.Generator().manual_seed(0)
    occupancy = scene.occupancy
    hand = torch.randint(0, 2, (4000,), generator=generator)
    extent = occupancy.cell_size[hand, None] * occupancy.cells.shape[1]
    points = occupancy.lowest[hand] + extent * torch.rand(4000, 3, generator=generator)
    inside = occupancy.contains(points, hand)
    points, hand = points[inside], hand[inside]
    expected = scene.query_sdf(points, hand).sdf
    found = grid.query_sdf(points, hand).sdf
    near = (found.abs() < NEAR_M) & (expected.abs() < NEAR_M)
    assert int(near.sum()) > 5 and torch.equal(found[near], expected[near])
    assert float((found - expected.clamp_max(FAR_M)).abs().median()) < 1e-4
    outside = occupancy.lowest - 0.1
    torch.testing.assert_close(grid.query_sdf(outside, torch.arange(2)).sdf, torch.full((2,), FAR_M))
    assert grid.query_sdf(points[:0], hand[:0]).sdf.shape == (0,)


def test_shadows_are_the_fields():
    posed = tiny_posed()
    unknowns = first_unknowns(posed, tiny_prior().light)
    config = replace(CONFIG, physical_rays=60)
    grid = gridded(posed.scene(unknowns), 0.002)
    heads = radiance_head(posed), material_head(posed)
    apart = blocked = 0.0
    for plan in plan_rays(tiny_photos(), config, posed.root):
        exact, quick = (
            encode_frozen(posed, plan, unknowns, config, True, *heads, blockers).physical for blockers in (None, grid)
        )
        assert exact is not None and quick is not None
        apart += float((exact.angles.received - quick.angles.received).abs().sum())
        blocked += float((exact.angles.cosine - exact.angles.received).sum())
    assert blocked > 0
    assert apart < 0.05 * blocked
