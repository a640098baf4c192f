"""LPIPS on files of the official names and shapes, against its definition."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d, relu

from engine.errors import InputError
from engine.training.lpips import lpips_alex_term
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


@pytest.fixture(scope="module")
def alex_files(tmp_path_factory):
    """The same for AlexNet."""
    folder = tmp_path_factory.mktemp("lpips_alex")
    generator = torch.Generator().manual_seed(3)
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    alex = {}
    for layer, (outputs, inputs, side) in shapes.items():
        scale = (2 / (side * side * inputs)) ** 0.5
        alex[f"features.{layer}.weight"] = scale * torch.randn(outputs, inputs, side, side, generator=generator)
        alex[f"features.{layer}.bias"] = 0.01 * torch.randn(outputs, generator=generator)
    channels = [shape[0] for shape in shapes.values()]
    lin = {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator) for k, c in enumerate(channels)}
    torch.save(alex, folder / "alexnet.pth")
    torch.save(lin, folder / "alex.pth")
    return folder / "alexnet.pth", folder / "alex.pth", alex, lin


def test_on_alexnet_it_is_torchvision_s_network_under_the_same_definition(alex_files):
    """torch's own layers in torchvision's order, LPIPS's five outputs after the rectifiers."""
    alex_path, lpips_path, alex, lin = alex_files
    nn = torch.nn
    layers = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
        *(nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1)),
        *(nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    )
    layers.load_state_dict({name.removeprefix("features."): value for name, value in alex.items()})
    a, b = torch.rand(2, 48, 40, 3, generator=torch.Generator().manual_seed(4))
    # LPIPS's own scaling of pictures in [-1,1]
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x = ((2 * torch.stack([a, b]) - 1 - shift) / scale).permute(0, 3, 1, 2)
    expected, outputs = 0.0, 0
    with torch.no_grad():
        for place, layer in enumerate(layers):
            x = layer(x)
            if place in (1, 4, 7, 9, 11):
                unit = x / (x.norm(dim=1, keepdim=True) + 1e-10)
                weight = lin[f"lin{outputs}.model.1.weight"][0]
                expected, outputs = expected + float((weight * (unit[0] - unit[1]) ** 2).sum(0).mean()), outputs + 1
    term = lpips_alex_term(alex_path, lpips_path)
    # LPIPS's constants are ImageNet's, rounded to three digits
    assert term(a, b, torch.ones(48, 40)).item() == pytest.approx(expected, rel=3e-3)
    assert term(a, a, torch.ones(48, 40)).item() == pytest.approx(0, abs=1e-7)


def test_wrong_files_of_alexnet_are_named(files, alex_files, tmp_path):
    alex_path, lpips_path, alex, _ = alex_files
    with pytest.raises(InputError, match="--lpips-alex needs AlexNet too"):
        lpips_alex_term(None, lpips_path)
    with pytest.raises(InputError, match=r"--alexnet .*none\.pth cannot be read"):
        lpips_alex_term(tmp_path / "none.pth", lpips_path)
    with pytest.raises(InputError, match=r"--lpips-alex .*lin1\.model\.1\.weight of shape \(1, 192"):
        lpips_alex_term(alex_path, files[1])
    torch.save(dict(alex) | {"features.3.bias": torch.full((192,), torch.nan)}, tmp_path / "broken.pth")
    with pytest.raises(InputError, match=r"has no features\.3\.bias"):
        lpips_alex_term(tmp_path / "broken.pth", lpips_path)


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
