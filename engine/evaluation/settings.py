"""How the methods' avatars are made, and what tells one making from another: nothing made otherwise is taken for the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..files import sha256_of
from ..hand.model import HandModel, load_hand_model, open_hand_model
from ..methods.config import HarpConfig, quality
from ..methods.detail import DetailConfig
from ..methods.outline_fit import outline_config
from ..methods.palm_avatar import PalmAvatarConfig
from ..methods.palm_command import TEXTURE_PX
from ..methods.palm_config import PersonaliseConfig, palm_quality, published_energy
from ..rendering.avatar_bake import BakeConfig
from ..training.prior_file import PRIOR_FILE, WEIGHTS_FILE
from .digests import frame_digest, weights_digest
from .known_capture import KnownFrame

MAKING_SCHEMA = 4
"""Counts changes of code by which the same settings make other avatars."""
CAPTURES = ("known", "detected")


@dataclass(frozen=True)
class MakingConfig:
    """How avatars are made. Whatever here changes an avatar is part of its identity (`identity_of`)."""

    prior: Path | None = None
    prior_no_normals: Path | None = None
    """One trained without scan normals, for the ablation."""
    quality: str = "standard"
    capture: str = "known"
    """"known": pose, camera and mask of the set; "detected": by the detector, with the set's focal length."""
    seed: int = 0
    vgg16: Path | None = None
    lpips: Path | None = None
    hand_model: Path | None = None
    """MANO's, for sets of its parameters; None: the bundled hand."""


@dataclass(frozen=True)
class PalmSettings:
    """Of one avatar that comes from a prior."""

    kind: str
    """"codes"; "raw": not on principal axes; "published": equation 16 alone; "no_light": by the radiance field alone; "mean"."""
    personalise: PersonaliseConfig
    avatar: PalmAvatarConfig
    outline: HarpConfig | None
    """How the capture is refined first; None: it is right as it is."""


def palm_settings(config: MakingConfig, kind: str, detail: bool = False) -> PalmSettings:
    """As `personalize` has them, but for what `kind` says. A known capture is exact: no outline can mend it."""
    personalise = dataclasses.replace(palm_quality(config.quality), seed=config.seed)
    if kind == "published":
        personalise = published_energy(personalise)
    if kind == "no_light":
        personalise = dataclasses.replace(personalise, steps=personalise.physical_from)
    bake = BakeConfig(texture_px=TEXTURE_PX[config.quality])
    # the mean has no photo's shape
    refined = config.capture == "detected" and kind != "mean"
    return PalmSettings(
        kind,
        personalise,
        PalmAvatarConfig(bake, DetailConfig() if detail else None),
        outline_config(config.quality, config.seed) if refined else None,
    )


def hand_model_of(config: MakingConfig) -> HandModel:
    """The right hand that avatars are of. Raises HandModelError."""
    return open_hand_model("right") if config.hand_model is None else load_hand_model(config.hand_model)


def harp_settings(config: MakingConfig) -> HarpConfig:
    """HARP has no finer quality than the standard one."""
    wanted = quality("standard" if config.quality == "paper" else config.quality)
    return dataclasses.replace(wanted, seed=config.seed, vgg16_weights=config.vgg16)


def identity_of(
    method: str, photo: KnownFrame, config: MakingConfig, settings: Any, prior: Path | None, lpips: bool = True
) -> dict[str, Any]:
    """All that decides what an avatar becomes, as JSON.

    settings: the method's own, a dataclass; prior: its folder, where it starts from one; lpips: whether it uses LPIPS.
    Raises DatasetError, InputError for files that cannot be read.
    """
    identity: dict[str, Any] = {
        "schema_version": MAKING_SCHEMA,
        "engine": __version__,
        "method": method,
        "photo": frame_digest(photo),
        "capture": config.capture,
        "quality": config.quality,
        "seed": config.seed,
        "settings": None if settings is None else dataclasses.asdict(settings),
    }
    weights = {"vgg16": config.vgg16, "lpips": config.lpips if lpips else None}
    identity |= {f"{kind}_sha256": weights_digest(path) for kind, path in weights.items() if path is not None}
    if config.hand_model is not None:
        identity["hand_model_sha256"] = sha256_of(config.hand_model)
    if prior is not None:
        identity |= {
            "prior_sha256": sha256_of(prior / WEIGHTS_FILE),
            "prior_description_sha256": sha256_of(prior / PRIOR_FILE),
        }
    plain: dict[str, Any] = json.loads(json.dumps(identity, default=lambda value: Path(value).name))
    return plain


def identity_of_fit(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What of an avatar's identity decides the codes: avatars that differ in what becomes of them share their fit."""
    settings = {name: value for name, value in identity["settings"].items() if name != "avatar"}
    return {name: value for name, value in identity.items() if name != "method"} | {"settings": settings}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What differs between two identities, for a line of text: "quality, settings.personalise.steps"."""
    return ", ".join(_different(one, other, ""))


def _different(one: Mapping[str, Any], other: Mapping[str, Any], above: str) -> list[str]:
    found = []
    for name in sorted({*one, *other}):
        first, second = one.get(name), other.get(name)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            found += _different(first, second, f"{above}{name}.")
        elif first != second:
            found.append(f"{above}{name}")
    return found
