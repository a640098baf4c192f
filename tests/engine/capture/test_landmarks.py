"""The detector on the shared photo, on changed copies of it, and on pictures without a hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.capture.images import load_photo
from engine.capture.landmarks import HandLandmarks, choose_hand, find_hands, is_colourless, skin_tinted
from engine.capture.session import metric_trust
from engine.errors import CaptureError
from engine.hand.joints import KEYPOINT_NAMES


@pytest.fixture(scope="module")
def photo(photo_path: Path) -> np.ndarray:
    return load_photo(photo_path).pixels


@pytest.fixture(scope="module")
def hands(photo: np.ndarray) -> list[HandLandmarks]:
    return find_hands(photo)


def test_both_hands_are_left_ones(hands: list[HandLandmarks]) -> None:
    # backs of hands, thumb to the right of upright fingers: the same left hand twice, once turned by half
    assert [hand.handedness for hand in hands] == ["left", "left"]
    assert hands[0].diagonal >= hands[1].diagonal


def test_keypoints_are_in_the_projects_order(hands: list[HandLandmarks]) -> None:
    upright = min(hands, key=lambda hand: hand.keypoints_2d[:, 0].mean())
    points = dict(zip(KEYPOINT_NAMES, upright.keypoints_2d, strict=True))
    assert points["middle_tip"][1] < points["middle3"][1] < points["middle1"][1] < points["wrist"][1]
    tips = [points[f"{name}_tip"][0] for name in ("pinky", "ring", "middle", "index", "thumb")]
    assert tips == sorted(tips)
    # seen by eye in the 720-pixel picture: the nail of the middle finger and the wrist
    assert points["middle_tip"] == pytest.approx([186, 22], abs=8)
    assert points["wrist"] == pytest.approx([135, 350], abs=20)


def test_a_mirrored_photo_shows_right_hands(photo: np.ndarray) -> None:
    assert [hand.handedness for hand in find_hands(photo[:, ::-1])] == ["right", "right"]


def test_grey_photo(photo: np.ndarray) -> None:
    grey = np.repeat(np.asarray(Image.fromarray(photo).convert("L"))[..., None], 3, axis=-1)
    assert len(find_hands(grey)) == 2


def test_small_hand_in_a_large_picture(photo: np.ndarray) -> None:
    small = np.asarray(Image.fromarray(photo[:, :370]).resize((185, 191), Image.Resampling.LANCZOS))
    large = np.full((1600, 1600, 3), 255, np.uint8)
    large[1350:1541, 80:265] = small
    hand = choose_hand(find_hands(large), None, "picture")
    middle = hand.keypoints_2d.mean(0)
    assert 80 < middle[0] < 265 and 1350 < middle[1] < 1541


def test_no_hand() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    with pytest.raises(CaptureError, match="no hand found in noise"):
        choose_hand(find_hands(noise), None, "noise")


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("right", "no right hand"),
        ("5", "out of range"),
        ("middle", "not left, right or an index"),
        ("²", "not left, right"),
    ],
)
def test_asking_for_a_hand_that_is_not_there(hands: list[HandLandmarks], which: str, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        choose_hand(hands, which, "photo")


def test_choosing_by_side_and_index(hands: list[HandLandmarks]) -> None:
    assert choose_hand(hands, None, "") is hands[0]
    assert choose_hand(hands, "left", "") is hands[0]
    assert choose_hand(hands, "1", "") is hands[1]


def test_trust_in_3d_that_agrees_with_2d() -> None:
    points = np.random.default_rng(1).normal(0, 0.04, (21, 3))
    hand = HandLandmarks("right", 1.0, points[:, :2] * 3000 + 200, np.ones(21), points)
    assert metric_trust(hand) == pytest.approx(1.0)
    wrong = HandLandmarks("right", 1.0, -points[:, :2] * 3000, np.ones(21), points)
    assert metric_trust(wrong) == pytest.approx(0.02)


@pytest.mark.parametrize("tint", [(1, 1, 1), (1, 0.85, 0.6), (0.45, 0.75, 1)])
def test_a_photo_without_colours_shows_the_same_hands(
    photo: np.ndarray, hands: list[HandLandmarks], tint: tuple[float, float, float]
) -> None:
    grey = (photo @ np.array([0.299, 0.587, 0.114]))[..., None] * np.array(tint)
    found = find_hands(grey.astype(np.uint8))
    assert [hand.handedness for hand in found] == [hand.handedness for hand in hands]
    for like in hands:
        off = min(np.linalg.norm(hand.keypoints_2d - like.keypoints_2d, axis=1).mean() for hand in found)
        # 0.022 and 0.030 without the tint of skin
        assert off < 0.01 * like.diagonal


def test_what_counts_as_colourless(photo: np.ndarray) -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 3, axis=2).repeat(48, axis=0)
    assert is_colourless(ramp) and is_colourless((ramp * np.array([0.4, 0.6, 1])).astype(np.uint8))
    assert not is_colourless(photo)
    # a coloured light on a coloured hand leaves it its colours
    assert not is_colourless((photo * np.array([0.4, 0.6, 1])).astype(np.uint8))
    assert is_colourless(np.zeros((8, 8, 3), np.uint8))
    tinted = skin_tinted(ramp).astype(int)
    assert tinted[0, 0].tolist() == [0, 0, 0] and tinted[0, -1].tolist() == [255, 255, 255]
    red, green, blue = tinted[0, 1:-1].T
    assert (red >= green).all() and (green >= blue).all() and (np.diff(red) > 0).all()
