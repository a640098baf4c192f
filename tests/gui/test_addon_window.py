"""The add-on in a real Blender window: installed from the zip, looked at, used from end to end, and taken out."""

from __future__ import annotations

import shutil

import pytest
from blender_window import ROOT

PANELS = ["Personalize", "Avatar", "Pose", "Animate", "Relight", "Dataset", "Export"]
BUSY_MS = 100.0
"""Of the main thread for one frame that plays, its drawing by software included."""
TALL = (1000, 2400)
"""Pixels in which all panels are seen at once, open."""


@pytest.fixture(scope="module")
def window(open_window, installed):
    return open_window(installed)


@pytest.fixture(scope="module")
def saved(work):
    return work / "szene mit hand.blend"


def call(window, operator: str, **arguments: object) -> None:
    assert window.run("window_jobs.call", operator=operator, **arguments) == ["FINISHED"], operator


def test_the_sidebar_has_the_tab(window):
    assert window.run("window_jobs.open_sidebar") == "PALM"
    window.photograph("1-empty")


def test_import_is_seen_undone_and_redone_by_keys(window, avatar):
    before = window.run("window_jobs.objects")
    call(window, "palm.import_avatar", filepath=avatar / "avatar.json")
    after = window.run("window_jobs.objects")
    assert len(after) == len(before) + 2
    window.run("window_jobs.textured")
    window.run("window_jobs.draw", seconds=1.0)
    assert window.run("window_jobs.distance_of_view") < 2.0  # metres: a hand fills it
    window.photograph("2-imported")
    window.run("window_jobs.undo")
    assert window.run("window_jobs.objects") == before
    window.run("window_jobs.redo")
    assert window.run("window_jobs.objects") == after


def test_gestures_are_undone_and_redone(window):
    window.run("window_jobs.select")
    before = window.run("window_jobs.posed")
    call(window, "palm.apply_gesture", gesture="thumbs_up")
    after = window.run("window_jobs.posed")
    assert after != before
    window.photograph("3-posed")
    window.run("window_jobs.undo")
    assert window.run("window_jobs.posed") == before
    window.run("window_jobs.redo")
    assert window.run("window_jobs.posed") == after


def test_a_pose_file_plays(window, record_property):
    call(window, "palm.import_poses", filepath=ROOT / "assets" / "poses" / "finger_movement.npz", wrist="STAY")
    before = window.run("window_jobs.posed")
    told = window.run("window_jobs.play", frames=30, seconds=90.0)
    for name in ("a_second", "busy_ms"):
        record_property(name, told[name])
    print(told)  # noqa: T201
    # none is left out: each was worked out and shown
    first = told["shown"][0]
    assert told["shown"][:30] == list(range(first, first + 30))
    assert told["busy_ms"] < BUSY_MS
    assert window.run("window_jobs.posed") != before
    window.photograph("4-animated")


def test_light_lamps_and_the_photo_s_view(window):
    window.run("window_jobs.select")
    call(window, "palm.light_photo", rotation=0.5)
    call(window, "palm.add_studio")
    there = window.run("window_jobs.light")
    assert there["world"].endswith("light") and there["turned"] == 0.5
    assert there["lamps"] == ["PALM fill", "PALM key", "PALM rim"]
    window.photograph("5-studio")
    call(window, "palm.match_view")
    matched = window.run("window_jobs.light")
    assert matched["camera"].endswith("photo camera") and matched["size"] == [320, 400]
    window.photograph("6-photo-view")
    call(window, "palm.restore_view")
    assert window.run("window_jobs.light")["size"] == there["size"]
    call(window, "palm.remove_studio")
    assert window.run("window_jobs.light")["lamps"] == []
    photo_light = there["world"]
    call(window, "palm.light_environment", environment="city")
    assert window.run("window_jobs.light")["world"] == "city"
    assert window.run("panel_jobs.light_by_asset", name=photo_light) == photo_light


def test_export_writes_a_file(window, work):
    window.run("window_jobs.select")
    call(window, "palm.export_hand", filepath=work / "hand.glb", format="GLTF")
    assert (work / "hand.glb").read_bytes()[:4] == b"glTF"


def test_saved_file_is_opened_again(window, saved):
    before = window.run("window_jobs.objects"), window.run("window_jobs.posed")
    assert window.run("window_jobs.save", path=saved) == ["FINISHED"]
    assert window.run("window_jobs.open_file", path=saved) == before[0]
    assert window.run("window_jobs.posed") == before[1]
    window.run("window_jobs.open_sidebar")
    window.photograph("7-opened-again")


def test_all_panels_are_drawn(open_window, installed, saved):
    window = open_window(installed, size=TALL)
    window.run("panel_jobs.open_panels")
    window.run("window_jobs.open_sidebar")
    assert window.run("panel_jobs.drawn") == PANELS
    window.photograph("8-panels-without-hand")
    window.run("window_jobs.open_file", path=saved, load_ui=False)
    window.run("window_jobs.select")
    window.run("window_jobs.open_sidebar")
    call(window, "palm.add_studio")
    window.run("window_jobs.select")
    assert window.run("panel_jobs.drawn") == PANELS
    window.photograph("9-panels-with-hand")
    assert "Traceback" not in window.said() and "Error" not in window.said(), window.said()
    assert window.close() == {}


def test_taken_out_it_leaves_no_trace(open_window, installed, work):
    """Ticked off, on, off, and removed, in a user folder of its own; each state is compared with that before it was there."""
    user = work / "another user"
    shutil.copytree(installed, user)
    window = open_window(user)
    there = window.run("window_jobs.traces")
    assert there["classes"] and there["operators"] and there["menus"]
    assert window.run("window_jobs.enable", on=False) is False
    without = window.run("window_jobs.traces")
    for kind in ("classes", "operators", "handlers", "menus", "timers", "keys"):
        assert not without[kind], f"{kind} left: {without[kind]}"
    assert not any(without["properties"].values()), without["properties"]
    assert window.run("window_jobs.enable", on=True) is True
    assert window.run("window_jobs.traces") == there
    assert window.run("window_jobs.remove") is False
    assert window.run("window_jobs.traces") == without
    assert not (user / "extensions" / "user_default" / "palm_hands").exists()
    assert window.close() == {}
