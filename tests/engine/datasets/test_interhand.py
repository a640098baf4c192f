"""InterHand2.6M: what is written by its formulas is read back to the pixel, and files that do not fit are named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from published_hands import assert_reprojects, hand_with_mean, write_picture
from published_sets import make_interhand

from engine.datasets.hand_sequence import load_pixels
from engine.datasets.interhand import InterHandChoice, complete_palm_sequences, read_interhand, read_palm_selection
from engine.datasets.interhand_selection import PALM_SEQUENCES
from engine.datasets.set_files import UNPOSED, Findings
from engine.errors import DatasetError
from engine.hand.model import open_hand_model

MODEL = hand_with_mean()
ANNOTATIONS = "annotations/test/InterHand2.6M_test_{}.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("interhand")
    return root, make_interhand(root)


@pytest.fixture
def root(made, tmp_path) -> Path:
    shutil.copytree(made[0], tmp_path / "set")
    return tmp_path / "set"


def edit(path: Path, change) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_right_hand_reprojects(made):
    (sequence,) = read_interhand(made[0], MODEL)
    assert (sequence.name, sequence.handedness, sequence.hand_model) == (
        "test_c0_ROM03_RT_No_Occlusion_right", "right", "mano",
    )  # fmt: skip
    assert sequence.cameras == ("400262", "400451") and sequence.numbers == (12966, 13080, 13194) and len(sequence) == 6
    assert_reprojects(sequence.frames, made[1], "right")
    pixels = load_pixels(sequence.frames[0])
    assert pixels.image.shape == (512, 334, 3) and pixels.image.dtype == np.uint8 and pixels.mask is None


def test_left_hand_reprojects_with_the_right_hands_model_or_its_own(tmp_path):
    truth = make_interhand(tmp_path, "left", sequence="ROM03_LT_No_Occlusion")
    for model in (MODEL, hand_with_mean("left")):
        (sequence,) = read_interhand(tmp_path, model)
        assert sequence.handedness == "left"
        assert_reprojects(sequence.frames, truth, "left")


def test_choice_of_what_is_read(made):
    choice = InterHandChoice("test", "0", "ROM03_RT_No_Occlusion", ("400451",), (13194, 1), "right")
    (sequence,) = read_interhand(made[0], MODEL, choice)
    assert [frame.label for frame in sequence.frames] == ["cam400451/image13194"]
    for nothing in ({"split": "val"}, {"capture": "1"}, {"sequence": "../.."}, {"hand": "left"}):
        assert not list(read_interhand(made[0], MODEL, InterHandChoice(**nothing)))


def test_without_a_model_poses_stay_relative_and_a_flat_mean_is_refused(made):
    (sequence,) = read_interhand(made[0], None)
    (posed,) = read_interhand(made[0], MODEL)
    assert UNPOSED in sequence.notes and UNPOSED not in posed.notes
    offset = posed.frames[0].hand_pose - sequence.frames[0].hand_pose
    np.testing.assert_allclose(offset, MODEL.hands_mean.numpy())
    with pytest.raises(DatasetError, match="relative to MANO's mean pose, which 'PALM Hands open hand' does not have"):
        list(read_interhand(made[0], open_hand_model()))


def test_palms_sequences_are_found_and_what_is_missing_is_named(tmp_path):
    selection = PALM_SEQUENCES[0]
    assert len(PALM_SEQUENCES) == 12 and len({s.name for s in PALM_SEQUENCES}) == 12
    assert selection.name == "c0_ROM03_RT_No_Occlusion_400262" and selection.numbers[-1] == 15132
    assert PALM_SEQUENCES[-1].numbers[::19] == (24004, 24460) and PALM_SEQUENCES[-1].camera == "400469"
    make_interhand(tmp_path, numbers=(1, *selection.numbers), cameras=("400262", "400270"))
    (sequence,) = read_palm_selection(tmp_path, MODEL, names=[selection.name])
    assert sequence.name == selection.name and sequence.numbers == selection.numbers and sequence.cameras == ("400262",)
    assert complete_palm_sequences(tmp_path) == (selection.name,)
    (tmp_path / "images/test/Capture0/ROM03_RT_No_Occlusion/cam400262/image12966.jpg").unlink()
    assert not complete_palm_sequences(tmp_path)
    findings = Findings(keep_incomplete=True)
    (sequence,) = read_palm_selection(tmp_path, MODEL, findings)
    assert len(sequence) == 19 and findings.count == 13
    assert "has 19 of 20 pictures (missing: image12966)" in findings.problems[0]
    assert "lacks image12966, the one to personalise from" in findings.problems[1]
    assert "has no pictures of c0_ROM03_RT_No_Occlusion_400451" in findings.problems[2]
    with pytest.raises(DatasetError, match="no sequence c9_x"):
        list(read_palm_selection(tmp_path, MODEL, names=["c9_x"]))


def test_the_first_releases_layout_is_read_too(root, made):
    (root / "annotations/test").rename(root / "annotations/all")
    edit(root / ANNOTATIONS.format("joint_3d").replace("/test/", "/all/"), first_release)
    (sequence,) = read_interhand(root, MODEL)
    assert_reprojects(sequence.frames, made[1], "right")


def first_release(joints: dict) -> None:
    joints["0"] = {number: entry["world_coord"] for number, entry in joints["0"].items()}


def no_joint(joints: dict) -> None:
    joints["0"]["13080"]["joint_valid"][3] = [0]


def test_invalid_joints_are_nan_and_frames_of_the_other_hand_left_out(root):
    edit(root / ANNOTATIONS.format("joint_3d"), no_joint)
    edit(
        root / ANNOTATIONS.format("MANO_NeuralAnnot"), lambda v: v["0"].update({"12966": {"right": None, "left": None}})
    )
    (sequence,) = read_interhand(root, MODEL)
    missing = np.isnan(sequence.frames[0].keypoints_3d).all(1)
    assert np.nonzero(missing)[0].tolist() == [13] and sequence.numbers == (13080, 13194)
    assert "1 moment of 3 without a right hand left out" in sequence.notes


def test_masks_of_ones_own_are_found_beside_the_pictures(root):
    place = root / "masks/test/Capture0/ROM03_RT_No_Occlusion/cam400262"
    for number in (12966, 13194):
        write_picture(place / f"image{number}.png", (334, 512), 255)
    findings = Findings(keep_incomplete=True)
    (sequence,) = read_interhand(root, MODEL, None, findings)
    assert "cam400262 has 1 picture without a mask (image13080): make them too" in findings.problems[0]
    masked = [frame.label for frame in sequence.frames if frame.mask is not None]
    assert masked == ["cam400262/image12966", "cam400262/image13194"] and len(sequence) == 5
    assert sequence.notes == () and load_pixels(sequence.frames[0]).mask.min() == 255


MANO, CAMERA, JOINTS = (ANNOTATIONS.format(kind) for kind in ("MANO_NeuralAnnot", "camera", "joint_3d"))
VIEW = "images/test/Capture0/ROM03_RT_No_Occlusion/cam400262"
DAMAGES = {
    "no cameras": (lambda r: (r / CAMERA).unlink(), r"_camera\.json is missing", 0),
    "the withdrawn poses": (
        lambda r: (r / MANO).rename(r / ANNOTATIONS.format("MANO")),
        "is of the withdrawn release .* download InterHand2.6M_test_MANO_NeuralAnnot.json",
        0,
    ),
    "a list": (lambda r: (r / MANO).write_text("[1]"), "holds list, not an object: it is of another version", 0),
    "cut off": (lambda r: (r / MANO).write_bytes((r / MANO).read_bytes()[:900]), "is no JSON file", 0),
    "poses by camera": (
        lambda r: edit(r / MANO, lambda v: v["0"].update({"12966": {"400262": {}}})),
        "frame 12966 is no pair of right and left: it is of another version",
        4,
    ),
    "a short pose": (
        lambda r: edit(r / MANO, lambda v: v["0"]["12966"]["right"].update(pose=[0.0] * 12)),
        r"frame 12966, right: pose has shape \(12,\), not 48",
        4,
    ),
    "a NaN": (
        lambda r: edit(r / MANO, lambda v: v["0"]["13080"]["right"].update(trans=[0, float("nan"), 0])),
        "frame 13080, right: trans holds NaN",
        4,
    ),
    "no shape": (
        lambda r: edit(r / MANO, lambda v: v["0"]["13080"]["right"].pop("shape")),
        "frame 13080, right has no shape: it is of another version",
        4,
    ),
    "a camera that no file knows": (
        lambda r: (r / VIEW).rename(r / VIEW.replace("400262", "400999")),
        "has no camera 400999, but .*cam400999 has pictures",
        3,
    ),
    "another capture": (
        lambda r: edit(r / CAMERA, lambda v: v.update({"3": v.pop("0")})),
        "capture 0 has no campos and camrot",
        0,
    ),
    "poses of another capture": (
        lambda r: edit(r / MANO, lambda v: v.update({"3": v.pop("0")})),
        "has no poses of capture 0: download annotations of the same release",
        0,
    ),
    "poses of another frame rate": (
        lambda r: edit(r / MANO, lambda v: v.update({"0": {"1": v["0"]["12966"]}})),
        "none of its 3 moments has a pose in InterHand2.6M_test_MANO_NeuralAnnot.json: .* different releases",
        0,
    ),
    "no rotation": (
        lambda r: edit(r / CAMERA, lambda v: v["0"]["camrot"].update({"400262": np.diag([2.0, 1, 1]).tolist()})),
        "camrot: 400262 is no rotation",
        3,
    ),
    "a camera of larger pictures": (
        lambda r: edit(r / CAMERA, lambda v: v["0"]["princpt"].update({"400262": [1200, 900]})),
        "the camera matrix does not fit pictures of 334×512 pixels; use pictures and annotations of the same release",
        3,
    ),
    "a picture of another size": (
        lambda r: Image.new("RGB", (512, 334)).save(r / VIEW / "image13080.jpg"),
        r"image13080\.jpg has 512×334 pixels, the others of its camera 334×512",
        5,
    ),
    "no picture": (
        lambda r: (r / VIEW / "image13080.jpg").write_bytes(b"x"),
        r"image13080\.jpg cannot be read as a picture",
        5,
    ),
    "a strange name": (
        lambda r: (r / VIEW / "13080 (copy).jpg").write_bytes(b"x"),
        r"holds 13080 \(copy\)\.jpg, named otherwise",
        6,
    ),
    "a number twice": (
        lambda r: shutil.copy(r / VIEW / "image13080.jpg", r / VIEW / "image013080.jpg"),
        "has number 13080 twice",
        6,
    ),
    "a pipe that never ends": (
        lambda r: [(r / VIEW / "image13080.jpg").unlink(), os.mkfifo(r / VIEW / "image13080.jpg")],
        r"holds image13080\.jpg, named otherwise",
        5,
    ),
    "a folder of poses": (
        lambda r: [(r / MANO).unlink(), (r / MANO).mkdir()],
        "NeuralAnnot.json is not a file",
        0,
    ),
    "joints of one hand": (
        lambda r: edit(r / JOINTS, lambda v: v["0"]["12966"].update(world_coord=np.zeros((21, 3)).tolist())),
        r"frame 12966: world_coord has shape \(21, 3\), not 42×3",
        6,
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_named(root, name):
    damage, message, usable = DAMAGES[name]
    damage(root)
    with pytest.raises(DatasetError, match=message):
        list(read_interhand(root, MODEL))
    findings = Findings(keep_incomplete=True)
    assert sum(map(len, read_interhand(root, MODEL, None, findings))) == usable
    assert findings.count


def test_names_in_annotations_are_never_paths(root):
    outside = root.parent / "image1.jpg"
    Image.new("RGB", (334, 512)).save(outside)
    edit(root / CAMERA, lambda v: v["0"]["campos"].update({"../../../../../..": [0, 0, 0]}))
    edit(root / MANO, lambda v: v["0"].update({"../image1": v["0"]["12966"]}))
    (sequence,) = read_interhand(root, MODEL)
    assert all(frame.image.is_relative_to(root / "images") for frame in sequence.frames) and len(sequence) == 6


def test_huge_annotations_are_refused_before_they_are_read(root):
    with open(root / MANO, "r+b") as stream:
        stream.truncate(600 << 20)
    with pytest.raises(DatasetError, match="has 600 MB, more than the 512 MB that are read"):
        list(read_interhand(root, MODEL))
