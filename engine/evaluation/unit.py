"""One sequence and one method: the avatar is made, shown as each picture shows the hand, and scored.

Avatars are moved by the true poses, laid on the true wrist, lit as the protocol says and rendered by the engine's path tracer,
all methods alike. Everything lies under the report's folder and is used again as long as what it was made from is the same,
so that an interrupted evaluation goes on where it was:

    REPORT/avatars/SEQUENCE/METHOD.palmhand     REPORT/pictures/SEQUENCE/{METHOD,_true}/LABEL.png
    REPORT/scores/SEQUENCE/METHOD.json
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar, read_avatar
from ..avatar.texture_files import read_environment, write_png8
from ..errors import AvatarError, DatasetError, InputError
from ..files import atomic_file, read_json, sha256_of, write_json
from ..hand.model import HandModel
from ..lighting.image_light import ImageLight, image_light
from ..progress import Progress, silent, sub_progress
from ..training.lpips import lpips_alex_term
from ..training.perceptual import perceptual_term
from .avatar_picture import PictureConfig, picture_avatar, posable, posed_vertices
from .digests import frame_digest, weights_digest
from .fitted_light import fitted_environment
from .frame_scores import Networks, Scores, frame_scores
from .measures import mean_scores
from .personalisers import METHODS, Making, identity_of
from .protocols import HARP_RELIT, Protocol
from .refined_poses import pose_errors, with_refined_poses
from .relit_set import FrameLight, RelitSequence, read_light
from .settings import MakingConfig, differences, hand_model_of, harp_settings
from .shape_light_metrics import light_error
from .shots import JudgedSequence, Shot, shots_of, wrist_of
from .surface_metrics import surface_error
from .true_frame import true_frame

log = logging.getLogger(__name__)

SCORES_SCHEMA = 6
"""Also counts changes of how pictures are made."""
TRUE = "_true"
"""Folder of the true pictures, beside the methods'."""
MAKING_SHARE = 0.8
"""Of a unit's progress."""
DIGITS = 5


@dataclass(frozen=True)
class ProtocolConfig:
    """Everything that an evaluation can be told, but where and what."""

    making: MakingConfig = field(default_factory=MakingConfig)
    pictures: PictureConfig = field(default_factory=PictureConfig)
    frames: int | None = None
    """Evaluation frames of a sequence, evenly chosen; None: all."""
    protocol: Protocol = HARP_RELIT
    alexnet: Path | None = None
    lpips_alex: Path | None = None
    fit_light: bool = False
    """Whether the light is fitted to each picture whose light the set does not say."""
    refine_poses: bool = False
    """Whether poses are found anew with the avatar first (of sequences seen by one camera)."""


class UnitResult(NamedTuple):
    """What one method scored on one sequence."""

    sequence: str
    method: str
    seen: Scores
    """Mean over the pictures that methods may have seen."""
    frames: dict[str, Scores]
    """By judged picture."""
    light: Scores
    """`LightError`'s fields; empty for methods that estimate none, and where nobody knows."""
    making_s: float | None
    """Seconds of personalisation, where the avatar says."""
    seen_frames: dict[str, Scores]
    pictures: dict[str, str]
    """File of each picture, under pictures/SEQUENCE/METHOD and pictures/SEQUENCE/_true."""
    failed: str | None = None
    """Why there is nothing else."""


