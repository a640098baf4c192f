"""The `train-prior` job: data, configuration and processes put together, and the prior's folder written.

NAME.palmprior/   prior.json, weights.safetensors     the prior, when training has ended
                  checkpoints/step-…                  the last two, to go on from
                  metrics.jsonl, previews/…           how it went
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..datasets.palm import PalmDataset, PalmFrame, read_palm_folder
from ..datasets.palm_check import whole_frames
from ..errors import CheckpointError, DatasetError, InputError
from ..fields.codes import CodeBasis, fit_pca
from ..files import sha256_of
from ..hand.model import HandModel, load_hand_model, open_hand_model
from ..progress import Progress, silent, sub_progress
from .checkpoint import TrainingState, load_latest, save_checkpoint
from .config import TrainConfig, training_config, with_steps
from .distributed import Processes, joined_processes, same_everywhere
from .fingerprint import described, differences, frames_digest
from .perceptual import term_name
from .prior_file import Prior, hand_model_identity, write_prior
from .run import (
    PRETRAINING_SHARE,
    Run,
    Setting,
    fit_known_again,
    fit_known_surface,
    make_setting,
    new_run,
    pretrain,
    train,
    validate,
)
from .subject_names import subjects_named

log = logging.getLogger(__name__)

CODE_AXES = {"shape": 10, "appearance": 5}
"""Principal axes of the codes that a prior keeps, at most. PALM (4.3) has 5 of both; hands' shapes here have ten betas, and five
axes leave 0.3 mm of them out."""
LAST_SHARE = 0.97
"""Of the progress bar, where what comes after the last step begins."""
LOOKING_SHARE, PREPARED_SHARE = 0.1, 0.3
"""Of the progress bar's part for pre-training: where the pictures have been looked at, and the distances worked out."""


