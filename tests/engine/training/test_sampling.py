"""Which frames and pixels a step looks at."""

from __future__ import annotations

import pytest
import torch

from engine.training.sampling import PixelSampling, choose_pixels, frames_at, generator_for, pixel_maps


def disc(size: int = 64, radius: float = 15.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (x - 40) ** 2 + (y - 30) ** 2 < radius**2


def test_every_frame_is_used_once_before_any_is_used_twice():
    seen = [frame for step in range(5) for frame in frames_at(step, 10, 4, seed=3)]
    assert sorted(seen[:10]) == sorted(seen[10:20]) == list(range(10))
    assert seen[:10] != seen[10:20]


def test_batches_depend_on_step_and_seed_alone():
    assert frames_at(7, 10, 4, seed=3) == frames_at(7, 10, 4, seed=3)
    assert frames_at(7, 100, 8, seed=3) != frames_at(7, 100, 8, seed=4)


def test_a_batch_larger_than_the_set_repeats_it():
    assert sorted(frames_at(0, 3, 7, seed=0)[:6]) == [0, 0, 1, 1, 2, 2]


def test_generators_of_different_places_differ():
    draws = {
        float(torch.rand(1, generator=generator_for(*key))) for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    }
    assert len(draws) == 4


def test_maps_of_a_disc():
    mask = disc()
    maps = pixel_maps(mask, margin_px=4, edge_px=2)
    assert maps.box == (22, 12, 59, 49)
    assert len(maps.inside) == int(mask.sum())
    rows, columns = maps.edge // 64, maps.edge % 64
    distance = ((columns - 40.0) ** 2 + (rows - 30.0) ** 2).sqrt()
    assert (distance - 15).abs().max() < 4.5 and len(maps.edge) > 200


def test_scattered_rays_lie_where_they_should():
    mask = disc()
    maps = pixel_maps(mask, 4)
    pixels = choose_pixels(maps, PixelSampling(scattered=1000, patch_px=0), True, torch.Generator().manual_seed(0))
    assert pixels.patch == 0 and len(pixels.columns) == 1000
    assert mask[pixels.rows[:600], pixels.columns[:600]].all()
    assert torch.isin(pixels.rows[600:900] * 64 + pixels.columns[600:900], maps.edge).all()
    left, top, right, bottom = maps.box
    rows, columns = pixels.rows[900:], pixels.columns[900:]
    assert ((columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)).all()


@pytest.mark.parametrize("stride", [1, 2])
def test_a_patch_is_a_grid_of_its_stride(stride):
    config = PixelSampling(scattered=3, patch_px=12, patch_strides=(stride,))
    pixels = choose_pixels(pixel_maps(disc(), 4), config, True, torch.Generator().manual_seed(1))
    assert pixels.patch == 12
    rows, columns = pixels.rows[3:].reshape(12, 12), pixels.columns[3:].reshape(12, 12)
    assert (rows.diff(dim=0) == stride).all() and (columns.diff(dim=1) == stride).all()
    assert (rows.diff(dim=1) == 0).all() and (columns.diff(dim=0) == 0).all()


def test_a_patch_shrinks_to_a_small_hand_and_never_leaves_the_image():
    config = PixelSampling(scattered=0, patch_px=32, patch_strides=(2, 4))
    maps = pixel_maps(disc(radius=3.0), 1)
    for seed in range(20):
        pixels = choose_pixels(maps, config, True, torch.Generator().manual_seed(seed))
        assert 0 < pixels.patch < 32
        assert pixels.rows.min() >= 0 and pixels.rows.max() < 64 and pixels.columns.max() < 64


def test_an_image_without_a_hand_still_gives_rays():
    maps = pixel_maps(torch.zeros(20, 30, dtype=torch.bool), 4)
    pixels = choose_pixels(maps, PixelSampling(scattered=50, patch_px=8), True, torch.Generator().manual_seed(0))
    assert maps.box == (0, 0, 30, 20) and pixels.columns.max() < 30 and pixels.rows.max() < 20


def test_images_without_a_patch_have_only_scattered_rays():
    pixels = choose_pixels(pixel_maps(disc(), 4), PixelSampling(scattered=9), False, torch.Generator().manual_seed(0))
    assert pixels.patch == 0 and len(pixels.columns) == 9
