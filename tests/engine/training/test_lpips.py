"""LPIPS on files of the official names and shapes, against its definition."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d, relu

from engine.errors import InputError
from engine.training.perceptual import perceptual_term, term_name

BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
CHANNELS = (3, 64, 128, 256, 512, 512)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Random numbers in the official layouts: the trained weights cannot be shipped."""
    folder = tmp_path_factory.mktemp("lpips")
    generator = torch.Generator().manual_seed(0)
    vgg = {}
    for block, layers in enumerate(BLOCKS):
        for position, layer in enumerate(layers):
            inputs, outputs = CHANNELS[block if position == 0 else block + 1], CHANNELS[block + 1]
            scale = (2 / (9 * inputs)) ** 0.5
            vgg[f"features.{layer}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * scale
            vgg[f"features.{layer}.bias"] = 0.01 * torch.randn(outputs, generator=generator)
    lin = {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator) for k, c in enumerate(CHANNELS[1:])}
    torch.save(vgg, folder / "vgg16.pth")
    torch.save(lin, folder / "vgg.pth")
    return folder / "vgg16.pth", folder / "vgg.pth", vgg, lin


def by_definition(vgg, lin, a, b) -> float:
    """Zhang et al. 2018, eq. 1, written out."""
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    x = (torch.stack([a, b]).permute(0, 3, 1, 2) - mean) / deviation
    total = 0.0
    for block, layers in enumerate(BLOCKS):
        x = max_pool2d(x, 2) if block else x
        for layer in layers:
            x = relu(conv2d(x, vgg[f"features.{layer}.weight"], vgg[f"features.{layer}.bias"], padding=1))
        unit = x / (x.norm(dim=1, keepdim=True) + 1e-10)
        total += float((lin[f"lin{block}.model.1.weight"][0] * (unit[0] - unit[1]) ** 2).sum(0).mean())
    return total


def test_the_distance_is_the_published_one(files):
    vgg_path, lpips_path, vgg, lin = files
    term = perceptual_term(vgg_path, lpips_path)
    generator = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, 32, 32, 3, generator=generator)
    everywhere = torch.ones(32, 32)
    assert term(a, b, everywhere).item() == pytest.approx(by_definition(vgg, lin, a, b), rel=1e-4)
    assert term(a, a, everywhere).item() == pytest.approx(0, abs=1e-7)


def test_gradients_reach_the_prediction_and_stay_finite_on_plain_patches(files):
    term = perceptual_term(files[0], files[1])
    plain = torch.zeros(16, 16, 3, requires_grad=True)
    term(plain, torch.rand(16, 16, 3, generator=torch.Generator().manual_seed(2)), torch.ones(16, 16)).backward()
    assert torch.isfinite(plain.grad).all() and plain.grad.abs().max() > 0


def test_the_term_in_use_has_a_name(files):
    assert term_name(None) == "laplacian pyramid"
    assert term_name(files[0]) == "vgg16 features"
    assert term_name(files[0], files[1]) == "lpips (vgg16)"


def test_wrong_files_are_named(files, tmp_path):
    vgg_path, lpips_path, _, lin = files
    with pytest.raises(InputError, match="--lpips needs VGG-16 too"):
        perceptual_term(None, lpips_path)
    with pytest.raises(InputError, match=r"none\.pth cannot be read"):
        perceptual_term(vgg_path, tmp_path / "none.pth")
    with pytest.raises(InputError, match=r"has no lin0\.model\.1\.weight"):
        perceptual_term(vgg_path, vgg_path)
    broken = dict(lin) | {"lin2.model.1.weight": -lin["lin2.model.1.weight"]}
    torch.save(broken, tmp_path / "broken.pth")
    with pytest.raises(InputError, match=r"lin2\.model\.1\.weight holds negative numbers"):
        perceptual_term(vgg_path, tmp_path / "broken.pth")
    four_blocks = {name: value for name, value in files[2].items() if int(name.split(".")[1]) < 24}
    torch.save(four_blocks, tmp_path / "four.pth")
    with pytest.raises(InputError, match=r"has no features\.24\.weight"):
        perceptual_term(tmp_path / "four.pth", lpips_path)
