"""Every picture is read before training starts."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.datasets.palm import read_palm_folder
from engine.datasets.palm_check import whole_frames
from engine.datasets.toy import TINY, make_toy_set
from engine.errors import DatasetError
from engine.progress import silent


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "set"
    make_toy_set(folder, TINY)
    return folder


@pytest.fixture
def subject(toy, tmp_path) -> Path:
    shutil.copytree(toy / "train", tmp_path / "train")
    return tmp_path / "train" / "0000"


def frames_of(subject: Path):
    return read_palm_folder(subject.parent, np.zeros(45)).frames


def spoil_pixels(path: Path) -> None:
    """Damage that the file's structure and check sums do not show."""
    data = bytearray(path.read_bytes())
    start = data.index(b"IDAT") + 4
    end = start + int.from_bytes(data[start - 8 : start - 4], "big")
    data[start + 20 : end] = bytes((7 * value + 13) % 256 for value in data[start + 20 : end])
    data[end : end + 4] = zlib.crc32(bytes(data[start - 4 : end])).to_bytes(4, "big")
    path.write_bytes(bytes(data))


def test_whole_pictures_pass(subject):
    frames = frames_of(subject)
    assert whole_frames(frames, False, silent) == (list(frames), [])
    assert whole_frames([], False, silent) == ([], [])


@pytest.mark.parametrize("kind", ["images", "masks", "normals"])
def test_damage_inside_a_picture_is_found_before_training(subject, kind):
    path = subject / kind / "MCU_01" / "000002.png"
    spoil_pixels(path)
    frames = frames_of(subject)  # headers are whole
    with pytest.raises(DatasetError) as error:
        whole_frames(frames, False, silent)
    assert str(error.value) == f"{path} cannot be read as a picture: copy it again"
    good, left_out = whole_frames(frames, True, silent)
    assert len(good) == len(frames) - 1 and left_out == [str(error.value)]


def test_masks_without_a_hand_are_found_and_nothing_left_is_an_error(subject):
    for path in (subject / "masks").rglob("*.png"):
        with Image.open(path) as mask:
            Image.new("L", mask.size, 0).save(path)
    with pytest.raises(DatasetError, match="shows no hand"):
        whole_frames(frames_of(subject), False, silent)
    with pytest.raises(DatasetError, match="no frame is left"):
        whole_frames(frames_of(subject), True, silent)
