"""How many pictures a data set has and how long they take, before it is made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from ...engine.progress import JsonProgress
from . import plan
from .controller import Run, render_set
from .progress_line import duration
from .recipe import Recipe

LEAST_FRAMES = {"cohort": 1, "sequence": 1, "harp-relit": 2, "animate": 1}
MOMENTS_CAMERAS = 6
"""Pictures of one moment in a sequence's trial: its hand is made once for all of them."""


def picture_count(recipe: Recipe, shard: tuple[int, int] = (1, 1)) -> int:
    """Pictures of all units, or of one part's. Raises PalmError for poses that cannot be read."""
    units = len(range(shard[0] - 1, plan.unit_count(recipe), shard[1]))
    return units * len(plan.shot_list(recipe, 0))


def trial_of(recipe: Recipe) -> Recipe:
    """The smallest set that shows how long the whole takes: one hand, seen by one camera or a few, in the same quality."""
    cameras = min(recipe.cameras, MOMENTS_CAMERAS) if recipe.kind == "sequence" else 1
    return replace(recipe, units=1, frames=LEAST_FRAMES[recipe.kind], cameras=cameras, avatars=False)


def say_how_long(
    recipe: Recipe,
    run: Run,
    workers: int,
    stream: TextIO | JsonProgress,
    report: Callable[[str, str], None],
) -> None:
    """Make the trial in a temporary folder and report what follows from it. Nothing is written to the set's folder."""
    pictures = picture_count(recipe, run.shard)
    units = len(range(run.shard[0] - 1, plan.unit_count(recipe), run.shard[1]))
    with tempfile.TemporaryDirectory(prefix="palm-trial-", ignore_cleanup_errors=True) as scratch:
        trial = replace(run, out=Path(scratch) / "trial", resume=False, shard=(1, 1))
        record = render_set(trial_of(recipe), trial, stream, _silent)
    a_picture = (record.seconds["take"] + record.seconds["write"]) / record.frames
    a_hand = record.seconds.get("load", 0.0)
    seconds = (pictures * a_picture + units * a_hand) / min(workers, units)
    report("images", str(pictures))
    report(
        "time",
        f"about {duration(seconds)} ({a_hand:.0f} s a hand, {a_picture:.1f} s a picture, timed on {record.frames})",
    )


def _silent(label: str, value: str) -> None:
    """What a trial reports of itself is nobody's concern."""
