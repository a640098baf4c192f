"""`python -m engine personalize PHOTO… -o NAME.palmhand` with a learned prior: what `command` hands on."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

from ..capture.command import options_from
from ..capture.options import hand_model_for
from ..errors import PriorError
from ..files import sha256_of
from ..hand.model import HandModel
from ..progress import Progress, sub_progress
from ..rendering.avatar_bake import BakeConfig
from ..training.perceptual import perceptual_term, term_name
from ..training.prior_file import WEIGHTS_FILE, Prior, check_hand_model, read_prior
from .detail import DetailConfig
from .harp import repeatable
from .open_prior import prior_folder
from .outline_fit import outline_config, refined_captures
from .output import outcome
from .palm import personalize_prior
from .palm_avatar import PalmAvatarConfig, write_personal_avatar
from .palm_beliefs import knows_surfaces
from .palm_config import palm_quality
from .palm_hands import check_prior_fits
from .palm_photo import photo_of_capture
from .palm_preview import previews_in
from .photo_input import capture_metrics, captured_photos, device_named, provenance_of

CAPTURE_SHARE, OUTLINE_SHARE, AVATAR_SHARE = 0.08, 0.15, 0.15
"""Of the progress bar: where the capture, and its outline, are done; what the avatar takes."""
TEXTURE_PX = {"draft": 512, "standard": 1024, "paper": 1024}


def run_palm(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    started = time.monotonic()
    progress(0.0, "reading the prior")
    device = device_named(args.device)
    right = hand_model_for("right", options_from(args))
    folder = prior_folder(args.prior)
    prior = read_prior(folder)
    check_same_hand_model(prior, right, folder)
    check_prior_fits(prior, right)
    perceptual = perceptual_term(args.vgg16, args.lpips)
    shots = captured_photos(args, sub_progress(progress, 0.0, CAPTURE_SHARE))
    captures = [shot.capture for shot in shots]
    side = captures[0].handedness
    following = outline_config(args.quality, args.seed)
    here = sub_progress(progress, CAPTURE_SHARE, OUTLINE_SHARE)
    shots, rest_vertices, outline = refined_captures(
        shots, hand_model_for(side, options_from(args)), following, knows_surfaces(prior), here
    )
    captures = [shot.capture for shot in shots]
    photos = [photo_of_capture(*shot, device) for shot in shots]
    captured = time.monotonic()
    config = dataclasses.replace(palm_quality(args.quality), seed=args.seed)
    with tempfile.TemporaryDirectory(prefix="palm-hands-") as previews:
        look = previews_in(Path(previews), photos[0], side == "left")
        here = sub_progress(progress, OUTLINE_SHARE, 1 - AVATAR_SHARE)
        hand = personalize_prior(prior, photos, right, config, perceptual=perceptual, progress=here, look=look)
    found = time.monotonic()
    provenance = {
        **provenance_of(args, captures, captured - started),
        "perceptual_term": term_name(args.vgg16, args.lpips),
        "prior": {"name": folder.name, "sha256": sha256_of(folder / WEIGHTS_FILE), "step": prior.step},
        "seed": args.seed,
        "steps": config.steps,
        "detail": args.detail,
        "outline": outline,
        "timings_s": {"capture": round(captured - started, 2), "codes": round(found - captured, 2)},
    }
    with repeatable(args.seed):
        avatar = write_personal_avatar(
            args.output,
            hand,
            prior.config.box,
            *shots[0],
            hand_model_for(side, options_from(args)),
            avatar_config(args),
            str(prior.provenance.get("name") or folder.name),
            provenance,
            capture_metrics(captures),
            args.force,
            sub_progress(progress, 1 - AVATAR_SHARE, 1.0),
            more=shots[1:],
            rest_vertices=rest_vertices,
        )
    progress(1.0, "done", preview=args.output / "preview.png")
    return outcome(args.output, avatar, started)


def avatar_config(args: argparse.Namespace) -> PalmAvatarConfig:
    """What the options say of the avatar."""
    bake = BakeConfig(surface=args.mesh, texture_px=args.texture_size or TEXTURE_PX[args.quality])
    return PalmAvatarConfig(bake, DetailConfig() if args.detail else None)


def check_same_hand_model(prior: Prior, model: HandModel, folder: Path) -> None:
    """Raise PriorError for a prior of another hand model than the chosen one: which, and which options mend it."""
    try:
        check_hand_model(prior, model, f"the prior {folder.name}")
    except PriorError as error:
        raise PriorError(f"{error} (--hand-model and --prior go together), or take --method harp") from error
