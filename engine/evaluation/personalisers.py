"""The methods under comparison: each makes an avatar folder of a sequence's one photo."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..files import sha256_of
from ..hand.model import open_hand_model
from ..methods.config import quality
from ..methods.harp import personalize, repeatable
from ..methods.output import write_personalised
from ..methods.palm_avatar import PalmAvatarConfig, write_personal_avatar
from ..methods.palm_beliefs import people_betas
from ..methods.palm_command import TEXTURE_PX
from ..methods.palm_config import PersonaliseConfig, palm_quality, published_energy
from ..methods.palm_hands import check_prior_fits
from ..methods.photo_input import CapturedPhoto
from ..progress import Progress, sub_progress
from ..rendering.avatar_bake import BakeConfig
from ..training.perceptual import perceptual_term
from ..training.prior_file import WEIGHTS_FILE, Prior, read_prior
from .known_capture import captured
from .personal_fit import Fit, fitted_hand, mean_hand, with_raw_codes
from .relit_set import RelitSequence
from .unlit_avatar import write_unlit_avatar

CAPTURES = ("known", "detected")


@dataclass(frozen=True)
class MakingConfig:
    """How avatars are made. Whatever here changes an avatar is part of its `identity`."""

    prior: Path | None = None
    prior_no_normals: Path | None = None
    """One trained without scan normals, for the ablation."""
    quality: str = "standard"
    capture: str = "known"
    """"known": pose, camera and mask of the set; "detected": by the detector, with the set's focal length."""
    seed: int = 0
    vgg16: Path | None = None
    lpips: Path | None = None


class Making(NamedTuple):
    """One avatar to be made."""

    sequence: RelitSequence
    config: MakingConfig
    folder: Path
    """NAME.palmhand; beside it methods may keep what they share."""
    identity: Mapping[str, Any]
    """Goes into the avatar's provenance: an avatar with another one is made anew."""
    progress: Progress


Maker = Callable[[Making], None]


@dataclass(frozen=True)
class Method:
    """One column of a table."""

    make: Maker | None
    """None: the set has the avatar."""
    prior: str | None = None
    """Field of `MakingConfig` with the prior that it starts from."""
    about: str = ""
    estimates_light: bool = True
    """Whether the avatar's environment is somebody's guess at the photo's light."""


def make_harp(making: Making) -> None:
    """HARP on the photo."""
    from ..hand.atlas import with_texture_charts

    config = making.config
    seen = _captured(making, 0.05)
    # HARP has no finer quality than the standard one
    wanted = quality("standard" if config.quality == "paper" else config.quality)
    wanted = dataclasses.replace(wanted, seed=config.seed, vgg16_weights=config.vgg16)
    model = with_texture_charts(open_hand_model(seen.capture.handedness))
    part = sub_progress(making.progress, 0.05, 0.95)
    result = personalize(seen.capture, seen.image, seen.mask, model, wanted, part)
    write_personalised(making.folder, result, {"evaluation": dict(making.identity)}, {}, force=True)


def make_palm(making: Making) -> None:
    """The prior's codes fitted to the photo, and the photo's detail on top."""
    _write_palm(making, "codes", detail=True)


def make_palm_codes(making: Making) -> None:
    """The prior's codes fitted to the photo: the paper's method."""
    _write_palm(making, "codes")


def make_mean(making: Making) -> None:
    """The prior's mean hand, whatever the photo shows."""
    _write_palm(making, "mean")


def make_palm_raw(making: Making) -> None:
    """Codes fitted as they are, not on the principal axes."""
    _write_palm(making, "raw")


def make_palm_published(making: Making) -> None:
    """Codes fitted by equation 16 and nothing else."""
    _write_palm(making, "published")


def make_palm_no_light(making: Making) -> None:
    """Without light modelling: fitted by the radiance field alone, whose colour is then taken for albedo."""
    config = making.config
    path = prior_of(making)
    prior, seen = read_prior(path), _captured(making, 0.05)
    settings = dataclasses.replace(palm_quality(config.quality), seed=config.seed)
    settings = dataclasses.replace(settings, steps=settings.physical_from)
    fit = _fit(making, prior, seen, settings, "no_light")
    with repeatable(config.seed):
        write_unlit_avatar(
            making.folder,
            fit.hand,
            prior.config.box,
            seen,
            BakeConfig(texture_px=TEXTURE_PX[config.quality]),
            str(prior.provenance.get("name") or path.name),
            {"evaluation": dict(making.identity), "timings_s": {"codes": round(fit.seconds, 2)}},
        )


