"""A photo's keypoints in a real Blender window: looked at, dragged with G, undone, used."""

from __future__ import annotations

import sys

import pytest
from blender_window import ROOT
from PIL import Image

SAMPLE = ROOT.parent / "shared" / "samples" / "two_hands_dorsal.jpg"


@pytest.fixture(scope="module")
def window(open_window, installed):
    if not SAMPLE.is_file():
        pytest.skip("THE SAMPLE PHOTO IS NOT THERE (../shared/samples): nothing was checked")
    # the environment's own path, unresolved: its packages are found by it
    window = open_window(installed, PALM_HANDS_PYTHON=sys.executable)
    window.run("window_jobs.open_sidebar")
    return window


def test_the_detector_s_points_are_dragged_and_undone(window):
    facts = window.run("keypoint_jobs.check_photo", photo=SAMPLE, timeout=300)
    assert facts["points"] == 21 and not facts["moved"], facts
    assert facts["through_camera"] and facts["scene_camera"] is None
    window.photograph("p1-keypoints")
    dragged = window.run("keypoint_jobs.drag", point="index tip")
    assert dragged["moved"] and max(map(abs, dragged["shift_px"])) > 20
    window.photograph("p1-keypoints-dragged")
    window.run("window_jobs.undo")
    assert not window.run("keypoint_jobs.state")["moved"]
    # the click that selected the point was a step too
    window.run("window_jobs.undo")
    window.run("window_jobs.undo")
    assert window.run("keypoint_jobs.state") == {"points": 0, "moved": False}
    window.run("window_jobs.redo")
    assert window.run("keypoint_jobs.state")["points"] == 21
    window.run("window_jobs.call", operator="palm.discard_keypoints")
    assert window.run("keypoint_jobs.state")["points"] == 0
    window.photograph("p1-discarded")


def test_a_photo_without_a_hand_starts_from_a_flat_one(window, work):
    Image.new("RGB", (640, 420), (120, 132, 140)).save(work / "mauer.png")
    facts = window.run("keypoint_jobs.check_photo", photo=work / "mauer.png", timeout=300)
    assert facts["points"] == 21
    window.photograph("p1-template")


def test_the_preferences_are_drawn(window):
    facts = window.run("keypoint_jobs.show_preferences", timeout=240)
    assert facts == {"summary": "the engine is ready", "states": ["works"] * 7}
    window.photograph("p1-preferences")
