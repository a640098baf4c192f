"""The benchmark must fail when a promise is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from PIL import Image
from test_build import build
from test_real_photo import benchmark


def measure(avatar) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "benchmarks" / "blender.py"), str(avatar), "--skip-rig"]
    return subprocess.run(
        [*command, "--size", "80", "--samples", "4"], capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture
def own_render(avatar_folders, tmp_path):
    """An avatar whose photo and mask are its own render: every promise about its re-render is kept."""
    avatar, picture = tmp_path / "own.palmhand", tmp_path / "own.png"
    shutil.copytree(avatar_folders["right"][0], avatar)
    done = build("render", avatar, "-o", picture, "--size", 80, "--samples", 16)
    assert done.returncode == 0, done.stderr
    with Image.open(picture) as image:
        image.convert("RGB").save(avatar / "photo.png")
        image.getchannel("A").save(avatar / "mask.png")
    return avatar


def test_benchmark_says_that_promises_are_kept(own_render):
    done = measure(own_render)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "asked >= 20: met" in done.stdout
    assert "asked >= 0.9: met" in done.stdout


@pytest.mark.parametrize("mask", [255, 0])
def test_benchmark_fails_for_another_photo(own_render, mask):
    """A white photo, masked everywhere (nothing fits) or nowhere (nothing can be measured)."""
    Image.new("RGB", (80, 100), "white").save(own_render / "photo.png")
    Image.new("L", (80, 100), mask).save(own_render / "mask.png")
    done = measure(own_render)
    assert done.returncode == 1, done.stdout + done.stderr
    for asked in ("20", "0.9"):
        assert f"asked >= {asked}: NOT MET" in done.stdout


def test_benchmark_fails_with_the_rig_s_tests(monkeypatch, capsys):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k no_test_of_this_name")
    assert benchmark().measure_rig() is False
    assert "NOT MET" in capsys.readouterr().out
