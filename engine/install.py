"""`python -m engine.install --folder DIR`: makes the engine's own environment with the Python that runs this.

Standard library only. What is there already is kept, so that an interrupted run goes on where it stopped. Progress as JSON
lines on stdout, what pip says on stderr. The folder holds `env` (the environment), `cache` (pip's, removed at the end) and,
once the engine has passed its own check, `engine.json`, which says what was made. Wheels only: nothing is built.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from . import __version__
from .errors import Cancelled, InputError, MissingDependencyError, OutputError, PalmError
from .files import atomic_file, write_json
from .parent import end_with_parent
from .progress import JsonProgress, Progress, cancel_on_signal

OLDEST, NEWEST = (3, 11), (3, 13)
TORCH = "2.13.0"
TORCH_INDEX = "https://download.pytorch.org/whl"
"""PyPI has one build of torch for each system; the others are here."""
CUDA_BUILD = "cu126"
STAMP = "engine.json"
WITH_MODELS = "0.10.21"
"""The last MediaPipe that carries its models and has `solutions`; its wheels end with Python 3.12."""
MODELS = {
    "hand_detector.tflite": (
        "mediapipe/modules/palm_detection/palm_detection_full.tflite",
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    ),
    "hand_landmarks_detector.tflite": (
        "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    ),
}
"""Names that newer MediaPipe expects in one zip → where the old wheel has them, and their SHA-256."""


class Part(NamedTuple):
    """What one call of pip installs."""

    name: str
    requirements: tuple[str, ...]
    size_mb: int
    """Roughly, installed; for the bar."""


def parts(version: tuple[int, int], build: str) -> list[Part]:
    """What the engine needs on a Python version. build: "cpu" or "cuda"."""
    old = version < (3, 13)
    return [
        Part("torch", (f"torch=={TORCH}",), {"cpu": 900, "cuda": 4900}[build]),
        Part("NumPy and SciPy", ("numpy==1.26.4" if old else "numpy>=2.1,<3", "scipy==1.17.1"), 225),
        Part("pictures", ("pillow==13.0.0", "opencv-contrib-python==4.11.0.86", "OpenEXR==3.5.3"), 200),
        Part("kernels", ("warp-lang==1.19.0", "xatlas==0.0.11", "safetensors==0.8.0"), 410),
        Part("MediaPipe", (f"mediapipe=={WITH_MODELS}", "jax==0.7.1", "jaxlib==0.7.1") if old else ("mediapipe==1.2.2",), 550),
    ]  # fmt: skip


def needed_mb(build: str) -> int:
    """Disk space that an environment takes, roughly."""
    return sum(part.size_mb for part in parts(OLDEST, build))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status as of the engine's command line."""
    parser = argparse.ArgumentParser(prog="python -m engine.install", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where; made if it does not exist")
    parser.add_argument("--torch", choices=("cpu", "cuda"), default="cpu", help="torch's build (default cpu)")
    parser.add_argument("--parent-pipe", action="store_true", help="end when standard input ends")
    parser.add_argument("--progress", choices=("json",), default="json", help="one JSON object a line")
    args = parser.parse_args(arguments)
    if args.parent_pipe:
        end_with_parent()
    reporter = JsonProgress()
    try:
        with cancel_on_signal(reporter) as progress:
            result = install(args.folder.absolute(), args.torch, progress)
    except PalmError as error:
        stopped = isinstance(error, Cancelled)
        said = "stopped; what was downloaded is kept for the next time" if stopped else str(error)
        reporter.emit("cancelled" if stopped else "error", message=said, kind=type(error).__name__)
        return 130 if stopped else 2
    reporter.emit("result", **result)
    return 0


def install(folder: Path, build: str, progress: Progress) -> dict[str, object]:
    """Make or finish the environment in `folder`; returns what `engine.json` then says. Raises PalmError."""
    started = time.monotonic()
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        raise MissingDependencyError(
            f"Python {platform.python_version()} is not {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}: choose another"
        )
    progress(0.0, "making the environment")
    _make_room(folder, build)
    with _without_stamp(folder):
        python = _environment(folder, progress)
        todo = parts(version, build)
        share, done = 0.94 / sum(part.size_mb for part in todo), 0.02
        for part in todo:
            _install_part(python, part, build, folder, progress, done, share * part.size_mb)
            done += share * part.size_mb
        if version >= (3, 13):
            progress(done, "fetching the hand models of MediaPipe " + WITH_MODELS)
            _fetch_models(python, folder, progress, done)
        progress(0.96, "checking the engine")
        checks = _check(python, folder, progress)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    made = {
        "engine": __version__,
        "python": platform.python_version(),
        "torch": build_in_words(build, torch_build(python)),
        "size_mb": round(_size(folder) / 1e6),
        "seconds": round(time.monotonic() - started),
        "checks": checks,
    }
    write_json(folder / STAMP, made)
    progress(1.0, "done")
    return {"python": str(python), **made}


def environment_python(folder: Path) -> Path:
    """The interpreter of the environment in a set-up folder, whether it exists or not."""
    return folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _make_room(folder: Path, build: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tmp").mkdir(exist_ok=True)
        if shutil.disk_usage(folder).free < needed_mb(build) * 1e6 and not environment_python(folder).exists():
            raise OutputError(f"{folder} has less than {needed_mb(build) / 1000:.1f} GB left: free space first")
    except OSError as error:
        raise OutputError(f"cannot write in {folder} ({error.strerror}): check its rights") from error


@contextmanager
def _without_stamp(folder: Path) -> Iterator[None]:
    """While the block works there is no record of a finished set-up; where it ends in an error it comes back, unless a
    package has changed by then: what worked before works still."""
    stamp, before = folder / STAMP, packages(folder)
    said = stamp.read_bytes() if stamp.is_file() else None
    stamp.unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        if said is not None and packages(folder) == before:
            with suppress(OutputError), atomic_file(stamp) as temporary:
                temporary.write_bytes(said)
        raise


def packages(folder: Path) -> list[str]:
    """What the environment of a set-up folder has installed, by name and version; what pip has half replaced shows too."""
    found = {path for place in ("lib/python*", "Lib") for path in (folder / "env").glob(f"{place}/site-packages/*")}
    return sorted(path.name for path in found if path.name.endswith(".dist-info") or path.name.startswith("~"))


def _environment(folder: Path, progress: Progress) -> Path:
    python = environment_python(folder)
    probe = [str(python), "-c", f"import pip, sys; assert sys.version_info[:2] == {tuple(sys.version_info[:2])}"]
    if python.exists() and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return python
    said = _run(
        [sys.executable, "-m", "venv", "--clear", str(folder / "env")], folder, progress, 0.0, "the environment"
    )
    if said is not None:
        raise MissingDependencyError(
            f"Python at {sys.executable} cannot make an environment ({said}): choose another Python in the preferences"
        )
    return python


def _install_part(
    python: Path, part: Part, build: str, folder: Path, progress: Progress, done: float, share: float
) -> None:
    """Raises PalmError where no way of installing it works."""
    ways = [_pip(python, folder, "install", *part.requirements)]
    if part.name == "torch":
        # one build satisfies the other's version for pip
        force = ("--force-reinstall",) if torch_build(python) not in ("", build) and build == "cuda" else ()
        ways = [_pip(python, folder, "install", *force, *words) for words in torch_ways(sys.platform, build)]
    said = None
    for way in ways:
        said = _run(way, folder, progress, done, part.name, share)
        if said is None:
            return
    raise PalmError(f"{part.name} cannot be installed ({said}): see the log, then set up again to go on")


def torch_ways(system: str, build: str) -> list[tuple[str, ...]]:
    """pip's arguments to try one after the other: torch's build for a system lies in different places."""
    pin = f"torch=={TORCH}"
    if build == "cuda":
        return (
            [(pin,)]
            if system == "linux"
            else [(f"{pin}+{CUDA_BUILD}", "--extra-index-url", f"{TORCH_INDEX}/{CUDA_BUILD}")]
        )
    if system == "linux":
        # the first where the user's own index has it; PyPI's only build for Linux is CUDA's, which computes on CPUs too
        return [(f"{pin}+cpu",), (f"{pin}+cpu", "--extra-index-url", f"{TORCH_INDEX}/cpu", "--retries", "1"), (pin,)]
    return [(pin,)]


def _pip(python: Path, folder: Path, *arguments: str) -> list[str]:
    options = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--only-binary", ":all:")
    return [str(python), "-s", "-m", "pip", *arguments, *options, "--cache-dir", str(folder / "cache")]


def _fetch_models(python: Path, folder: Path, progress: Progress, done: float) -> None:
    """One file of the models that MediaPipe's newer releases lack, out of the last wheel that has them."""
    target = folder / "env" / "share" / "palm_hands" / "hand_landmarker.task"
    if target.is_file():
        return
    place = folder / "tmp" / "models"
    wanted = ("download", f"mediapipe=={WITH_MODELS}", "--no-deps", "--python-version", "3.12", "--dest", str(place))
    said = _run(_pip(python, folder, *wanted), folder, progress, done, "the hand models")
    if said is not None:
        raise PalmError(f"the hand models cannot be fetched ({said}): see the log, then set up again to go on")
    target.parent.mkdir(parents=True, exist_ok=True)
    (wheel,) = place.glob("mediapipe-*.whl")
    with zipfile.ZipFile(wheel) as source, atomic_file(target) as temporary:
        bundle_models(source, temporary)


def bundle_models(wheel: zipfile.ZipFile, target: Path) -> None:
    """Write hand_landmarker.task from MediaPipe 0.10.21's wheel. Raises InputError for other content than expected."""
    # stored, for the library maps the models where they lie
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as bundle:
        for name, (inside, expected) in MODELS.items():
            content = wheel.read(inside)
            if hashlib.sha256(content).hexdigest() != expected:
                raise InputError(
                    f"{inside} of MediaPipe {WITH_MODELS} is not the expected model: nothing was taken from it"
                )
            bundle.writestr(name, content)


def _check(python: Path, folder: Path, progress: Progress) -> list[dict[str, object]]:
    """The engine's own findings in its new environment. Raises PalmError where it is not ready."""
    command = [str(python), "-s", "-m", "engine", "check", "--progress", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    sys.stderr.write(done.stderr)
    # a cancel ends the check as well, which is then no sign of a fault
    progress(0.98, "checking the engine")
    try:
        result = json.loads(done.stdout.splitlines()[-1])
        checks: list[dict[str, object]] = result["checks"]
    except (LookupError, ValueError) as error:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise PalmError(f"the engine does not start in its environment ({last[:200]}): see the log") from error
    failed = [f"{item['name']}: {item['text']}" for item in checks if item["needed"] and not item["ok"]]
    if failed:
        raise PalmError(f"the engine does not work yet ({failed[0]}): see the log")
    return checks


def _run(
    command: list[str], folder: Path, progress: Progress, done: float, what: str, share: float = 0.0
) -> str | None:
    """Run it to its end, saying how long it takes; None, or why it failed. Raises Cancelled once it has been ended."""
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder / "tmp"))}
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        text=True, errors="replace",
    )  # fmt: skip
    lines: deque[str] = deque(maxlen=40)
    reader = Thread(target=_copy_lines, args=(process, lines), daemon=True)
    reader.start()
    started = time.monotonic()
    try:
        while reader.is_alive() or process.poll() is None:
            reader.join(0.5)
            elapsed = time.monotonic() - started
            # pip tells no shares: half the way after half a minute, and never quite there
            progress(done + share * elapsed / (elapsed + 30), f"installing {what}: {_latest(lines)}")
    except Cancelled:
        process.terminate()
        raise
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    return None if process.returncode == 0 else _why(lines)


