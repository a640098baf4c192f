"""`python -m engine import-prior CKPT --shape-pca NPY --appearance-pca NPY -o NAME.palmprior`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, PriorError
from ..files import check_output
from ..progress import Progress

if TYPE_CHECKING:
    from ..fields.codes import CodeBasis
    from .prior_file import Prior


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("checkpoint", type=Path, help="published PALM checkpoint: .ckpt, or the .zip it comes in")
    for kind in ("shape", "appearance"):
        parser.add_argument(
            f"--{kind}-pca",
            type=Path,
            metavar="NPY",
            help=f"principal axes of its {kind} codes (of a prior: worked out when absent)",
        )
    parser.add_argument("-o", "--output", type=Path, required=True, help="prior to write, NAME.palmprior")
    parser.add_argument(
        "--half", action="store_true", help="store the hash tables in float16: half the size, not lossless"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing prior")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    if args.output.suffix != ".palmprior":
        raise InputError(f"{args.output} should end in .palmprior: name the prior NAME.palmprior")
    check_output(args.output, args.force)
    given = {"shape": args.shape_pca, "appearance": args.appearance_pca}
    if (given["shape"] is None) != (given["appearance"] is None):
        missing = next(kind for kind, path in given.items() if path is None)
        raise InputError(f"--{missing}-pca is missing: give both bases, or neither")
    return _import(args, {kind: path for kind, path in given.items() if path is not None}, progress)


def _import(args: argparse.Namespace, paths: dict[str, Path], progress: Progress) -> dict[str, Any]:
    from .. import __version__
    from ..fields.config import OFFICIAL
    from ..files import sha256_of
    from .official import prior_from_official
    from .official_files import experiment_of, read_checkpoint, read_pca
    from .prior_file import write_prior

    bases = {kind: read_pca(path, kind, OFFICIAL.code_width) for kind, path in paths.items()}
    progress(0.05, "reading the checkpoint")
    checkpoint = read_checkpoint(args.checkpoint)
    progress(0.4, "checking every parameter")
    provenance = {
        "program": f"PALM Hands {__version__}",
        "imported_from": args.checkpoint.name,
        "checkpoint": checkpoint.file,
        "sha256": sha256_of(args.checkpoint),
        "bases": {kind: path.name for kind, path in paths.items()},
        "licence": "as the published weights: non-commercial, not to be passed on",
    }
    prior = prior_from_official(checkpoint.state, bases, checkpoint.step, f"checkpoint {args.checkpoint}", provenance)
    trained = experiment_of(args.checkpoint) or experiment_of(checkpoint.file)
    if not prior.codes_on_bases:
        _check_experiments(trained, {kind: experiment_of(path) for kind, path in paths.items()}, paths)
    if not prior.bases and len(prior.subjects) > 1:
        prior = dataclasses.replace(prior, bases=_own_bases(prior))
    progress(0.6, "writing the prior")
    write_prior(args.output, prior, half_tables=args.half, force=args.force)
    progress(1.0, "done")
    return {
        "prior": str(args.output),
        "subjects": len(prior.subjects),
        "step": prior.step,
        "parameters": sum(value.numel() for value in prior.weights.values()),
        "code_axes": {kind: len(basis.components) for kind, basis in prior.bases.items()} or None,
    }


def _own_bases(prior: Prior) -> dict[str, CodeBasis]:
    """Principal axes worked out here, of the prior's own codes."""
    from ..fields.codes import fit_pca

    return {kind: fit_pca(prior.weights[f"{kind}_code.codes"])[0] for kind in ("shape", "appearance")}


def _check_experiments(trained: str | None, found: dict[str, str | None], paths: dict[str, Path]) -> None:
    """Principal axes mean nothing for the codes of another prior; paths say which they belong to."""
    for kind, experiment in found.items():
        if trained and experiment and experiment != trained:
            raise PriorError(
                f"{paths[kind]} belongs to the prior {experiment}, the checkpoint to {trained}: give the bases of {trained}"
            )
