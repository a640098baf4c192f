"""FreiHAND: the camera of every sample, the knuckle that places the hand, and the four blocks of backgrounds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from published_hands import assert_reprojects, hand_with_mean
from published_sets import edit, make_freihand

from engine.datasets.freihand import BACKGROUNDS, read_freihand
from engine.datasets.set_files import UNPOSED, Findings
from engine.errors import DatasetError

MODEL = hand_with_mean()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("freihand")
    return root, make_freihand(root)


@pytest.fixture
def root(made, tmp_path) -> Path:
    shutil.copytree(made[0], tmp_path / "set")
    return tmp_path / "set"


def test_all_backgrounds_reproject(made):
    (sequence,) = read_freihand(made[0], MODEL, BACKGROUNDS)
    assert sequence.name == "training" and sequence.handedness == "right" and len(sequence) == 12
    assert sequence.numbers == (0, 1, 2) and sequence.cameras == BACKGROUNDS
    assert sequence.notes == ("3 samples, where the published training part has 32560",)
    assert_reprojects(sequence.frames, made[1], "right")
    for frame in sequence.frames:
        assert frame.mask.name == f"{frame.number:08d}.jpg"
        assert frame.image.name == f"{frame.number + 3 * BACKGROUNDS.index(frame.camera):08d}.jpg"


def test_green_screens_alone_and_unknown_backgrounds(made):
    (sequence,) = read_freihand(made[0], MODEL)
    assert [frame.label for frame in sequence.frames] == [f"{n:08d} gs" for n in range(3)]
    with pytest.raises(DatasetError, match="no backgrounds blue: use gs, hom"):
        list(read_freihand(made[0], MODEL, ["blue"]))


def test_without_a_model_the_hand_stands_at_its_knuckle(made):
    (sequence,) = read_freihand(made[0], None)
    assert UNPOSED in sequence.notes
    for frame in sequence.frames:
        np.testing.assert_allclose(frame.transl, frame.keypoints_3d[4], atol=1e-12)


def test_evaluation_of_the_first_version_has_no_poses_and_of_the_second_is_read(root):
    for kind in ("K", "xyz"):
        shutil.copy(root / f"training_{kind}.json", root / f"evaluation_{kind}.json")
    (root / "evaluation/rgb").mkdir(parents=True)
    for sample in range(3):
        shutil.copy(root / f"training/rgb/{sample:08d}.jpg", root / "evaluation/rgb")
    findings = Findings(keep_incomplete=True)
    assert [s.name for s in read_freihand(root, MODEL, findings=findings)] == ["training"]
    assert "version 1 of the set has no evaluation poses" in findings.problems[0]
    shutil.copy(root / "training_mano.json", root / "evaluation_mano.json")
    training, evaluation = read_freihand(root, MODEL)
    assert len(evaluation) == 3 and evaluation.frames[0].mask is None and evaluation.frames[0].label == "00000000"
    np.testing.assert_array_equal(evaluation.frames[2].transl, training.frames[2].transl)


def set_hand(place: int, number: float):
    def change(hands: list) -> None:
        hands[1][0][place] = number

    return change


DAMAGES = {
    "another version's poses": (
        lambda r: edit(r / "training_mano.json", lambda v: v[:2]),
        "training_K.json has 3 samples, _mano.json 2, _xyz.json 3: the files are of different versions",
        0,
    ),
    "no cameras": (lambda r: (r / "training_K.json").unlink(), "training_K.json is missing", 0),
    "an object": (lambda r: edit(r / "training_K.json", lambda v: {"K": v}), "holds dict, not a list", 0),
    "short poses": (
        lambda r: edit(r / "training_mano.json", lambda v: [[hand[0][:58]] for hand in v]),
        "sample 0: mano has 58 numbers, not 61: it is of another version",
        0,
    ),
    "a NaN": (lambda r: edit(r / "training_mano.json", set_hand(7, float("nan"))), "sample 1: mano holds NaN", 2),
    "a number out of all measure": (lambda r: edit(r / "training_mano.json", set_hand(50, 1e300)), "holds 1e.300, far beyond", 2),
    "no scale": (lambda r: edit(r / "training_mano.json", set_hand(60, 0.0)), "sample 1: the hand's scale is 0", 2),
    "joints missing": (
        lambda r: edit(r / "training_xyz.json", lambda v: [v[0], v[1][:20], v[2]]),
        r"sample 1: xyz has shape \(20, 3\)",
        2,
    ),
    "a camera of another size": (
        lambda r: edit(r / "training_K.json", lambda v: [v[0], [[960, 0, 400], [0, 960, 400], [0, 0, 1]], v[2]]),
        "sample 1: the camera matrix does not fit pictures of 224×224",
        2,
    ),
    "a picture missing": (
        lambda r: (r / "training/rgb/00000001.jpg").unlink(),
        r"lacks 1 picture of 3 \(00000001\.jpg\): unpack it again",
        2,
    ),
    "pictures without annotations": (
        lambda r: shutil.copy(r / "training/rgb/00000001.jpg", r / "training/rgb/00000099.jpg"),
        r"has pictures without annotations \(00000099\.jpg\)",
        3,
    ),
    "a mask missing": (
        lambda r: (r / "training/mask/00000001.jpg").unlink(),
        r"has 2 masks for 3 samples \(missing: 00000001\.jpg\)",
        2,
    ),
    "a picture of another size": (
        lambda r: Image.new("RGB", (320, 320)).save(r / "training/rgb/00000002.jpg"),
        "has 320×320 pixels, the others of its camera 224×224",
        2,
    ),
    "deep brackets": (lambda r: (r / "training_xyz.json").write_text("[" * 100_000), "is no JSON file", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_named(root, name):
    damage, message, usable = DAMAGES[name]
    damage(root)
    with pytest.raises(DatasetError, match=message):
        list(read_freihand(root, MODEL))
    findings = Findings(keep_incomplete=True)
    assert sum(map(len, read_freihand(root, MODEL, findings=findings))) == usable and findings.count
