"""capture.json and captures.json: what is written is read back, and what is hostile or broken is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.capture.capture_file import (
    Capture,
    Quality,
    read_capture,
    read_captures,
    read_mask,
    write_capture,
    write_captures,
)
from engine.errors import CaptureError, OutputError


@pytest.fixture
def capture() -> Capture:
    generator = np.random.default_rng(0)
    return Capture(
        handedness="left",
        image="photos/hand.jpg",
        image_sha256="0" * 64,
        image_size=(40, 30),
        K=np.array([[50, 0, 20], [0, 50, 15], [0, 0, 1.0]]),
        betas=generator.normal(size=10),
        global_orient=generator.normal(size=3),
        hand_pose=generator.normal(size=45),
        transl=generator.normal(size=3),
        keypoints_2d=generator.normal(size=(21, 2)),
        joints_3d=generator.normal(size=(21, 3)),
        quality=Quality(1.5, 0.01, 0.93, None),
        focal_source="exif",
        hand_model="open",
    )


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((30, 40), bool)
    mask[5:20, 10:33] = True
    return mask


def same(one: Capture, other: Capture) -> None:
    for name in Capture.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_round_trip(tmp_path: Path, capture: Capture, mask: np.ndarray) -> None:
    written = write_capture(tmp_path / "capture.json", capture, mask)
    again = read_capture(tmp_path / "capture.json")
    same(written, again)
    assert again.mask == "capture_mask.png"
    np.testing.assert_array_equal(read_mask(tmp_path / "capture.json", again), mask)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["capture.json", "capture_mask.png"]


def test_captures_round_trip(tmp_path: Path, capture: Capture, mask: np.ndarray) -> None:
    second = replace(capture, transl=np.ones(3))
    write_captures(tmp_path / "c.json", [capture, None, second], [mask, None, ~mask], 25.0)
    captures, fps = read_captures(tmp_path / "c.json")
    assert fps == 25.0 and captures[1] is None and len(captures) == 3
    assert captures[0] is not None and captures[2] is not None
    np.testing.assert_array_equal(captures[2].transl, 1)
    np.testing.assert_array_equal(captures[0].betas, capture.betas)
    np.testing.assert_array_equal(read_mask(tmp_path / "c.json", captures[2]), ~mask)
    raw = json.loads((tmp_path / "c.json").read_text())
    assert "K" in raw and "K" not in raw["frames"][0]


def test_every_frame_keeps_its_own_image(tmp_path: Path, capture: Capture, mask: np.ndarray) -> None:
    names = ["frames/8.png", "frames/9.png"]
    write_captures(tmp_path / "c.json", [replace(capture, image=name) for name in names], [mask, mask], None)
    captures, _ = read_captures(tmp_path / "c.json")
    assert [one.image for one in captures if one is not None] == names


def test_existing_output_is_kept(tmp_path: Path, capture: Capture, mask: np.ndarray) -> None:
    (tmp_path / "capture.json").write_text("precious")
    with pytest.raises(OutputError, match="--force"):
        write_capture(tmp_path / "capture.json", capture, mask)
    assert (tmp_path / "capture.json").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1
    write_capture(tmp_path / "capture.json", capture, mask, force=True)
    same(read_capture(tmp_path / "capture.json"), replace(capture, mask="capture_mask.png"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("schema_version", 99, "newer"),
        ("schema_version", None, "no schema_version"),
        ("handedness", "both", "handedness"),
        ("betas", [0.0] * 9, "betas has shape"),
        ("betas", [10**400] * 10, "betas holds no numbers"),
        ("hand_pose", [float("nan")] * 45, "hand_pose holds NaN"),
        ("transl", "here", "transl"),
        ("K", [[0, 0, 0]] * 3, "K is not"),
        ("K", [[50, 2, 20], [0, 50, 15], [0, 0, 1]], "K has skew"),
        ("image_size", [40, -1], "image_size"),
        ("image", 7, "image is not a text"),
        ("quality", {"mask_iou": 1}, "quality.reprojection_px"),
        ("quality", {"reprojection_px": 10**400}, "quality.reprojection_px"),
        ("mask", "../../etc/secret.png", "not the name of a PNG"),
        ("mask", "/etc/secret.png", "not the name of a PNG"),
        ("mask", "C:\\secret.png", "not the name of a PNG"),
        ("mask", "mask.exe", "not the name of a PNG"),
    ],
)
def test_broken_fields(
    tmp_path: Path, capture: Capture, mask: np.ndarray, field: str, value: Any, message: str
) -> None:
    path = tmp_path / "capture.json"
    write_capture(path, capture, mask)
    raw = json.loads(path.read_text())
    raw[field] = value
    path.write_text(json.dumps(raw))
    with pytest.raises(CaptureError, match=message) as caught:
        read_capture(path)
    assert "capture.json" in str(caught.value) and "\n" not in str(caught.value)


def test_video_file_where_a_photo_is_wanted(tmp_path: Path, capture: Capture, mask: np.ndarray) -> None:
    write_captures(tmp_path / "c.json", [capture], [mask], None)
    with pytest.raises(CaptureError, match="video"):
        read_capture(tmp_path / "c.json")


def test_mask_of_another_size_is_refused(tmp_path: Path, capture: Capture) -> None:
    with pytest.raises(CaptureError, match="40×30"):
        write_capture(tmp_path / "capture.json", capture, np.ones((10, 10), bool))
    assert not list(tmp_path.iterdir())


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path, capture: Capture, mask: np.ndarray) -> None:
    class Breaks(list):
        def __iter__(self):
            yield mask
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_captures(tmp_path / "captures.json", [capture, capture], Breaks([mask, mask]), 25.0)
    assert list(tmp_path.iterdir()) == []
