"""Light as 64 spherical Gaussians that training fits, and its way to and from environment images.

Lobes live in the scene's world (OpenCV axes, like all geometry); images in Blender's world and mapping (`environment.py`).
"""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import InputError
from .environment import equirect_grid, irradiance, opencv_world
from .sphere_sampling import fibonacci_sphere
from .spherical_gaussians import SphericalGaussians, evaluate, integral

log = logging.getLogger(__name__)

LOBES = 64
TOTAL_ENERGY = 1.6 * math.pi
"""Of a fresh light, per channel: the integral of its radiance over the sphere."""

FIT_HEIGHT = 32
"""Rows of the picture that lobes are fitted to; what is smaller than its texels (6°) is widened to them."""


def sg_light_lobes(params: Tensor) -> SphericalGaussians:
    """The lobes of a light's parameters [K,7], rows axis (any length) | sharpness | red, green, blue (any sign)."""
    return SphericalGaussians(normalize(params[:, :3], dim=1, eps=1e-12), params[:, 3].abs(), params[:, 4:].abs())


def sg_radiance(params: Tensor, directions: Tensor) -> Tensor:
    """Radiance [*,3] along unit directions [*,3] of the scene's world."""
    return evaluate(sg_light_lobes(params), directions)


def sg_irradiance(params: Tensor) -> Tensor:
    """[3] radiance integrated over the whole sphere."""
    return integral(sg_light_lobes(params)).sum(0)


