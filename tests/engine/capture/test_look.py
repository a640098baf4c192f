"""What is seen in a photo before the work: a found hand, none, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.capture.importers import read_keypoints
from engine.capture.look_command import TEMPLATE_SHARE, template_keypoints
from engine.cli import main
from engine.hand.joints import KEYPOINT_NAMES
from engine.hand.model import open_hand_model


def look(*arguments: object) -> int:
    return main(["look", "--progress", "none", *map(str, arguments)])


def test_a_found_hand_with_its_mask_over_the_photo(photo_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hand.palmlook"
    assert look(photo_path, "-o", folder) == 0
    seen = json.loads((folder / "look.json").read_text())
    with Image.open(photo_path) as photo:
        assert tuple(seen["image_size"]) == photo.size
    assert seen["found"] and seen["handedness"] == "left" and seen["quality"]["mask_iou"] > 0.7
    plain, masked = (np.asarray(Image.open(folder / f"{name}.png")).astype(int) for name in ("photo", "seen"))
    assert plain.shape == masked.shape
    # grey outside the hand, as it was inside
    centre = np.mean(seen["keypoints"], axis=0).astype(int)
    assert np.abs(plain - masked)[centre[1], centre[0]].max() <= 2
    assert np.ptp(masked[-1, -1]) <= 1
    # the file that it writes can be given back as keypoints
    assert read_keypoints(folder / "look.json", None, tuple(seen["image_size"])).handedness == "left"


def test_without_a_hand_the_points_start_as_a_flat_hand(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (90, 110, 130)).save(tmp_path / "wall.png")
    assert look(tmp_path / "wall.png", "-o", tmp_path / "wall.palmlook", "--hand", "left") == 0
    seen = json.loads((tmp_path / "wall.palmlook/look.json").read_text())
    assert not seen["found"] and "no hand found" in seen["message"] and seen["handedness"] == "left"
    assert not (tmp_path / "wall.palmlook/seen.png").exists()


@pytest.mark.parametrize(("side", "thumb"), [("right", -1), ("left", 1)])
def test_template_is_the_back_of_an_upright_hand(side: str, thumb: int) -> None:
    points = template_keypoints(open_hand_model(side), (640, 480))
    named = dict(zip(KEYPOINT_NAMES, points, strict=True))
    assert named["middle_tip"][1] < named["middle1"][1] < named["wrist"][1]
    assert (named["thumb_tip"][0] - named["wrist"][0]) * thumb > 50
    assert np.ptp(points, axis=0).max() == pytest.approx(TEMPLATE_SHARE * 480)
    assert (points.min(0) + points.max(0)) / 2 == pytest.approx([320, 240])


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for photo, output, said in (
        ("none.png", "a.palmlook", "does not exist"),
        ("text.png", "a.palmlook", "not a picture"),
        ("text.png", "a", "should end in .palmlook"),
    ):
        assert look(tmp_path / photo, "-o", tmp_path / output) == 2
        assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.png"]
