"""The split networks' layers: values as written plainly, gradients by finite differences."""

from __future__ import annotations

import pytest
import torch

from engine.methods.palm_layers import distance_layers, rectified_layers


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rectified_layers_are_the_networks():
    own, added, inner, weight = random(5, 7), random(5, seed=1), random(4, 7, seed=2), random(5, 4, seed=3)
    later = ((random(6, 5, seed=4), random(6, seed=5)), (random(3, 6, seed=6), random(3, seed=7)))
    kept = own.clone()
    found = rectified_layers(own, added, later, inner, weight)
    hidden = (later[0][0] @ (own + added[:, None] + weight @ inner).relu() + later[0][1][:, None]).relu()
    torch.testing.assert_close(found, later[1][0] @ hidden + later[1][1][:, None])
    assert torch.equal(own, kept)
    added.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, i: rectified_layers(own, a, later, i, weight), (added, inner.requires_grad_())
    )
    assert torch.autograd.gradcheck(lambda a: rectified_layers(own, a, later, None, None), added)


@pytest.mark.parametrize("features", [True, False])
def test_distance_layers_have_first_and_second_derivatives(features):
    count, hidden, width = 6, 5, 4
    added, encoding = 0.3 * random(hidden, seed=1), random(hidden, width, seed=2)
    layer = (random(3, hidden, seed=3), random(3, seed=4))
    values = random(width, count, seed=5)
    turn = torch.eye(width, dtype=torch.float64)[:3, :, None].expand(3, width, count).contiguous()

    def distance(values: torch.Tensor) -> torch.Tensor:
        sums = encoding @ values + added[:, None]
        return layer[0] @ torch.nn.functional.logsigmoid(sums) + layer[1][:, None]

    feature, gradient = distance_layers(encoding @ values, added, layer, encoding, turn, features)
    expected = torch.autograd.functional.jacobian(lambda v: distance(v)[0].sum(), values)
    torch.testing.assert_close(gradient, expected[:3])
    if features:
        torch.testing.assert_close(feature, distance(values))
    else:
        assert feature is None

    def outputs(added: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = distance_layers(encoding @ values, added, layer, encoding, turn, features)
        return tuple(value for value in found if value is not None)

    assert torch.autograd.gradcheck(outputs, added.requires_grad_())


def test_the_smooth_rectifier_does_not_underflow():
    own = torch.tensor([[-1e4, -200.0, -90.0, 0.0, 200.0]])
    layer = (torch.ones(1, 1), torch.zeros(1))
    feature, gradient = distance_layers(own, torch.zeros(1), layer, torch.ones(1, 1), torch.ones(3, 1, 5), True)
    torch.testing.assert_close(feature[0], torch.nn.functional.logsigmoid(own[0]))
    torch.testing.assert_close(gradient[0], torch.sigmoid(-own[0]))
