"""The methods under comparison: each makes an avatar folder of a sequence's one photo."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..datasets.hand_sequence import HandFrame, HandSequence
from ..errors import DatasetError, InputError
from ..methods.harp import personalize, repeatable
from ..methods.outline_fit import Refined, refined_captures
from ..methods.output import write_personalised
from ..methods.palm_avatar import write_personal_avatar
from ..methods.palm_beliefs import knows_surfaces, people_betas
from ..methods.palm_hands import check_prior_fits
from ..methods.photo_input import CapturedPhoto, capture_metrics
from ..progress import Progress, sub_progress
from ..training.perceptual import perceptual_term
from ..training.prior_file import Prior, read_prior
from .digests import frame_digest
from .known_capture import KnownFrame, captured
from .personal_fit import Fit, fitted_hand, mean_hand
from .settings import MakingConfig, PalmSettings, hand_model_of, harp_settings, identity_of_fit, palm_settings
from .settings import identity_of as identity_from
from .unlit_avatar import write_unlit_avatar

CAPTURED_SHARE, OUTLINE_SHARE, FITTED_SHARE = 0.05, 0.15, 0.7
"""Of an avatar's progress: where the capture, its outline and the codes are done."""


class Subject(Protocol):
    """A sequence, as far as methods may see it."""

    @property
    def name(self) -> str: ...

    @property
    def photo(self) -> KnownFrame:
        """For methods of one photo."""
        ...

    @property
    def training(self) -> tuple[HandFrame, ...]:
        """For methods of many; empty where there is the photo alone."""
        ...

    @property
    def truth(self) -> Path | None:
        """The avatar folder that the pictures were rendered from, where they were."""
        ...


class Making(NamedTuple):
    """One avatar to be made."""

    sequence: Subject
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
    settings: Callable[[MakingConfig], Any] | None = None
    """Everything that it is told, as a dataclass."""
    many: bool = False
    """Whether it takes all training pictures, or else the one photo."""


def make_harp(making: Making) -> None:
    """HARP on the photo."""
    from ..hand.atlas import with_texture_charts

    seen = _captured(making)
    model = with_texture_charts(hand_model_of(making.config))
    part = sub_progress(making.progress, CAPTURED_SHARE, 0.95)
    result = personalize(seen.capture, seen.image, seen.mask, model, harp_settings(making.config), part)
    write_personalised(making.folder, result, {"evaluation": dict(making.identity)}, {}, force=True)


def make_harp_video(making: Making) -> None:
    """HARP on all training pictures: poses, shape, skin and one light for all of them."""
    from ..capture.options import CaptureOptions
    from ..hand.atlas import with_texture_charts
    from ..methods.harp_sequence_input import video_of_hand_sequence
    from ..methods.harp_video import personalize_video

    name, frames, config = making.sequence.name, making.sequence.training, making.config
    if not frames:
        raise DatasetError(f"{name} has one picture to train on: leave out the method harp-video")
    kind = "open" if config.hand_model is None else "mano"
    sequence = HandSequence(name, frames, "right", kind)
    video = video_of_hand_sequence(sequence, CaptureOptions(hand_model=config.hand_model), None, f"sequence {name}")
    model = with_texture_charts(hand_model_of(config))
    part = sub_progress(making.progress, 0.0, 0.95)
    result = personalize_video(video, model, harp_settings(config), 0, part)
    write_personalised(making.folder, result.hand, {"evaluation": dict(making.identity)}, {}, force=True)


def make_from_prior(making: Making) -> None:
    """The prior's codes fitted to the photo, and whatever else the method's `PalmSettings` say."""
    config, path = making.config, prior_of(making)
    prior, settings = read_prior(path), _settings(making)
    started = time.monotonic()
    refined = _refined(making, prior, settings)
    timings = {} if settings.outline is None else {"outline": round(time.monotonic() - started, 2)}
    seen = refined.photos[0]
    fit = _fit(making, prior, seen, settings)
    said = {
        "evaluation": dict(making.identity),
        "outline": refined.said,
        "timings_s": {**timings, "codes": round(fit.seconds, 2)},
    }
    name = str(prior.provenance.get("name") or path.name)
    with repeatable(config.seed):
        if settings.kind == "no_light":
            bake = settings.avatar.bake
            write_unlit_avatar(making.folder, fit.hand, prior.config.box, seen, bake, name, said, refined.rest_vertices)
            return
        write_personal_avatar(
            making.folder,
            fit.hand,
            prior.config.box,
            *seen,
            hand_model_of(config),
            settings.avatar,
            name,
            said,
            capture_metrics([seen.capture]),
            force=True,
            progress=sub_progress(making.progress, FITTED_SHARE, 1.0),
            rest_vertices=refined.rest_vertices,
        )


