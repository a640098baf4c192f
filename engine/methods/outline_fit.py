"""The capture refined on one photo's outline before codes are sought: pose, place, shape, and what betas cannot say of a shape.

PALM's equation 16 lets pose and shape drift by small corrections while the codes move; that would undo what is computed once.
Here they are found first, by HARP's first stage (`harp_stages.optimise_geometry`), whose displacement along the normals follows
the outline within a millimetre. The avatar's mesh keeps it.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..capture.capture_file import Capture
from ..hand.atlas import with_texture_charts
from ..hand.model import HandModel
from ..progress import Progress
from .config import HarpConfig
from .harp import crop_target_for, geometry_from_capture, prepare_photo, repeatable
from .harp_model import build_template, pose_hand
from .harp_stages import Reference, optimise_geometry
from .photo_input import CapturedPhoto


class OutlineFit(NamedTuple):
    """A capture that follows its photo's outline."""

    capture: Capture
    rest_vertices: Tensor
    """[V,3] metres: the hand model subdivided `HarpConfig.subdivision` times, shaped and displaced, unposed."""


def fit_outline(seen: CapturedPhoto, model: HandModel, config: HarpConfig, progress: Progress) -> OutlineFit | None:
    """Refine a capture; model: of its side, not subdivided. None where the camera is not the world, as this stage takes it."""
    capture, image, mask = seen
    if not np.allclose(capture.world_to_camera, np.eye(4), atol=1e-6):
        return None
    with repeatable(config.seed):
        template = build_template(with_texture_charts(model), config.subdivision)
        geometry = geometry_from_capture(capture, template)
        with torch.no_grad():
            posed = pose_hand(template, geometry)
        photograph = prepare_photo(image, mask, capture, template, posed)
        target = crop_target_for(photograph, posed, config.geometry_px)
        optimise_geometry(template, geometry, target, Reference(posed.joints.clone()), config, progress)
        with torch.no_grad():
            rest = pose_hand(template, geometry).rest_vertices
    found = {
        name: getattr(geometry, name).detach().double().cpu().numpy()
        for name in ("global_orient", "hand_pose", "transl")
    }
    betas = np.array(capture.betas, dtype=float)
    betas[: len(geometry.betas)] = geometry.betas.detach().double().cpu().numpy()
    return OutlineFit(dataclasses.replace(capture, betas=betas, **found), rest)
