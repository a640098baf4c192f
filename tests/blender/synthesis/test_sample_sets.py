"""The data sets kept as test data: readable, whole, and what the same seeds give again on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_runs import make
from PIL import Image

from engine.datasets.palm import load_frame, read_palm_folder
from engine.hand.model import open_hand_model

KEPT = Path(__file__).parents[2] / "data" / "synthetic"
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def hands_mean():
    return open_hand_model().hands_mean.numpy()


def test_samples_are_small():
    assert sum(path.stat().st_size for path in KEPT.rglob("*") if path.is_file()) <= MOST_BYTES


@pytest.mark.parametrize(("name", "subjects", "pictures"), [("cohort", 3, 12), ("relit/relit_00", 2, 3)])
def test_samples_can_be_read(hands_mean, name, subjects, pictures):
    data = read_palm_folder(KEPT / name, hands_mean)
    assert (len(data.subjects), len(data.frames)) == (subjects, pictures)
    for frame in data.frames:
        pixels = load_frame(frame)
        assert 0.02 < pixels.mask.float().mean() < 0.5
        assert pixels.image_srgb[pixels.mask].mean() > 0.05


def test_relit_pictures_differ_in_light_not_in_skin():
    """One palm before and after the light changes: albedo means agree, colours do not."""
    home = KEPT / "relit" / "relit_01" / "folders"
    colours, albedos = [], []
    for folder, stem in (("_train", "0001"), ("_val", "0002")):
        mask = np.asarray(Image.open(home / folder / "masks" / "MCU_02" / f"{stem}.png")) > 0
        for kind, into in (("images", colours), ("albedo", albedos)):
            picture = _pixels(home / folder / kind / "MCU_02" / f"{stem}.png")
            into.append((picture / np.iinfo(picture.dtype).max)[mask].mean(0))
    assert np.abs(albedos[0] - albedos[1]).max() < 0.05
    assert np.abs(colours[0] / colours[0].sum() - colours[1] / colours[1].sum()).max() > 0.005


def test_same_seed_gives_the_same_labels(tmp_path):
    """The first subject made again here: numbers equal, pixels equal but for a few that another processor rounds away."""
    recipe = json.loads((KEPT / "cohort" / "recipe.json").read_text())
    root = tmp_path / "again"
    options = ("--seed", recipe["seed"], "--samples", 1, "--device", "cpu", "--no-denoise", "--out", root)
    make("cohort", "--subjects", 1, "--poses", 2, "--cameras", 2, "--size", "128x128", *options)
    ours, theirs = root / "folders" / "0000", KEPT / "cohort" / "folders" / "0000"
    records = sorted(path.relative_to(theirs) for path in theirs.glob("labels/*/*.json"))
    assert len(records) == 4
    for path in records:
        wanted, found = (json.loads((home / path).read_text()) for home in (theirs, ours))
        for name in ("keypoints_3d", "keypoints_2d", "mano", "camera", "light", "person", "seed", "noise_seed"):
            assert found[name] == wanted[name], name
        for kind, most in (("masks", 0), ("depth", 8), ("normals", 2), ("albedo", 128), ("roughness", 128)):
            picture = Path(kind) / path.parent.name / f"{path.stem}.png"
            a, b = (_pixels(home / picture).astype(int) for home in (ours, theirs))
            assert (np.abs(a - b) > most).mean() < 2e-4, kind


def _pixels(path: Path) -> np.ndarray:
    import cv2

    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_whole_sample_resumes_to_itself(tmp_path):
    """A run with --resume on the kept set finds every picture whole and makes none."""
    root = tmp_path / "cohort"
    shutil.copytree(KEPT / "cohort", root)
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    options = ("--size", "128x128", "--samples", 16, "--seed", 11, "--device", "cpu", "--out", root, "--resume")
    said = make("cohort", "--subjects", 3, "--poses", 2, "--cameras", 2, *options)
    assert {path: path.read_bytes() for path in root.rglob("*.png")} == before
    assert "frame 1 of" not in said
