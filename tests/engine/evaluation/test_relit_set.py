"""Reading a HARP-relit set."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from engine.errors import DatasetError
from engine.evaluation.known_capture import captured, known_capture
from engine.evaluation.relit_set import read_light, read_relit_set
from engine.evaluation.true_frame import true_frame
from engine.hand.model import open_hand_model

MODEL = open_hand_model("right")
LABEL = "relit_00/folders/_val/labels/MCU_02/000002.json"


def test_a_sequence_with_all_that_is_known(relit_set):
    (sequence,) = read_relit_set(relit_set, MODEL)
    assert sequence.name == "relit_00"
    assert [lit.label for lit in sequence.unseen] == ["000001", "000002", "000003"]
    assert (sequence.seen.frame.subject, sequence.seen.light.rotation, sequence.seen.light.strength) == ("_train", 0, 1)
    assert sequence.seen.light.environment == relit_set / "environments" / "a.exr"
    assert sequence.unseen[0].light.environment == relit_set / "environments" / "b.exr"
    assert sequence.truth == relit_set / "avatars" / "relit_00.palmhand"
    assert sequence.seen.albedo is not None


def test_light_is_turned_and_scaled(relit_set):
    light = read_relit_set(relit_set, MODEL)[0].unseen[0].light
    plain = read_light(dataclasses.replace(light, rotation=0.0, strength=1.0))
    assert plain.shape == (128, 256, 3)
    brighter = read_light(dataclasses.replace(light, rotation=0.0))
    torch.testing.assert_close(brighter, light.strength * plain)
    # a whole number of texels is a roll to the left: azimuth grows from right to left
    texels = 40
    rolled = read_light(dataclasses.replace(light, rotation=texels * 2 * np.pi / 256, strength=1.0))
    torch.testing.assert_close(rolled, plain.roll(-texels, 1), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "environments" / "b.exr").unlink(), "b.exr"),
        (lambda root: (root / "environments" / "b.exr").write_bytes(b"no picture"), "cannot be read"),
        (lambda root: (root / LABEL).unlink(), "does not exist"),
        (lambda root: (root / LABEL).write_text(json.dumps({"light": {"environment": "b"}})), "rotation"),
        (lambda root: (root / LABEL).write_text(json.dumps({"light": 3})), "does not say"),
        (lambda root: (root / "relit_00/dataset.json").write_text(json.dumps({"hand_model": "x"})), "hand model 'x'"),
        (lambda root: shutil.rmtree(root / "relit_00" / "folders" / "_val"), "0 _val"),
        (lambda root: shutil.rmtree(root / "relit_00"), "holds no relit_00"),
        (shutil.rmtree, "not a folder"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(relit_set, tmp_path, damage, message):
    root = tmp_path / "set"
    shutil.copytree(relit_set, root)
    damage(root)
    with pytest.raises(DatasetError, match=message):
        for sequence in read_relit_set(root, MODEL):
            read_light(sequence.unseen[0].light)


def test_truth_at_its_own_size_and_at_half(relit_set):
    lit = read_relit_set(relit_set, MODEL)[0].unseen[0]
    whole, half = true_frame(lit.frame, lit.albedo), true_frame(lit.frame, lit.albedo, lit.frame.width // 2)
    assert whole.mask.shape == (lit.frame.height, lit.frame.width)
    assert half.mask.shape == (lit.frame.height // 2, lit.frame.width // 2)
    assert half.intrinsics[0, 0] == pytest.approx(float(whole.intrinsics[0, 0]) / 2)
    assert half.mask.float().mean() == pytest.approx(float(whole.mask.float().mean()), abs=0.02)
    assert torch.allclose(half.normals[half.mask].norm(dim=-1), torch.ones(1), atol=1e-5)
    # edges are of the skin's albedo, not darkened by what lies behind
    assert half.albedo_srgb[half.mask].min() > 0.4
    assert half.albedo_srgb[~half.mask].max() == 0
    assert true_frame(lit.frame, lit.albedo, 10_000).mask.shape == whole.mask.shape


def test_known_capture_is_the_sets_own(relit_set):
    sequence = read_relit_set(relit_set, MODEL)[0]
    frame = sequence.seen.frame
    made = captured(sequence.photo)
    capture = made.capture
    assert made.mask.shape == made.image.shape[:2] == (frame.height, frame.width)
    assert (capture.handedness, capture.hand_model) == ("right", "open")
    np.testing.assert_array_equal(capture.hand_pose, frame.hand_pose)
    # the keypoints of a hand lie on the hand
    columns, rows = capture.keypoints_2d.astype(int).T
    assert made.mask[rows.clip(0, frame.height - 1), columns.clip(0, frame.width - 1)].mean() > 0.8
    assert known_capture(frame, MODEL).capture.image_sha256 == capture.image_sha256
    with pytest.raises(ValueError, match="known or detected"):
        captured(sequence.photo, "guessed")
