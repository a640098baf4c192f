"""`python -m engine personalize PHOTO --method palm --prior PATH`: what `command` hands on."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

from ..capture.capture_file import Capture
from ..capture.command import options_from
from ..capture.options import hand_model_for
from ..errors import CaptureError, InputError
from ..files import sha256_of
from ..progress import Progress, sub_progress
from ..rendering.avatar_bake import BakeConfig
from ..training.perceptual import perceptual_term, term_name
from ..training.prior_file import WEIGHTS_FILE, Prior, read_prior
from .detail import DetailConfig
from .harp import repeatable
from .output import outcome
from .palm import personalize_prior
from .palm_avatar import PalmAvatarConfig, write_personal_avatar
from .palm_config import palm_quality
from .palm_hands import check_prior_fits
from .palm_photo import photo_of_capture
from .palm_preview import previews_in
from .photo_input import captured_photo, device_named, provenance_of

OPEN_PRIOR = "open"
CAPTURE_SHARE, AVATAR_SHARE = 0.08, 0.15
"""Of the progress bar."""
POOR_LANDMARKS, POOR_OVERLAP = 0.1, 0.6
"""Of a capture, beyond which its pose cannot be what the photo shows: keypoints off, as a share of the hand's size; overlap of
mask and fitted hand."""
TEXTURE_PX = {"draft": 512, "standard": 1024, "paper": 1024}


def run_palm(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    started = time.monotonic()
    progress(0.0, "reading the prior")
    device = device_named(args.device)
    right = hand_model_for("right", options_from(args))
    prior = prior_named(args.prior)
    check_prior_fits(prior, right)
    perceptual = perceptual_term(args.vgg16, args.lpips)
    capture, image, mask = captured_photo(args, sub_progress(progress, 0.0, CAPTURE_SHARE))
    check_capture(capture)
    photo = photo_of_capture(capture, image, mask, device)
    captured = time.monotonic()
    config = dataclasses.replace(palm_quality(args.quality), seed=args.seed)
    with tempfile.TemporaryDirectory(prefix="palm-hands-") as folder:
        look = previews_in(Path(folder), photo, capture.handedness == "left")
        here = sub_progress(progress, CAPTURE_SHARE, 1 - AVATAR_SHARE)
        hand = personalize_prior(prior, [photo], right, config, perceptual=perceptual, progress=here, look=look)
    found = time.monotonic()
    identity = {"name": Path(args.prior).name, "sha256": sha256_of(Path(args.prior) / WEIGHTS_FILE)}
    provenance = {
        **provenance_of(args, capture, captured - started),
        "perceptual_term": term_name(args.vgg16, args.lpips),
        "prior": {**identity, "step": prior.step},
        "seed": args.seed,
        "steps": config.steps,
        "detail": args.detail,
        "timings_s": {"capture": round(captured - started, 2), "codes": round(found - captured, 2)},
    }
    with repeatable(args.seed):
        avatar = write_personal_avatar(
            args.output,
            hand,
            prior.config.box,
            capture,
            image,
            mask,
            hand_model_for(capture.handedness, options_from(args)),
            avatar_config(args),
            str(prior.provenance.get("name") or identity["name"]),
            provenance,
            {f"capture_{name}": value for name, value in dataclasses.asdict(capture.quality).items()},
            args.force,
            sub_progress(progress, 1 - AVATAR_SHARE, 1.0),
        )
    progress(1.0, "done", preview=args.output / "preview.png")
    return outcome(args.output, avatar, started)


def avatar_config(args: argparse.Namespace) -> PalmAvatarConfig:
    """What the options say of the avatar."""
    bake = BakeConfig(surface=args.mesh, texture_px=args.texture_size or TEXTURE_PX[args.quality])
    return PalmAvatarConfig(bake, DetailConfig() if args.detail else None)


def prior_named(name: str | None) -> Prior:
    """The prior of `--prior`. Raises InputError, PriorError."""
    if name is None:
        raise InputError("--method palm needs a prior: add --prior with the path of a NAME.palmprior")
    if name == OPEN_PRIOR:
        raise InputError(
            "no open prior ships with this version yet: give --prior the path of a NAME.palmprior, or use --method harp"
        )
    return read_prior(name)


def check_capture(capture: Capture) -> None:
    """Raise CaptureError for a capture whose hand is not where the photo's is."""
    quality, name = capture.quality, capture.image or "the photo"
    remedy = "take the hand whole and flat to the camera, fingers apart, before a plain background; or give --keypoints"
    if quality.reprojection_relative > POOR_LANDMARKS:
        raise CaptureError(
            f"{name}: the fitted hand's joints are {quality.reprojection_relative:.0%} of its size beside the photo's "
            f"(at most {POOR_LANDMARKS:.0%}): {remedy}"
        )
    if quality.mask_iou < POOR_OVERLAP:
        raise CaptureError(
            f"{name}: mask and fitted hand overlap by {quality.mask_iou:.0%} only (at least {POOR_OVERLAP:.0%}): "
            f"{remedy}, or --mask"
        )
