"""HARP for one photo: a capture in, an avatar out (Karunratanakul et al. 2023).

Reads as the paper does: representation (harp_model), rendering (engine.rendering), stages (harp_stages). What one photo
needs beyond the paper's video: a first estimate of the light, and the skin that the photo does not show (skin_bake).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from ..avatar.folder import Avatar, AvatarMesh, CaptureInfo
from ..avatar.skin_color import REGION_OFFSETS, region_features
from ..capture.capture_file import Capture
from ..hand.model import HandModel
from ..lighting.color import linear_to_srgb, srgb_to_linear
from ..lighting.environment import lamp_environment
from ..progress import Progress, silent, sub_progress
from ..rendering.bake import texel_map
from ..rendering.crop import Crop, crop_around
from ..rendering.mesh import see, surface_values
from ..rendering.shadow import parallel_shadow_map, soft_visibility
from ..training.perceptual import perceptual_term
from .config import HarpConfig
from .harp_model import AppearanceParameters, GeometryParameters, PosedHand, Template, build_template, pose_hand
from .harp_stages import (
    Reference,
    Target,
    crop_target,
    optimise_appearance,
    optimise_geometry,
    optimise_jointly,
    shading_of,
)
from .light_estimation import estimate_light
from .skin_bake import PhotoView, SkinMaps, bake_skin, hand_points
from .wrist import beyond_wrist

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


@dataclass(frozen=True)
class Photograph:
    """A capture's pictures as tensors."""

    color: Tensor
    """[H,W,3] sRGB-encoded, in [0,1]"""
    mask: Tensor
    """[H,W] in [0,1]"""
    beyond_wrist: Tensor
    """[H,W] 1 on the forearm's side of the wrist, where the mask was cut"""
    eroded: Tensor
    """[H,W] the mask without its border, where background bleeds in"""
    intrinsics: Tensor
    """[3,3]"""


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
    geometry = geometry_from_capture(capture, template)
    with torch.no_grad():
        posed = pose_hand(template, geometry)
        reference = Reference(posed.joints.clone())
    photograph = prepare_photo(image, mask, capture, template, posed)
    timings["prepare"] = -(clock - (clock := time.monotonic()))

    coarse = crop_target_for(photograph, posed, config.geometry_px)
    optimise_geometry(template, geometry, coarse, reference, config, sub_progress(progress, 0.0, 0.4))
    timings["geometry"] = -(clock - (clock := time.monotonic()))

    inside = texel_map(template.topology, config.parameter_map_px).inside()
    appearance = start_appearance(template, geometry, coarse, config)
    perceptual = perceptual_term(config.vgg16_weights)
    optimise_jointly(
        template, geometry, appearance, coarse, reference, inside, config, perceptual, sub_progress(progress, 0.4, 0.55)
    )
    timings["joint"] = -(clock - (clock := time.monotonic()))

    with torch.no_grad():
        posed = PosedHand(*(value.detach() for value in pose_hand(template, geometry)))
    # The light is estimated afresh: outline and normals have moved since the first guess.
    appearance = start_appearance(template, geometry, coarse, config)
    fine = crop_target_for(photograph, posed, config.appearance_px)
    optimise_appearance(
        template, posed.vertices, appearance, fine, inside, config, perceptual, sub_progress(progress, 0.55, 0.85)
    )
    timings["appearance"] = -(clock - (clock := time.monotonic()))

    progress(0.85, "painting the skin")
    with torch.no_grad():
        shading = shading_of(template, posed.vertices, config.occlusion_rays)
        maps = bake_skin(template, posed, shading, appearance, bake_photo(photograph, posed), config)
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
            global_orient=_numpy(geometry.global_orient),
            hand_pose=_numpy(geometry.hand_pose),
            transl=_numpy(geometry.transl),
        ),
        provenance={"seed": config.seed, "timings_s": {name: round(value, 2) for name, value in timings.items()}},
        metrics={"seen_share": round(seen_share(maps, template), 4)},
    )
    mask8 = (photograph.mask.cpu().numpy() * 255 + 0.5).astype(np.uint8)
    return Personalised(avatar, maps, environment, image, mask8)


def geometry_from_capture(capture: Capture, template: Template) -> GeometryParameters:
    """Leaves for the geometry optimiser, at the capture's values."""
    like = template.model.v_template

    def leaf(values: np.ndarray) -> Tensor:
        return torch.tensor(np.asarray(values), dtype=like.dtype, device=like.device, requires_grad=True)

    return GeometryParameters(
        betas=leaf(capture.betas[: template.model.num_betas]),
        global_orient=leaf(capture.global_orient),
        hand_pose=leaf(capture.hand_pose),
        transl=leaf(capture.transl),
        offsets=leaf(np.zeros(len(template.smoother))),
    )


def prepare_photo(
    image: np.ndarray, mask: np.ndarray, capture: Capture, template: Template, posed: PosedHand
) -> Photograph:
    """The photo with what of it can be trusted."""
    like = posed.vertices
    color = torch.as_tensor(np.array(image)).to(like) / 255
    soft_mask = torch.as_tensor(np.asarray(mask, dtype=np.float32)).to(like)
    intrinsics = torch.as_tensor(np.asarray(capture.K)).to(like)
    cap = template.model.faces[template.model.cap_faces].unique()
    beyond = beyond_wrist(posed.vertices, cap, posed.joints, intrinsics, *mask.shape).to(like)
    hand_px = math.sqrt(float(soft_mask.sum()))
    depth = distance_transform_edt(np.asarray(mask) > 0.5)
    eroded = torch.as_tensor(depth > 0.008 * hand_px + 1).to(like)
    return Photograph(color, soft_mask, beyond, eroded, intrinsics)