def evaluate_unit(
    sequence: RelitSequence | JudgedSequence,
    method: str,
    out: Path,
    config: ProtocolConfig,
    progress: Progress = silent,
) -> UnitResult:
    """Make (or find) the avatar, render (or find) its pictures, score them. Raises PalmError, Cancelled."""
    folder = unit_avatar(sequence, method, out, config, sub_progress(progress, 0.0, MAKING_SHARE))
    avatar = read_avatar(folder)
    shots: Sequence[Shot] = shots_of(sequence, config.frames)
    place = out / "scores" / sequence.name / f"{method}.json"
    identity = {
        "schema_version": SCORES_SCHEMA,
        "protocol": [config.protocol.name, config.protocol.background, config.protocol.in_box],
        "avatar": _avatar_digests(folder),
        "truth": None if sequence.truth is None else _avatar_digests(sequence.truth),
        "frames": {shot.label: frame_digest(shot.frame, shot.light, shot.albedo) for shot in shots},
        "pictures": dataclasses.asdict(config.pictures),
        "hand_model": weights_digest(config.making.hand_model),
        "lpips": _weights(config),
        "fit_light": config.fit_light,
        "refine_poses": _refinement(config) if config.refine_poses else None,
    }
    found = _kept_scores(place, identity)
    if found is None:
        part = sub_progress(progress, MAKING_SHARE, 1.0)
        if config.refine_poses:
            shots = with_refined_poses(shots, avatar, sequence.name, config.making, sub_progress(part, 0.0, 0.5))
        scores = _scored(sequence, method, avatar, shots, out / "pictures" / sequence.name, config, part)
        if config.refine_poses and sequence.truth is not None:
            _add_pose_errors(scores, shots, shots_of(sequence, config.frames), hand_model_of(config.making))
        found = {
            "seen_frames": {shot.label: scores[shot.label] for shot in shots if shot.seen},
            "frames": {shot.label: scores[shot.label] for shot in shots if not shot.seen},
            "light": _light(avatar, shots) if METHODS[method].estimates_light else {},
        }
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, {"identity": identity, **found})
    progress(1.0, "scored")
    return UnitResult(
        sequence.name,
        method,
        mean_scores(found["seen_frames"].values()),
        found["frames"],
        found["light"],
        making_seconds(avatar),
        found["seen_frames"],
        {shot.label: shot.file for shot in shots},
    )


def unit_avatar(
    sequence: RelitSequence | JudgedSequence,
    method: str,
    out: Path,
    config: ProtocolConfig,
    progress: Progress = silent,
) -> Path:
    """The avatar folder of a method on a sequence; made where it is missing or was made otherwise."""
    make = METHODS[method].make
    if make is None:
        if sequence.truth is None:
            raise DatasetError(
                f"the set has no avatars/{sequence.name}.palmhand: leave out the method {method}, or render with avatars"
            )
        return sequence.truth
    identity = identity_of(method, sequence, config.making)
    folder = out / "avatars" / sequence.name / f"{method}.palmhand"
    try:
        made = read_avatar(folder).provenance.get("evaluation")
        if made == identity:
            return folder
        other = differences(made, identity) if isinstance(made, dict) else "everything"
        log.warning("%s was made with another %s: it is made anew", folder, other)
    except AvatarError:
        pass
    folder.parent.mkdir(parents=True, exist_ok=True)
    make(Making(sequence, config.making, folder, identity, progress))
    return folder


def making_seconds(avatar: Avatar) -> float | None:
    """Sum of an avatar's recorded timings."""
    timings = avatar.provenance.get("timings_s")
    return round(float(sum(timings.values())), 2) if isinstance(timings, dict) and timings else None


def _avatar_digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _weights(config: ProtocolConfig) -> list[str | None]:
    """Digests of LPIPS's files; a network alone scores nothing."""
    pairs = ((config.making.vgg16, config.making.lpips), (config.alexnet, config.lpips_alex))
    return [weights_digest(path if pair[1] is not None else None) for pair in pairs for path in pair]


def _refinement(config: ProtocolConfig) -> dict[str, Any]:
    """What decides the poses that are found anew, beside avatar and pictures."""
    settings = dataclasses.asdict(harp_settings(config.making))
    return settings | {"vgg16_weights": weights_digest(config.making.vgg16)}


