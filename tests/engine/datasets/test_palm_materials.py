"""True albedo and roughness beside a synthetic set's pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.datasets.palm import PalmFrame, read_palm_folder
from engine.datasets.palm_materials import load_materials, material_files
from engine.errors import DatasetError
from engine.hand.model import open_hand_model

COHORT = Path(__file__).parents[2] / "data" / "synthetic" / "cohort"


@pytest.fixture
def frame(tmp_path: Path) -> PalmFrame:
    shutil.copytree(COHORT, tmp_path / "set")
    return read_palm_folder(tmp_path / "set", open_hand_model().hands_mean.numpy()).frames[0]


def test_materials_lie_where_the_frames_picture_does(frame):
    files = material_files(frame)
    assert files is not None
    found = load_materials(frame, files)
    with Image.open(files.albedo) as picture:
        assert np.array_equal(found.albedo_srgb.numpy(), np.asarray(picture))
    assert found.roughness.shape == (frame.height, frame.width)


def test_roughness_is_the_square_of_blenders(frame):
    files = material_files(frame)
    Image.fromarray(np.full((frame.height, frame.width), 32_768, np.uint16)).save(files.roughness)
    assert load_materials(frame, files).roughness.numpy() == pytest.approx(0.25, abs=1e-4)


def test_a_set_without_materials_has_none(frame):
    material_files(frame).roughness.unlink()
    assert material_files(frame) is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda files: files.albedo.write_bytes(b"no picture"), r"albedo.* cannot be read as a picture: copy it again"),
        (lambda files: files.albedo.write_bytes(files.albedo.read_bytes()[:-200]), r"cannot be read as a picture"),
        (lambda files: Image.new("RGB", (8, 8)).save(files.albedo), r"is 8×8 of uint8, not 128×128 of uint8"),
        (lambda files: Image.new("L", (128, 128)).save(files.roughness), r"128×128 of uint8, not .* of uint16"),
        (
            lambda files: Image.new("L", (128, 128)).save(files.albedo),
            r"wrong number of channels: render the set again",
        ),
    ],
)
def test_damaged_materials_are_named(frame, spoil, message):
    files = material_files(frame)
    spoil(files)
    with pytest.raises(DatasetError, match=message):
        load_materials(frame, files)
