"""XHand's energy terms (Gan et al. 2024, eqs. 15-19) as functions of tensors. Each returns a scalar, a mean in a stated unit."""

from __future__ import annotations

import torch
from torch import Tensor

from ..rendering.mesh import Picture
from .losses import UniformLaplacian, edge_length_energy, laplacian_vectors
from .xhand_config import XHandWeights
from .xhand_model import Features, RestPose, XHandModel

SSIM_WINDOW_PX = 7
"""Square, as scikit-image's; sliding means cost a fraction of a Gaussian's."""
_FLOORS = (0.01**2, 0.03**2)


def structural_similarity(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean SSIM (Wang et al. 2004) of pictures [H,W,C] in [0,1], of the places where the window fits → ().

    Raises ValueError for pictures smaller than the window.
    """
    if min(prediction.shape[:2]) < SSIM_WINDOW_PX:
        raise ValueError(f"SSIM wants {SSIM_WINDOW_PX} pixels a side, not {tuple(prediction.shape[:2])}")
    found, wanted = (picture.permute(2, 0, 1)[None] for picture in (prediction, target))

    products = torch.cat([found, wanted, found * found, wanted * wanted, found * wanted], dim=1)
    mean_a, mean_b, square_a, square_b, product = _sliding_mean(_sliding_mean(products, 2), 3).chunk(5, dim=1)
    luminance = (2 * mean_a * mean_b + _FLOORS[0]) / (mean_a**2 + mean_b**2 + _FLOORS[0])
    variances = square_a + square_b - mean_a**2 - mean_b**2
    structure = (2 * (product - mean_a * mean_b) + _FLOORS[1]) / (variances + _FLOORS[1])
    return (luminance * structure).mean()


def _sliding_mean(planes: Tensor, axis: int) -> Tensor:
    """Means of SSIM_WINDOW_PX neighbours along an axis, where they fit. Running sums take a third of pooling's time."""
    sums = planes.cumsum(axis)
    count = planes.shape[axis] - SSIM_WINDOW_PX
    first = sums.narrow(axis, SSIM_WINDOW_PX - 1, 1)
    rest = sums.narrow(axis, SSIM_WINDOW_PX, count) - sums.narrow(axis, 0, count)
    return torch.cat([first, rest], dim=axis) / SSIM_WINDOW_PX


def photo_energy(color: Tensor, target: Tensor, weight: Tensor, hand_px: Tensor, weights: XHandWeights) -> Tensor:
    """λ · absolute difference + (1 − λ) · (1 − SSIM) (eqs. 15 and 19), per pixel of hand.

    color, target [H,W,3] sRGB-encoded over black; weight [H,W] 0 where the target is no hand's colour; hand_px () pixels of hand.
    """
    shown = torch.where(weight[..., None] > 0, color, target)
    absolute = (shown - target).abs().mean(-1).sum() / hand_px
    unlike = 1 - structural_similarity(shown, target)
    # the similarity is a mean over the whole crop, whose empty part is always alike
    share = hand_px / weight.numel()
    return weights.absolute * absolute + (1 - weights.absolute) * unlike / share.clamp_min(0.05)


def mask_energy(picture: Picture, mask: Tensor, hand_px: Tensor) -> Tensor:
    """Absolute difference of coverage and mask [H,W], per pixel of hand (L_mask)."""
    return (picture.coverage - mask).abs().sum() / hand_px


def part_aware_laplacian(values: Tensor, table: UniformLaplacian, quantile: float, gentle: float) -> Tensor:
    """Mean length of the uniform Laplacian of vertices' features, weighed by how rough they are (eqs. 16-17), in their unit.

    values [V,C]. The vertices below the quantile of the lengths weigh `gentle`, the others 1: small irregularities may be skin.
    quantile 0: all weigh 1.
    """
    lengths = (laplacian_vectors(values, table).square().sum(1) + 1e-14).sqrt()
    if quantile <= 0:
        return lengths.mean()
    known = lengths.detach()
    threshold = known.kthvalue(max(1, round(quantile * len(known)))).values
    return torch.where(known <= threshold, gentle * lengths, lengths).mean()


def regularity(
    model: XHandModel, rest: RestPose, features: Features, table: UniformLaplacian, weights: XHandWeights
) -> Tensor:
    """L_reg without the mask (eq. 18), and the pull of the skinning weights to the hand model's."""
    aware = float(weights.part_aware)
    millimetres = 1000 * features.displacement
    roughness = part_aware_laplacian(
        millimetres, table, aware * weights.displacement_quantile, weights.displacement_gentle
    )
    patches = part_aware_laplacian(features.albedo, table, aware * weights.albedo_quantile, weights.albedo_gentle)
    stretch = edge_length_energy(rest.vertices + features.displacement, rest.vertices, model.topology.edges)
    return (
        weights.displacement_laplacian * roughness
        + weights.albedo_laplacian * patches
        + weights.edge * stretch
        + weights.displacement * millimetres.square().sum(1).mean()
        + weights.skinning * (features.skinning_weights - model.template.skinning_weights).square().sum(1).mean()
    )
