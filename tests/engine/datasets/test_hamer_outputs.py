"""HaMeR's results: both hands, their camera, and files that are something else."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from published_hands import assert_reprojects, posed_hands, write_picture
from published_sets import hamer_output, make_hamer

from engine.datasets.hamer_outputs import read_hamer
from engine.datasets.set_files import Findings
from engine.errors import DatasetError


def test_both_hands_reproject(tmp_path):
    truth = make_hamer(tmp_path / "shots", ("right", "left"))
    right, left = read_hamer(tmp_path / "shots")
    assert (right.name, right.handedness, left.name, left.handedness) == ("shots_right", "right", "shots_left", "left")
    for sequence in (right, left):
        assert sequence.numbers == (1, 2) and sequence.frames[0].mask is None
        assert_reprojects(sequence.frames, truth[sequence.handedness], sequence.handedness, points=False)
    (only,) = read_hamer(tmp_path / "shots", hand="left")
    assert only.name == "shots_left"


def test_one_file_a_person_beside_the_pictures(tmp_path):
    hands = posed_hands("right", 2, (0, 0, 9.0))
    for name in ("b", "a10", "a9"):
        write_picture(tmp_path / f"{name}.png", (160, 120))
    for index, hand in enumerate(hands):
        (tmp_path / f"a9_{index}.pkl").write_bytes(pickle.dumps([hamer_output({"right": hand}, 3125.0)]))
    np.save(tmp_path / "b.npy", np.array(hamer_output({"right": hands[1]}, 3125.0), dtype=object))
    (sequence,) = read_hamer(tmp_path)
    assert [frame.label for frame in sequence.frames] == ["a9", "b"] and sequence.numbers == (9, 3)
    np.testing.assert_allclose(sequence.frames[0].betas, hands[0].betas)
    assert "a9 shows several right hands: the first is used" in sequence.notes
    assert "1 picture without a result left out (a10)" in sequence.notes


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def changed(**changes):
    def write(path: Path) -> None:
        output = {**pickle.loads(path.read_bytes()), **changes}
        path.write_bytes(pickle.dumps({key: value for key, value in output.items() if value is not None}))

    return write


def parameter(name, value):
    def write(path: Path) -> None:
        output = pickle.loads(path.read_bytes())
        output["pred_mano_params"][name] = value
        path.write_bytes(pickle.dumps(output))

    return write


DAMAGES = {
    "one number for betas": (parameter("betas", 3.0), r"betas has shape \(\): expected 10 numbers"),
    "one number for the turn": (parameter("global_orient", 3.0), r"global_orient has shape \(\)"),
    "vertices": (
        lambda p: p.write_bytes(pickle.dumps({"frame_001.jpg": {"v3d_cam": np.zeros((1, 778, 3)), "K": np.eye(3)}})),
        "holds vertices, no parameters .*: fit them with `capture --pose`",
    ),
    "another dictionary": (lambda p: p.write_bytes(pickle.dumps({"pose": 1})), "has no pred_mano_params"),
    "no place": (changed(pred_cam_t_full=None), "has no pred_cam_t_full, so where the hand stands is unknown"),
    "a NaN": (changed(pred_cam_t_full=np.full((1, 3), np.nan)), r"frame_001\.pkl: transl holds NaN"),
    "a program": (lambda p: p.write_bytes(pickle.dumps(Evil())), "which is not plain data"),
    "cut off": (lambda p: p.write_bytes(p.read_bytes()[:40]), "is not a readable pickle"),
    "no picture": (lambda p: p.rename(p.with_name("elsewhere.pkl")), "has no picture of its name"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_named(tmp_path, name):
    make_hamer(tmp_path)
    damage, message = DAMAGES[name]
    damage(tmp_path / "results/frame_001.pkl")
    with pytest.raises(DatasetError, match=message):
        read_hamer(tmp_path)
    findings = Findings(keep_incomplete=True)
    (sequence,) = read_hamer(tmp_path, findings)
    assert [frame.label for frame in sequence.frames] == ["frame_002"] and findings.count == 1


def test_no_pictures(tmp_path):
    with pytest.raises(DatasetError, match="has no pictures"):
        read_hamer(tmp_path)
