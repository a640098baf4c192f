"""Poses that were found anew, beside the true ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engine.datasets.hand_sequence import HandSequence
from engine.datasets.palm import read_palm_folder
from engine.datasets.palm_sequences import as_hand_frame
from engine.evaluation.avatar_picture import PictureConfig
from engine.evaluation.protocols import HARP_VIDEO
from engine.evaluation.refined_poses import pose_errors
from engine.evaluation.settings import MakingConfig
from engine.evaluation.shots import judged_sequence
from engine.evaluation.unit import ProtocolConfig, evaluate_unit
from engine.hand.model import open_hand_model

ERRORS = ("pa_mpjpe_mm", "mpjpe_mm", "pa_mpvpe_mm", "mpvpe_mm")


@pytest.fixture
def frames(relit_set):
    dataset = read_palm_folder(relit_set / "relit_00", open_hand_model("right").hands_mean.numpy())
    return [as_hand_frame(frame) for frame in dataset.frames if frame.subject == "_val"]


def test_errors_are_of_the_pose_alone(frames):
    model, true = open_hand_model("right"), frames[0]
    assert pose_errors(true, true, model) == pytest.approx(dict.fromkeys(ERRORS, 0), abs=1e-3)
    moved = dataclasses.replace(true, transl=np.add(true.transl, [0.003, 0, 0.004]), betas=true.betas + 1)
    expected = {"pa_mpjpe_mm": 0, "mpjpe_mm": 0, "pa_mpvpe_mm": 0, "mpvpe_mm": 5}
    assert pose_errors(moved, true, model) == pytest.approx(expected, abs=1e-3)
    turned = pose_errors(dataclasses.replace(true, global_orient=true.global_orient + 0.1), true, model)
    assert turned["mpjpe_mm"] > 3
    assert turned["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    bent = pose_errors(dataclasses.replace(true, hand_pose=true.hand_pose + 0.1), true, model)
    assert min(bent.values()) > 0.5


@pytest.mark.slow
def test_a_rendered_sequence_says_how_far_refined_poses_are_off(frames, relit_set, tmp_path):
    model = open_hand_model("right")
    truth = relit_set / "avatars" / "relit_00.palmhand"
    # the same three again: a video has eight pictures and more
    many = tuple(dataclasses.replace(frames[k % 3], label=f"{k}", number=k) for k in range(8))
    sequence = judged_sequence(HandSequence("one", many, "right", "open"), HARP_VIDEO, model, truth)
    config = ProtocolConfig(
        MakingConfig(quality="draft"), PictureConfig(longest_px=64), protocol=HARP_VIDEO, refine_poses=True
    )
    result = evaluate_unit(sequence, "truth", tmp_path, config)
    for scores in (*result.seen_frames.values(), *result.frames.values()):
        assert 0 < scores["pa_mpjpe_mm"] < 10
        assert np.isfinite([scores[name] for name in ERRORS]).all()
