"""Lights as the renderer sees them: radiance along world directions, and directions drawn to sample it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..lighting import image_light, spherical_gaussians
from ..lighting.environment import blender_world, opencv_world
from ..lighting.image_light import ImageLight
from ..lighting.sphere_sampling import sphere_directions, strata
from ..lighting.spherical_gaussians import SphericalGaussians
from ..randomness import Randomness, uniform

Light = ImageLight | SphericalGaussians | Callable[[Tensor], Tensor]
"""An environment image (in Blender's axes, as its file), spherical Gaussians in world axes, or a function of world directions."""

LIGHT_SAMPLINGS = ("uniform", "light")

EVEN_SHARE = 0.25
"""Of the directions drawn by an image's light, those drawn evenly instead where skin shines too: it may lie before black sky."""


def light_radiance(light: Light, directions_w: Tensor) -> Tensor:
    """[N,3] linear radiance that arrives along unit world directions [N,3] (OpenCV-like axes, pointing to the light)."""
    if isinstance(light, ImageLight):
        return image_light.radiance(light, blender_world(directions_w))
    if isinstance(light, SphericalGaussians):
        return spherical_gaussians.evaluate(light, directions_w)
    return light(directions_w)


def light_directions(
    light: Light,
    sampling: str,
    rays: int,
    rows: int,
    columns: int,
    generator: Randomness,
    like: Tensor,
    even_share: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Stratified unit world directions [rays, rows · columns, 3] in random order, and their densities 1/sr.

    sampling "uniform": even over the sphere (any light); "light": in proportion to the light of an ImageLight, but for a random
    share `even_share` in [0,1] that is even; the density is the mixture's.
    """
    points = strata(rays, rows, columns, generator, like.device, like.dtype)
    if sampling == "uniform":
        return sphere_directions(points), points.new_full(points.shape[:2], 1 / (4 * math.pi))
    if sampling != "light":
        raise ValueError(f"light cannot be sampled by {sampling!r}; there are {', '.join(LIGHT_SAMPLINGS)}")
    if not isinstance(light, ImageLight):
        raise ValueError("only image lights can be sampled by their light; sample others uniformly")
    flat = points.reshape(-1, 2)
    drawn, density = image_light.sample(light, flat)
    directions = opencv_world(drawn)
    if even_share > 0:
        # each by its own lot: a fixed pattern would tie the way of drawing to the samples' depth along the ray
        even = uniform(generator, rays, points.shape[1]).reshape(-1).to(like.device) < even_share
        directions = torch.where(even[:, None], sphere_directions(flat).to(directions), directions)
        density = (1 - even_share) * image_light.pdf(light, blender_world(directions)) + even_share / (4 * math.pi)
    return directions.reshape(*points.shape[:2], 3).to(like), density.reshape(points.shape[:2]).to(like)
