"""A personalised prior → its avatar folder: mesh and textures of the fields, the light as found, detail of the photo."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar, CaptureInfo
from ..avatar.texture_files import write_png8
from ..capture.capture_file import Capture
from ..errors import CaptureError
from ..fields.bands import all_bands
from ..fields.conditions import Conditions
from ..hand.canonical import CanonicalBox
from ..hand.mano import shape_hand
from ..hand.mirror import mirror_points
from ..hand.model import HandModel
from ..hand.subdivide import subdivide_model
from ..lighting.sg_light import sg_light_lobes, sg_to_image
from ..progress import Progress, silent
from ..rendering.avatar_bake import BakeConfig, BakedHand, bake_hand, ten_betas, write_baked
from ..rendering.canonical_field import canonical_field
from ..rendering.field_bake import CanonicalField, mirrored_field
from .detail import DetailConfig, HandInPhoto, fit_detail
from .exposure import exposure_gain
from .palm import PersonalHand
from .palm_hands import code_of
from .photo_input import CapturedPhoto
from .physical_rerender import Rerender, TakenPhoto, physical_sheet, rerender_at_capture
from .rerender import Pose, pose_mesh

METHOD = "palm"
ENVIRONMENT_ROWS = 128
LAST_SHARE = 0.05
"""Of the steps, whose mean is the loss that is reported."""


@dataclass(frozen=True)
class PalmAvatarConfig:
    """What becomes of a personalised prior."""

    bake: BakeConfig = field(default_factory=lambda: BakeConfig(texture_px=1024))
    detail: DetailConfig | None = field(default_factory=DetailConfig)
    """None: the textures are the fields' alone, as published."""
    rerender_px: int = 320
    """Longer side of the re-render that is shown and measured."""


def write_personal_avatar(
    folder: Path,
    hand: PersonalHand,
    box: CanonicalBox,
    capture: Capture,
    image: np.ndarray,
    mask: np.ndarray,
    model: HandModel,
    config: PalmAvatarConfig,
    prior: str,
    provenance: Mapping[str, Any],
    metrics: Mapping[str, Any],
    force: bool = False,
    progress: Progress = silent,
    more: Sequence[CapturedPhoto] = (),
    rest_vertices: Tensor | None = None,
) -> Avatar:
    """Write FOLDER, whole or not at all; returns the avatar as read back.

    hand: what was found, always a right one; box: the prior's; capture, image [H,W,3] uint8 sRGB, mask [H,W] bool or [0,1]: the
    first photo's, as taken; model: of the capture's side, not subdivided (for a left hand the mirrored model of the prior);
    prior: its name; more: the further photos that the hand was found in, with the same betas, for detail and to compare with;
    rest_vertices: as `bake_personal` takes them. Raises AvatarError, CaptureError, OutputError, Cancelled.
    """
    if capture.handedness != model.side:
        raise CaptureError(
            f"the capture is of a {capture.handedness} hand, the model of a {model.side} one: give its own"
        )
    timings: dict[str, float] = {}
    clock = time.monotonic()
    progress(0.0, "baking the skin")
    baked = bake_personal(hand, box, model, torch.as_tensor(capture.betas).float(), config.bake, rest_vertices)
    environment = environment_of(hand.unknowns.light, capture.handedness)
    timings["bake"] = -(clock - (clock := time.monotonic()))
    progress(0.35, "looking for detail" if config.detail else "looking at what the photo shows")
    avatar = Avatar(
        handedness=capture.handedness,
        method=METHOD,
        betas=ten_betas(torch.as_tensor(capture.betas)),
        mesh=baked.mesh,
        capture=capture_info(capture),
        prior=prior,
    )
    shots = [CapturedPhoto(capture, image, mask), *more]
    seen = [hand_in_photo(avatar, baked, environment, shot) for shot in shots]
    detail = fit_detail(seen, config.detail)
    if config.detail is not None:
        gain = exposure_gain([one._replace(maps=detail.maps) for one in seen])
        environment = gain * environment
    timings["detail"] = -(clock - (clock := time.monotonic()))
    progress(0.65, "rendering the avatar")
    covered = baked.maps.inside
    recorded = {
        **baked.metrics,
        **metrics,
        **last_losses(hand.losses),
        "seen_share": round(float((detail.seen > 0.5)[covered].float().mean()), 4),
    }
    said = {**provenance, "timings_s": {**provenance.get("timings_s", {}), **_rounded(timings)}}
    avatar = dataclasses.replace(avatar, provenance=said, metrics=recorded)

    def write_pictures(temporary: Path, written: Avatar) -> dict[str, Any]:
        write_png8(temporary / "seen.png", (detail.seen.cpu().numpy() * 255 + 0.5).astype(np.uint8))
        write_png8(temporary / "photo.png", image)
        write_png8(temporary / "mask.png", (np.asarray(mask, dtype=np.float32) * 255 + 0.5).astype(np.uint8))
        shown = rerender_at_capture(written, config.rerender_px)
        measured: dict[str, Any] = dict(shown.score.as_metrics())
        if config.detail is not None:
            progress(0.85, "rendering the avatar without detail")
            plain = rerender_at_capture(written, config.rerender_px, baked.maps).score
            measured["rerender_psnr_without_detail_db"] = round(plain.psnr_db, 2)
        if more:
            progress(0.9, "rendering the avatar as the other photos show it")
            measured |= scores_by_photo(written, shown, more, config.rerender_px)
        write_png8(temporary / "preview.png", physical_sheet(written, shown))
        return measured

    return write_baked(folder, avatar, detail.maps, environment, write_pictures, force)


