"""build.py as users run it: results, and one line for everything that can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, poses_within_limits, python_with_blender, save_poses
from PIL import Image


def build(*arguments: object, version: str = "4.5", timeout: float = 240) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    python = python_with_blender(version)
    if python is None:
        pytest.skip(f"BLENDER {version} IS NOT INSTALLED: run `python tools/setup_bpy.py`; nothing was checked")
    command = [python, str(ROOT / "build.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)


def assert_refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """Exit status 2 and exactly one line, which names the problem."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def avatar(avatar_folders) -> Path:
    return avatar_folders["right"][0]


@pytest.fixture
def broken(avatar, tmp_path) -> Path:
    copy = tmp_path / "broken.palmhand"
    shutil.copytree(avatar, copy)
    return copy


def test_scene_is_written_whole(avatar, tmp_path):
    done = build("scene", avatar, "-o", tmp_path / "hand.blend")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "hand.blend") in done.stdout
    assert (tmp_path / "hand.blend").stat().st_size > 100_000
    assert os.listdir(tmp_path) == ["hand.blend"]


def test_render_says_where_and_on_what(avatar, avatar_folders, tmp_path):
    """A posed render in one of Blender's environments; the same seed gives the same pixels; the photo's shape stays."""
    model = avatar_folders["right"][1]
    poses = save_poses(tmp_path / "poses.json", poses_within_limits(model, 3, seed=1))
    pictures = []
    for name in ("a.png", "b.png"):
        done = build(
            *("render", avatar, "-o", tmp_path / name, "--pose", poses, "--frame", 2, "--env", "sunset"),
            *("--size", 100, "--samples", 4, "--seed", 3, "--device", "cpu"),
        )
        assert done.returncode == 0, done.stderr
        assert "CPU" in done.stdout
        assert str(tmp_path / name) in done.stdout
        pictures.append(np.asarray(Image.open(tmp_path / name)))
    assert pictures[0].shape == (100, 80, 4)
    assert (pictures[0] == pictures[1]).all()
    covered = pictures[0][..., 3] > 0
    assert 0.02 < covered.mean() < 0.9
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.png", "poses.json"]


def test_turntable_photo_background_and_force(avatar, tmp_path):
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    common = ("--samples", 2, "--size", 64, "--force", "--no-denoise")
    done = build("render", avatar, "-o", out, "--camera", "turntable", "--frame", 30, *common)
    assert done.returncode == 0, done.stderr
    turned = np.asarray(Image.open(out))
    assert turned.shape == (64, 64, 4)
    alpha = turned[..., 3] > 127
    assert alpha.any()
    assert not (alpha[0].any() or alpha[-1].any() or alpha[:, 0].any() or alpha[:, -1].any())
    done = build("render", avatar, "-o", out, "--background", "photo", *common)
    assert done.returncode == 0, done.stderr
    over = np.asarray(Image.open(out))[..., :3]
    assert tuple(over[0, 0]) == (40, 60, 90)


@pytest.mark.parametrize("version", ["4.2", "5.0", "5.2"])
def test_scene_and_render_on_other_versions(avatar, tmp_path, version):
    done = build("scene", avatar, "-o", tmp_path / "hand.blend", version=version)
    assert done.returncode == 0, done.stderr
    done = build("render", avatar, "-o", tmp_path / "a.png", "--size", 48, "--samples", 2, version=version)
    assert done.returncode == 0, done.stderr
    assert np.asarray(Image.open(tmp_path / "a.png")).shape == (48, 38, 4)


@pytest.mark.parametrize("name", ["mesh.npz", "avatar.json", "albedo.png", "environment.exr"])
def test_avatar_that_lacks_a_file(broken, tmp_path, name):
    (broken / name).unlink()
    assert_refused(build("scene", broken, "-o", tmp_path / "out.blend"), "lacks", name)
    assert not (tmp_path / "out.blend").exists()


