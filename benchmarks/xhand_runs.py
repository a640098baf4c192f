"""The trainings that XHand's tables compare, each in a process of its own, so that its memory and time are its own."""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.xhand_split import Split, part
from engine.datasets.hand_sequence import HandSequence
from engine.datasets.palm_sequences import read_own_sequences
from engine.datasets.set_files import Findings
from engine.errors import InputError
from engine.files import read_json, write_json
from engine.methods.xhand_config import XHandConfig, preset, without

TRAINING_FILE = "training.json"


class Variant(NamedTuple):
    """One training."""

    title: str
    leave_out: tuple[str, ...] = ()
    """Of `xhand_config.ABLATIONS`."""
    views: int | None = None
    """How many of the training's cameras; None: all."""
    paper_psnr_db: float | None = None
    """In the paper's tables I, III, IV, on its own data."""


MAIN = {
    "xhand": Variant("XHand", paper_psnr_db=34.32),
    "constant": Variant("constant displacement and albedo", ("pose_dependent", "sky")),
    "constant_sky": Variant("the same under XHand's sky", ("pose_dependent",)),
    "plain": Variant("hand model with albedo", ("pose_dependent", "displaced", "sky"), paper_psnr_db=28.56),
}
ABLATIONS = {
    "all": Variant("XHand, 20 views", paper_psnr_db=34.32),
    "no_embedding": Variant("without feature embedding", ("feature_embedding",), paper_psnr_db=32.81),
    "no_part_aware": Variant("without part-aware Laplacian", ("part_aware",), paper_psnr_db=32.87),
    "no_encoding": Variant("without positional encoding", ("positional_encoding",), paper_psnr_db=33.95),
    "no_sky": Variant("light of nine harmonics, as the paper's", ("sky",)),
    "views_1": Variant("1 view", views=1, paper_psnr_db=29.34),
    "views_5": Variant("5 views", views=5, paper_psnr_db=32.72),
    "views_10": Variant("10 views", views=10, paper_psnr_db=33.50),
}


def configuration(quality: str, variant: Variant, share: float = 1.0, seed: int = 0) -> XHandConfig:
    """What a variant is told. share: of the preset's steps, for quick looks."""
    config = dataclasses.replace(without(preset(quality), *variant.leave_out), seed=seed)
    stages = {
        name: dataclasses.replace(stage, steps=max(1, round(share * stage.steps)))
        for name in ("initial", "embedding", "rendering")
        for stage in [getattr(config, name)]
    }
    return dataclasses.replace(config, **stages)


def the_sequence(folder: Path) -> HandSequence:
    """The one sequence of a set; of one that is still being rendered, what is there.

    Raises DatasetError; InputError where there are several.
    """
    findings = Findings(keep_incomplete=True)
    found = tuple(read_own_sequences(folder, findings))
    if findings.count:
        print(f"{folder}: {findings.count} pictures or files left out: {findings.problems[0]} …", flush=True)
    if len(found) != 1:
        raise InputError(f"{folder} holds {len(found)} sequences: give the folder of a set of one person")
    return found[0]


class Run(NamedTuple):
    """A training that is done."""

    folder: Path
    """With `xhand.npz`."""
    facts: dict[str, Any]
    """TRAINING_FILE's."""


def train_apart(script: Path, arguments: list[str], folder: Path, identity: Mapping[str, Any]) -> Run:
    """Train in a process of its own, unless the folder holds the same training already.

    arguments: of `script`, which ends in `train_here`. Raises InputError where the folder holds another, CalledProcessError.
    """
    facts = folder / TRAINING_FILE
    if not facts.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(script), *arguments], check=True)
    known = read_json(facts, "training's facts")
    if known.get("identity") != json.loads(json.dumps(identity, default=str)):
        raise InputError(
            f"{folder} holds a training of another set or with other settings: give another --out, or delete it"
        )
    return Run(folder, known)


def identity_of(folder: Path, seen: Split, config: XHandConfig) -> dict[str, Any]:
    """What decides a training's outcome, as JSON."""
    learned_from = {"cameras": seen.cameras, "moments": seen.moments}
    values = {"set": str(folder.resolve()), "split": learned_from, "config": dataclasses.asdict(config)}
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain


def train_here(
    sequence: HandSequence, seen: Split, config: XHandConfig, folder: Path, identity: Mapping[str, Any]
) -> None:
    """Train, and write the hand and TRAINING_FILE: identity, seconds of wall clock and processor, memory."""
    from engine.hand.model import open_hand_model
    from engine.methods.xhand import learn_hand
    from engine.methods.xhand_file import save_xhand

    pictures = part(sequence, seen.cameras, seen.moments)
    started_anew = not (folder / "checkpoints").exists()
    wall, processor = time.monotonic(), time.process_time()
    hand = open_hand_model(sequence.handedness)
    learned = learn_hand(pictures, hand, config, _Lines(folder.name), folder / "checkpoints")
    model = learned.model
    used = {
        "wall_s": round(time.monotonic() - wall, 1),
        "processor_s": round(time.process_time() - processor, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "vertices": len(model.rest_vertices),
        "parameters": sum(value.numel() for value in model.parameters()),
        "steps": config.steps,
        "pictures": len(pictures),
        "in_one_go": started_anew,
        "stages_s": {name: round(seconds, 1) for name, seconds in learned.seconds.items()},
    }
    save_xhand(folder, model)
    write_json(folder / TRAINING_FILE, {"identity": identity, **used})


class _Lines:
    """Progress as a line each tenth."""

    def __init__(self, name: str):
        self.name, self.last = name, -1

    def __call__(self, fraction: float, message: str = "", preview: Path | None = None) -> None:
        if int(10 * fraction) != self.last:
            self.last = int(10 * fraction)
            print(f"{self.name}: {100 * fraction:3.0f} % {message}", flush=True)
