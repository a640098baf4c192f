"""The terms of a picture, quickly: what a batch decides is kept, and the way back is written out.

`palm_objective.picture_terms` says what the terms are; it stays for the direct path and for perceptual terms by networks. As one
function of opacity and colour the terms take a fifth of its time, which is mostly that of starting many small operations.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import avg_pool1d, interpolate

from ..lighting.color import linear_to_srgb
from ..training.batch import RayBatch
from ..training.energy import SMALLEST_OPACITY, per_image_mean
from ..training.losses import OPACITY_MARGIN
from ..training.perceptual import PerceptualTerm, pyramid_l1
from .palm_objective import Picture, picture_terms

PictureTerms = Callable[[Picture, Tensor], dict[str, Tensor]]
"""(picture, linear background [3]) → the terms of one batch."""


class Bands(NamedTuple):
    """The Laplacian pyramid of a patch X [S,S]: fine X fineᵀ − blurred X blurredᵀ, with all bands as blocks on the diagonal."""

    fine: Tensor
    """[Q,S] rows or columns of all levels."""
    blurred: Tensor
    """[Q,S] of the next coarser level each, enlarged again."""
    share: Tensor
    """[Q,Q] of each value's magnitude in the term: one over its band's pixels, 0 off the diagonal blocks."""


class Constants(NamedTuple):
    """What of the terms a batch of R rays decides."""

    shown: Tensor
    """[3,R] the picture's colours, sRGB, 0 beside the mask."""
    inside: Tensor
    """[R] 0 or 1."""
    hand: Tensor
    """[R] int64 photo."""
    photos: int
    mean: Tensor
    """[R] with which a sum over rays is a mean over each photo's rays, then over photos."""
    patches: tuple[tuple[slice, Bands], ...]
    """The rays of each, and its pyramid."""


def terms_of(batch: RayBatch, perceptual: PerceptualTerm) -> PictureTerms:
    """The terms of one batch's pictures, with gradients to them; equal to `picture_terms`."""
    if perceptual is not pyramid_l1:
        return lambda picture, background: picture_terms(picture, batch._replace(background=background), perceptual)
    photos = len(batch.places)
    like = batch.image_srgb
    constants = Constants(
        (batch.image_srgb * batch.inside[:, None]).T.contiguous(),
        batch.inside,
        batch.hand,
        photos,
        per_image_mean(batch.hand, 0, photos).to(like),
        tuple(
            (slice(one.start, one.start + one.side**2), pyramid_bands(one.side, like.dtype, like.device))
            for one in batch.patches
        ),
    )

    def terms(picture: Picture, background: Tensor) -> dict[str, Tensor]:
        found = _Terms.apply(picture.opacity, picture.radiance.T, background, constants)
        names = ("radiance", "mask", "perceptual")
        return dict(zip(names[: len(found)], found, strict=True))

    return terms


@lru_cache(maxsize=8)
def pyramid_bands(side: int, dtype: torch.dtype, device: torch.device, levels: int = 4) -> Bands:
    """What `pyramid_l1` does to the difference of two patches of `side` pixels: all of it is separable."""
    rows = torch.eye(side, dtype=dtype, device=device)
    fine, blurred, shares = [rows[:0]], [rows[:0]], [rows[:0, :0]]
    for _ in range(levels):
        pixels = len(rows)
        if pixels < 4:
            break
        coarse = avg_pool1d(rows.T[None], 2, ceil_mode=True)
        fine.append(rows)
        blurred.append(interpolate(coarse, size=pixels, mode="linear")[0].T)
        shares.append(rows.new_full((pixels, pixels), 1 / pixels**2))
        rows = coarse[0].T
    return Bands(torch.cat(fine), torch.cat(blurred), torch.block_diag(*shares))


def srgb_and_slope(color: Tensor) -> tuple[Tensor, Tensor]:
    """`linear_to_srgb` of linear [*] ≥ 0, clipped to 1, and its derivative."""
    bright = color.clamp_min(0.0031308)
    shown, dark = 1.055 * bright ** (1 / 2.4), bright > color
    slope = torch.where(dark, 12.92, (shown / bright).mul_(1 / 2.4))
    shown = torch.where(dark, color * 12.92, shown.sub_(0.055))
    return shown.clamp_max(1), slope.mul_(shown <= 1)


class _Terms(torch.autograd.Function):
    """opacity [R], colour [3,R] linear and premultiplied → () radiance, () mask and, where there are patches, () perceptual."""

    @staticmethod
    def forward(
        ctx: Any, opacity: Tensor, color: Tensor, background: Tensor, constants: Constants
    ) -> tuple[Tensor, ...]:
        photos, inside = constants.photos, constants.inside
        shown, slope = srgb_and_slope(torch.addcmul(color, background[:, None], 1 - opacity))
        target = torch.addcmul(constants.shown, linear_to_srgb(background)[:, None], 1 - inside)
        difference = shown.sub_(target)

        visible = (opacity > SMALLEST_OPACITY).to(opacity)
        if photos == 1:
            weights = visible / (3 * visible.sum().clamp_min(1))
        else:
            count = visible.new_zeros(int(constants.hand.max()) + 1).index_add_(0, constants.hand, visible)
            weights = visible / (3 * photos * count.clamp_min(1)[constants.hand])
        found = [difference.abs().sum(0) @ weights]
        by_shown = difference.sign() * weights

        kept = opacity.clamp(OPACITY_MARGIN, 1 - OPACITY_MARGIN)
        found.append(-(_log_likelihood(kept, inside) @ constants.mean))
        by_opacity = ((1 - inside) / (1 - kept) - inside / kept).mul_(constants.mean).mul_(kept == opacity)

        by_band = []
        if constants.patches:
            total = opacity.new_zeros(())
            for rays, bands in constants.patches:
                patch = difference[:, rays].unflatten(1, (-1, bands.fine.shape[1]))
                values = bands.fine @ patch @ bands.fine.T - bands.blurred @ patch @ bands.blurred.T
                share = bands.share / (3 * len(constants.patches))
                total = total + values.abs().sum(0).flatten() @ share.flatten()
                signs = values.sign_().mul_(share)
                back = bands.fine.T @ signs @ bands.fine - bands.blurred.T @ signs @ bands.blurred
                by_band.append(back.flatten(1))
            found.append(total)
        ctx.save_for_backward(background, slope, by_shown, by_opacity, *by_band)
        ctx.rays = [rays for rays, _ in constants.patches]
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by_term: Tensor) -> tuple[Tensor | None, ...]:
        background, slope, by_shown, by_opacity, *by_band = ctx.saved_tensors
        by_color = by_shown * by_term[0]
        for rays, values in zip(ctx.rays, by_band, strict=True):
            by_color[:, rays] += values * by_term[2]
        by_color.mul_(slope)
        return (by_opacity * by_term[1]).sub_(background @ by_color), by_color, None, None


def _log_likelihood(kept: Tensor, inside: Tensor) -> Tensor:
    """[R] of the mask [R] of 0 and 1 under opacities [R] inside (0,1)."""
    return torch.log(kept).mul_(inside).add_((1 - inside).mul_(torch.log1p(-kept)))
