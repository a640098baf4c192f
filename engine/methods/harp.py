"""HARP for one photo: a capture in, an avatar out (Karunratanakul et al. 2023). A video's way is in harp_video.

Reads as the paper does: representation (harp_model), rendering (harp_render), stages (harp_stages). What one photo
needs beyond the paper's video: a first estimate of the light, and the skin that the photo does not show (skin_bake).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.field_mesh import joint_shapes, ten_shapes
from ..avatar.folder import Avatar, AvatarMesh, CaptureInfo
from ..capture.capture_file import Capture
from ..hand.model import HandModel
from ..lighting.environment import lamp_environment
from ..progress import Progress, silent, sub_progress
from ..rendering.bake import texel_map
from ..rendering.crop import resample
from ..training.perceptual import perceptual_term
from .config import HarpConfig
from .harp_fixed import FixedFrames
from .harp_frames import Frames, Photograph, crop_for, frames_of_photo, geometry_from_captures, prepare_photo
from .harp_model import GeometryParameters, PosedHand, Template, build_template, pose_hand
from .harp_render import shading_of
from .harp_stages import (
    Reference,
    one_frame,
    optimise_appearance,
    optimise_geometry,
    optimise_jointly,
)
from .harp_start import start_appearance
from .skin_bake import PhotoView, SkinMaps, bake_skin, observe_photo

BAKE_PX = 2048
"""Longer side of the hand's crop that textures are baked from, at most; more would be finer than any texel."""


class Personalised(NamedTuple):
    avatar: Avatar
    maps: SkinMaps
    environment: Tensor
    """[H,2H,3] linear radiance, Blender world axes"""
    photo: np.ndarray
    """[H,W,3] uint8"""
    mask: np.ndarray
    """[H,W] uint8"""


def personalize(
    capture: Capture,
    image: np.ndarray,
    mask: np.ndarray,
    model: HandModel,
    config: HarpConfig | None = None,
    progress: Progress = silent,
) -> Personalised:
    """Make an avatar from one photo.

    image [H,W,3] uint8 sRGB; mask [H,W] bool or [0,1]; model: the hand that the capture was fitted with, of the same side.
    The result depends on the arguments alone (config.seed included). Raises Cancelled from the progress callback.
    """
    config = config or HarpConfig()
    with repeatable(config.seed):
        return _personalize(capture, image, mask, model, config, progress)