def _copy_lines(process: subprocess.Popen[str], lines: deque[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.strip())
        sys.stderr.write(line)
        sys.stderr.flush()


def _latest(lines: deque[str]) -> str:
    """What pip is at: "downloading torch-2.13.0….whl (192.3 MB)"."""
    last = lines[-1] if lines else "starting"
    return re.sub(r"^(\w)", lambda first: first[1].lower(), re.sub(r"\S*/", "", last))[:70]


def _why(lines: deque[str]) -> str:
    text = "\n".join(lines)
    if "No space left" in text:
        return "the disk is full"
    if re.search(
        r"NewConnectionError|Temporary failure in name|ConnectTimeout|Read timed out|Network is unreachable", text
    ):
        return "no connection to the package index"
    errors = [line for line in lines if line.startswith("ERROR")] or list(lines)
    return errors[-1].removeprefix("ERROR: ")[:200] if errors else "no word"


def torch_build(python: Path) -> str:
    """Which build of torch an environment has, "cpu" or "cuda"; "" where it has none, or a broken one."""
    probe = [str(python), "-s", "-c", "import torch; print('cuda' if torch.version.cuda else 'cpu')"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return ""
    said = done.stdout.strip()
    return said if done.returncode == 0 and said in ("cpu", "cuda") else ""


def build_in_words(asked: str, found: str) -> str:
    """The build that is there; where the index had only the larger one, which computes on CPUs too, that it does."""
    return "cuda, on the CPU" if (asked, found) == ("cpu", "cuda") else found or asked


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(place, name)).st_size for name in names)
    return total


if __name__ == "__main__":
    sys.exit(main())
