"""A stretch of the shared video, and a folder of its frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.capture.capture_file import read_captures, read_mask, write_captures
from engine.capture.landmarks import HandLandmarks
from engine.capture.options import CaptureOptions
from engine.capture.video import VideoResult, capture_video, open_video, smoothness_links
from engine.cli import main
from engine.errors import CaptureError

FRAMES = 20


@pytest.fixture(scope="module")
def film(samples: Path) -> Path:
    return samples / "asl_hand_25fps.mp4"


@pytest.fixture(scope="module")
def result(film: Path) -> VideoResult:
    return capture_video(film, last=FRAMES)


def test_every_frame_is_captured_well(result: VideoResult) -> None:
    found = [capture for capture in result.captures if capture is not None]
    assert len(found) == FRAMES
    assert {capture.handedness for capture in found} == {"right"}
    assert result.fps == 25
    assert np.mean([capture.quality.reprojection_relative for capture in found]) <= 0.02
    assert np.mean([capture.quality.mask_iou for capture in found]) >= 0.88


def test_shape_is_shared_and_pose_is_smooth(result: VideoResult) -> None:
    found = [capture for capture in result.captures if capture is not None]
    assert all((capture.betas == found[0].betas).all() for capture in found)
    places = np.array([capture.transl for capture in found])
    # 25 pictures a second: no hand leaves the straight line through its neighbours by two centimetres
    assert np.linalg.norm(np.diff(places, 2, axis=0), axis=-1).max() < 0.02


def test_written_and_read(result: VideoResult, tmp_path: Path) -> None:
    captures = list(result.captures)
    masks = [result.masks[number] for number in range(FRAMES)]
    captures[3] = masks[3] = None
    write_captures(tmp_path / "c.json", captures, masks, result.fps)
    again, fps = read_captures(tmp_path / "c.json")
    assert fps == 25 and len(again) == FRAMES and again[3] is None
    assert again[5] is not None and again[5].frame == 5
    np.testing.assert_array_equal(read_mask(tmp_path / "c.json", again[5]), masks[5])


def test_folder_with_a_frame_without_a_hand(film: Path, tmp_path: Path) -> None:
    frames = [frame for frame, _ in zip(open_video(film).frames(), range(5), strict=False)]
    frames[2] = np.full_like(frames[2], 128)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).resize((310, 540)).save(tmp_path / f"frame{number + 8}.png")
    result = capture_video(tmp_path)
    assert [capture is not None for capture in result.captures] == [True, True, False, True, True]
    # 8, 9, 10, 11, 12: by number, not by letters
    assert [Path(c.image).name for c in result.captures if c is not None][:3] == [
        "frame8.png",
        "frame9.png",
        "frame11.png",
    ]
    assert result.frame_result(2) is None and result.frame_result(3) is not None


def test_frame_names_with_digits_that_are_no_numbers(tmp_path: Path) -> None:
    for name in ("2²3.png", "2.png"):
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    assert len(open_video(tmp_path).files) == 2


def test_frames_of_different_sizes(film: Path, tmp_path: Path) -> None:
    frame = next(open_video(film).frames())
    Image.fromarray(frame).save(tmp_path / "0.png")
    Image.fromarray(frame[:-10]).save(tmp_path / "1.png")
    with pytest.raises(CaptureError, match="another size"):
        capture_video(tmp_path)


def test_parts_of_a_photo_are_refused(film: Path, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="--mask belongs to one photo"):
        capture_video(film, CaptureOptions(mask=tmp_path / "m.png"))


def test_no_hand_in_any_frame(tmp_path: Path) -> None:
    for number in range(2):
        Image.new("RGB", (200, 200), (20, 90, 30)).save(tmp_path / f"{number}.png")
    with pytest.raises(CaptureError, match="no hand found"):
        capture_video(tmp_path)


def test_links_are_weak_where_the_hand_is_quick() -> None:
    still = HandLandmarks("right", 1.0, np.random.default_rng(0).uniform(0, 100, (21, 2)), np.ones(21), None)
    jump = replace(still, keypoints_2d=still.keypoints_2d + 30)
    links = smoothness_links(np.array([0, 1, 2, 3, 4, 6]), [still, still, still, jump, jump, jump])
    assert links[1] == 1 and links[0] == links[-1] == 0
    assert 0 < links[2] < 0.05
    assert links[4] == 0


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("frames", ["-o", "c.json"], "c_masks exists already"),
        ("frames", ["-o", "c.json", "--overlay", "frames/0.png", "--force"], "would replace frames/0.png"),
        ("c_masks", ["-o", "c.json", "--force"], "c_masks would replace c_masks"),
        ("c_masks/0.mp4", ["-o", "c.json", "--force"], "c_masks would replace"),
        ("frames", ["-o", "c.json", "--overlay", "c_masks/ov.png", "--force"], "both to be written"),
    ],
)
def test_outputs_are_checked_before_any_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("frames", "c_masks"):
        Path(folder).mkdir()
        for name in ("0.png", "0.mp4"):
            Path(folder, name).write_text("precious")
    assert main(["capture", "--progress", "none", source, *options]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "0.mp4",
        "0.mp4",
        "0.png",
        "0.png",
        "c_masks",
        "frames",
    ]
    assert all(path.read_text() == "precious" for path in tmp_path.rglob("*") if path.is_file())
