"""A sequence of 150 frames imports at once and plays faster than film."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
from conftest import poses_within_limits, save_poses

log = logging.getLogger(__name__)


def test_sequence_of_150_frames_imports_and_plays(blender, avatar_folders, tmp_path):
    folder, model = avatar_folders["right"]
    ends = poses_within_limits(model, 2, seed=8)
    way = 0.5 - 0.5 * np.cos(np.linspace(0, 4 * np.pi, 150))[:, None]
    names = ("global_orient", "hand_pose", "transl")
    blend = {name: getattr(ends, name)[0] * (1 - way) + getattr(ends, name)[1] * way for name in names}
    poses = dataclasses.replace(ends, **blend, fps=30.0)
    facts = blender(
        "playback_jobs.import_and_play", avatar_folder=folder, poses=save_poses(tmp_path / "poses.npz", poses)
    )
    log.info(
        "measured: %d poses imported in %.3f s (asked <= 2); %d vertices play at %.0f frames/s (asked >= 24)",
        *(facts[name] for name in ("frames", "import_s", "vertices", "fps")),
    )
    alone = 1000 / facts["cpu_ms"]
    log.info("measured: a frame takes %.1f ms of processor time: %.0f a second of one core", facts["cpu_ms"], alone)
    assert facts["frames"] == 150 and facts["vertices"] == 6674
    assert facts["import_s"] <= 2.0
    # the clock also counts what else runs on the machine; one core's own time must be enough
    assert alone >= 24
