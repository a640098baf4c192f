"""The live window on a real X server, moved by real events; skipped only where there is neither a display nor Xvfb."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from small_avatar import untrained_xhand, write_small_avatar

from engine.cli import main
from engine.errors import Cancelled
from engine.methods.view_open import open_hand
from engine.methods.view_scene import open_and_close
from engine.methods.view_window import Studio, ViewState, ViewWindow
from engine.progress import silent

PATIENCE_S = 60.0
SIZE = (120, 100)


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A screen's name."""
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    pytest.importorskip("PIL.ImageTk", reason="this Pillow has no ImageTk")
    if shutil.which("Xvfb") is None:
        if not os.environ.get("DISPLAY"):
            pytest.skip("there is neither a display nor Xvfb")
        yield os.environ["DISPLAY"]
        return
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(writer,), stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as answer:
        name = f":{answer.readline().strip()}"
    yield name
    server.terminate()
    server.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    folder = tmp_path_factory.mktemp("window") / "hand.palmhand"
    write_small_avatar(folder, learned=untrained_xhand())
    opened = open_hand(folder, torch.device("cpu"))
    poses = open_and_close(opened.hand, opened.own.global_orient, opened.own.transl, 8)
    return Studio(opened, poses)


@pytest.fixture
def window(display, studio, monkeypatch) -> Iterator[ViewWindow]:
    monkeypatch.setenv("DISPLAY", display)
    shown = ViewWindow(Studio(studio.opened, None), ViewState(size=SIZE), None, silent)
    yield shown
    shown.close()


def until(window: ViewWindow, reached: Callable[[], bool]) -> None:
    """Let the window live until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end, f"it did not come about: {window.status.get()}"
        window.root.update()
        time.sleep(0.005)


def still(window: ViewWindow) -> np.ndarray:
    """The sharp picture of what the window holds."""
    until(window, lambda: window.shown and window.shown.state == window.state and not window.shown.moving)
    return window.shown.frame.pixels.astype(int)


def test_sliders_mouse_and_wheel_change_the_picture(window):
    first = still(window)
    assert first.shape == (*SIZE[::-1], 4) and (first[..., 3] == 255).mean() > 0.1
    assert window.status.get().startswith("120×100: mesh ")
    slider = window.scales["middle"]
    slider.update()
    # press beside the knob, which moves it, and drag the knob
    slider.set(0.9)
    until(window, lambda: window.state.sliders.middle == pytest.approx(0.9))
    bent = still(window)
    assert (np.abs(bent - first).max(-1) > 40).mean() > 0.01
    picture = window.picture
    picture.event_generate("<ButtonPress-1>", x=40, y=40)
    picture.event_generate("<B1-Motion>", x=70, y=50)
    picture.event_generate("<ButtonRelease-1>", x=70, y=50)
    until(window, lambda: window.state.azimuth != 0)
    assert window.state.azimuth == pytest.approx(-0.24) and window.state.elevation == pytest.approx(0.08)
    turned = still(window)
    assert (np.abs(turned - bent).max(-1) > 40).mean() > 0.02
    picture.event_generate("<Button-4>", x=40, y=40)
    until(window, lambda: window.state.zoom > 1)
    assert (still(window)[..., 3] == 255).sum() > 1.1 * (turned[..., 3] == 255).sum()
    window.scales["light_degrees"].set(120.0)
    until(window, lambda: window.state.light_degrees == 120.0)
    lit = still(window)
    window.neural.set(True)
    window._switch_neural()
    assert np.abs(still(window)[..., :3] - lit[..., :3]).max() > 5
    window.reset()
    assert np.abs(still(window) - first).max() < 256 and window.state.sliders.middle == 0
    told = window.report()
    assert told["count"] >= 5 and told["mesh_ms"] > 0 and told["while_moving_per_second"] > 0


def test_bent_too_far_is_said_in_the_status(window):
    window.scales["index"].set(1.0)
    until(window, lambda: "beyond the poses that the hand was learned from" in window.status.get())


def test_the_window_lives_while_a_picture_is_drawn(window, monkeypatch):
    still(window)
    draw, running = window.studio.draw, []

    def slow(*arguments):
        running.append(arguments)
        time.sleep(0.4)
        return draw(*arguments)

    monkeypatch.setattr(window.studio, "draw", slow)
    began = time.monotonic()
    for share in np.linspace(0.1, 0.6, 12):
        window.scales["ring"].set(share)
        window.root.update()
    assert time.monotonic() - began < 0.4 * 12 / 3
    still(window)
    # no queue: of twelve moves the first, what was newest then, and the sharp one are drawn
    assert len(running) <= 5 and running[-1][0].sliders.ring == pytest.approx(0.6)


def test_poses_are_played_until_a_slider_is_moved(display, studio, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)
    window = ViewWindow(studio, ViewState(size=SIZE), 200.0, silent)
    seen = set()
    until(window, lambda: seen.add(window.state.played) or len(seen) > 3)
    window.scales["index"].set(0.5)
    until(window, lambda: window.state.played is None)
    assert not window.play.get()
    window.close()


def test_it_can_be_cancelled(display, studio, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)

    def cancel(*_, **__):
        raise Cancelled

    window = ViewWindow(Studio(studio.opened, None), ViewState(size=SIZE), None, cancel)
    with pytest.raises(Cancelled):
        window.run()


def test_without_a_display_the_line_names_the_alternative(studio, monkeypatch, tmp_path, capsys):
    pytest.importorskip("tkinter")
    monkeypatch.delenv("DISPLAY", raising=False)
    if sys.platform != "linux":
        pytest.skip("windows of this system need no DISPLAY")
    write_small_avatar(tmp_path / "hand.palmhand")
    assert main(["view", str(tmp_path / "hand.palmhand"), "--progress", "none"]) == 2
    error = capsys.readouterr().err
    assert "there is no window" in error and "--out FOLDER" in error and error.count("\n") == 1


def test_without_tkinter_the_line_names_the_package(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "tkinter", None)
    write_small_avatar(tmp_path / "hand.palmhand")
    assert main(["view", str(tmp_path / "hand.palmhand"), "--progress", "none"]) == 2
    assert "no tkinter" in capsys.readouterr().err
