"""Random numbers for rays: from one generator, or from one a hand, so that what a hand draws does not depend on the others."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PerHand(NamedTuple):
    """A source for the rays (or samples) of several hands."""

    generators: tuple[torch.Generator, ...]
    """One a hand."""
    hand: Tensor
    """[R] int64: the hand of each row that is drawn for."""

    def rows(self, index: Tensor) -> PerHand:
        """The source for some rows [n] int64 of these."""
        return PerHand(self.generators, self.hand[index])


Randomness = torch.Generator | PerHand


def uniform(source: Randomness, rows: int, *shape: int) -> Tensor:
    """[rows, *shape] float32 even over [0,1). A `PerHand` source must have as many rows. On the generators' device."""
    if isinstance(source, torch.Generator):
        return torch.rand(rows, *shape, generator=source, device=source.device)
    if len(source.hand) != rows:
        raise ValueError(f"a source for {len(source.hand)} rows cannot draw {rows}")
    drawn = torch.empty(rows, *shape, device=source.generators[0].device)
    hand = source.hand.to(drawn.device)
    for owner, generator in enumerate(source.generators):
        own = torch.nonzero(hand == owner)[:, 0]
        drawn[own] = torch.rand(len(own), *shape, generator=generator, device=drawn.device)
    return drawn