def test_avatar_of_a_newer_schema(broken, tmp_path):
    values = json.loads((broken / "avatar.json").read_text())
    (broken / "avatar.json").write_text(json.dumps({**values, "schema_version": 99}))
    assert_refused(build("render", broken, "-o", tmp_path / "out.png"), "99", "newer")
    assert not (tmp_path / "out.png").exists()


def test_environment_that_is_damaged(broken, tmp_path):
    (broken / "environment.exr").write_bytes(b"\x76\x2f\x31\x01" + b"\0" * 100)
    assert_refused(build("scene", broken, "-o", tmp_path / "out.blend"), "environment.exr")
    assert not (tmp_path / "out.blend").exists()


def test_pose_with_nan(avatar, tmp_path):
    (tmp_path / "pose.json").write_text(json.dumps({"hand_pose": [float("nan")] * 45}))
    assert_refused(build("render", avatar, "-o", tmp_path / "out.png", "--pose", tmp_path / "pose.json"), "NaN")
    assert not (tmp_path / "out.png").exists()


def test_arguments_that_cannot_be(avatar, avatar_folders, tmp_path):
    """Each is refused before anything is rendered, and nothing appears in the output's folder."""
    results = tmp_path / "results"
    results.mkdir()
    out = results / "out.png"
    poses = save_poses(tmp_path / "poses.json", poses_within_limits(avatar_folders["right"][1], 3, seed=1))
    for arguments, words in (
        (["--pose", poses, "--frame", 3], ["--frame 3", "0 to 2"]),
        (["--pose", tmp_path / "none.json"], ["none.json", "does not exist"]),
        (["--env", "nowhere"], ["nowhere", "sunset"]),
        (["--size", 0], ["--size 0"]),
        (["--samples", 0], ["--samples 0"]),
        (["--env-rotation", "nan"], ["--env-rotation nan"]),
        (["--env-rotation=-inf"], ["--env-rotation -inf"]),
        (["--env-strength", "inf"], ["--env-strength inf"]),
        (["--env-strength", "nan"], ["--env-strength nan"]),
        (["--env", "x" * 300], ["File name too long"]),
        (["--device", "gpu"], ["no GPU"]) if shutil.which("nvidia-smi") is None else (["--size", -1], ["--size"]),
    ):
        assert_refused(build("render", avatar, "-o", out, *arguments), *words)
    assert_refused(build("render", tmp_path / "none.palmhand", "-o", out), "none.palmhand")
    assert_refused(build("render", tmp_path / ("x" * 300), "-o", out), "File name too long")
    assert_refused(build("render", avatar, "-o", results / "out.gif"), ".png")
    assert_refused(build("scene", avatar, "-o", results / "out.png"), ".blend")
    assert os.listdir(results) == []


def test_output_that_exists_or_cannot_be_written(avatar, tmp_path):
    out = tmp_path / "out.blend"
    out.write_bytes(b"precious")
    assert_refused(build("scene", avatar, "-o", out), "exists already", "--force")
    assert out.read_bytes() == b"precious"
    assert_refused(build("scene", avatar, "-o", tmp_path / "none" / "out.blend"), "not a folder")
    assert_refused(build("render", avatar, "-o", out / "inside.png"), "not a folder")
    assert_refused(build("render", avatar, "-o", "/proc/out.png"), "cannot write")
    assert os.listdir(tmp_path) == ["out.blend"]


def test_help_is_instant_and_needs_no_blender(tmp_path):
    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "build.py"), "render", "--help"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert "--camera" in done.stdout, done.stderr


def test_memory_that_is_not_there_gives_one_line():
    code = f"""
import importlib, sys
sys.path.insert(0, {str(ROOT)!r})
import build
build.load_package()
console = importlib.import_module("palm_hands.palm_blender.console")
errors = importlib.import_module("palm_hands.engine.errors")
try:
    with console.one_line_errors():
        bytearray(1 << 62)
except errors.PalmError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("not enough memory"), done.stderr
