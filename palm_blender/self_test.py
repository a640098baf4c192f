"""The engine's own check (`python -m engine check`) as lines for people. No bpy here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .engine_process import engine_command

WORKS, LACKS, FAILS = "works", "lacks", "fails"


class Finding(NamedTuple):
    """One line of the self-test."""

    state: str
    """works; lacks: goes on without it; fails: nothing goes without it."""
    text: str


def check_command(python: Path, device: str = "cpu", prior: str = "", hand_model: str = "") -> Sequence[str]:
    """The job that finds out what works. prior, hand_model: paths, "" for what ships with the add-on."""
    options: list[object] = ["--device", device]
    options += ["--prior", prior] if prior else []
    options += ["--hand-model", hand_model] if hand_model else []
    return engine_command(python, ["check", *options])


def findings(result: dict[str, Any]) -> list[Finding]:
    """Lines from the job's result, as hostile as anything from outside."""
    lines = []
    checks = result.get("checks")
    for item in checks if isinstance(checks, list) else []:
        if isinstance(item, dict):
            state = WORKS if item.get("ok") is True else FAILS if item.get("needed") is True else LACKS
            lines.append(Finding(state, f"{item.get('name', '?')}: {item.get('text', '')}"[:400]))
    return lines


def summary(result: dict[str, Any]) -> str:
    """One line: "the engine is ready"."""
    return str(result.get("summary", "the engine said nothing of itself"))[:200]
