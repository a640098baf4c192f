"""Jobs in a real Blender window that end otherwise than well: queued, cancelled, Blender reset or quit beneath them."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

FASTEST = {"method": "harp", "quality": "draft", "hand": "left"}
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def photo(samples, work) -> Path:
    return Path(shutil.copy(samples / "two_hands_dorsal.jpg", work / "zwei hände, zweimal.jpg"))


@pytest.fixture(scope="module")
def start(open_window, installed, work):
    """Open a window whose add-on knows its engine; panel: the one that is open alone."""

    def opened(panel: str | None = None):
        window = open_window(installed, PALM_HANDS_PYTHON=sys.executable)
        if panel is not None:
            window.run("panel_jobs.open_panels", only=panel)
        window.run("window_jobs.set_preferences", output_folder=work / "other results")
        window.run("window_jobs.open_sidebar")
        return window

    return opened


def at_work(window) -> list[str]:
    """Command lines of what the window has started and that computes."""
    return [command for command in window.processes().values() if " -m engine " in command or "build.py" in command]


def wait_until_idle(window) -> None:
    end = time.monotonic() + PATIENCE_S
    while at_work(window) and time.monotonic() < end:
        time.sleep(0.2)
    assert at_work(window) == []


def test_a_second_job_queues_and_follows(start, photo):
    window = start()
    first = window.run("window_jobs.begin", photo=photo, **FASTEST)[-1]["number"]
    states = [job["state"] for job in window.run("window_jobs.begin", photo=photo, **FASTEST)]
    assert states == ["running", "waiting"]
    window.run("window_jobs.wait_for", number=first, states=["running"], fraction=0.02, seconds=120)
    window.photograph("queue")
    assert len(at_work(window)) == 1
    window.run("window_jobs.cancel", number=first)
    window.run("window_jobs.wait_for", number=first, states=["cancelled"], seconds=PATIENCE_S)
    window.run("window_jobs.wait_for", number=first + 1, states=["running"], seconds=PATIENCE_S)
    window.run("window_jobs.cancel")
    window.run("window_jobs.wait_for", number=first + 1, states=["cancelled"], seconds=PATIENCE_S)
    assert window.close() == {}


def test_a_data_set_is_cancelled_and_keeps_what_is_whole(start, work):
    window = start()
    out = work / "set"
    number = window.run("window_jobs.render_set", out=out, subjects=1, poses=50, width=64, height=64, samples=1)
    window.run("window_jobs.wait_for", number=number, states=["running"], fraction=0.01, seconds=180, timeout=200)
    window.photograph("dataset-running")
    window.run("window_jobs.cancel")
    window.run("window_jobs.wait_for", number=number, states=["cancelled"], seconds=PATIENCE_S)
    wait_until_idle(window)
    pictures = list(out.rglob("images/**/*.png"))
    assert pictures and not list(out.rglob("*.tmp"))
    window.photograph("dataset-cancelled")
    assert window.close() == {}


def test_a_sequence_is_rendered_from_the_panel(start, work):
    """Hands in motion are a kind of the panel like the others."""
    window = start(panel="Dataset")
    out = work / "in motion"
    few = {"subjects": 1, "moments": 2, "around": 3, "width": 48, "height": 64, "samples": 1}
    number = window.run("window_jobs.render_set", verb="sequence", out=out, **few)
    window.run("window_jobs.wait_for", number=number, states=["done"], seconds=180, timeout=200)
    assert "Dataset" in window.run("panel_jobs.drawn")
    window.photograph("dataset-sequence")
    assert len(list(out.rglob("images/DOME_0?/00000?.png"))) == 6 and len(list(out.rglob("surface/*.npz"))) == 3
    assert window.close() == {}


def test_factory_settings_end_the_job(start, photo):
    """Blender without the add-on has nothing of it left, the engine's process included, and goes on."""
    window = start()
    number = window.run("window_jobs.begin", photo=photo, **FASTEST)[-1]["number"]
    window.run("window_jobs.wait_for", number=number, states=["running"], fraction=0.02, seconds=120)
    assert at_work(window)
    window.run("window_jobs.factory_settings")
    wait_until_idle(window)
    left = window.run("window_jobs.traces")
    for kind in ("classes", "operators", "handlers", "menus", "timers", "keys"):
        assert not left[kind], f"{kind} left: {left[kind]}"
    assert window.run("window_jobs.objects")
    assert window.close() == {}


def test_quitting_ends_the_job(start, photo):
    window = start()
    number = window.run("window_jobs.begin", photo=photo, **FASTEST)[-1]["number"]
    window.run("window_jobs.wait_for", number=number, states=["running"], fraction=0.02, seconds=120)
    assert at_work(window)
    assert window.close() == {}