def seen_share(maps: SkinMaps, template: Template) -> float:
    """The share of the hand's texels that the photo decided."""
    inside = texel_map(template.topology, maps.seen.shape[0]).inside()
    return float((maps.seen > 0.5)[inside].float().mean())


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Seeds torch and asks it for sums in a fixed order while the block runs: threads add scattered gradients as they come."""
    settings: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filling = settings.fill_uninitialized_memory
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = False  # nothing here reads memory that it has not written
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        settings.fill_uninitialized_memory = filling


def _personalize(
    capture: Capture, image: np.ndarray, mask: np.ndarray, model: HandModel, config: HarpConfig, progress: Progress
) -> Personalised:
    timings: dict[str, float] = {}
    clock = time.monotonic()
    template = build_template(model, config.subdivision)
    geometry = geometry_from_captures([capture], template)
    with torch.no_grad():
        posed = only_hand(template, geometry)
        reference = Reference(posed.joints[None].clone())
    photograph = prepare_photo(image, mask, capture, template, posed)
    timings["prepare"] = -(clock - (clock := time.monotonic()))

    coarse = frames_of(photograph, posed, config.geometry_px)
    batches = one_frame(config.geometry_steps)
    optimise_geometry(template, geometry, coarse, reference, batches, config, sub_progress(progress, 0.0, 0.4))
    timings["geometry"] = -(clock - (clock := time.monotonic()))

    inside = texel_map(template.topology, config.parameter_map_px).inside()
    appearance = start_appearance(template, geometry, coarse, config)
    perceptual = perceptual_term(config.vgg16_weights)
    batches, shown = one_frame(config.joint_steps), sub_progress(progress, 0.4, 0.55)
    optimise_jointly(template, geometry, appearance, coarse, reference, batches, inside, config, perceptual, shown)
    timings["joint"] = -(clock - (clock := time.monotonic()))

    with torch.no_grad():
        posed = only_hand(template, geometry)
    # The light is estimated afresh: outline and normals have moved since the first guess.
    appearance = start_appearance(template, geometry, coarse, config)
    fixed = FixedFrames(template, geometry, frames_of(photograph, posed, config.appearance_px), config)
    batches, shown = one_frame(config.appearance_steps), sub_progress(progress, 0.55, 0.85)
    optimise_appearance(fixed, appearance, batches, inside, config, perceptual, shown)
    timings["appearance"] = -(clock - (clock := time.monotonic()))

    progress(0.85, "painting the skin")
    with torch.no_grad():
        shading = shading_of(template, posed.vertices, config.occlusion_rays)
        texels = texel_map(template.topology, config.texture_px)
        seen = observe_photo(template, posed.vertices, shading, appearance, bake_photo(photograph, posed), texels)
        maps = bake_skin(template, posed, texels, seen, config)
        environment = lamp_environment(appearance.light())
    timings["bake"] = -(clock - (clock := time.monotonic()))
    progress(1.0, "avatar made")
    avatar = Avatar(
        handedness=capture.handedness,
        method="harp",
        betas=_numpy(geometry.betas),
        mesh=export_mesh(template, posed),
        capture=CaptureInfo(
            image="photo.png",
            image_size=(image.shape[1], image.shape[0]),
            intrinsics=np.asarray(capture.K),
            world_to_camera=np.asarray(capture.world_to_camera),
            global_orient=_numpy(geometry.global_orient[0]),
            hand_pose=_numpy(geometry.hand_pose[0]),
            transl=_numpy(geometry.transl[0]),
        ),
        provenance={"seed": config.seed, "timings_s": {name: round(value, 2) for name, value in timings.items()}},
        metrics={"seen_share": round(seen_share(maps, template), 4)},
    )
    mask8 = (photograph.mask.cpu().numpy() * 255 + 0.5).astype(np.uint8)
    return Personalised(avatar, maps, environment, image, mask8)


def only_hand(template: Template, geometry: GeometryParameters, number: int = 0) -> PosedHand:
    """The hand in one of the frames, without their dimension."""
    return pose_hand(template, geometry.frames(torch.tensor(number)))


def frames_of(photograph: Photograph, posed: PosedHand, longest_px: int) -> Frames:
    """The optimisation's view of a photo."""
    return frames_of_photo(photograph, crop_for(photograph, posed, longest_px))


def bake_photo(photograph: Photograph, posed: PosedHand) -> PhotoView:
    """The photo at the resolution that textures are baked from."""
    crop = crop_for(photograph, posed, BAKE_PX)
    planes = resample(torch.cat([photograph.color, photograph.mask[..., None]], dim=-1), crop)
    return PhotoView(planes[..., :3], planes[..., 3], crop.intrinsics(photograph.intrinsics))


def export_mesh(template: Template, posed: PosedHand) -> AvatarMesh:
    """The avatar's mesh: rest pose of this person with everything that deforms it."""
    model = template.model
    return AvatarMesh(
        vertices=_numpy(posed.rest_vertices),
        faces=_numpy(model.faces),
        uv=_numpy(model.uv[model.uv_faces]),
        skinning_weights=_numpy(model.skinning_weights),
        joints=_numpy(posed.rest_joints),
        pose_basis=_numpy(model.posedirs.permute(2, 0, 1)),
        shape_basis=ten_shapes(_numpy(model.shapedirs.permute(2, 0, 1))),
        joint_shape_basis=ten_shapes(joint_shapes(model)),
        cap_faces=_numpy(model.cap_faces),
    )


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
