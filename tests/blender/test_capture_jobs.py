"""A video followed from the Animate panel: begun, watched, cancelled, failed, and its motion on the hand."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("version", ["4.5", "5.2"])
def test_a_video_is_followed(blender, avatar_folders, tmp_path, version):
    facts = blender("follow_jobs.follow", version=version, avatar=avatar_folders["right"][0], work=tmp_path)
    assert "the engine is not set up" in facts["no_engine"]
    assert "does not exist" in facts["no_video"]
    assert facts["begun"] == ["FINISHED"]
    texts, operators = facts["running"]
    assert any("follow wave" in text for text in texts)
    assert {"palm.cancel_job", "palm.open_log"} <= set(operators)
    state, message, frames, other_end = facts["done"]
    assert (state, frames) == ("done", [3.0, 6.0]), message
    # four frames need no longer scene, and the one that is looked at is not the hand's
    assert other_end == facts["undisturbed"] == 250
    state, texts, operators = facts["bad"]
    assert state == "failed" and "shows no hand" in " ".join(texts) and "palm.open_log" in operators
    assert "palm.cancel_job" not in operators
    assert facts["long"][0] == "cancelled"
    assert facts["actions"] == 1
