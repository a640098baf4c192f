"""OpenEXR files written with the same bytes every time, read back here and by the OpenEXR library; lights."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import OpenEXR
import pytest
from package_modules import module

exr = module("palm_blender.synthesis.exr_files")
environments = module("palm_blender.synthesis.environments")
errors = module("engine.errors")


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (37, 20), (16, 33)])
def test_round_trip(tmp_path, half, shape):
    pixels = np.random.default_rng(0).normal(0, 3, (*shape, 3)).astype(np.float32)
    pixels[0, 0] = (0, 1e6, -1e6)
    for name in ("a.exr", "b.exr"):
        exr.write_rgb(tmp_path / name, pixels, half)
    assert (tmp_path / "a.exr").read_bytes() == (tmp_path / "b.exr").read_bytes()
    kept = np.clip(pixels, -65504, 65504).astype(np.float16) if half else pixels
    np.testing.assert_array_equal(exr.read_rgb(tmp_path / "a.exr"), kept)
    with OpenEXR.File(str(tmp_path / "a.exr")) as file:
        np.testing.assert_array_equal(file.channels()["RGB"].pixels, kept)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "light.exr"
    exr.write_rgb(path, np.ones((20, 20, 3)))
    whole = path.read_bytes()
    for content in (b"", b"words", whole[:100], whole[:-5]):
        path.write_bytes(content)
        with pytest.raises(errors.InputError, match="light"):
            exr.read_channels(path)


def test_a_block_that_unpacks_to_more_than_its_lines_is_refused_unread(tmp_path):
    path = tmp_path / "light.exr"
    exr.write_rgb(path, np.ones((16, 4096, 3)))
    content = path.read_bytes()
    # the table of blocks has one entry, which points right behind itself
    start = next(k for k in range(8, len(content)) if content[k - 8 : k] == struct.pack("<Q", k))
    bomb = zlib.compress(bytes(200 << 20))
    path.write_bytes(content[: start + 4] + struct.pack("<i", len(bomb)) + bomb)
    tracemalloc.start()
    with pytest.raises(errors.InputError, match="light"):
        exr.read_channels(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10 << 20


def test_rig_is_even_and_neutral():
    light = environments.rig_radiance(64)
    assert light.shape == (64, 128, 3) and light.min() > 0.05
    np.testing.assert_array_equal(light[..., 0], light[..., 2])
    # what a white sheet facing the horizon returns, all round
    polar = np.pi * (np.arange(64) + 0.5) / 64
    azimuth = 2 * np.pi * (0.5 - (np.arange(128) + 0.5) / 128)
    facing = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    weight = np.sin(polar)[None, :, None] ** 2 * np.clip(np.cos(azimuth - facing[:, None]), 0, None)[:, None]
    returned = (weight * light[..., 0]).sum((1, 2)) * (np.pi / 64) ** 2 / np.pi
    assert np.ptp(returned) < 0.1 * returned.mean() and 0.7 < returned.mean() < 1.2


def test_candidates(tmp_path):
    assert environments.candidates("rig") == ("rig",)
    for name in ("b.hdr", "a.exr", "notes.txt", "._a.exr"):
        (tmp_path / name).write_bytes(b"x")
    assert [name.rsplit("/", 1)[-1] for name in environments.candidates(str(tmp_path))] == ["a.exr", "b.hdr"]
    with pytest.raises(errors.InputError, match="no known name"):
        environments.candidates("nowhere")
