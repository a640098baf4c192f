"""What a photo tells of skin beyond a model of it: how far each point can be trusted, and the local difference in colour."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from ..lighting.color import srgb_to_linear
from ..rendering.bake import depth_edges, project_points
from ..rendering.crop import crop_around, resample
from ..rendering.mesh import MeshTopology, SurfaceView, see
from ..rendering.rasterize import to_image
from ..rendering.texture import sample_image
from .local_contrast import without_wide_parts
from .skin_bake import PhotoView, smoothstep, without_shadow_tint

MARGIN = 0.06
"""Of the hand's longer side, kept around it."""
DARKEST = 0.004
"""Linear colour below which a photo says next to nothing."""
FLARE = 0.02
"""Linear colour added before logarithms are taken: in the dark, noise and stray light would pass for tints."""
BRIGHTEST_MARK = 0.5
"""Log brightness by which a mark may exceed the skin around it. What exceeds it more stands in a shadow that the model casts and
the photo does not show."""
TINT_OF_DARKNESS = 1.0
"""Share taken off of the link between darkness and redness."""


class PhotoSurface(NamedTuple):
    """A posed mesh in a photo's crop."""

    photo: PhotoView
    view: SurfaceView
    vertices: Tensor
    """[V,3] metres, camera's frame."""
    normals: Tensor
    """[V,3] unit, camera's frame."""


class SeenPoints(NamedTuple):
    """N points of the surface in the photo."""

    pixels: Tensor
    """[N,2] px of the crop."""
    confidence: Tensor
    """[N] in [0,1]; 0: not shown."""
    facing: Tensor
    """[N] cosine between the normal and the way to the camera."""


def photo_surface(
    color: Tensor,
    mask: Tensor,
    intrinsics: Tensor,
    world_to_camera: Tensor,
    vertices: Tensor,
    normals: Tensor,
    topology: MeshTopology,
    longest_px: int,
) -> PhotoSurface:
    """The hand's part of a photo. color [H,W,3] sRGB in [0,1]; mask [H,W]; intrinsics [3,3] px; world_to_camera [4,4];
    vertices, normals [V,3], world; longest_px: of the crop, which is never enlarged."""
    turn = world_to_camera[:3, :3].to(vertices)
    inside = vertices @ turn.T + world_to_camera[:3, 3].to(vertices)
    turned = normals @ turn.T
    projected = inside @ intrinsics.T
    points = (projected[:, :2] / projected[:, 2:3].clamp_min(1e-6)).cpu().numpy()
    height, width = mask.shape
    points = np.clip(points, 0, [width, height])
    crop = crop_around(points, MARGIN, longest_px)
    planes = resample(torch.cat([color, mask[..., None].to(color)], dim=-1), crop)
    photo = PhotoView(planes[..., :3].clamp(0, 1), planes[..., 3], crop.intrinsics(intrinsics))
    view = see(inside, topology, photo.intrinsics, crop.height, crop.width)
    return PhotoSurface(photo, view, inside, turned)


def metres_per_pixel(surface: PhotoSurface) -> float:
    """At the hand's middle."""
    return float(surface.vertices[:, 2].median()) / surface.view.focal_px


def depth_of_confidence(surface: PhotoSurface) -> Tensor:
    """[H,W] metres from the border of the mask, of the model, or from a jump in depth, whichever is nearest.

    Near them a small error of the shape paints background, or another finger, onto skin.
    """
    shown = (surface.photo.mask > 0.5) & (to_coverage(surface.view) > 0.5) & ~depth_edges(surface.view)
    padded = np.pad(shown.cpu().numpy(), 1)
    distance = distance_transform_edt(padded)[1:-1, 1:-1]
    return torch.as_tensor(distance).to(surface.photo.color) * metres_per_pixel(surface)


def to_coverage(view: SurfaceView) -> Tensor:
    """[H,W] 1 where the mesh covers a pixel's centre."""
    return to_image(view.fragments, torch.ones_like(view.fragments.depth[:, None]))[..., 0]


def seen_points(surface: PhotoSurface, points: Tensor, normals: Tensor, rim_m: float, fade_m: float) -> SeenPoints:
    """How far the photo can be trusted about surface points.

    points [N,3], normals [N,3] unit, camera's frame. Nothing nearer than rim_m metres to an outline is trusted, and trust
    grows to full over the next fade_m; nor is what is turned away, nor what is too bright or too dark to have a colour.
    """
    projection = project_points(points, normals, surface.photo.intrinsics, surface.view)
    rim = sample_image(depth_of_confidence(surface)[..., None], projection.pixels)[:, 0]
    color = sample_image(surface.photo.color, projection.pixels)
    unclipped = 1 - smoothstep(0.93, 0.985, color.max(1).values)
    bright = smoothstep(DARKEST, 3 * DARKEST, srgb_to_linear(color).mean(1))
    turned = smoothstep(0.15, 0.45, projection.facing)
    inner = smoothstep(rim_m, rim_m + fade_m, rim)
    confidence = projection.visible * turned * inner * unclipped * bright
    return SeenPoints(projection.pixels, confidence, projection.facing)


def local_difference(surface: PhotoSurface, expected: Tensor, rim_m: float, mark_m: float, tint_m: float) -> Tensor:
    """[H,W,3] log colour that the photo shows beyond what is expected, only as far as it is local.

    expected [P,3] linear colour of the view's visible points. Of brightness only what is narrower than marks of radius mark_m
    (metres) stays, for shadows are wide; of the tint, which light hardly changes from place to place, what is narrower than
    tint_m and does not come with darkness all over the hand, as the red of shaded skin does.
    """
    fragments = surface.view.fragments
    observed = srgb_to_linear(surface.photo.color) + FLARE
    prediction = to_image(fragments, expected + FLARE, 1.0)
    ratio = observed.log() - prediction.log()
    valid = depth_of_confidence(surface) > rim_m
    pixel_m = metres_per_pixel(surface)
    wider = without_wide_parts(ratio, valid, tint_m / pixel_m).reshape(-1, 3)
    pale = without_shadow_tint(wider, valid.reshape(-1).to(wider), TINT_OF_DARKNESS)
    tint = (pale - pale.mean(1, keepdim=True)).reshape(ratio.shape)
    marks = without_wide_parts(ratio.mean(-1, keepdim=True), valid, mark_m / pixel_m).clamp_max(BRIGHTEST_MARK)
    return valid[..., None] * (marks + tint)
