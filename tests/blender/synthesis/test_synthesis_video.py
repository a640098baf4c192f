"""Videos show the pictures that they are made of, on every Blender."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from package_modules import module


def pictures(folder: Path, count: int, size: tuple[int, int] = (64, 48)) -> list[Path]:
    """Flat colours with a bar that moves: where it stands tells the frame."""
    paths = []
    for k in range(count):
        image = np.full((size[1], size[0], 3), (60, 130, 200), np.uint8)
        image[:, 8 * k : 8 * k + 8] = (250, 240, 230)
        paths.append(folder / f"{k + 1:06d}.png")
        cv2.imwrite(str(paths[-1]), image)
    return paths


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.0", "5.2"])
def test_frames_order_colours_and_rate(blender, tmp_path, version):
    made = pictures(tmp_path, 6)
    film = tmp_path / "film.mp4"
    assert blender("video_jobs.encode", version, pictures=made, fps=29.97, file=film)["bytes"] > 500
    stream = cv2.VideoCapture(str(film))
    assert stream.get(cv2.CAP_PROP_FPS) == pytest.approx(29.97, abs=0.005)
    frames = [frame for ok, frame in iter(stream.read, (False, None)) if ok]
    assert len(frames) == 6
    for frame, path in zip(frames, made, strict=True):
        assert frame.shape == (48, 64, 3)
        assert np.abs(frame.astype(int) - cv2.imread(str(path)).astype(int)).mean() < 5
    assert sorted(os.listdir(tmp_path)) == sorted(["film.mp4", *(path.name for path in made)])


def test_pictures_that_no_video_can_hold(blender, tmp_path):
    made = pictures(tmp_path, 1, (65, 48))
    line = blender("video_jobs.encode_refused", pictures=made, file=tmp_path / "film.mp4")["message"]
    assert "65x48" in line
    assert not (tmp_path / "film.mp4").exists()


def test_an_encoder_that_dies_is_one_line(tmp_path, monkeypatch):
    commands, processes, errors = (
        module(name)
        for name in (
            "palm_blender.synthesis.dataset_commands", "palm_blender.synthesis.worker_process", "engine.errors",
        )
    )  # fmt: skip
    monkeypatch.setattr(processes, "worker_command", lambda: [sys.executable, "-c", "raise SystemExit('no encoder')"])
    np.savez(tmp_path / "poses.npz", hand_pose=np.zeros((2, 45)))
    parser = argparse.ArgumentParser()
    commands.add_verbs(parser.add_subparsers(dest="verb"))
    words = ("animate", "hand.palmhand", "--poses", tmp_path / "poses.npz", "--env", "rig", "--size", 64)
    args = parser.parse_args([*map(str, words), "--out", str(tmp_path / "film.mp4")])
    with pytest.raises(errors.PalmError, match=r"film\.mp4 could not be made .*no encoder.*--resume") as refusal:
        commands._encode(args, commands.recipe_of(args), SimpleNamespace(out=tmp_path), lambda label, value: None)
    assert "\n" not in str(refusal.value)