def bake_personal(
    hand: PersonalHand,
    box: CanonicalBox,
    model: HandModel,
    betas: Tensor,
    config: BakeConfig,
    rest_vertices: Tensor | None = None,
) -> BakedHand:
    """Mesh and textures at zero pose with the codes found; a left model gets the fields in a mirror. Raises AvatarError.

    Where the prior learned the hand model's own surface, the template keeps the shape that the capture found: that of the betas,
    or rest_vertices [V,3] of the model subdivided as the avatar is, where it found more (`outline_fit`).
    """
    field, side_box = personal_field(hand), box
    if model.side == "left":
        field = mirrored_field(field)
        side_box = dataclasses.replace(box, centre=(-box.centre[0], *box.centre[1:]))
    device = hand.posed.root.device
    kept = kept_template(hand, model, betas, config, rest_vertices)
    return bake_hand(field, model.to(device), betas.to(device), side_box, config, kept)


def kept_template(
    hand: PersonalHand, model: HandModel, betas: Tensor, config: BakeConfig, rest_vertices: Tensor | None = None
) -> Tensor | None:
    """[V,3] canonical metres of the template where the avatar keeps it (see `bake_personal`); None where it does not."""
    if not hand.posed.beliefs.exact_surfaces:
        return None
    kept = shape_hand(subdivide_model(model, config.subdivisions), betas)[0]
    if rest_vertices is not None and rest_vertices.shape == kept.shape:
        kept = rest_vertices
    return kept.to(hand.posed.root.device)


def personal_field(hand: PersonalHand) -> CanonicalField:
    """The found hand at zero pose: what bends with the fingers is left to the avatar's own correctives."""
    posed, unknowns = hand.posed, hand.unknowns
    with torch.no_grad():
        flat = posed.fields.pose_encoder(posed.pose.new_zeros(1, 45))
        shape = code_of(unknowns.shape, posed.shape_basis)[None]
        appearance = code_of(unknowns.appearance, posed.appearance_basis)[None]
    bands = all_bands(posed.fields.config, posed.root.device)
    return canonical_field(posed.fields, Conditions(flat, shape, appearance), bands, brdf="palm")


def environment_of(light: Tensor, handedness: str) -> Tensor:
    """[H,2H,3] the light [L,7] as an environment, +Z up; of a left hand, which was found in a mirror, mirrored back."""
    if handedness == "left":
        light = torch.cat([mirror_points(light[:, :3]), light[:, 3:]], dim=1)
    return sg_to_image(sg_light_lobes(light.detach()), ENVIRONMENT_ROWS)


def scores_by_photo(
    avatar: Avatar, first: Rerender, more: Sequence[CapturedPhoto], longest_px: int
) -> dict[str, list[float]]:
    """The re-render's scores at every photo's camera and pose, in the photos' order. first: the avatar's own photo's."""
    scores = [first.score]
    for shot in more:
        there = dataclasses.replace(avatar, capture=capture_info(shot.capture))
        color, mask = (torch.from_numpy(np.float32(values)) for values in (shot.image[..., :3] / 255, shot.mask))
        scores.append(rerender_at_capture(there, longest_px, taken=TakenPhoto(color, mask)).score)
    each = [score.as_metrics() for score in scores]
    return {f"{name}_by_photo": [one[name] for one in each] for name in ("rerender_psnr_db", "silhouette_iou")}


def capture_info(capture: Capture) -> CaptureInfo:
    """What an avatar keeps of its capture."""
    return CaptureInfo(
        image="photo.png",
        image_size=capture.image_size,
        intrinsics=np.asarray(capture.K),
        world_to_camera=np.asarray(capture.world_to_camera),
        global_orient=np.asarray(capture.global_orient),
        hand_pose=np.asarray(capture.hand_pose),
        transl=np.asarray(capture.transl),
    )


def hand_in_photo(avatar: Avatar, baked: BakedHand, environment: Tensor, shot: CapturedPhoto) -> HandInPhoto:
    """The avatar as posed in a photo, on the textures' device."""
    like = baked.maps.albedo

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.array(values)).to(like)

    capture = shot.capture
    pose = Pose(np.asarray(capture.global_orient), np.asarray(capture.hand_pose), np.asarray(capture.transl))
    posed = pose_mesh(avatar.mesh, pose, like.device)
    return HandInPhoto(
        posed.vertices.to(like),
        baked.topology,
        baked.maps,
        environment.to(like),
        tensor(shot.image[..., :3]) / 255,
        tensor(np.asarray(shot.mask, dtype=np.float32)),
        tensor(capture.K),
        tensor(capture.world_to_camera),
    )


def last_losses(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Means over the last steps at which each term was on, as an avatar records them."""
    found: dict[str, float] = {}
    for name, values in losses.items():
        on = values[torch.isfinite(values)]
        if len(on):
            found[f"loss_{name}"] = round(float(on[-max(1, round(LAST_SHARE * len(values))) :].mean()), 6)
    return found


def _rounded(timings: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in timings.items()}
