"""PALM's codes for one photo, fitted once and kept: avatars that differ in what becomes of the codes share them."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..files import atomic_file
from ..hand.model import HandModel, open_hand_model
from ..methods.palm import PersonalHand, personalize_prior
from ..methods.palm_config import PersonaliseConfig
from ..methods.palm_hands import Unknowns, first_unknowns, pose_prior, with_raw_codes
from ..methods.palm_photo import PalmPhoto, cropped_photo, photo_of_capture
from ..methods.photo_input import CapturedPhoto
from ..progress import Progress
from ..training.perceptual import PerceptualTerm
from ..training.prior_file import Prior


class Fit(NamedTuple):
    """A prior fitted to a photo."""

    hand: PersonalHand
    seconds: float
    """That fitting took, when it was done."""


def mean_hand(
    prior: Prior, seen: CapturedPhoto, config: PersonaliseConfig, model: HandModel | None = None
) -> PersonalHand:
    """The prior before any step: codes at their mean, its own light, in the photo's pose and hand shape."""
    posed = pose_prior(prior, model or open_hand_model("right"), [_photo(seen, config)], config.render.band_m)
    unknowns = first_unknowns(posed, prior.light)
    return PersonalHand(posed, Unknowns(*(value.detach() for value in unknowns)), {})


def fitted_hand(
    prior: Prior,
    seen: CapturedPhoto,
    kept: Path,
    identity: Mapping[str, Any],
    config: PersonaliseConfig,
    perceptual: PerceptualTerm,
    progress: Progress,
    raw_codes: bool = False,
    model: HandModel | None = None,
) -> Fit:
    """The prior fitted to the photo: read from `kept` (an .npz) where a fit of the same identity is there, else made and kept.

    raw_codes: as `personalize_prior` takes it; model: the right hand that the photo was captured with (None: the bundled one).
    """
    found = _read(kept, identity)
    if found is not None:
        progress(0.9, "posing the prior")
        posed = pose_prior(prior, model or open_hand_model("right"), [_photo(seen, config)], config.render.band_m)
        posed = with_raw_codes(posed) if raw_codes else posed
        return Fit(PersonalHand(posed, found[0], {}), found[1])
    started = time.monotonic()
    photo = photo_of_capture(seen.capture, seen.image, seen.mask)
    hand = personalize_prior(
        prior,
        [photo],
        model or open_hand_model("right"),
        config,
        perceptual=perceptual,
        progress=progress,
        raw_codes=raw_codes,
    )
    seconds = time.monotonic() - started
    _write(kept, hand.unknowns, seconds, identity)
    return Fit(hand, seconds)


def _photo(seen: CapturedPhoto, config: PersonaliseConfig) -> PalmPhoto:
    return cropped_photo(photo_of_capture(seen.capture, seen.image, seen.mask), config.photo_px)


def _write(path: Path, unknowns: Unknowns, seconds: float, identity: Mapping[str, Any]) -> None:
    arrays = {name: value.detach().cpu().numpy() for name, value in unknowns._asdict().items()}
    with atomic_file(path) as temporary:
        np.savez(
            temporary, identity=np.array(json.dumps(identity, sort_keys=True)), seconds=np.array(seconds), **arrays
        )


def _read(path: Path, identity: Mapping[str, Any]) -> tuple[Unknowns, float] | None:
    """None where there is no such file, it is of something else, or it is damaged: the fit is then made again."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive["identity"]) != json.dumps(identity, sort_keys=True):
                return None
            unknowns = Unknowns(*(torch.as_tensor(archive[name]) for name in Unknowns._fields))
            return unknowns, float(archive["seconds"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
