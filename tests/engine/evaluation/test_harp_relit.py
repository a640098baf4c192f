"""The protocol on a set of our own: what it measures, and that it goes on where it was."""

from __future__ import annotations

import dataclasses
import json
import shutil

import cv2
import pytest

from engine.errors import Cancelled, DatasetError
from engine.evaluation import personalisers
from engine.evaluation.avatar_picture import PictureConfig
from engine.evaluation.personalisers import Method
from engine.evaluation.relit_set import read_relit_set
from engine.evaluation.run import evaluate_all
from engine.evaluation.unit import ProtocolConfig, evaluate_unit
from engine.hand.model import open_hand_model

CONFIG = ProtocolConfig(pictures=PictureConfig(longest_px=64))
ONE_FRAME = ProtocolConfig(pictures=CONFIG.pictures, frames=1)


@pytest.fixture
def sequence(relit_set):
    return read_relit_set(relit_set, open_hand_model("right"))[0]


@pytest.fixture
def dimmed(monkeypatch):
    """A method that copies the true avatar with half the albedo value, and counts how often it is asked."""
    calls = []

    def make(making):
        calls.append(making.folder)
        shutil.copytree(making.sequence.truth, making.folder)
        path = str(making.folder / "albedo.png")
        cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_UNCHANGED) // 2)
        described = json.loads((making.folder / "avatar.json").read_text())
        described["provenance"] = {"evaluation": dict(making.identity), "timings_s": {"copy": 1.5, "paint": 0.25}}
        (making.folder / "avatar.json").write_text(json.dumps(described))

    monkeypatch.setitem(personalisers.METHODS, "dimmed", Method(make))
    return calls


def test_the_true_hand_reaches_the_renderers_ceiling(sequence, tmp_path):
    result = evaluate_unit(sequence, "truth", tmp_path, CONFIG)
    assert set(result.frames) == {"000001", "000002", "000003"}
    assert result.light == {}
    for scores in (result.seen, *result.frames.values()):
        assert scores["psnr_db"] > 26
        assert scores["iou"] > 0.95
        assert scores["ssim"] > 0.9
        assert scores["albedo_psnr_db"] > 33
        assert scores["delta_e"] < 1
        assert scores["normal_deg"] < 3
        assert "lpips" not in scores
    assert (tmp_path / "pictures" / "relit_00" / "truth" / "seen.png").is_file()


def test_darker_skin_costs_what_it_should(sequence, tmp_path, dimmed):
    truth, found = (evaluate_unit(sequence, name, tmp_path, ONE_FRAME) for name in ("truth", "dimmed"))
    for name, scores in found.frames.items():
        assert scores["psnr_db"] < truth.frames[name]["psnr_db"] - 5
        assert scores["iou"] == truth.frames[name]["iou"]
        assert scores["delta_e"] > 20
        assert scores["albedo_psnr_db"] < 12
    assert found.making_s == 1.75
    # the folder's environment is some sky, not light A
    assert 0 < found.light["irradiance_error"] < 1


def test_an_evaluation_goes_on_where_it_was(sequence, tmp_path, dimmed):
    first = evaluate_unit(sequence, "dimmed", tmp_path, ONE_FRAME)
    picture = tmp_path / "pictures" / "relit_00" / "dimmed" / "000002.png"
    picture.unlink()
    assert evaluate_unit(sequence, "dimmed", tmp_path, ONE_FRAME) == first
    assert len(dimmed) == 1
    assert not picture.exists()  # nothing was rendered
    # other frames: the avatar stays, the pictures are new
    more = evaluate_unit(sequence, "dimmed", tmp_path, dataclasses.replace(CONFIG, frames=2))
    assert len(dimmed) == 1
    assert set(more.frames) == {"000001", "000003"}
    assert more.seen == first.seen
    # damaged scores are made again
    (tmp_path / "scores" / "relit_00" / "dimmed.json").write_text("{")
    assert evaluate_unit(sequence, "dimmed", tmp_path, ONE_FRAME) == first


def test_a_corrected_frame_is_judged_anew(sequence, tmp_path, dimmed):
    first = evaluate_unit(sequence, "dimmed", tmp_path, ONE_FRAME)
    (judged,) = first.frames
    lit = next(one for one in sequence.unseen if one.label == judged)
    moved = dataclasses.replace(lit.frame, transl=lit.frame.transl + 0.005)
    brighter = dataclasses.replace(lit.light, strength=2 * lit.light.strength)
    for corrected in (dataclasses.replace(lit, frame=moved), dataclasses.replace(lit, light=brighter)):
        others = dataclasses.replace(sequence, unseen=(corrected,))
        assert evaluate_unit(others, "dimmed", tmp_path, ONE_FRAME).frames != first.frames
    assert len(dimmed) == 1  # the photo is the same


def test_an_avatar_of_other_settings_is_made_anew(sequence, tmp_path, dimmed):
    evaluate_unit(sequence, "dimmed", tmp_path, ONE_FRAME)
    described = tmp_path / "avatars" / "relit_00" / "dimmed.palmhand" / "avatar.json"
    values = json.loads(described.read_text())
    values["provenance"]["evaluation"]["seed"] = 5
    described.write_text(json.dumps(values))
    with pytest.raises(FileExistsError):  # the copying method does not replace what is there, but it was asked
        evaluate_unit(sequence, "dimmed", tmp_path, CONFIG)
    assert len(dimmed) == 2


def test_cancelling_leaves_no_scores(sequence, tmp_path):
    def stop(fraction, message="", preview=None):
        if "picture 2" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        evaluate_unit(sequence, "truth", tmp_path, CONFIG, stop)
    assert not (tmp_path / "scores").exists()


def test_a_set_without_true_avatars(sequence, tmp_path):
    with pytest.raises(DatasetError, match=r"no avatars/relit_00\.palmhand"):
        evaluate_unit(dataclasses.replace(sequence, truth=None), "truth", tmp_path, CONFIG)


@pytest.mark.slow
def test_processes_find_the_same(sequence, tmp_path):
    both = [sequence, dataclasses.replace(sequence, name="relit_01")]
    alone = evaluate_all(both[:1], ["truth"], tmp_path / "alone", CONFIG)
    shared = evaluate_all(both, ["truth"], tmp_path / "shared", CONFIG, workers=2)
    assert [result.sequence for result in shared] == ["relit_00", "relit_01"]
    assert shared[0].frames["000002"]["psnr_db"] == pytest.approx(alone[0].frames["000002"]["psnr_db"], abs=0.01)

    def stop(fraction, message="", preview=None):
        raise Cancelled

    with pytest.raises(Cancelled):
        evaluate_all(both, ["truth"], tmp_path / "stopped", CONFIG, workers=2, progress=stop)
