"""`python -m engine bake-subject NAME.palmprior --subject NAME -o NAME.palmhand`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import check_output
from ..progress import Progress

MIN_TEXTURE_PX, MAX_TEXTURE_PX = 128, 8192


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("prior", type=Path, help="NAME.palmprior")
    parser.add_argument("--subject", help="one of the prior's subjects (default: its first)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="avatar folder to write, NAME.palmhand")
    parser.add_argument(
        "--surface",
        choices=("template", "marching"),
        default="template",
        help="template: the hand model's mesh (default)",
    )
    parser.add_argument(
        "--texture-size", type=int, default=1024, metavar="PX", help="side of the textures (default 1024)"
    )
    parser.add_argument(
        "--hand-model", type=Path, help="the hand model the prior was trained with; default: the open hand"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing avatar once the new one is complete")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    if args.output.suffix != ".palmhand":
        raise InputError(f"{args.output} should end in .palmhand: name the avatar folder NAME.palmhand")
    if not MIN_TEXTURE_PX <= args.texture_size <= MAX_TEXTURE_PX:
        raise InputError(
            f"--texture-size {args.texture_size} is not between {MIN_TEXTURE_PX} and {MAX_TEXTURE_PX}: try 1024 or 2048"
        )
    check_output(args.output, args.force)
    from .. import __version__
    from ..hand.model import load_hand_model, open_hand_model
    from ..rendering.avatar_bake import BakeConfig
    from ..training.prior_file import read_prior
    from .subject_avatar import bake_subject

    model = open_hand_model() if args.hand_model is None else load_hand_model(args.hand_model)
    prior = read_prior(args.prior, model)
    subject = args.subject or prior.subjects[0]
    progress(0.1, f"baking subject {subject}")
    config = BakeConfig(surface=args.surface, texture_px=args.texture_size)
    provenance = {"engine": __version__, "prior": args.prior.name, "prior_step": prior.step}
    avatar = bake_subject(args.output, prior, subject, model, config, provenance, args.force)
    return {"avatar": str(args.output), "preview": str(args.output / "preview.png"), **avatar.metrics}
