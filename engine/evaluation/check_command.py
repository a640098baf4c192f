"""`python -m engine check`: what works on this machine, in words and as JSON; the add-on's self-test."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__
from ..errors import PalmError
from ..progress import Progress

PACKAGES = ("numpy", "torch", "scipy", "pillow", "opencv-contrib-python", "warp-lang", "xatlas", "OpenEXR", "mediapipe")


class Check(NamedTuple):
    """One thing that was tried."""

    name: str
    ok: bool
    needed: bool
    """False where personalising goes on without it."""
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where to compute (default cpu)")
    parser.add_argument("--prior", metavar="open|PATH", help="the prior to read (default: open, the shipped one)")
    parser.add_argument("--hand-model", type=Path, help="MANO_RIGHT.pkl or .npz to read (default: the open hand alone)")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Try everything; returns what was found. A part that fails is a finding, no error."""
    steps: list[tuple[str, bool, Callable[[argparse.Namespace], str]]] = [
        ("packages", True, _packages),
        ("device", True, _device),
        ("hand model", True, _hand_model),
        ("MANO", args.hand_model is not None, _mano),
        ("prior", False, _prior),
        ("kernels", True, _kernels),
        ("landmarks", False, _landmarks),
    ]
    checks = []
    for number, (name, needed, step) in enumerate(steps):
        progress(number / len(steps), f"checking: {name}")
        checks.append(_tried(name, needed, step, args))
    progress(1.0, "done")
    ready = all(check.ok for check in checks if check.needed)
    return {
        "ready": ready,
        "summary": "the engine is ready" if ready else "the engine cannot work yet: see what failed",
        "version": __version__,
        "checks": [check._asdict() for check in checks],
    }


def _tried(name: str, needed: bool, step: Callable[[argparse.Namespace], str], args: argparse.Namespace) -> Check:
    try:
        return Check(name, True, needed, step(args))
    except PalmError as error:
        return Check(name, False, needed, str(error))
    except Exception as error:  # noqa: BLE001 - a broken installation fails in any way, and saying how is the purpose
        return Check(name, False, needed, " ".join(f"{type(error).__name__}: {error}".split())[:300])


def _packages(args: argparse.Namespace) -> str:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if [name for name in missing if name != "mediapipe"]:
        raise PalmError(f"{', '.join(missing)} missing: set the engine up again")
    return f"Python {platform.python_version()}, {', '.join(found)}"


def _device(args: argparse.Namespace) -> str:
    import torch

    from ..methods.photo_input import device_named

    device = device_named(args.device)
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / (1 << 30)
        return f"{torch.cuda.get_device_name(device)}, {memory:.0f} GB"
    other = "; an NVIDIA GPU is there too: cuda" if torch.cuda.is_available() else ""
    return f"CPU, {torch.get_num_threads()} threads{other}"


def _hand_model(args: argparse.Namespace) -> str:
    from ..hand.model import open_hand_model

    return f"open hand, {len(open_hand_model().v_template)} vertices"


def _mano(args: argparse.Namespace) -> str:
    if args.hand_model is None:
        return "not given: the open hand is used"
    from ..hand.model import load_hand_model

    model = load_hand_model(args.hand_model)
    return f"{args.hand_model.name}: {model.side} hand, {len(model.v_template)} vertices"


def _prior(args: argparse.Namespace) -> str:
    from ..methods.open_prior import prior_folder
    from ..training.prior_file import read_prior

    folder = prior_folder(args.prior)
    return f"{folder.name}, trained for {read_prior(folder).step} steps"


def _kernels(args: argparse.Namespace) -> str:
    from ..warp_start import wp

    return f"Warp {wp.config.version}"


def _landmarks(args: argparse.Namespace) -> str:
    import numpy as np

    from ..capture.landmarks import HandDetector

    with HandDetector() as detector:
        detector(np.zeros((96, 96, 3), np.uint8))
    return f"MediaPipe {importlib.metadata.version('mediapipe')} finds hands"