def fibonacci_sg_light(
    count: int = LOBES,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Parameters [count,7] of a grey light from all around (PALM's initial light).

    Axes: an even sphere of count / 2 directions, twice (count even). Sharpness 10 + |20 N| and grey amplitudes |N| with N
    normal random numbers of the generator, without one their mean values; scaled to `TOTAL_ENERGY` a channel.
    """
    if count < 2 or count % 2:
        raise InputError(f"a light of {count} lobes cannot be laid out: give an even number, at least 2")
    half = torch.full((count,), math.sqrt(2 / math.pi), dtype=dtype, device=device)
    like = half[:1]
    if generator is None:
        spread, grey = half, half
    else:
        spread, grey = (
            torch.randn(2, count, generator=generator, device=generator.device).abs().to(device, dtype).unbind(0)
        )
    axes = fibonacci_sphere(count // 2, like).repeat(2, 1)
    params = torch.cat([axes, (10 + 20 * spread)[:, None], grey[:, None].expand(count, 3)], dim=1)
    scale = TOTAL_ENERGY / sg_irradiance(params)
    return torch.cat([params[:, :4], params[:, 4:] * scale], dim=1)


def sg_to_image(lobes: SphericalGaussians, height: int) -> Tensor:
    """Equirectangular radiance [height,2·height,3] of lobes in the scene's world, at the texels' centres."""
    directions, _ = equirect_grid(height, lobes.amplitudes)
    return evaluate(lobes, opencv_world(directions))


class SgFit(NamedTuple):
    """A light fitted to an image."""

    params: Tensor
    """[K,7]"""
    irradiance_error: float
    """Root mean square over all directions of the error in irradiance, relative to the mean irradiance."""
    radiance_error: float
    """The same of radiance, against the image at `FIT_HEIGHT` rows."""


def sg_from_image(image: Tensor, count: int = LOBES) -> Tensor:
    """Parameters [count,7] of lobes that light as an environment image [H,2H,3] does; logs what they miss.

    Raises InputError as `fit_sg_light` does.
    """
    fit = fit_sg_light(image, count)
    log.info(
        "%d spherical Gaussians for an environment: irradiance within %.1f %%, radiance within %.0f %% (rms of the mean)",
        *(count, 100 * fit.irradiance_error, 100 * fit.radiance_error),
    )
    return fit.params


@torch.enable_grad()
def fit_sg_light(image: Tensor, count: int = LOBES, steps: int = 300) -> SgFit:
    """Fit `count` lobes (even, ≥ 2) to an environment image [H,2H,3] of linear radiance by Adam.

    Half of the lobes start as an even sphere, half on the brightest texels. The loss is the error of the radiance's square
    root, which keeps dim parts in sight, plus that of the irradiance, which the brightest parts decide; the amplitudes are
    then solved for; those that nothing needs are exactly 0, where training cannot move them. Raises InputError for an image of
    another shape.
    """
    if image.dim() != 3 or image.shape[2] != 3 or image.shape[1] != 2 * image.shape[0]:
        raise InputError(f"an environment has shape [H,2H,3], not {list(image.shape)}: give an equirectangular picture")
    target = shrunk_environment(image.detach(), min(FIT_HEIGHT, image.shape[0]))
    mean = _mean(target)
    if float(mean.sum()) <= 0:
        dark = fibonacci_sg_light(count, device=image.device, dtype=image.dtype)
        return SgFit(torch.cat([dark[:, :4], 0 * dark[:, 4:]], dim=1), 0.0, 0.0)
    target = target / mean.mean()
    directions, solid_angles = equirect_grid(target.shape[0], target)
    world, weight = opencv_world(directions).reshape(-1, 3), (solid_angles / (4 * math.pi)).reshape(-1, 1)
    normals = fibonacci_sphere(128, target)
    wanted = irradiance(target, normals) / math.pi
    to_irradiance = (normals @ directions.reshape(-1, 3).T).clamp_min(0) * (solid_angles.reshape(1, -1) / math.pi)
    flat = target.reshape(-1, 3)
    axes, sharpness, amplitudes = (part.requires_grad_() for part in _start(flat, world, weight, count))
    optimizer = torch.optim.Adam([axes, sharpness, amplitudes], lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        lobes = SphericalGaussians(axes, sharpness.exp().clamp_max(1e4), amplitudes.exp())
        shown = evaluate(lobes, world)
        rooted = (torch.sqrt(shown + 1e-4) - torch.sqrt(flat + 1e-4)) ** 2
        loss = (rooted * weight).sum() + ((to_irradiance @ shown - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        shape = torch.exp(sharpness.exp().clamp_max(1e4) * (world @ normalize(axes, dim=1).T - 1))
        amplitude = _amplitudes(shape, to_irradiance @ shape, flat, wanted, weight)
        shown = shape @ amplitude
        received = ((to_irradiance @ shown - wanted) ** 2).mean() ** 0.5 / wanted.mean()
        seen = (((shown - flat) ** 2).mean(1, keepdim=True) * weight).sum() ** 0.5
        rows = [normalize(axes, dim=1), sharpness.exp().clamp_max(1e4)[:, None], amplitude * mean.mean()]
        return SgFit(torch.cat(rows, dim=1), float(received), float(seen))


def _amplitudes(shape: Tensor, received: Tensor, flat: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Amplitudes [K,3] ≥ 0 of lobes that are fixed but for them, by non-negative least squares.

    shape [N,K] radiance of unit lobes at texels of radiance flat [N,3] and solid angle weight [N,1]; received [P,K]
    irradiance of unit lobes, wanted [P,3]. Radiance counts relative to itself, irradiance ten times as much.
    """
    from scipy.optimize import nnls

    results = []
    for channel in range(3):
        scale = torch.sqrt(weight[:, 0]) / (flat[:, channel] + 1)
        rows = torch.cat([shape * scale[:, None], 10 * received / math.sqrt(len(received))])
        values = torch.cat([flat[:, channel] * scale, 10 * wanted[:, channel] / math.sqrt(len(received))])
        results.append(torch.as_tensor(nnls(rows.double().cpu().numpy(), values.double().cpu().numpy())[0]))
    return torch.stack(results, dim=1).to(flat)


def _start(flat: Tensor, world: Tensor, weight: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """First axes [count,3], log sharpness [count], log amplitudes [count,3] for radiance flat [N,3] at world [N,3]."""
    broad = (count + 1) // 2
    axes = [fibonacci_sphere(broad, flat)]
    left = flat.mean(1)
    for _ in range(count - broad):
        peak = world[int(left.argmax())]
        axes.append(peak[None])
        left = left * (1 - torch.exp(150 * (world @ peak - 1)))
    stacked = torch.cat(axes)
    sharpness = torch.cat([flat.new_full((broad,), 1.5 * broad / 4), flat.new_full((count - broad,), 150.0)])
    nearest = (stacked @ world.T).argmax(1)
    amplitudes = torch.cat([(flat * weight).sum(0).expand(broad, 3) * 0.3, 0.3 * flat[nearest[broad:]]])
    return stacked.clone(), sharpness.log(), amplitudes.clamp_min(1e-4).log()


def shrunk_environment(image: Tensor, height: int) -> Tensor:
    """An equirectangular image [H,2H,3] at fewer rows: each texel the mean radiance over its area, energy kept."""
    if height >= image.shape[0]:
        return image
    _, solid_angles = equirect_grid(image.shape[0], image)
    pooled = _pooled(torch.cat([image * solid_angles[..., None], solid_angles[..., None]], dim=2), height)
    return pooled[..., :3] / pooled[..., 3:]


def _pooled(values: Tensor, height: int) -> Tensor:
    """Sums of values [H,2H,C] over a grid of height × 2·height cells, texels on an edge shared by area."""

    def shares(fine: int, coarse: int) -> Tensor:
        edges = torch.arange(coarse + 1, device=values.device).to(values) * fine / coarse
        first = torch.arange(fine, device=values.device).to(values)
        overlap = torch.minimum(edges[1:, None], first + 1) - torch.maximum(edges[:-1, None], first)
        return overlap.clamp_min(0)

    rows, columns = shares(values.shape[0], height), shares(values.shape[1], 2 * height)
    return torch.einsum("rh,hwc,kw->rkc", rows, values, columns)


def _mean(image: Tensor) -> Tensor:
    _, solid_angles = equirect_grid(image.shape[0], image)
    return (image * solid_angles[..., None]).sum((0, 1)) / (4 * math.pi)