def crop_for(photograph: Photograph, posed: PosedHand, longest_px: int, enlarge: bool = False) -> Crop:
    """The hand's part of the photo: what the mask or the model covers."""
    projected = posed.vertices.detach() @ photograph.intrinsics.T
    points = (projected[:, :2] / projected[:, 2:3]).cpu().numpy()
    rows, columns = np.nonzero(photograph.mask.cpu().numpy() > 0.5)
    if len(rows):
        corners = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], dtype=float)
        points = np.concatenate([points, corners])
    return crop_around(points, margin=0.06, longest_px=longest_px, allow_enlarging=enlarge)


def crop_target_for(photograph: Photograph, posed: PosedHand, longest_px: int) -> Target:
    """The optimisation's view of the photo."""
    crop = crop_for(photograph, posed, longest_px)
    return crop_target(
        photograph.color, photograph.mask, photograph.intrinsics, crop, photograph.beyond_wrist, photograph.eroded
    )


def bake_photo(photograph: Photograph, posed: PosedHand) -> PhotoView:
    """The photo at the resolution that textures are baked from."""
    from ..rendering.crop import resample

    crop = crop_for(photograph, posed, BAKE_PX)
    planes = resample(torch.cat([photograph.color, photograph.mask[..., None]], dim=-1), crop)
    return PhotoView(planes[..., :3], planes[..., 3], crop.intrinsics(photograph.intrinsics))


def start_appearance(
    template: Template, geometry: GeometryParameters, target: Target, config: HarpConfig
) -> AppearanceParameters:
    """Light from the photo's shading, skin of one colour per region, flat normals."""
    with torch.no_grad():
        posed = pose_hand(template, geometry)
        shading = shading_of(template, posed.vertices, config.occlusion_rays // 2)
        height, width = target.mask.shape
        view = see(posed.vertices, template.topology, target.intrinsics, height, width)
        faces = template.topology.faces
        relative = torch.exp(region_features(hand_points(template, posed)) @ shading.normals.new_tensor(REGION_OFFSETS))
        normals = torch.nn.functional.normalize(surface_values(view, shading.normals, faces), dim=1)
        openness = surface_values(view, shading.openness[:, None], faces)[:, 0]
        observed = srgb_to_linear(target.color.reshape(-1, 3)[view.fragments.pixels])
        facing = (-normals[:, 2]).clamp(0, 1)
        weight = target.color_weight.reshape(-1)[view.fragments.pixels] * facing * (observed.max(1).values < 0.95)
        if float(weight.sum()) < 10:
            weight = facing + 1e-3
        points = surface_values(view, posed.vertices, faces)

        def visibility(direction: Tensor) -> Tensor:
            return soft_visibility(parallel_shadow_map(posed.vertices, faces, direction), points, normals)

        albedo_there = surface_values(view, relative, faces)
        shadows = visibility if config.shadow else None
        estimate = estimate_light(observed, normals, openness, albedo_there, weight, shadows)
        texels = texel_map(template.topology, config.parameter_map_px)
        albedo = estimate.albedo * texels.gather(relative, faces)
        average = linear_to_srgb(estimate.albedo).clamp(0, 1)
        canvas = average.expand(config.parameter_map_px**2, 3).clone()
        canvas[texels.texels] = linear_to_srgb(albedo).clamp(0, 1)
        side = config.parameter_map_px
        appearance = AppearanceParameters(
            albedo=canvas.reshape(side, side, 3),
            normal=torch.zeros(side, side, 2).to(canvas),
            log_ambient=torch.log(estimate.light.ambient.clamp_min(1e-4)),
            log_lamp=torch.log(estimate.light.lamp.clamp_min(1e-4)),
            to_lamp=estimate.light.to_lamp,
        )
    for value in vars(appearance).values():
        value.requires_grad_(True)
    return appearance


def export_mesh(template: Template, posed: PosedHand) -> AvatarMesh:
    """The avatar's mesh: rest pose of this person with everything that deforms it."""
    model = template.model
    joint_shape = torch.einsum("jv,vcb->bjc", model.joint_regressor, model.shapedirs)
    shape = model.shapedirs.permute(2, 0, 1)
    missing = 10 - len(shape)
    if missing > 0:
        shape = torch.nn.functional.pad(shape, (0, 0, 0, 0, 0, missing))
        joint_shape = torch.nn.functional.pad(joint_shape, (0, 0, 0, 0, 0, missing))
    return AvatarMesh(
        vertices=_numpy(posed.rest_vertices),
        faces=_numpy(model.faces),
        uv=_numpy(model.uv[model.uv_faces]),
        skinning_weights=_numpy(model.skinning_weights),
        joints=_numpy(posed.rest_joints),
        pose_basis=_numpy(model.posedirs.permute(2, 0, 1)),
        shape_basis=_numpy(shape),
        joint_shape_basis=_numpy(joint_shape),
        cap_faces=_numpy(model.cap_faces),
    )


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
