"""The fields' small networks, taken apart: what of their first layers frozen inputs decide once, and what codes add each step.

A first layer is a sum over its inputs' blocks: W [encoding | pose | code | …] = W₁ encoding + W₂ pose + W₃ code + …; all but the
code's part, and what depends on it, is the same at every step.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, relu

from ..fields.direction_encoding import SH_COUNT, reflect, spherical_harmonics
from ..fields.encoding import EncodingJacobian
from ..fields.geometry import SOFTPLUS_BETA
from ..fields.material import ALBEDO_RANGE, ROUGHNESS_RANGE, LipschitzLinear, Materials
from .palm_hands import PosedPrior


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
        """[N,H] before the code: of encodings [N,E], encoded poses [N,32] and, where they are known, inner values [N,I]."""
        values = torch.addmm(self.bias, encoding, self.encoding.T).addmm_(pose, self.pose.T)
        return values if inner is None else values.addmm_(inner, self.inner.T)

    def outputs(self, hidden: Tensor) -> Tensor:
        """[*,O] before any squashing, of a first layer's sums [*,H], through rectified layers."""
        values = hidden
        for weight, bias in self.later:
            values = linear(relu(values), weight, bias)
        return values


def geometry_head(posed: PosedPrior) -> Head:
    """Of the signed distance: smooth rectifiers (`surface_of`), no inner inputs."""
    geometry, config = posed.fields.geometry, posed.fields.config
    widths = [geometry.encoding.width, config.pose_width, config.code_width]
    encoding, pose, code = geometry.lin0.weight.split(widths, dim=1)
    later = ((geometry.lin1.weight, geometry.lin1.bias),)
    return Head(encoding, encoding[:, :0], pose, code, geometry.lin0.bias, later)


def radiance_head(posed: PosedPrior) -> Head:
    """Of the directly seen colour; inner: features, harmonics of the mirrored view, normal."""
    config, encoding = posed.fields.config, posed.fields.radiance.encoding.width
    layers = cast("list[nn.Linear]", list(posed.fields.radiance.layers))
    widths = [encoding, config.feature_width + SH_COUNT + 3, config.pose_width, config.code_width]
    encoded, inner, pose, code = layers[0].weight.split(widths, dim=1)
    later = tuple((one.weight, one.bias) for one in layers[1:])
    return Head(encoded, inner, pose, code, layers[0].bias, later)


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
    """[*,5] outputs of the material head → albedo [*,3], roughness [*], metallic [*] in their ranges."""
    shares = torch.sigmoid(values)
    (dark, bright), (smooth, rough) = ALBEDO_RANGE, ROUGHNESS_RANGE
    return Materials(
        dark + (bright - dark) * shares[..., :3], smooth + (rough - smooth) * shares[..., 3], shares[..., 4]
    )


def radiance_inner(feature: Tensor, directions: Tensor, normals: Tensor, sh: Tensor) -> Tensor:
    """[N,I] inner inputs of the radiance: features [N,F], unit directions and normals [N,3], bands' weights sh [16]."""
    return torch.cat([feature, spherical_harmonics(reflect(directions, normals)) * sh, normals], dim=1)


class Surface(NamedTuple):
    """The geometry network's outputs at N points."""

    feature: Tensor
    """[N,13]; the first is the signed distance in metres."""
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


def surface_of(head: Head, own: Tensor, turn: Tensor, code: Tensor) -> Surface:
    """Distance, features and gradient from constants. own [N,H]; turn [3,E,N] (`gradient_map`); code [32]. Gradients reach it."""
    weight, bias = head.later[0]
    rectified, slope = _SoftRectifier.apply(own + head.code @ code)
    cotangent = head.encoding.T @ (slope * weight[0]).T
    return Surface(torch.addmm(bias, rectified, weight.T), (turn * cotangent).sum(1))


def distance_slope(head: Head, own: Tensor, code: Tensor) -> Tensor:
    """[N,C] derivative of the signed distance by the code [C], of points whose own part [N,H] is known."""
    weight, _ = head.later[0]
    return (torch.sigmoid(SOFTPLUS_BETA * (own + head.code @ code)) * weight[0]) @ head.code


class _SoftRectifier(torch.autograd.Function):
    """softplus and its slope at once: both need the same exponential, and so do their derivatives."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> tuple[Tensor, Tensor]:
        below = (values * -SOFTPLUS_BETA).sigmoid_()
        slope = 1 - below
        ctx.save_for_backward(slope, below)
        # ln(1 + e^x) = −ln σ(−x), where that does not underflow: there it is x
        rectified = below.log().div_(-SOFTPLUS_BETA)
        return torch.where(below > torch.finfo(values.dtype).tiny, rectified, values), slope

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_value: Tensor, by_slope: Tensor) -> Tensor:
        slope, below = ctx.saved_tensors
        return (by_slope * below).mul_(SOFTPLUS_BETA).add_(by_value).mul_(slope)


def unit_rows(columns: Tensor) -> Tensor:
    """[3,N] vectors → [N,3] of length 1; as `normalize`, which is slow over a short outer dimension."""
    length = (columns.square().sum(0) + 1e-24).sqrt().clamp_min(1e-6)
    return (columns / length).T
