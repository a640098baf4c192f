"""What happened in the runs that made a data set: devices, versions, times. One file a run, so that none is forgotten."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...engine.errors import OutputError
from ...engine.files import read_json, write_json
from .places import RUNS
from .pool import Event


@dataclass
class RunRecord:
    """What one run has seen."""

    shard: tuple[int, int]
    started: float = field(default_factory=time.time)
    frames: int = 0
    started_workers: int = 0
    lost_workers: int = 0
    peak_memory: int = 0
    """bytes of the largest worker"""
    workers: list[dict[str, Any]] = field(default_factory=list)
    """the different facts that workers told of themselves: device, denoiser, versions"""
    seconds: dict[str, float] = field(default_factory=dict)
    """of all workers together, by stage"""

    def count(self, event: Event) -> bool:
        """Take an event in; whether it tells of a device or a version for the first time."""
        facts = event.facts
        self.peak_memory = max(self.peak_memory, int(facts.get("memory", 0)))
        if event.kind == "ready":
            self.started_workers += 1
            told = {name: value for name, value in facts.items() if name not in ("event", "pid")}
            if told not in self.workers:
                self.workers.append(told)
                return True
        elif event.kind == "shot":
            self.frames += 1
            for stage in ("take", "write"):
                self.seconds[stage] = self.seconds.get(stage, 0.0) + facts[stage]
        elif event.kind == "loaded":
            self.seconds["load"] = self.seconds.get("load", 0.0) + facts["seconds"]
        elif event.kind == "lost":
            self.lost_workers += 1
        return False

    def to_json(self) -> dict[str, Any]:
        return {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "shard": list(self.shard),
            "pictures": self.frames,
            "workers": self.workers,
            "started_workers": self.started_workers,
            "lost_workers": self.lost_workers,
            "peak_memory_bytes": self.peak_memory,
            "elapsed_s": round(time.time() - self.started, 1),
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
        }

    def save(self, root: Path) -> None:
        """Write the record among those of the other runs. Raises OutputError."""
        folder = root / RUNS
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {folder} ({error.strerror}): check the disk and its rights") from error
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self.started))
        write_json(folder / f"{stamp}-{self.shard[0]}of{self.shard[1]}-{os.getpid()}.json", self.to_json())


def all_runs(root: Path) -> list[dict[str, Any]]:
    """The records of all runs so far, the first first. Raises InputError for a damaged one."""
    return [read_json(path, "record of a run") for path in sorted((root / RUNS).glob("[0-9]*.json"))]
