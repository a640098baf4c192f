"""The perceptual term: VGG-16 from a file of the official names and shapes, the pyramid without one."""

from __future__ import annotations

import pickle

import pytest
import torch

from engine.errors import InputError
from engine.training.perceptual import perceptual_term, pyramid_l1

LAYERS = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256)}
LAYERS |= {17: (512, 256), 19: (512, 512), 21: (512, 512)}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Random numbers in torchvision's layout: the trained weights cannot be shipped."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for layer, (outputs, inputs) in LAYERS.items():
        scale = (2 / (9 * inputs)) ** 0.5
        state[f"features.{layer}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * scale
        state[f"features.{layer}.bias"] = torch.zeros(outputs)
    return state


def test_without_weights_it_is_the_pyramid():
    assert perceptual_term(None) is pyramid_l1


def test_vgg_compares_pictures(state, tmp_path):
    path = tmp_path / "vgg16.pth"
    torch.save(state, path)
    term = perceptual_term(path)
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(40, 56, 3, generator=generator)
    weight = torch.zeros(40, 56)
    weight[8:32, 8:40] = 1
    assert float(term(target, target, weight)) == 0
    shifted = (target + 0.1).requires_grad_()
    value = term(shifted, target, weight)
    assert value.item() > 0.1
    value.backward()
    assert float(shifted.grad[12:28, 12:36].abs().min()) > 0
    outside = target.clone()
    outside[:4] += 0.5
    assert float(term(outside, target, weight)) == 0
    # the first feature is a plain convolution of the normalised picture
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = ((target - mean) / deviation).permute(2, 0, 1)[None]
    one = torch.relu(torch.conv2d(normal, state["features.0.weight"], padding=1))
    two = torch.relu(torch.conv2d(one, state["features.2.weight"], padding=1))
    torch.testing.assert_close(term.features(target)[0], two)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("features.5.bias"), "features.5.bias"),
        (lambda state: state.update({"features.7.weight": torch.zeros(3)}), "features.7.weight"),
        (lambda state: state.update({"features.0.bias": torch.full((64,), float("nan"))}), "features.0.bias"),
    ],
)
def test_other_weights_are_refused(state, tmp_path, change, says):
    state, path = dict(state), tmp_path / "vgg16.pth"
    change(state)
    torch.save(state, path)
    with pytest.raises(InputError, match=says):
        perceptual_term(path)


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps({"features.0.weight": print})])
def test_files_that_hold_no_weights(tmp_path, content):
    path = tmp_path / "vgg16.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match="vgg16"):
        perceptual_term(path)
