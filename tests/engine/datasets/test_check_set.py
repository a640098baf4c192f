"""`check-data`: what it counts, what it names, and how it ends."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from published_hands import hand_with_mean
from published_sets import make_harp, make_interhand, write_subject

from engine.cli import main
from engine.datasets.check_set import check_set
from engine.datasets.set_files import Findings
from engine.errors import Cancelled, DatasetError
from engine.progress import silent


@pytest.fixture(scope="module")
def interhand(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("checked")
    make_interhand(root)
    return root


def checked(root: Path, **options):
    findings = Findings(keep_incomplete=True)
    return check_set(root, findings, silent, **options).as_dict(findings)


def test_counts_of_a_whole_set(interhand):
    result = checked(interhand, model=hand_with_mean())
    expected = {
        "format": "interhand", "sequences": 1, "frames": 6, "moments": 3, "cameras": 2, "sizes": {"334×512": 6},
        "hands": {"right": 6}, "hand_model": "mano", "masks": 0, "normals": 0, "keypoints": 6, "decoded": 6,
        "problems": [], "problem_count": 0,
    }  # fmt: skip
    assert {name: result[name] for name in expected} == expected
    assert result["joint_error_mm"] < 1e-6
    assert result["notes"] == [
        "no masks: the set has none",
        "of the 12 sequences of PALM's comparison 0 have all their pictures",
    ]


def test_another_hand_models_joints_are_far_away(interhand):
    model = hand_with_mean()
    longer = dataclasses.replace(model, v_template=1.5 * model.v_template)
    result = checked(interhand, model=longer)
    assert result["joint_error_mm"] > 20
    assert "mm from the annotated ones: poses and joints are of different releases" in result["problems"][0]


def test_left_hands_joints_agree_with_the_right_model(tmp_path):
    make_interhand(tmp_path, "left", numbers=(1,), cameras=("400262",))
    result = checked(tmp_path, model=hand_with_mean(), pixels=False)
    assert result["joint_error_mm"] < 1e-6 and result["hands"] == {"left": 1} and result["decoded"] is None


def test_cameras_that_look_elsewhere_are_named(interhand, tmp_path):
    shutil.copytree(interhand, tmp_path / "set")
    path = tmp_path / "set/annotations/test/InterHand2.6M_test_camera.json"
    values = json.loads(path.read_text())
    first, second = values["0"]["campos"].values()
    values["0"]["campos"] = {"400262": [-x for x in first], "400451": [second[0] + 900, *second[1:]]}
    path.write_text(json.dumps(values))
    problems = checked(tmp_path / "set")["problems"]
    assert any("the hand is behind the camera in 3 pictures (cam400262/image12966" in line for line in problems)
    assert any("the hand is outside the picture in 3 pictures (cam400451/image12966" in line for line in problems)


def test_pictures_are_decoded_and_masks_looked_at(tmp_path, capsys):
    make_harp(tmp_path / "1", numbers=(1, 2, 3), side_px=64)
    cut = tmp_path / "1/unscreen_cropped/0002.jpg"
    cut.write_bytes(cut.read_bytes()[:1500])
    Image.new("L", (64, 64)).save(tmp_path / "1/mask/0003_mask.jpg")
    result = checked(tmp_path)
    assert result["frames"] == 3 and result["decoded"] == 1
    assert result["problems"] == [
        f"{cut} cannot be read as a picture: copy it again",
        f"{tmp_path}/1/mask/0003_mask.jpg shows no hand: copy it again, or leave the frame out",
    ]
    assert checked(tmp_path, pixels=False)["problem_count"] == 0
    for path in cut.parent.iterdir():
        path.write_bytes(path.read_bytes()[:1500])
    assert main(["check-data", str(tmp_path), "--progress", "none"]) == 2
    assert "0001.jpg cannot be read as a picture" in capsys.readouterr().err.splitlines()[-1]


def test_scans_of_palm_are_read(tmp_path):
    write_subject(tmp_path, "0000")
    (tmp_path / "0000/meshes").mkdir()
    (tmp_path / "0000/meshes/000001.ply").write_bytes(b"ply")
    result = checked(tmp_path)
    assert result["format"] == "palm" and result["scans"] is None and result["frames"] == 4
    assert "000001.ply cannot be read as a mesh" in result["problems"][0]
    assert checked(tmp_path, pixels=False)["scans"] == 1


def test_palms_quality_file_is_counted_or_named(tmp_path):
    write_subject(tmp_path / "XR20B/folders", "0000")
    np.save(tmp_path / "XR20B/quality_dict_feb_27.npy", {"0000/000001.jpg": 1.0, "0009/000001.jpg": 2.0})
    result = checked(tmp_path, pixels=False)
    assert result["notes"][-1] == "quality_dict_feb_27.npy judges 1 of 2 moments" and not result["problem_count"]
    np.save(tmp_path / "XR20B/quality_dict_feb_27.npy", {"one": 1.0})
    assert "has the entry 'one', not SUBJECT/FRAME.jpg" in checked(tmp_path, pixels=False)["problems"][0]


def test_many_problems_are_counted_but_not_all_told(tmp_path):
    findings = Findings(keep_incomplete=True)
    for number in range(1000):
        findings.complain(f"problem {number}")
    assert len(findings.problems) == 200 and findings.count == 1000
    with pytest.raises(DatasetError):
        Findings().complain("problem")


def test_it_can_be_cancelled(interhand):
    def cancel(fraction, message="", preview=None):
        if "looking at every picture" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        check_set(interhand, Findings(keep_incomplete=True), cancel)


def test_reading_headers_can_be_cancelled_too(interhand, monkeypatch):
    def cancel(fraction, message="", preview=None):
        if "pictures so far" in message:
            raise Cancelled

    monkeypatch.setattr("engine.datasets.check_progress.TOLD_EVERY_S", 0.0)
    with pytest.raises(Cancelled):
        check_set(interhand, Findings(True), cancel, pixels=False)


@pytest.mark.parametrize("pixels", [True, False])
def test_progress_goes_forward_over_all_sequences(tmp_path, monkeypatch, pixels):
    monkeypatch.setattr("engine.datasets.check_progress.TOLD_EVERY_S", 0.0)
    for name in ("1", "2", "3", "4"):
        make_harp(tmp_path / name, numbers=(1, 2), side_px=64)
    told = []
    check_set(tmp_path, Findings(True), lambda fraction, message="", preview=None: told.append(fraction), pixels=pixels)
    assert told == sorted(told) and told[0] == 0.0
    # last told before the fourth sequence's pictures are decoded; a picture of three is no frame's and is not opened
    assert told[-1] == pytest.approx(0.2 + 0.8 * 3 / 4 if pixels else 2 / 3)
    assert len(set(told)) > 4


def test_command_tells_a_line_a_problem(interhand, tmp_path, capsys):
    shutil.copytree(interhand, tmp_path / "set")
    for camera in ("400262", "400451"):
        (tmp_path / f"set/images/test/Capture0/ROM03_RT_No_Occlusion/cam{camera}/image13080.jpg").write_bytes(b"x")
    report = tmp_path / "report.json"
    arguments = ["check-data", str(tmp_path / "set"), "--progress", "none", "--headers", "-o", str(report)]
    assert main(arguments) == 0
    said = capsys.readouterr().out.splitlines()
    assert "frames: 4" in said and "format: interhand" in said and "problem count: 2" in said
    assert sum(line.startswith("problem: ") and "cannot be read as a picture" in line for line in said) == 2
    assert json.loads(report.read_text())["problem_count"] == 2
    assert main([*arguments[:2], "--progress", "json", "--headers"]) == 0
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert event["event"] == "result" and event["usable"] and len(event["problems"]) == 2


def test_command_ends_with_2_where_nothing_is_usable(interhand, tmp_path, capsys):
    shutil.copytree(interhand / "images", tmp_path / "set/images")
    report = tmp_path / "report.json"
    assert main(["check-data", str(tmp_path / "set"), "--progress", "none", "-o", str(report)]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith(f"error: nothing in {tmp_path}/set can be used as interhand: ") and len(said) == 1
    assert "InterHand2.6M_test_camera.json is missing" in said[-1]
    written = json.loads(report.read_text())
    assert not written["usable"] and written["frames"] == 0
    assert main(["check-data", str(tmp_path), "--progress", "none"]) == 2
    assert "has none of the known layouts" in capsys.readouterr().err


def test_command_takes_a_mano_file(interhand, tmp_path, capsys):
    from engine.hand.joints import MANO_PARENTS

    model = hand_with_mean()
    names = {
        "v_template": "v_template", "shapedirs": "shapedirs", "posedirs": "posedirs", "J_regressor": "joint_regressor",
        "weights": "skinning_weights", "f": "faces", "hands_mean": "hands_mean", "tip_vertices": "tip_vertices",
    }  # fmt: skip
    fields = {name: getattr(model, key).numpy() for name, key in names.items()}
    fields["kintree_table"] = np.array([MANO_PARENTS, range(16)])
    (tmp_path / "MANO_RIGHT.pkl").write_bytes(pickle.dumps(fields))
    arguments = ["check-data", str(interhand), "--hand-model", str(tmp_path / "MANO_RIGHT.pkl"), "--headers"]
    assert main([*arguments, "--progress", "json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["joint_error_mm"] < 1e-2
    assert torch.get_default_dtype() == torch.float32
