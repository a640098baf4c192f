"""The engine's light transport against actual Cycles renders: axes, reflection, a whole avatar."""

from __future__ import annotations

import importlib.util
import logging
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import ROOT

from engine.lighting.brdf import SKIN_IOR

log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """benchmarks/light_transport.py, whose measures are used here, so that test and benchmark cannot differ."""
    spec = importlib.util.spec_from_file_location("light_transport", ROOT / "benchmarks" / "light_transport.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_bright_texel_lights_the_same_side(blender, benchmark, tmp_path):
    """A ball under an environment of one bright texel, seen by a turned camera: the highlight is where Cycles has it."""
    environment = torch.full((32, 64, 3), 0.05)
    environment[6, 50] = torch.tensor([400.0, 250, 100])
    scores = benchmark.ball_scores(blender, environment, (0.4,), tmp_path, 48)[0.4]
    log.info("measured: ball under one bright texel %s", {name: round(value, 3) for name, value in scores.items()})
    assert scores["psnr_db"] >= 32
    assert scores["iou"] > 0.97
    cycles, engine = np.load(tmp_path / "0.npy")[..., :3], np.load(tmp_path / "engine_0.npy")
    brightest = [centre_of_highlight(picture) for picture in (cycles, engine)]
    assert np.abs(brightest[0] - brightest[1]).max() < 1.0
    # the comparison would notice: a mirrored environment looks nothing like it
    intrinsics, pose, size = benchmark.turned_camera()
    mirrored = benchmark.engine_picture(benchmark.ball(0.4), environment.flip(1), intrinsics, pose, size, 16, 0)
    assert benchmark.compare(mirrored, np.load(tmp_path / "0.npy"))["psnr_db"] < 20


def centre_of_highlight(picture: np.ndarray) -> np.ndarray:
    """Row and column of the brightest part's centre."""
    grey = picture.sum(-1)
    weight = np.where(grey > 0.8 * np.quantile(grey, 0.998), grey, 0)
    rows, columns = np.mgrid[0 : grey.shape[0], 0 : grey.shape[1]]
    return np.array([(rows * weight).sum(), (columns * weight).sum()]) / weight.sum()


def test_principled_is_what_cycles_renders(blender, benchmark, tmp_path):
    """Mean radiance within half a per cent, smooth and rough, under even light: diffuse, gloss and energy terms."""
    scores = benchmark.ball_scores(blender, torch.ones(8, 16, 3), (0.35, 0.8), tmp_path, 24)
    log.info("measured: ball in even light %s", {r: round(s["ratio"], 4) for r, s in scores.items()})
    for roughness, score in scores.items():
        assert abs(score["ratio"] - 1) < 0.005, roughness
        assert score["psnr_db"] >= 30


def test_avatar_looks_as_in_cycles(blender, benchmark, avatar_folders, tmp_path):
    scores = benchmark.avatar_scores(
        blender, avatar_folders["right"][0], benchmark.lamps(64), tmp_path, size=144, samples=48, bounces=1
    )
    log.info("measured: avatar in the engine and in Cycles %s", {n: round(v, 3) for n, v in scores.items()})
    assert scores["psnr_db"] >= benchmark.ASKED_DB
    assert abs(scores["ratio"] - 1) < 0.02
    assert scores["iou"] > 0.97


def test_skin_has_the_optics_that_the_engine_assumes(blender, avatar_folders):
    facts = blender("light_jobs.skin_optics", avatar=avatar_folders["right"][0])
    assert facts == pytest.approx(
        {"IOR": SKIN_IOR, "Specular IOR Level": 0.5, "Metallic": 0, "Coat Weight": 0, "Sheen Weight": 0}
    )
