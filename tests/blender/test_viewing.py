"""New hands stand where they are asked for."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.2"])
def test_new_hands_stand_in_their_scene_and_beside_each_other(blender, avatar_folders, tmp_path, version):
    facts = blender("viewing_jobs.places", version=version, avatar=avatar_folders["right"][0], work=tmp_path)
    cursor = np.array([3.0, -2.0, 1.0])
    # scripts find the hand where the photo's camera, at the origin, saw it
    assert np.linalg.norm(facts["script"]) < 1.5
    np.testing.assert_allclose(facts["cursor"], cursor, atol=1e-5)
    for place, times in zip(facts["beside"], (1, 2), strict=True):
        beside = np.array([2 * times * facts["radius"], 0, 0])
        np.testing.assert_allclose(place, cursor + beside, atol=1e-4)
    assert facts["off_px"] < 0.05
    assert facts["asked"] == 1 and facts["looked_at"] == [0, True]
    assert facts["found"] == ["asked", "Scene"]
