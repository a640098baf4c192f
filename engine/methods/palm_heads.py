"""The fields' small networks, taken apart: what of their first layers frozen inputs decide once, and what codes add each step.

A first layer is a sum over its inputs' blocks: W [encoding | pose | code | …] = W₁ encoding + W₂ pose + W₃ code + …; all but the
code's part, and what depends on it, is the same at every step.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from ..fields.direction_encoding import SH_COUNT, reflect, spherical_harmonics
from ..fields.encoding import EncodingJacobian
from ..fields.geometry import SOFTPLUS_BETA
from ..fields.material import ALBEDO_RANGE, ROUGHNESS_RANGE, LipschitzLinear, Materials
from .palm_hands import PosedPrior
from .palm_layers import distance_layers, rectified_layers
from .palm_mirror import harmonics_of_monomials


class Head(NamedTuple):
    """A network whose first layer is split; H hidden units."""

    encoding: Tensor
    """[H,E]."""
    inner: Tensor
    """[H,I] of what else a sample has: features, view and normal."""
    pose: Tensor
    """[H,32]."""
    code: Tensor
    """[H,C]."""
    bias: Tensor
    """[H]."""
    later: tuple[tuple[Tensor, Tensor], ...]
    """Weight and bias of the layers after it."""

    def own(self, encoding: Tensor, pose: Tensor, inner: Tensor | None = None) -> Tensor:
        """[H,N] before the code: of encodings [N,E], encoded poses [N,32] and, where they are known, inner values [N,I]."""
        values = torch.addmm(self.bias[:, None], self.encoding, encoding.T).addmm_(self.pose, pose.T)
        return values if inner is None else values.addmm_(self.inner, inner.T)

    def outputs(self, own: Tensor, code: Tensor, inner: Tensor | None = None) -> Tensor:
        """[O,N] before any squashing, through rectified layers: own [H,N], code [C] and, where own lacks it, inner [I,N].

        Gradients reach code and inner.
        """
        return rectified_layers(own, self.code @ code, self.later, inner, self.inner)


def geometry_head(posed: PosedPrior) -> Head:
    """Of the signed distance, no inner inputs, with a smooth rectifier: softplus(β x) / β = −ln σ(−β x) / β.

    The first layer gives −β x, the second takes ln σ of that.
    """
    geometry, config = posed.fields.geometry, posed.fields.config
    widths = [geometry.encoding.width, config.pose_width, config.code_width]
    encoding, pose, code = geometry.lin0.weight.split(widths, dim=1)
    scale = -SOFTPLUS_BETA
    later = ((geometry.lin1.weight / scale, geometry.lin1.bias),)
    return Head(scale * encoding, encoding[:, :0], scale * pose, scale * code, scale * geometry.lin0.bias, later)


def radiance_head(posed: PosedPrior) -> Head:
    """Of the directly seen colour; inner: features, harmonics of the mirrored view, normal."""
    config, encoding = posed.fields.config, posed.fields.radiance.encoding.width
    layers = cast("list[nn.Linear]", list(posed.fields.radiance.layers))
    widths = [encoding, config.feature_width + SH_COUNT + 3, config.pose_width, config.code_width]
    encoded, inner, pose, code = layers[0].weight.split(widths, dim=1)
    later = tuple((one.weight, one.bias) for one in layers[1:])
    return Head(encoded, inner, pose, code, layers[0].bias, later)


def mirror_head(head: Head, sh: Tensor) -> Head:
    """The radiance head with monomials of the mirrored view instead of its harmonics (`palm_mirror`). sh [16] bands' weights."""
    normal = 3
    feature, view, normals = head.inner.split([head.inner.shape[1] - SH_COUNT - normal, SH_COUNT, normal], dim=1)
    monomials = (view * sh) @ harmonics_of_monomials(view)
    return head._replace(inner=torch.cat([feature, monomials, normals], dim=1))


def material_head(posed: PosedPrior) -> Head:
    """Of albedo, roughness and metallic; inner: features."""
    config, encoding = posed.fields.config, posed.fields.radiance.encoding.width
    layers = cast("list[LipschitzLinear]", list(posed.fields.material.layers))
    widths = [encoding, config.feature_width, config.pose_width, config.code_width]
    encoded, inner, pose, code = layers[0].bounded_weight.split(widths, dim=1)
    return Head(
        encoded,
        inner,
        pose,
        code,
        layers[0].bias,
        tuple((one.bounded_weight, one.bias) for one in layers[1:]),
    )


def materials_of(values: Tensor) -> Materials:
    """[5,*] outputs of the material head → albedo [*,3], roughness [*], metallic [*] in their ranges."""
    shares = torch.sigmoid(values)
    (dark, bright), (smooth, rough) = ALBEDO_RANGE, ROUGHNESS_RANGE
    albedo = shares[:3].movedim(0, -1)
    return Materials(dark + (bright - dark) * albedo, smooth + (rough - smooth) * shares[3], shares[4])


def radiance_inner(feature: Tensor, directions: Tensor, normals: Tensor, sh: Tensor) -> Tensor:
    """[N,I] inner inputs of the radiance: features [N,F], unit directions and normals [N,3], bands' weights sh [16]."""
    return torch.cat([feature, spherical_harmonics(reflect(directions, normals)) * sh, normals], dim=1)


class Surface(NamedTuple):
    """The geometry network's outputs at N points."""

    feature: Tensor | None
    """[13,N]; the first is the signed distance in metres."""
    gradient: Tensor
    """[3,N] of the distance, in the axes of the map that was given."""


def gradient_map(jacobian: EncodingJacobian, linear_map: Tensor | None = None) -> Tensor:
    """[3,3+2L,N]: what turns a cotangent of the encoding into the distance's gradient, 1/metre.

    linear_map [N,3,3]: turns the canonical gradient into other axes; None leaves it.
    """
    features = jacobian.features.permute(2, 1, 0) * jacobian.to_unit.T[:, None]
    place = torch.eye(3).to(features)[..., None].expand(3, 3, features.shape[2]) * jacobian.place
    whole = torch.cat([place, features], dim=1)
    if linear_map is None:
        return whole.contiguous()
    return torch.einsum("nij,jen->ien", linear_map, whole).contiguous()


def surface_of(head: Head, own: Tensor, turn: Tensor, code: Tensor, features: bool = True) -> Surface:
    """Distance, features and gradient from constants. own [H,N]; turn [3,E,N] (`gradient_map`); code [32]. Gradients reach it."""
    return Surface(*distance_layers(own, head.code @ code, head.later[0], head.encoding, turn, features))


def distance_slope(head: Head, own: Tensor, code: Tensor) -> Tensor:
    """[N,C] derivative of the signed distance by the code [C], of points whose own part [H,N] is known."""
    weight, _ = head.later[0]
    above = torch.sigmoid(-own - (head.code @ code)[:, None])
    return above.T @ (weight[0][:, None] * head.code)
