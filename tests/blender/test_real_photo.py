"""The whole way: a real photo becomes an avatar, and Cycles renders the photo back through its camera."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from types import ModuleType

from conftest import ROOT
from test_build import build

log = logging.getLogger(__name__)


def benchmark() -> ModuleType:
    """benchmarks/blender.py, whose measure and numbers are used here, so that test and benchmark cannot differ."""
    spec = importlib.util.spec_from_file_location("benchmark_blender", ROOT / "benchmarks" / "blender.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_photo_comes_back_through_its_camera(samples, tmp_path):
    avatar, picture = tmp_path / "hand.palmhand", tmp_path / "hand.png"
    command = [sys.executable, "-m", "engine", "personalize", str(samples / "two_hands_dorsal.jpg"), "-o", str(avatar)]
    done = subprocess.run(
        [*command, "--method", "harp", "--quality", "draft", "--progress", "none"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    done = build("render", avatar, "-o", picture, "--size", 720, "--samples", 16)
    assert done.returncode == 0, done.stderr
    scores = benchmark().compare_with_photo(picture, avatar)
    log.info("measured: draft avatar against its photo: %s", {name: round(value, 3) for name, value in scores.items()})
    assert scores["psnr_db"] >= 20
    assert scores["iou"] >= 0.9
