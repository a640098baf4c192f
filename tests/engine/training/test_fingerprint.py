"""What must be the same when a training goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.training.fingerprint import described, differences, frames_digest


def test_other_pictures_or_annotations_are_other_data(setting, tmp_path):
    frames = setting.training.frames
    first = frames_digest(frames)
    assert frames_digest(list(frames)) == first
    moved = tmp_path / "elsewhere.png"
    moved.write_bytes(frames[0].image.read_bytes())
    assert frames_digest([replace(frames[0], image=moved), *frames[1:]]) == first
    moved.write_bytes(b"x")
    others = (
        replace(frames[0], image=moved),
        replace(frames[0], transl=np.asarray(frames[0].transl) + 1e-6),
        replace(frames[0], normal=None),
    )
    assert all(frames_digest([other, *frames[1:]]) != first for other in others)
    assert frames_digest(frames[1:]) != first


def test_differences_are_named_with_both_values():
    before = {"schedule": {"total_steps": 12, "warm_up": 0.1}, "seed": 1, "betas": [0.1]}
    now = {"schedule": {"total_steps": 24, "warm_up": 0.1}, "seed": 1, "betas": [0.2], "new": None}
    found = differences(before, now, "configuration")
    assert found == ["configuration.schedule.total_steps (was 12, now 24)", "configuration.betas"]
    assert differences(now, now, "x") == []
    assert described(["a", "b", "c", "d"]) == "a, b, c and 1 more"
