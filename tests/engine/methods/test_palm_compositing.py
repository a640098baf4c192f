"""Compositing of samples that stay: the renderer's values, with their gradients."""

from __future__ import annotations

import torch

from engine.methods.palm_compositing import composite_runs, runs_of
from engine.rendering.compositing import accumulate, rendering_weights

RAY = torch.tensor([1, 1, 1, 2, 4, 4, 4, 4])
RAYS = 6


def depths_and_colors() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(8, generator=generator).double(), torch.rand(3, 8, generator=generator).double()


def test_runs_begin_and_end_with_their_rays():
    runs = runs_of(RAY, RAYS)
    assert runs.first.tolist() == [0, 0, 0, 3, 4, 4, 4, 4]
    assert runs.last.tolist() == [2, 2, 2, 3, 7, 7, 7, 7]


def test_colours_are_the_renderers_and_have_its_gradients():
    depth, colors = depths_and_colors()
    opacity, color = composite_runs(depth, colors, runs_of(RAY, RAYS))
    weights = rendering_weights(depth, RAY)
    torch.testing.assert_close(opacity, accumulate(weights, None, RAY, RAYS))
    torch.testing.assert_close(color.T, accumulate(weights, colors.T, RAY, RAYS))
    leaves = (depth.requires_grad_(), colors.requires_grad_())
    assert torch.autograd.gradcheck(lambda d, c: composite_runs(d, c, runs_of(RAY, RAYS)), leaves)


def test_no_samples_make_nothing():
    depth = torch.zeros(0, requires_grad=True)
    opacity, color = composite_runs(depth, torch.zeros(3, 0), runs_of(torch.zeros(0, dtype=torch.int64), RAYS))
    (opacity.sum() + color.sum()).backward()
    assert opacity.tolist() == [0.0] * RAYS and color.shape == (3, RAYS)
