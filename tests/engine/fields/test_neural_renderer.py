"""The perceptron that corrects pictures of the mesh."""

from __future__ import annotations

import torch

from engine.fields.neural_renderer import NeuralRenderer, RendererConfig, icosahedron_directions

POINTS, CODES, CONDITION = 30, 7, 45


def seen() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)

    def draw(width):
        return torch.rand(POINTS, width, generator=generator)

    parts = {"shaded": draw(3), "normals": draw(3), "albedo": draw(3), "codes": draw(CODES), "own_codes": draw(4)}
    return parts | {"places": draw(3), "rays": draw(3), "condition": draw(CONDITION)[0]}


def renderer(**changes) -> NeuralRenderer:
    return NeuralRenderer(CODES, CONDITION, POINTS, RendererConfig(**{"depth": 4, "width": 16, "latent": 4, **changes}))


def test_it_begins_as_inverse_renderings_own_picture():
    values = seen()
    torch.testing.assert_close(renderer()(**values), values["shaded"].clamp(1e-3, 1 - 1e-3), atol=1e-6, rtol=0)


def test_gradients_reach_its_own_codes_and_nothing_else_that_it_sees():
    net, values = renderer(), {name: value.requires_grad_() for name, value in seen().items()}
    with torch.no_grad():
        net.out.weight.normal_()
    net(**values).sum().backward()
    assert {name for name, value in values.items() if value.grad is not None} == {"own_codes"}


def test_twenty_one_directions_a_right_angle_apart_at_most_and_none_twice():
    directions = icosahedron_directions()
    assert directions.shape == (21, 3)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(21))
    cosine = (directions @ directions.T).abs() - torch.eye(21)
    assert cosine.max() < 0.96
    # they treat all directions alike: the mean outer product is a third of the identity
    torch.testing.assert_close(directions.T @ directions / 21, torch.eye(3) / 3, atol=1e-6, rtol=0)


def test_widths_with_and_without_encoding():
    assert renderer().encode(torch.rand(5, 3)).shape == (5, 87)
    assert renderer(encoded=False).encode(torch.rand(5, 3)).shape == (5, 3)
    assert renderer(encoded=False)(**seen()).shape == (POINTS, 3)


def test_it_sees_the_ray_mirrored_at_the_surface():
    net, values = renderer(encoded=False), seen()
    values["normals"] = torch.tensor([0.0, 0.0, 1.0]).expand(POINTS, 3)
    values["rays"] = torch.tensor([0.6, 0.0, -0.8]).expand(POINTS, 3)
    heard = []
    net.hidden[net.skip - 1].register_forward_hook(lambda _, inputs, __: heard.append(inputs[0][:, -3:]))
    net(**values)
    torch.testing.assert_close(heard[0], torch.tensor([0.6, 0.0, 0.8]).expand(POINTS, 3))
    assert renderer(mirrored=False).first.in_features == renderer().first.in_features - 87
