"""`metrics.jsonl`: one JSON object a step, appended as training goes."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ..files import atomic_file


class MetricsFile:
    """Appends rows; on opening, rows beyond the step that training goes on from are dropped, and a torn last line too."""

    def __init__(self, path: Path, step: int, enabled: bool = True):
        self.path, self.enabled = path, enabled
        if enabled and path.exists():
            kept = [
                line
                for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
                if _step_of(line) <= step
            ]
            with atomic_file(path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append a row: {"step": …, name: number, …}; what is not finite becomes null."""
        if not self.enabled:
            return
        row = {"step": step} | {name: _number(value) for name, value in values.items()}
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _step_of(line: str) -> float:
    """The row's step; infinite for what is no row."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
