"""Random hand poses within the joints' limits, fingers mostly bending as wholes."""

from __future__ import annotations

import torch
from torch import Tensor

from .model import HandModel


def random_hand_poses(model: HandModel, count: int, generator: torch.Generator, own_share: float = 0.25) -> Tensor:
    """[count,45] axis-angle radians, absolute.

    Each finger draws how far it bends, each hand how much its fingers agree; a joint follows its finger but for `own_share`
    of its range. Every angle stays within the model's limits. Poses may let fingers touch or pass into each other.
    generator on any device.
    """
    limits = model.joint_limits
    shape = (count, 5, 1, 1)

    def draw(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator, device=generator.device).to(limits)

    agreement = draw(count, 1, 1, 1).sqrt()
    finger = agreement * draw(count, 1, 1, 1) + (1 - agreement) * draw(*shape)
    # abduction and twist have their zero inside their range, and stay near it
    rest = ((0 - limits[..., 0]) / (limits[..., 1] - limits[..., 0]).clamp_min(1e-6)).clamp(0, 1).reshape(1, 5, 3, 3)
    own = draw(count, 5, 3, 3)
    share = (1 - own_share) * finger + own_share * own
    aside = rest + own_share * (own - rest)
    bends = torch.zeros(3, dtype=torch.bool, device=limits.device)
    bends[0] = True
    share = torch.where(bends, share, aside).reshape(count, 15, 3)
    angles = limits[..., 0] + share * (limits[..., 1] - limits[..., 0])
    return (angles[..., None] * model.joint_axes).sum(-2).reshape(count, 45)
