"""The capture refined on one photo's outline before codes are sought: pose, place, shape, and what betas cannot say of a shape.

PALM's equation 16 lets pose and shape drift by small corrections while the codes move; that would undo what is computed once.
Here they are found first, by HARP's first stage (`harp_stages.optimise_geometry`), whose displacement along the normals follows
the outline within a millimetre. With a prior that learned the hand model's own surface the avatar's mesh keeps it. Any other
prior has its own surface, and takes pose, place and betas alone: those too lie nearer to the photo's hand than the landmarks'
do, and where they do not they are not taken.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..capture.capture_file import Capture, Quality
from ..hand.atlas import with_texture_charts
from ..hand.cameras import project
from ..hand.model import HandModel
from ..progress import Progress, silent
from ..rendering.frame_stack import see_stack
from ..rendering.mesh import compose
from .capture_check import check_capture, is_sound, name_of
from .config import HarpConfig, quality
from .harp import frames_of, only_hand, repeatable
from .harp_frames import Target, geometry_from_captures, prepare_photo
from .harp_model import PosedHand, Template, build_template
from .harp_stages import Reference, one_frame, optimise_geometry
from .photo_input import CapturedPhoto

log = logging.getLogger(__name__)


class OutlineFit(NamedTuple):
    """A capture that follows its photo's outline."""

    capture: Capture
    """Its quality is that of the refined hand."""
    rest_vertices: Tensor
    """[V,3] metres: the hand model subdivided `HarpConfig.subdivision` times, shaped and displaced, unposed."""
    overlap_before: float
    """IoU with the mask of the same mesh as it was captured."""

    @property
    def better(self) -> bool:
        """Whether the hand covers the mask no worse than before, and would pass as a capture."""
        return self.capture.quality.mask_iou >= self.overlap_before and is_sound(self.capture)


class Refined(NamedTuple):
    """What a personalisation starts from."""

    photos: list[CapturedPhoto]
    rest_vertices: Tensor | None
    """As `OutlineFit.rest_vertices`; None where nothing was refined."""
    said: dict[str, Any]
    """What provenance says of it: "taken", and "why" not; the refined hand's overlap and the captured one's."""


def outline_config(name: str, seed: int) -> HarpConfig:
    """How a personalisation of quality `name` follows the outline."""
    return dataclasses.replace(quality("draft" if name == "draft" else "standard"), seed=seed)


def refined_captures(
    shots: Sequence[CapturedPhoto], model: HandModel, config: HarpConfig, keeps_mesh: bool, progress: Progress = silent
) -> Refined:
    """Check captures and refine what can be refined: the one function with which every personalisation to a prior begins.

    model: of the captures' side, not subdivided; keeps_mesh: the avatar will have `rest_vertices`, displacement included.
    Raises CaptureError for a capture that is none, Cancelled.
    """
    photos = list(shots)
    for shot in photos:
        check_capture(shot.capture)
    if len(photos) > 1:
        return Refined(
            photos, None, {"taken": False, "why": "several photos share one shape, which no outline may bend"}
        )
    found = fit_outline(photos[0], model, config, progress, keeps_mesh)
    if found is None:
        return Refined(photos, None, {"taken": False, "why": "the camera is not the world's origin"})
    said = {"mask_iou": found.capture.quality.mask_iou, "mask_iou_before": found.overlap_before}
    said = {name: round(value, 4) for name, value in said.items()}
    if not found.better:
        log.info("%s: its outline made the capture worse and is not followed", name_of(photos[0].capture))
        return Refined(photos, None, {"taken": False, "why": "it made the capture worse", **said})
    return Refined([photos[0]._replace(capture=found.capture)], found.rest_vertices, {"taken": True, **said})


def fit_outline(
    seen: CapturedPhoto, model: HandModel, config: HarpConfig, progress: Progress, keeps_mesh: bool = True
) -> OutlineFit | None:
    """Refine a capture; model: of its side, not subdivided. None where the camera is not the world, as this stage takes it.

    keeps_mesh: the quality is measured with the displacement; else without.
    """
    capture, image, mask = seen
    if not np.allclose(capture.world_to_camera, np.eye(4), atol=1e-6):
        return None
    with repeatable(config.seed):
        template = build_template(with_texture_charts(model), config.subdivision)
        geometry = geometry_from_captures([capture], template)
        with torch.no_grad():
            posed = only_hand(template, geometry)
        photograph = prepare_photo(image, mask, capture, template, posed)
        frames = frames_of(photograph, posed, config.geometry_px)
        reference, batches = Reference(posed.joints[None].clone()), one_frame(config.geometry_steps)
        optimise_geometry(template, geometry, frames, reference, batches, config, progress)
        with torch.no_grad():
            fitted = only_hand(template, geometry)
        target = frames.target(torch.zeros(1, dtype=torch.int64))
    shown = fitted.vertices if keeps_mesh else fitted.undisplaced
    found = {
        name: getattr(geometry, name)[0].detach().double().cpu().numpy()
        for name in ("global_orient", "hand_pose", "transl")
    }
    betas = np.array(capture.betas, dtype=float)
    betas[: len(geometry.betas)] = geometry.betas.detach().double().cpu().numpy()
    refined = dataclasses.replace(
        capture,
        betas=betas,
        joints_3d=fitted.keypoints.double().cpu().numpy(),
        quality=_quality(capture, posed, fitted, overlap(template, shown, target)),
        **found,
    )
    return OutlineFit(refined, fitted.rest_vertices, overlap(template, posed.vertices, target))


@torch.no_grad()
def overlap(template: Template, vertices: Tensor, target: Target) -> float:
    """IoU of a posed hand [V,3] with the mask on the hand's side of the wrist: beyond it the mask was cut somewhere."""
    view = see_stack(vertices[None], template.topology, target.intrinsics, target.height, target.width)
    drawn = compose(view, template.topology, torch.ones_like(view.fragments.pixels, dtype=vertices.dtype)[:, None])
    told = target.silhouette_weight > 0
    shown, wanted = (drawn.coverage > 0.5) & told, (target.mask > 0.5) & told
    return float((shown & wanted).sum()) / max(float((shown | wanted).sum()), 1.0)


def _quality(capture: Capture, before: PosedHand, after: PosedHand, mask_iou: float) -> Quality:
    """The capture's quality where its hand is now.

    A capture file does not say which keypoints its detector was sure of, nor how far out on the tips it puts them. So the
    captured hand's error is taken from the file, and what the 16 joints have moved away from the detected ones is added. The
    detector's metric keypoints are not kept: nothing is said of them.
    """
    known = np.isfinite(capture.keypoints_2d[:16]).all(1)
    pixels = [project(hand.joints.double().cpu().numpy(), capture.K) for hand in (before, after)]
    off = [np.linalg.norm((place - capture.keypoints_2d[:16])[known], axis=1) for place in pixels]
    moved = float((off[1] - off[0]).mean()) if known.any() else 0.0
    size = max(float(np.linalg.norm(np.ptp(pixels[0], axis=0))), 1.0)
    error = capture.quality.reprojection_px + moved
    relative = capture.quality.reprojection_relative + moved / size
    return Quality(max(error, 0.0), max(relative, 0.0), mask_iou, None)