def train_prior(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Train a prior as the command line says; returns what it reports. Raises PalmError."""
    started = time.monotonic()
    config = _config(args)
    device = _device(args.device)
    hand = open_hand_model() if args.hand_model is None else load_hand_model(args.hand_model)
    looking = LOOKING_SHARE * PRETRAINING_SHARE
    training, validation, left_out = read_data(args, hand, sub_progress(progress, 0.0, looking))
    with joined_processes(device) as processes:
        if device.type == "cuda" and processes.count > 1:
            device = torch.device("cuda", processes.local_rank)
        prepared = PREPARED_SHARE * PRETRAINING_SHARE
        preparing = sub_progress(progress, looking, prepared)
        setting = make_setting(config, hand, training, validation, processes, device, preparing)
        pretraining = sub_progress(progress, prepared, PRETRAINING_SHARE)
        run, facts = _start(args.output, setting, hand, args.resume, pretraining)
        _make_folder(args.output, args.force, processes)

        def save() -> None:
            if processes.leads:
                save_checkpoint(args.output / "checkpoints", to_state(run, facts))

        if run.step == 0 and not args.resume:
            save()
        metrics = train(setting, run, args.output, save, sub_progress(progress, PRETRAINING_SHARE, LAST_SHARE))
        last = fit_known_again(setting, run, sub_progress(progress, LAST_SHARE, 1.0))
        if last and processes.leads:
            facts |= {f"last_{name}": round(value, 5) for name, value in last.items()}
            metrics = validate(setting, run, silent)
        if processes.leads:
            seconds = time.monotonic() - started
            provenance = {"engine": __version__, "torch": torch.__version__, "left_out": left_out, "seconds": seconds}
            prior = to_prior(setting, run, hand, facts | provenance, metrics)
            write_prior(args.output, prior, half_tables=config.fields.name == "open", force=True)
    return {
        "prior": str(args.output),
        "steps": run.step,
        "frames": len(training),
        "held_out": len(validation),
        "left_out": "; ".join(left_out) or None,
        "seconds": round(time.monotonic() - started, 1),
        **metrics,
    }


def read_data(
    args: argparse.Namespace, hand: HandModel, progress: Progress = silent
) -> tuple[list[PalmFrame], list[PalmFrame], list[str]]:
    """Frames to train on, frames held back, and one line for each thing that was left out. Every picture is read once."""
    root = args.data
    mean = hand.hands_mean.double().numpy()

    def read(folder: Path) -> PalmDataset:
        found = read_palm_folder(folder, mean, args.quality, args.best, args.keep_incomplete)
        if found.hand_model is not None and found.hand_model != hand.name:
            raise DatasetError(
                f"{folder} was made with the hand model {found.hand_model!r}, not {hand.name!r}: give its file with --hand-model"
            )
        return found

    data = read(root / "train" if (root / "train").is_dir() else root)
    left_out = list(data.left_out)
    if (root / "train").is_dir() and (root / "val").is_dir():
        held = read(root / "val")
        training, validation = list(data.frames), list(held.frames)
        left_out += held.left_out
    else:
        training, validation = hold_out(data.frames, args.hold_out)
    # a name that only held-out frames have is one of the set's too
    excluded = subjects_named(args.exclude, {frame.subject for frame in (*training, *validation)})
    if excluded:
        left_out.append(f"subjects that --exclude names: {len(excluded)}")
        training, validation = (
            [frame for frame in frames if frame.subject not in excluded] for frames in (training, validation)
        )
    if args.hold_out_views:
        validation += training[args.hold_out_views - 1 :: args.hold_out_views]
        del training[args.hold_out_views - 1 :: args.hold_out_views]
    known = {frame.subject for frame in training}
    strangers = sorted({frame.subject for frame in validation} - known)
    if strangers:
        left_out.append(f"held-out subjects without training frames: {', '.join(strangers[:3])}")
        validation = [frame for frame in validation if frame.subject in known]
    half = len(training) / max(len(training) + len(validation), 1)
    training, damaged = whole_frames(training, args.keep_incomplete, sub_progress(progress, 0.0, half))
    validation, damaged_too = whole_frames(validation, args.keep_incomplete, sub_progress(progress, half, 1.0))
    left_out += [*damaged, *damaged_too]
    for line in left_out:
        log.warning("left out: %s", line)
    if not training:
        raise InputError("--exclude leaves no subject to train on: name fewer")
    if not validation and args.hold_out:
        log.warning(
            "nothing is held out to measure with: no subject has %d poses; give a smaller --hold-out", args.hold_out
        )
    return training, validation, left_out


def hold_out(frames: Sequence[PalmFrame], every: int) -> tuple[list[PalmFrame], list[PalmFrame]]:
    """Every n-th pose of each subject, in all its pictures, is kept back; none with 0 or where it would leave no pose."""
    poses: dict[str, list[int]] = {}
    for frame in frames:
        numbers = poses.setdefault(frame.subject, [])
        if frame.frame not in numbers:
            numbers.append(frame.frame)
    kept_back = {
        (subject, number) for subject, numbers in poses.items() if every > 1 for number in numbers[every - 1 :: every]
    }
    training = [frame for frame in frames if (frame.subject, frame.frame) not in kept_back]
    return training, [frame for frame in frames if (frame.subject, frame.frame) in kept_back]


def to_state(run: Run, facts: dict[str, Any]) -> TrainingState:
    """All that goes into a checkpoint."""
    tensors = {f"fields.{name}": value for name, value in run.fields.state_dict().items()}
    tensors["light"] = run.light.detach()
    return TrainingState(run.step, tensors, run.optimiser.state_dict(), facts=facts)


def restore(run: Run, state: TrainingState) -> None:
    """Put a checkpoint into a freshly made run of the same configuration. Raises CheckpointError for another's."""
    fields = {
        name.removeprefix("fields."): value for name, value in state.tensors.items() if name.startswith("fields.")
    }
    light = state.tensors.get("light")
    if light is None or light.shape != run.light.shape:
        raise CheckpointError(
            "the checkpoint's light is missing or of another size: give the configuration it was made with"
        )
    try:
        run.fields.load_state_dict(fields)
        run.optimiser.load_state_dict(dict(state.optimiser))
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"the checkpoint does not fit this configuration ({error}): give the one it was made with"
        ) from error
    for parameter, values in run.optimiser.state.items():
        if any(isinstance(v, torch.Tensor) and v.dim() and v.shape != parameter.shape for v in values.values()):
            raise CheckpointError(
                "the checkpoint's moments are of another size: delete it to go on from the one before"
            )
    with torch.no_grad():
        run.light.copy_(light)
    run.step = state.step