def make_mean(making: Making) -> None:
    """The prior's mean hand, whatever the photo shows, with the mean of its people's shapes too."""
    path = prior_of(making)
    prior, settings, seen = read_prior(path), _settings(making), _captured(making)
    people = people_betas(prior)
    betas = seen.capture.betas if people is None else people.mean(0).numpy()
    seen = seen._replace(capture=dataclasses.replace(seen.capture, betas=betas))
    with repeatable(making.config.seed):
        write_personal_avatar(
            making.folder,
            mean_hand(prior, seen, settings.personalise, hand_model_of(making.config)),
            prior.config.box,
            *seen,
            hand_model_of(making.config),
            settings.avatar,
            str(prior.provenance.get("name") or path.name),
            {"evaluation": dict(making.identity), "timings_s": {"codes": 0.0}},
            {},
            force=True,
            progress=sub_progress(making.progress, FITTED_SHARE, 1.0),
        )


def _from_prior(kind: str, about: str, detail: bool = False, prior: str = "prior") -> Method:
    make = make_mean if kind == "mean" else make_from_prior
    return Method(make, prior, about, kind != "no_light", partial(palm_settings, kind=kind, detail=detail))


METHODS: dict[str, Method] = {
    "palm": _from_prior("codes", "prior fitted to the photo, with detail", detail=True),
    "palm-codes": _from_prior("codes", "prior fitted to the photo, codes alone: the paper's method"),
    "harp": Method(make_harp, None, "mesh and textures fitted to the photo", settings=harp_settings),
    "harp-video": Method(
        make_harp_video, None, "the same fitted to all training pictures", True, harp_settings, many=True
    ),
    "mean": _from_prior("mean", "the prior's mean hand"),
    "truth": Method(None, None, "the hand that was rendered: the renderer's ceiling", estimates_light=False),
    "palm-raw": _from_prior("raw", "ablation: raw codes instead of principal axes"),
    "palm-published": _from_prior("published", "ablation: the published energy (equation 16) alone"),
    "palm-no-light": _from_prior("no_light", "ablation: fitted by the radiance field, which is then taken for albedo"),
    "palm-no-normals": _from_prior("codes", "ablation: a prior without scan normals", prior="prior_no_normals"),
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
            check_prior_fits(read_prior(path), hand_model_of(config))


def identity_of(name: str, sequence: Subject, config: MakingConfig) -> dict[str, Any]:
    """All that decides what a method's avatar becomes, as JSON."""
    method = METHODS[name]
    prior = None if method.prior is None else getattr(config, method.prior)
    settings = None if method.settings is None else method.settings(config)
    identity = identity_from(name, sequence.photo, config, settings, prior, lpips=not name.startswith("harp"))
    if method.many:
        identity["training"] = [frame_digest(frame) for frame in sequence.training]
    return identity


def prior_of(making: Making) -> Path:
    """The prior that the method starts from."""
    field = METHODS[str(making.identity["method"])].prior
    assert field is not None
    path = getattr(making.config, field)
    assert isinstance(path, Path)
    return path


def _settings(making: Making) -> PalmSettings:
    told = METHODS[str(making.identity["method"])].settings
    assert told is not None
    settings = told(making.config)
    assert isinstance(settings, PalmSettings)
    return settings


def _captured(making: Making) -> CapturedPhoto:
    part = sub_progress(making.progress, 0.0, CAPTURED_SHARE)
    return captured(making.sequence.photo, making.config.capture, part, hand_model_of(making.config))


def _refined(making: Making, prior: Prior, settings: PalmSettings) -> Refined:
    """The capture as `personalize` would start from it; a known one as it is."""
    seen = _captured(making)
    if settings.outline is None:
        return Refined([seen], None, {"taken": False, "why": "the data set's own capture is exact"})
    here = sub_progress(making.progress, CAPTURED_SHARE, OUTLINE_SHARE)
    model = hand_model_of(making.config)
    return refined_captures([seen], model, settings.outline, knows_surfaces(prior), here)


def _fit(making: Making, prior: Prior, seen: CapturedPhoto, settings: PalmSettings) -> Fit:
    """Fitted once for all avatars that differ in their making from then on alone."""
    shared = identity_of_fit(making.identity)
    kept = making.folder.parent / f"{settings.kind}_{shared['prior_sha256'][:8]}.npz"
    perceptual = perceptual_term(making.config.vgg16, making.config.lpips)
    here = sub_progress(making.progress, OUTLINE_SHARE, FITTED_SHARE)
    raw = settings.kind == "raw"
    model = hand_model_of(making.config)
    return fitted_hand(prior, seen, kept, shared, settings.personalise, perceptual, here, raw, model)
