"""PALM's folders and our own sets as sequences, to the pixel; labels that belong to another rendering are found."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from published_hands import assert_reprojects, hand_with_mean
from published_sets import write_subject

from engine.datasets.hand_sequence import load_pixels
from engine.datasets.palm import load_frame, read_palm_folder, write_palm_set
from engine.datasets.palm_sequences import read_own_sequences, read_palm_sequences
from engine.datasets.set_files import UNPOSED, Findings
from engine.errors import DatasetError

MODEL = hand_with_mean()


def test_released_subjects_reproject(tmp_path):
    truth = write_subject(tmp_path / "PALM/XR20B/folders", "0007")
    (sequence,) = read_palm_sequences(tmp_path / "PALM", MODEL)
    assert (sequence.name, sequence.handedness, sequence.hand_model) == ("0007", "right", "mano")
    assert sequence.numbers == (1, 2) and sequence.cameras == ("MCU_01", "MCU_02")
    for frame in sequence.frames:  # the file has 32 bits a number
        assert frame.silhouette is not None and frame.keypoints_3d is None
    assert_reprojects(sequence.frames, truth, "right", points=False)
    (relative,) = read_palm_sequences(tmp_path / "PALM", None)
    assert relative.notes == (UNPOSED,)


def test_pixels_are_those_of_the_palm_reader(tmp_path):
    write_subject(tmp_path, "0007")
    (sequence,) = read_palm_sequences(tmp_path, MODEL)
    frame = read_palm_folder(tmp_path, MODEL.hands_mean.numpy()).frames[0]
    pixels, mended = load_pixels(sequence.frames[0]), load_frame(frame)
    np.testing.assert_array_equal(pixels.mask == 255, mended.mask.numpy())
    np.testing.assert_allclose(pixels.image / 255, mended.image_srgb, atol=1e-6)


def test_incomplete_subjects_are_named(tmp_path):
    write_subject(tmp_path, "0007")
    (tmp_path / "0007/images/MCU_02/000002.png").unlink()
    with pytest.raises(DatasetError, match="no picture of frame 000002"):
        list(read_palm_sequences(tmp_path, MODEL))
    findings = Findings(keep_incomplete=True)
    (sequence,) = read_palm_sequences(tmp_path, MODEL, findings, ["0007"])
    assert len(sequence) == 3 and "no picture of frame 000002" in findings.problems[0]


@pytest.mark.parametrize("side", ["right", "left"])
def test_own_sets_have_keypoints_and_sides_of_their_labels(tmp_path, side):
    truth = write_subject(tmp_path / "relit_00/folders", "_train", own=True, side=side)
    write_palm_set(tmp_path / "relit_00", {"hand_model": "PALM Hands open hand", "exact_masks": True})
    shutil.copytree(tmp_path / "relit_00", tmp_path / "relit_01")
    first, second = read_own_sequences(tmp_path)
    assert (first.name, second.name, first.hand_model, first.handedness) == (
        "relit_00/_train", "relit_01/_train", "open", side,
    )  # fmt: skip
    assert first.frames[0].silhouette is None and first.notes == ()
    assert_reprojects(first.frames, truth, side)
    assert [s.name for s in read_own_sequences(tmp_path / "relit_01")] == ["_train"]
    (tmp_path / "relit_01/dataset.json").unlink()
    with pytest.raises(DatasetError, match=r"relit_01 has no dataset\.json: copy the sequence again"):
        list(read_own_sequences(tmp_path))


def test_own_sets_labels_that_do_not_fit(tmp_path):
    write_subject(tmp_path / "folders", "0000", own=True)
    write_palm_set(tmp_path, {"hand_model": None, "exact_masks": True})
    (sequence,) = read_own_sequences(tmp_path)
    assert sequence.hand_model == "open"  # the set does not say so, the joints do
    poses = tmp_path / "folders/0000/poses.npy"
    kept, values = poses.read_bytes(), np.load(poses, allow_pickle=True).item()
    np.save(poses, {**values, "betas": values["betas"] + 3})
    (sequence,) = read_own_sequences(tmp_path)
    assert sequence.hand_model == "avatar"
    poses.write_bytes(kept)
    label = tmp_path / "folders/0000/labels/MCU_01/000001.json"
    values = json.loads(label.read_text())
    for change, message in (
        ({"keypoints_2d": [[x + 3, y] for x, y in values["keypoints_2d"]]}, "3.00 px apart through cameras.npy"),
        ({"keypoints_3d": None}, "keypoints_3d holds"),
        ({"mano": {}}, "does not say which hand it is"),
    ):
        label.write_text(json.dumps({**values, **change}))
        findings = Findings(keep_incomplete=True)
        (sequence,) = read_own_sequences(tmp_path, findings)
        assert len(sequence) == 3 and message in findings.problems[0]
    label.write_text(json.dumps({**values, "mano": {"side": "left"}}))
    with pytest.raises(DatasetError, match="mixes right and left hands"):
        list(read_own_sequences(tmp_path))
    with pytest.raises(DatasetError, match=r"has no dataset\.json"):
        list(read_own_sequences(tmp_path / "folders"))
    shutil.rmtree(tmp_path / "folders/0000/labels")
    (sequence,) = read_own_sequences(tmp_path)
    assert sequence.notes == ("no labels/, so no keypoints",) and len(sequence) == 4


def test_pixels_of_another_size_or_depth_are_refused(tmp_path):
    write_subject(tmp_path, "0007")
    (sequence,) = read_palm_sequences(tmp_path, MODEL)
    frame = sequence.frames[0]
    Image.new("L", (9, 9)).save(frame.mask)
    with pytest.raises(DatasetError, match=r"has 9×9 pixels, but its camera 80×60"):
        load_pixels(frame)
    Image.new("I;16", (80, 60)).save(frame.mask)
    with pytest.raises(DatasetError, match="not 8 bits a channel"):
        load_pixels(frame)
    frame.image.write_bytes(b"x")
    with pytest.raises(DatasetError, match="cannot be read as a picture"):
        load_pixels(frame)