METHODS: dict[str, Method] = {
    "palm": Method(make_palm, "prior", "prior fitted to the photo, with detail"),
    "palm-codes": Method(make_palm_codes, "prior", "prior fitted to the photo, codes alone"),
    "harp": Method(make_harp, None, "mesh and textures fitted to the photo"),
    "mean": Method(make_mean, "prior", "the prior's mean hand"),
    "truth": Method(None, None, "the hand that was rendered: the renderer's ceiling", estimates_light=False),
    "palm-raw": Method(make_palm_raw, "prior", "ablation: raw codes instead of principal axes"),
    "palm-published": Method(make_palm_published, "prior", "ablation: the published energy alone"),
    "palm-no-light": Method(make_palm_no_light, "prior", "ablation: radiance taken for albedo", estimates_light=False),
    "palm-no-normals": Method(make_palm_codes, "prior_no_normals", "ablation: a prior without scan normals"),
}


def check_methods(names: tuple[str, ...], config: MakingConfig) -> None:
    """Raise InputError or PriorError for methods that do not exist or lack what they need."""
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise InputError(f"--methods {', '.join(unknown) or 'is empty'}: choose among {', '.join(METHODS)}")
    if len(set(names)) < len(names):
        raise InputError(f"--methods {','.join(names)} names a method twice")
    for name in names:
        wanted = METHODS[name].prior
        path = None if wanted is None else getattr(config, wanted)
        if wanted is not None and path is None:
            raise InputError(f"method {name} needs a prior: add --{wanted.replace('_', '-')} with a NAME.palmprior")
        if path is not None:
            check_prior_fits(read_prior(path), open_hand_model("right"))


def identity_of(name: str, sequence: RelitSequence, config: MakingConfig) -> dict[str, Any]:
    """All that decides what an avatar becomes, as JSON."""
    method = METHODS[name]
    identity: dict[str, Any] = {
        "method": name,
        "photo_sha256": sha256_of(sequence.seen.frame.image),
        "capture": config.capture,
        "quality": config.quality,
        "seed": config.seed,
    }
    weights = {"vgg16": config.vgg16, "lpips": None if name == "harp" else config.lpips}
    identity |= {kind: path.name for kind, path in weights.items() if path is not None}
    if method.prior is not None:
        identity["prior_sha256"] = sha256_of(getattr(config, method.prior) / WEIGHTS_FILE)
    return identity


def _captured(making: Making, share: float) -> CapturedPhoto:
    return captured(making.sequence, making.config.capture, sub_progress(making.progress, 0.0, share))


def prior_of(making: Making) -> Path:
    """The prior that the method starts from."""
    field = METHODS[str(making.identity["method"])].prior
    assert field is not None
    path = getattr(making.config, field)
    assert isinstance(path, Path)
    return path


def _fit(making: Making, prior: Prior, seen: CapturedPhoto, settings: PersonaliseConfig, kind: str) -> Fit:
    """Fitted once for all avatars that differ in their making from then on alone."""
    config = making.config
    shared = {name: value for name, value in making.identity.items() if name != "method"} | {"kind": kind}
    kept = making.folder.parent / f"{kind}_{shared['prior_sha256'][:8]}.npz"
    perceptual = perceptual_term(config.vgg16, config.lpips)
    return fitted_hand(prior, seen, kept, shared, settings, perceptual, sub_progress(making.progress, 0.05, 0.7))


def _write_palm(making: Making, kind: str, detail: bool = False) -> None:
    """kind: "codes", "raw", "published" or "mean", which has the mean of the prior's people's shapes too."""
    config, path = making.config, prior_of(making)
    prior, seen = read_prior(path), _captured(making, 0.05)
    settings = dataclasses.replace(palm_quality(config.quality), seed=config.seed)
    if kind == "published":
        settings = published_energy(settings)
    if kind == "mean":
        people = people_betas(prior)
        betas = seen.capture.betas if people is None else people.mean(0).numpy()
        seen = seen._replace(capture=dataclasses.replace(seen.capture, betas=betas))
        fit = Fit(mean_hand(prior, seen, settings), 0.0)
    else:
        fit = _fit(making, with_raw_codes(prior) if kind == "raw" else prior, seen, settings, kind)
    bake = BakeConfig(texture_px=TEXTURE_PX[config.quality])
    with repeatable(config.seed):
        write_personal_avatar(
            making.folder,
            fit.hand,
            prior.config.box,
            *seen,
            open_hand_model(seen.capture.handedness),
            PalmAvatarConfig(bake) if detail else PalmAvatarConfig(bake, None),
            str(prior.provenance.get("name") or path.name),
            {"evaluation": dict(making.identity), "timings_s": {"codes": round(fit.seconds, 2)}},
            {},
            force=True,
            progress=sub_progress(making.progress, 0.7, 1.0),
        )
