"""From a photo to a hand in a real Blender window: progress, a cancel, a result that is one undo step, no stall."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from blender_window import ROOT

FASTEST = {"method": "harp", "quality": "draft", "hand": "left"}
STALL_MS = 50.0
GROWTH_MB = 200.0


@pytest.fixture(scope="module")
def engine() -> Path:
    """The engine's Python, which is seen inside at its own path."""
    python = ROOT / ".venv" / "bin" / "python"
    if not python.is_file():
        pytest.skip("THE ENGINE IS NOT SET UP: run `make setup`; nothing was personalised")
    return python


@pytest.fixture(scope="module")
def photo(samples, work) -> Path:
    """The sample under a name with a space and a letter that is not ASCII."""
    return Path(shutil.copy(samples / "two_hands_dorsal.jpg", work / "zwei hände.jpg"))


@pytest.fixture(scope="module")
def window(open_window, installed, engine, work):
    window = open_window(installed)
    window.run("window_jobs.set_preferences", python=engine, output_folder=work / "results")
    window.run("window_jobs.open_sidebar")
    return window


def test_a_job_shows_progress_and_is_cancelled(window, photo, work):
    (job,) = window.run("window_jobs.begin", photo=photo, **FASTEST)
    assert job["state"] == "running"
    running = window.run("window_jobs.wait_for", number=job["number"], states=["running"], fraction=0.02, seconds=120)
    assert running["message"]
    window.photograph("personalize-running")
    assert any("engine" in command for command in window.processes().values())
    window.run("window_jobs.cancel")
    ended = window.run("window_jobs.wait_for", number=job["number"], states=["cancelled", "failed", "done"], seconds=30)
    assert ended["state"] == "cancelled"
    window.photograph("personalize-cancelled")
    assert window.run("window_jobs.objects") == []
    assert [path.name for path in (work / "results").iterdir()] == []
    assert not any(" -m engine " in command for command in window.processes().values())


def test_a_hand_is_made_while_blender_answers(window, photo, record_property):
    before = window.run("window_jobs.objects")
    number = window.run("window_jobs.begin", photo=photo, **FASTEST)[-1]["number"]
    told = window.run("window_jobs.follow", number=number, seconds=400, timeout=420)
    for name, value in told.items():
        record_property(name, value)
    print({name: value for name, value in told.items() if name not in ("messages", "fractions")})  # noqa: T201
    assert told["state"] == "done", told["message"]
    assert len(told["fractions"]) > 10 and told["fractions"] == sorted(told["fractions"])
    after = window.run("window_jobs.objects")
    assert len(after) == len(before) + 2
    window.photograph("personalize-done")
    window.run("window_jobs.undo")
    assert window.run("window_jobs.objects") == before
    window.run("window_jobs.redo")
    assert window.run("window_jobs.objects") == after
    # what the machine's other programs take from Blender is recorded above and not the add-on's
    assert told["busy_ms"] <= STALL_MS
    assert told["grown_mb"] <= GROWTH_MB


def test_nothing_is_left_running(window):
    assert window.close() == {}
