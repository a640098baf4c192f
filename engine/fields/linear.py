"""Linear layers whose input is partly the same for all samples of a hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding


def conditioned_linear(own: Tensor, shared: Tensor, hand: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """weight · [own | shared[hand]] + bias, with the product of the shared part worked out once per hand.

    own [N,I]; shared [B,C]; hand [N] int64 in [0,B); weight [O,I+C]; bias [O]. Returns [N,O].
    """
    width = own.shape[1]
    per_hand = torch.addmm(bias, shared, weight[:, width:].T)
    if len(per_hand) == 1:
        return torch.addmm(per_hand[0], own, weight[:, :width].T)
    # an embedding's backward sums rows in order and in parallel, that of plain indexing does neither
    return torch.addmm(embedding(hand, per_hand), own, weight[:, :width].T)


class WeightNormLinear(nn.Module):
    """A linear layer whose rows are a direction and a length (Salimans & Kingma 2016): weight = g v / |v|."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight_v = nn.Parameter(torch.empty(outputs, inputs))
        self.weight_g = nn.Parameter(torch.empty(outputs, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        with torch.no_grad():
            self.set_weight(torch.nn.init.kaiming_uniform_(self.weight_v, a=5**0.5).clone())

    @torch.no_grad()
    def set_weight(self, weight: Tensor) -> None:
        """Take on a weight [outputs, inputs] without zero rows."""
        self.weight_v.copy_(weight)
        self.weight_g.copy_(weight.norm(dim=1, keepdim=True))

    @property
    def weight(self) -> Tensor:
        """[outputs, inputs]."""
        return self.weight_g * self.weight_v / self.weight_v.norm(dim=1, keepdim=True)

    def forward(self, values: Tensor) -> Tensor:
        """[*,inputs] → [*,outputs]."""
        return nn.functional.linear(values, self.weight, self.bias)