def _scored(
    sequence: RelitSequence | JudgedSequence,
    method: str,
    avatar: Avatar,
    shots: Sequence[Shot],
    pictures: Path,
    config: ProtocolConfig,
    progress: Progress,
) -> dict[str, Scores]:
    """By label; pictures are written on the way."""
    hand, networks, model = posable(avatar), networks_of(config), hand_model_of(config.making)
    truth_avatar = read_avatar(sequence.truth) if sequence.truth is not None and method != "truth" else None
    own_light = None if all(shot.light is not None for shot in shots) else _own_light(avatar, method)
    for folder in (pictures / method, pictures / TRUE):
        folder.mkdir(parents=True, exist_ok=True)
    scores = {}
    for number, shot in enumerate(shots):
        progress(number / len(shots), f"picture {number + 1} of {len(shots)}")
        truth = true_frame(shot.frame, shot.albedo, config.pictures.longest_px)
        wrist = wrist_of(model, shot.frame.betas)
        light = own_light if shot.light is None else light_of(shot.light)
        assert light is not None
        shown = picture_avatar(hand, shot.frame, wrist, truth, light, config.pictures)
        if config.fit_light and shot.light is None:
            fitted = fitted_environment(shown, truth)
            light = light if fitted is None else image_light(fitted)
            shown = picture_avatar(hand, shot.frame, wrist, truth, light, config.pictures)
        found = frame_scores(shown, truth, config.protocol, networks)
        if truth_avatar is not None:
            found["surface_mm"] = _surface_mm(avatar, truth_avatar, shot, wrist)
        scores[shot.label] = {name: round(value, DIGITS) for name, value in found.items()}
        write_pair(pictures / method / shot.file, shown.image_srgb, shown.albedo_srgb * shown.coverage[..., None])
        write_pair(pictures / TRUE / shot.file, truth.image_srgb, truth.albedo_srgb)
    return scores


def _add_pose_errors(scores: dict[str, Scores], found: Sequence[Shot], true: Sequence[Shot], model: HandModel) -> None:
    """Only a rendered set's poses are the truth."""
    for ours, theirs in zip(found, true, strict=True):
        errors = pose_errors(ours.frame, theirs.frame, model)
        scores[ours.label] |= {name: round(value, DIGITS) for name, value in errors.items()}


def _surface_mm(avatar: Avatar, truth: Avatar, shot: Shot, wrist: Tensor) -> float:
    """Mean distance of the posed skins, both ways, without the wrists' lids."""
    found, wanted = (posed_vertices(one, shot.frame, wrist) for one in (avatar, truth))
    return surface_error(found, _skin_faces(avatar), wanted, _skin_faces(truth)).mean_mm


def _skin_faces(avatar: Avatar) -> Tensor:
    return torch.as_tensor(np.asarray(avatar.mesh.faces)[~np.asarray(avatar.mesh.cap_faces)].astype(np.int64))


def _own_light(avatar: Avatar, method: str) -> ImageLight:
    """The avatar's own environment; an even white one where its method estimates none."""
    if not METHODS[method].estimates_light:
        return image_light(torch.ones(16, 32, 3))
    return image_light(_environment(avatar))


def _environment(avatar: Avatar) -> Tensor:
    assert avatar.folder is not None
    return torch.nan_to_num(torch.as_tensor(read_environment(avatar.folder / "environment.exr"))).clamp_min(0)


def _light(avatar: Avatar, shots: Sequence[Shot]) -> Scores:
    seen = [shot.light for shot in shots if shot.seen and shot.light is not None]
    assert avatar.folder is not None
    estimate = torch.as_tensor(read_environment(avatar.folder / "environment.exr"))
    if not seen or not bool(torch.isfinite(estimate).all()):
        return {}
    found = light_error(estimate.clamp_min(0), read_light(seen[0]))
    return {name: round(value, DIGITS) for name, value in found._asdict().items()}


def write_pair(path: Path, image: Tensor, albedo: Tensor | None) -> None:
    """A picture over black and its albedo (black where it is not known) side by side."""
    both = torch.cat([image, torch.zeros_like(image) if albedo is None else albedo], dim=1)
    with atomic_file(path) as temporary:
        write_png8(temporary, (both.clamp(0, 1).numpy() * 255 + 0.5).astype(np.uint8))


def _kept_scores(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Scores of the same avatar and pictures; None where there are none."""
    if not path.is_file():
        return None
    try:
        values = read_json(path, "file of scores")
    except InputError:
        return None
    wanted = json.loads(json.dumps(identity))
    complete = all(isinstance(values.get(name), dict) for name in ("seen_frames", "frames", "light"))
    return values if complete and values.get("identity") == wanted else None


@lru_cache(maxsize=4)
def light_of(light: FrameLight) -> ImageLight:
    """A frame's light, ready to render with."""
    return image_light(read_light(light))


def networks_of(config: ProtocolConfig) -> Networks:
    """LPIPS where its weights are given. Raises InputError."""
    making = config.making
    return Networks(
        None if making.lpips is None else perceptual_term(making.vgg16, making.lpips),
        None if config.lpips_alex is None else lpips_alex_term(config.alexnet, config.lpips_alex),
    )
