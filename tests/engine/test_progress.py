"""How progress is shown, and how a signal stops the work."""

from __future__ import annotations

import io
import signal

import pytest

from engine import progress as module
from engine.errors import Cancelled
from engine.progress import BarProgress, cancel_on_signal, silent


def test_a_log_gets_a_line_a_stage_and_one_every_tenth():
    stream = io.StringIO()
    bar = BarProgress(stream)
    for step in range(5000):
        bar(step / 10_000, f"geometry: {step * 0.1:.1f} mm off")
    for step in range(5000):
        bar(0.5 + step / 10_000, f"step {step} of 5000: colour")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10 and sum("geometry" in line for line in lines) == 5
    assert lines[0].endswith("geometry: 0.0 mm off") and lines[5].endswith("step 0 of 5000: colour")


def test_the_same_message_is_not_repeated():
    stream = io.StringIO()
    bar = BarProgress(stream)
    for fraction in (0.0, 0.5, 1.0):
        bar(fraction, "writing")
    assert len(stream.getvalue().splitlines()) == 1


def test_signals_close_together_are_one_and_a_later_one_interrupts(monkeypatch, request):
    # a shell's background jobs begin with interrupts ignored; and a busy machine may take a second between two lines
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    monkeypatch.setattr(module, "SAME_SIGNAL_S", 60.0)
    with cancel_on_signal(silent) as checked:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Cancelled):
            checked(0.5)
        monkeypatch.setattr(module, "SAME_SIGNAL_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
