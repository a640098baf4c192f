"""The protocol `harp-relit`: one photo in light A makes an avatar, which is judged in other poses in light B.

For each sequence and method: the `_train` photo personalises an avatar (with the set's own pose, camera and mask unless the
detector is asked for, because estimating a pose is not what is compared). The avatar is then moved by the true poses of `_val`,
laid on the true wrist, lit by the true environment and rendered by the engine's path tracer, and compared with picture and
passes. Seen: the same of the photo itself. Light: the avatar's own environment against that of light A.

One sequence and method is a unit. Its avatar, pictures and scores lie under the report's folder and are used again as long as
what they were made from is the same, so that an interrupted evaluation goes on where it was:

    REPORT/avatars/SEQUENCE/METHOD.palmhand     REPORT/pictures/SEQUENCE/METHOD/seen.png, NNNN.png, …
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

from ..avatar.folder import Avatar, read_avatar
from ..avatar.texture_files import read_environment, write_png8
from ..errors import AvatarError, DatasetError, InputError
from ..files import atomic_file, read_json, sha256_of, write_json
from ..hand.mano import shape_hand
from ..hand.model import open_hand_model
from ..lighting.image_light import ImageLight, image_light
from ..progress import Progress, silent, sub_progress
from ..training.perceptual import PerceptualTerm, perceptual_term
from .avatar_picture import AvatarPicture, PictureConfig, picture_avatar, posable
from .frame_scores import Scores, frame_scores
from .personalisers import METHODS, Making, identity_of
from .relit_set import FrameLight, LitFrame, RelitSequence, read_light
from .settings import MakingConfig, differences
from .shape_light_metrics import light_error
from .true_frame import true_frame

log = logging.getLogger(__name__)

SCORES_SCHEMA = 3
"""Also counts changes of how pictures are made."""
SEEN = "seen"
MAKING_SHARE = 0.8
"""Of a unit's progress."""


@dataclass(frozen=True)
class ProtocolConfig:
    """Everything that an evaluation can be told, but where and what."""

    making: MakingConfig = field(default_factory=MakingConfig)
    pictures: PictureConfig = field(default_factory=PictureConfig)
    frames: int | None = None
    """Evaluation frames of a sequence, evenly chosen; None: all."""


class UnitResult(NamedTuple):
    """What one method scored on one sequence."""

    sequence: str
    method: str
    seen: Scores
    """Of the photo that it was made from."""
    frames: dict[str, Scores]
    """By picture."""
    light: Scores
    """`LightError`'s fields; empty for methods that estimate none."""
    making_s: float | None
    """Seconds of personalisation, where the avatar says."""


def evaluate_unit(
    sequence: RelitSequence, method: str, out: Path, config: ProtocolConfig, progress: Progress = silent
) -> UnitResult:
    """Make (or find) the avatar, render (or find) its pictures, score them. Raises PalmError, Cancelled."""
    folder = unit_avatar(sequence, method, out, config, sub_progress(progress, 0.0, MAKING_SHARE))
    avatar = read_avatar(folder)
    chosen = evenly(sequence.unseen, config.frames)
    place = out / "scores" / sequence.name / f"{method}.json"
    identity = {
        "schema_version": SCORES_SCHEMA,
        "avatar": {name: sha256_of(folder / name) for name in ("avatar.json", "mesh.npz", "albedo.png")},
        "frames": {lit.label: sha256_of(lit.frame.image) for lit in (sequence.seen, *chosen)},
        "pictures": dataclasses.asdict(config.pictures),
        "lpips": config.making.lpips is not None,
    }
    found = _kept_scores(place, identity)
    if found is None:
        found = _scored(sequence, method, avatar, chosen, out / "pictures" / sequence.name / method, config,
                        sub_progress(progress, MAKING_SHARE, 1.0))  # fmt: skip
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, {"identity": identity, **found})
    progress(1.0, "scored")
    return UnitResult(sequence.name, method, found["seen"], found["frames"], found["light"], making_seconds(avatar))


def unit_avatar(
    sequence: RelitSequence, method: str, out: Path, config: ProtocolConfig, progress: Progress = silent
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


def evenly(frames: Sequence[LitFrame], count: int | None) -> tuple[LitFrame, ...]:
    """`count` of the frames (all where None, or fewer), evenly spread, each the middle of its share."""
    if count is None or count >= len(frames):
        return tuple(frames)
    return tuple(frames[int((k + 0.5) * len(frames) / count)] for k in range(count))


def making_seconds(avatar: Avatar) -> float | None:
    """Sum of an avatar's recorded timings."""
    timings = avatar.provenance.get("timings_s")
    return round(float(sum(timings.values())), 2) if isinstance(timings, dict) and timings else None


def _scored(
    sequence: RelitSequence,
    method: str,
    avatar: Avatar,
    chosen: Sequence[LitFrame],
    pictures: Path,
    config: ProtocolConfig,
    progress: Progress,
) -> dict[str, Any]:
    hand = posable(avatar)
    lpips = lpips_of(config.making)
    pictures.mkdir(parents=True, exist_ok=True)
    scores: dict[str, Scores] = {}
    for number, lit in enumerate((sequence.seen, *chosen)):
        name = SEEN if lit is sequence.seen else lit.label
        progress(number / (1 + len(chosen)), f"picture {number + 1} of {1 + len(chosen)}")
        truth = true_frame(lit, config.pictures.longest_px)
        wrist = shape_hand(open_hand_model("right"), torch.as_tensor(lit.frame.betas).float())[1][0]
        shown = picture_avatar(hand, lit.frame, wrist, truth, light_of(lit.light), config.pictures)
        scores[name] = {key: round(value, 5) for key, value in frame_scores(shown, truth, lpips).items()}
        _write_picture(pictures / f"{name}.png", shown)
    return {
        "seen": scores.pop(SEEN),
        "frames": scores,
        "light": _light(avatar, sequence) if METHODS[method].estimates_light else {},
    }


def _light(avatar: Avatar, sequence: RelitSequence) -> Scores:
    assert avatar.folder is not None
    estimate = torch.as_tensor(read_environment(avatar.folder / "environment.exr"))
    if not bool(torch.isfinite(estimate).all()):
        return {}
    found = light_error(estimate.clamp_min(0), read_light(sequence.seen.light))
    return {name: round(value, 5) for name, value in found._asdict().items()}


def _write_picture(path: Path, shown: AvatarPicture) -> None:
    """Picture and albedo side by side, as the sheets want them."""
    both = torch.cat([shown.image_srgb, shown.albedo_srgb * shown.coverage[..., None]], dim=1)
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
    complete = all(isinstance(values.get(name), dict) for name in ("seen", "frames", "light"))
    return values if complete and values.get("identity") == wanted else None


@lru_cache(maxsize=4)
def light_of(light: FrameLight) -> ImageLight:
    """A frame's light, ready to render with."""
    return image_light(read_light(light))


def lpips_of(config: MakingConfig) -> PerceptualTerm | None:
    """LPIPS where its weights are given."""
    return perceptual_term(config.vgg16, config.lpips) if config.lpips is not None else None
