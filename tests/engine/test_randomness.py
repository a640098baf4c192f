"""Random numbers per hand."""

from __future__ import annotations

import pytest
import torch

from engine.randomness import PerHand, uniform


def seeded(*seeds: int) -> tuple[torch.Generator, ...]:
    return tuple(torch.Generator().manual_seed(seed) for seed in seeds)


def test_one_generator_draws_as_torch_does():
    expected = torch.rand(4, 2, generator=torch.Generator().manual_seed(3))
    assert torch.equal(uniform(torch.Generator().manual_seed(3), 4, 2), expected)


def test_a_hands_numbers_do_not_depend_on_the_other_hands():
    both = uniform(PerHand(seeded(1, 2), torch.tensor([0, 1, 1, 0, 1])), 5, 3)
    alone = uniform(PerHand(seeded(2), torch.tensor([0, 0, 0])), 3, 3)
    assert torch.equal(both[[1, 2, 4]], alone)


def test_rows_narrow_the_source():
    source = PerHand(seeded(1, 2), torch.tensor([0, 1, 1, 0]))
    assert source.rows(torch.tensor([1, 3])).hand.tolist() == [1, 0]
    assert uniform(source.rows(torch.tensor([1, 3])), 2).shape == (2,)


def test_a_source_of_other_size_is_refused():
    with pytest.raises(ValueError, match="cannot draw 3"):
        uniform(PerHand(seeded(1), torch.tensor([0, 0])), 3)
