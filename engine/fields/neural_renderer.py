"""XHand's mesh-based neural renderer: a perceptron that corrects what inverse rendering shows of each visible point.

It sees place, normal, albedo, shaded colour, the vertices' codes, the ray's direction and the pose, all but its own codes
detached: the picture may improve, the mesh is not bent for it (Gan et al. 2024, section III-B, eq. 19). Place and direction are
encoded along the 21 directions of a twice-cut icosahedron, as in the published code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .linear import conditioned_linear

PLACE_RATE = 60.0
"""1/metre: the encoding's slowest wave is 2π/60 ≈ 10 cm long."""
CLEAREST = 1e-3
"""Colours are kept this far from 0 and 1 where their logit is taken."""


@dataclass(frozen=True)
class RendererConfig:
    """Sizes of the renderer."""

    depth: int = 8
    width: int = 256
    latent: int = 20
    """Of its own code a vertex, Q_render."""
    octaves: int = 2
    encoded: bool = True
    """Whether place and direction are encoded (the ablation "w/o position encoder": not)."""
    mirrored: bool = True
    """Whether it also sees where the ray would go if skin were a mirror, by which gloss is found (the paper: not)."""


class NeuralRenderer(nn.Module):
    """Per-point colours. Begins as inverse rendering's own: its last layer is zero and corrects the shaded colour's logit."""

    directions: Tensor

    def __init__(self, vertex_codes: int, condition: int, vertices: int, config: RendererConfig):
        """vertex_codes: numbers of the embeddings' codes a vertex; condition: of the pose; vertices: V."""
        super().__init__()
        self.config = config
        self.codes = nn.Parameter(torch.zeros(vertices, config.latent))
        encoded = 3 + (2 * 21 * config.octaves if config.encoded else 0)
        own = 9 + vertex_codes + config.latent + (3 if config.mirrored else 2) * encoded
        self.first = nn.Linear(own + condition, config.width)
        self.skip = config.depth // 2
        self.hidden = nn.ModuleList(
            nn.Linear(config.width + (own if layer == self.skip else 0), config.width)
            for layer in range(1, config.depth)
        )
        self.out = nn.Linear(config.width, 3)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("directions", icosahedron_directions(), persistent=False)

    def forward(
        self,
        shaded: Tensor,
        normals: Tensor,
        albedo: Tensor,
        codes: Tensor,
        own_codes: Tensor,
        places: Tensor,
        rays: Tensor,
        condition: Tensor,
    ) -> Tensor:
        """sRGB-encoded colours [P,3] in [0,1] of P visible points.

        shaded [P,3] sRGB-encoded, normals [P,3] unit world, albedo [P,3], codes [P,C] of the embeddings, own_codes [P,l]
        interpolated from `self.codes`, places [P,3] metres in the rest frame, rays [P,3] unit world directions from the camera,
        condition [45] of the pose. Gradients reach own_codes alone of these.
        """
        seen = [value.detach() for value in (shaded, normals, albedo, codes)]
        parts = [*seen, own_codes, self.encode(PLACE_RATE * places), self.encode(rays)]
        if self.config.mirrored:
            parts.append(self.encode(rays - 2 * (rays * normals).sum(1, keepdim=True) * normals))
        inputs = torch.cat(parts, dim=1)
        hand = torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device)
        values = conditioned_linear(inputs, condition.detach()[None], hand, self.first.weight, self.first.bias)
        for number, layer in enumerate(self.hidden, start=1):
            values = torch.relu(values)
            values = layer(torch.cat([values, inputs], dim=1) if number == self.skip else values)
        start = torch.logit(shaded.detach().clamp(CLEAREST, 1 - CLEAREST))
        return torch.sigmoid(start + self.out(torch.relu(values)))

    def encode(self, values: Tensor) -> Tensor:
        """[P,3] → [P,3+2·21·octaves]: the values and sines and cosines along 21 directions (detached)."""
        values = values.detach()
        if not self.config.encoded:
            return values
        along = values @ self.directions.to(values).T
        parts = [values]
        for octave in range(self.config.octaves):
            parts += [torch.sin(2**octave * along), torch.cos(2**octave * along)]
        return torch.cat(parts, dim=1)


def icosahedron_directions() -> Tensor:
    """[21,3] unit: corners and edge middles of an icosahedron, one of each opposite pair."""
    golden = (1 + 5**0.5) / 2
    signs = (-1.0, 1.0)
    corners = [torch.tensor([0.0, a, b * golden]).roll(turn) for turn in range(3) for a in signs for b in signs]
    points = torch.nn.functional.normalize(torch.stack(corners), dim=1)
    cosine = points @ points.T
    one, two = torch.nonzero(torch.triu(cosine > 0.4, diagonal=1)).unbind(1)
    both = torch.cat([points, torch.nn.functional.normalize(points[one] + points[two], dim=1)])
    # of opposite ones that in whose first number that is not zero is positive
    order = both.round(decimals=4)
    first = torch.where(order[:, 0] != 0, order[:, 0], torch.where(order[:, 1] != 0, order[:, 1], order[:, 2]))
    return both[first > 0]
