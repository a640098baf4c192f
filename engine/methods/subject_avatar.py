"""One of a prior's own subjects as an avatar folder: what the prior has learned, to look at, to pose and to relight."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar, CaptureInfo
from ..avatar.texture_files import read_png, write_png8
from ..errors import PriorError
from ..fields.bands import all_bands
from ..hand.cameras import pinhole_matrix
from ..hand.model import HandModel
from ..lighting.sg_light import sg_light_lobes, sg_to_image
from ..outside import numbers
from ..rendering.avatar_bake import BakeConfig, bake_avatar
from ..rendering.canonical_field import canonical_field
from ..training.prior_file import PRIOR_FILE, Prior
from .preview import BACKDROP, PANEL_PX, frame_vertices, label_grid, open_pose, studio_light, turn
from .rerender import LoadedAvatar, Pose, load_avatar, pose_avatar, render_avatar

ENVIRONMENT_ROWS = 128
CAMERA_PX, CAMERA_FOCAL_PX, DISTANCE_M = 1024, 1800.0, 0.6
CURLED = 0.5
"""Of each joint's flexion limit, in the preview's bent hand."""
NAMES_LISTED = 6


def bake_subject(
    folder: Path,
    prior: Prior,
    subject: str,
    model: HandModel,
    config: BakeConfig,
    provenance: dict[str, Any],
    force: bool,
) -> Avatar:
    """Write FOLDER, the avatar of one subject at zero pose with the prior's light. Raises PalmError."""
    if subject not in prior.subjects:
        raise PriorError(f"the prior has no subject {subject!r}: choose one of {_listed(prior.subjects)}")
    betas = subject_betas(prior, subject)
    fields = prior.fields()
    index = torch.tensor([fields.subject_index(subject)])
    with torch.no_grad():
        conditions = fields.conditions(index, torch.zeros(1, 45))
    canonical = canonical_field(fields, conditions, all_bands(prior.config), brdf="palm")
    if prior.light is None:
        environment = torch.full((ENVIRONMENT_ROWS, 2 * ENVIRONMENT_ROWS, 3), 1 / math.pi)
    else:
        environment = sg_to_image(sg_light_lobes(prior.light), ENVIRONMENT_ROWS)
    size = (CAMERA_PX, CAMERA_PX)
    capture = CaptureInfo(
        image="",
        image_size=size,
        intrinsics=pinhole_matrix(CAMERA_FOCAL_PX, *size),
        world_to_camera=np.eye(4),
        global_orient=np.zeros(3),
        hand_pose=np.zeros(45),
        transl=np.array([0.0, 0.0, DISTANCE_M]),
    )

    def write_pictures(temporary: Path, avatar: Avatar) -> None:
        write_png8(temporary / "preview.png", subject_sheet(avatar, load_avatar(avatar), model))

    return bake_avatar(
        folder,
        canonical,
        model,
        betas,
        prior.config.box,
        capture,
        environment,
        write_pictures,
        method="palm-prior",
        prior=str(prior.provenance.get("name", "")) or None,
        provenance={"subject": subject, **provenance},
        config=config,
        force=force,
    )


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - NAMES_LISTED
    return ", ".join(names[:NAMES_LISTED]) + (f" and {more} more" if more > 0 else "")


def subject_betas(prior: Prior, subject: str) -> Tensor:
    """[10] the hand shape that a subject was trained with. Raises PriorError where the prior does not say."""
    stored = prior.provenance.get("subject_betas")
    if not isinstance(stored, dict) or subject not in stored:
        raise PriorError(
            f"the prior does not say the hand shape of subject {subject!r} (imported ones do not): choose one trained here"
        )
    values = numbers(stored[subject], f"the hand shape of subject {subject!r} in {PRIOR_FILE}", PriorError, (10,))
    return torch.tensor(values, dtype=torch.float32)


def subject_sheet(avatar: Avatar, loaded: LoadedAvatar, model: HandModel) -> np.ndarray:
    """[h,w,3] uint8: back and palm, bare and with skin, a bent hand, the albedo map."""
    assert avatar.folder is not None
    light = studio_light()
    back, palm = open_pose(loaded, palm_to_camera=False), open_pose(loaded, palm_to_camera=True)
    bent = turn(bent_hand(loaded, model), 0.5)

    def shown(vertices: Tensor, textures: bool) -> Tensor:
        camera = frame_vertices(vertices, PANEL_PX)
        return render_avatar(loaded, vertices, camera, (PANEL_PX, PANEL_PX), light, BACKDROP, textures=textures).color

    albedo = torch.as_tensor(read_png(avatar.folder / "albedo.png"))[..., :3].permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(albedo, size=(PANEL_PX, PANEL_PX), mode="area")[0].permute(1, 2, 0)
    panels = [shown(back, True), shown(palm, True), shown(bent, True), shown(back, False), shown(bent, False), small]
    labels = ["back", "palm", "bent", "back, shape", "bent, shape", "albedo"]
    return label_grid(panels, labels, columns=3)


def bent_hand(loaded: LoadedAvatar, model: HandModel) -> Tensor:
    """[V,3] the hand half closed, palm to the camera, upright."""
    flexion = CURLED * model.joint_limits[:, 0, 1].clamp_min(0)
    pose = (flexion[:, None] * model.joint_axes[:, 0]).reshape(45)
    flat = pose_avatar(loaded, Pose(np.zeros(3), np.zeros(45), np.zeros(3))).vertices
    curled = pose_avatar(loaded, Pose(np.zeros(3), pose.numpy(), np.zeros(3))).vertices
    # the same turn that puts the flat hand upright
    upright = open_pose(loaded, palm_to_camera=True)
    centred = flat - flat.mean(0)
    turned = torch.linalg.lstsq(centred, upright - upright.mean(0)).solution
    return (curled - flat.mean(0)) @ turned + torch.tensor([0.0, 0.0, DISTANCE_M])