def to_prior(setting: Setting, run: Run, hand: HandModel, facts: dict[str, Any], metrics: dict[str, float]) -> Prior:
    """What is stored of a finished run, with the principal axes of its codes."""
    bases: dict[str, CodeBasis] = {}
    variance: dict[str, list[float]] = {}
    if len(setting.subjects) > 1:
        for kind, codes in (("shape", run.fields.shape_code.codes), ("appearance", run.fields.appearance_code.codes)):
            bases[kind], share = fit_pca(codes.detach().cpu(), CODE_AXES[kind])
            variance[kind] = [round(float(value), 4) for value in share]
    return Prior(
        config=setting.config.fields,
        subjects=setting.subjects,
        weights={name: value.detach().cpu() for name, value in run.fields.state_dict().items()},
        hand_model=hand_model_identity(hand),
        perceptual_term=facts["perceptual_term"],
        step=run.step,
        light=run.light.detach().cpu(),
        bases=bases,
        provenance=facts | {"code_variance": variance},
        metrics=metrics,
    )


def _config(args: argparse.Namespace) -> TrainConfig:
    config = training_config(args.config)
    if args.steps is not None:
        config = with_steps(config, args.steps)
    if args.pretrain_steps is not None:
        config = dataclasses.replace(config, pretrain=dataclasses.replace(config.pretrain, steps=args.pretrain_steps))
    if args.known_steps is not None:
        config = dataclasses.replace(config, known=dataclasses.replace(config.known, steps=args.known_steps))
    if args.no_scan_normals:
        weights = dataclasses.replace(config.weights, normal_start=0.0, normal_end=0.0)
        config = dataclasses.replace(config, weights=weights)
    if args.images is not None:
        config = dataclasses.replace(config, images_per_step=args.images)
    if args.grid_backend == "tinycudann" and args.device != "cuda":
        raise InputError("--grid-backend tinycudann works on CUDA only: add --device cuda, or leave it out")
    return dataclasses.replace(
        config, seed=args.seed, vgg16_weights=args.vgg16, lpips_weights=args.lpips, grid_backend=args.grid_backend
    )


def _device(name: str) -> torch.device:
    if name not in ("cpu", "cuda"):
        raise InputError(f"--device {name!r} is neither cpu nor cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no CUDA device; leave it out to train on the CPU")
    return torch.device(name)


def _make_folder(folder: Path, anew: bool, processes: Processes) -> None:
    """The output's folder; with `anew`, what an earlier training left in it is removed."""
    if not processes.leads:
        return
    if anew and folder.is_dir():
        for part in ("checkpoints", "previews"):
            shutil.rmtree(folder / part, ignore_errors=True)
        (folder / "metrics.jsonl").unlink(missing_ok=True)
    (folder / "previews").mkdir(parents=True, exist_ok=True)


def _start(
    output: Path, setting: Setting, hand: HandModel, resume: bool, progress: Progress
) -> tuple[Run, dict[str, Any]]:
    """A pre-trained run at step 0, or one that goes on from its last checkpoint."""
    facts = _facts(setting, hand)
    run = new_run(setting)
    if not resume:
        facts["pretraining_error_mm"] = round(1000 * pretrain(setting, run, sub_progress(progress, 0.0, 0.5)), 4)
        skin = fit_known_surface(setting, run, sub_progress(progress, 0.5, 1.0))
        facts |= {f"{name}_error": round(value, 5) for name, value in skin.items()}
        same_everywhere([*run.fields.parameters(), run.light], setting.processes)
        return run, facts
    state = load_latest(output / "checkpoints")
    if state is None:
        raise CheckpointError(
            f"{output} has no checkpoint to resume from: leave out --resume and give --force to start anew"
        )
    different = [
        line
        for name, value in facts.items()
        for line in differences(state.facts.get(name), value, name.replace("_", " "))
    ]
    if different:
        raise CheckpointError(
            f"{output} was trained with another {described(different)}: resume with the same data, options and hand model"
        )
    restore(run, state)
    log.info("going on from step %d", run.step)
    return run, dict(state.facts)


def _facts(setting: Setting, hand: HandModel) -> dict[str, Any]:
    """What must be the same when a training goes on."""
    values: dict[str, Any] = {
        "configuration": dataclasses.asdict(setting.config),
        "subjects": setting.subjects,
        "frames": len(setting.training.frames),
        "data": frames_digest(setting.training.frames),
        "held_out_data": frames_digest(setting.validation.frames),
        "subject_betas": {frame.subject: np.asarray(frame.betas).tolist() for frame in setting.training.frames},
        "hand_model": hand_model_identity(hand)._asdict(),
        "perceptual_term": term_name(setting.config.vgg16_weights, setting.config.lpips_weights),
    }
    for name in ("vgg16_weights", "lpips_weights"):
        path = getattr(setting.config, name)
        if path is not None:  # what it holds counts, and not where it lies
            values["configuration"][name] = sha256_of(path)
    return json.loads(json.dumps(values, default=str))
