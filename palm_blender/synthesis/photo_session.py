"""What a worker does when asked: it photographs shots of a unit and writes them, or makes a video of pictures."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ...engine.datasets.true_surface import write_faces, write_vertices
from ...engine.errors import InputError, OutputError
from . import layout, plan, resume, video
from .places import RECIPE_FILE, avatar_folder
from .recipe import Recipe, read_recipe
from .shots import ShotId, Unit
from .studio import Studio


class PhotoSession:
    """Answers requests with events; the studio and its hand stay from one request to the next."""

    def __init__(self, writing: threading.Lock | None = None):
        """writing: held while a shot's files are written."""
        self._writing = writing or nullcontext()
        self._recipe: Recipe | None = None
        self._root = Path()
        self._studio: Studio | None = None
        self._unit: tuple[int, Unit] | None = None
        self._lights: set[str] = set()

    def answer(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Carry out one request: "open", "photograph" or "video". Raises PalmError."""
        if request["do"] == "open":
            yield self._open(Path(request["out"]), request["device"], request["threads"])
        elif request["do"] == "photograph":
            yield from self._photograph(int(request["unit"]), [ShotId(*shot) for shot in request["shots"]])
        else:
            with self._writing:
                video.encode([Path(p) for p in request["pictures"]], request["fps"], Path(request["file"]))
            yield {"event": "encoded"}

    def _open(self, root: Path, device: str, threads: int) -> dict[str, Any]:
        self._recipe, self._root = read_recipe(root / RECIPE_FILE), root
        self._studio = Studio(self._recipe, device)
        for scene in bpy.data.scenes if threads else ():
            scene.render.threads_mode, scene.render.threads = "FIXED", threads
        return {
            "event": "ready",
            "pid": os.getpid(),
            "device": self._studio.device,
            "denoised": self._studio.denoised,
            "blender": ".".join(map(str, bpy.app.version)),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "system": platform.platform(),
        }

    def _photograph(self, index: int, wanted: list[ShotId]) -> Iterator[dict[str, Any]]:
        start, spent = time.perf_counter(), time.process_time()
        unit = self._loaded(index)
        yield {
            "event": "loaded",
            "unit": index,
            "seconds": time.perf_counter() - start,
            "cpu": time.process_time() - spent,
            "memory": resident_bytes(),
        }
        shots = {shot.id: shot for shot in unit.shots}
        for name in wanted:
            shot = shots[name]
            start = time.perf_counter()
            pixels = self._studio.take(unit, shot)
            taken = time.perf_counter()
            with self._writing:
                self._keep_light(shot.light.environment)
                layout.write_shot(self._root, unit, shot, pixels, self._recipe)
            yield {
                "event": "shot",
                "shot": name,
                "take": taken - start,
                "write": time.perf_counter() - taken,
                "memory": resident_bytes(),
            }

    def _loaded(self, index: int) -> Unit:
        """The unit, with its hand built and the files beside its pictures written."""
        if self._unit is None or self._unit[0] != index:
            self._check_recipe()
            unit = plan.build_unit(self._recipe, index)
            self._studio.load(unit)
            self._unit = (index, unit)
        unit = self._unit[1]
        with self._writing:
            layout.write_folder_files(self._root, unit)
            avatar = avatar_folder(self._root, self._recipe, index)
            if not resume.avatar_is_whole(self._root, self._recipe, index):
                avatar.parent.mkdir(exist_ok=True)
                try:
                    self._studio.write_avatar(unit, avatar)
                except OutputError:
                    # another worker at this unit may have been first
                    if not resume.avatar_is_whole(self._root, self._recipe, index):
                        raise
            self._write_surfaces(index, unit)
        return unit

    def _write_surfaces(self, index: int, unit: Unit) -> None:
        """A sequence's true surfaces, as far as they are missing."""
        missing = resume.missing_surfaces(self._root, self._recipe, index)
        if not missing:
            return
        fine = self._studio.fine
        ((place, folder),) = unit.folders.items()
        write_faces(self._root / place, fine.mesh.faces)
        for frame in missing:
            write_vertices(self._root / place, frame + 1, fine.frame(folder.poses[frame]).vertices)

    def _check_recipe(self) -> None:
        """Raises InputError where another run took the folder before this one's first picture lay there."""
        if read_recipe(self._root / RECIPE_FILE) != self._recipe:
            raise InputError(f"{self._root} was begun anew with another recipe: choose another --out")

    def _keep_light(self, name: str) -> None:
        """Put the light's own picture beside the data set, once."""
        if name not in self._lights:
            layout.keep_environment(self._root, name, self._studio.environment_file(name))
            self._lights.add(name)


def resident_bytes() -> int:
    """Memory that this process holds now; where the system does not tell, the most that it held; 0 where unknown."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
