"""HARP's release: its camera, both of its origins, and the numbering that shifts after a missing frame."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from published_hands import assert_reprojects, hand_with_mean, posed_hands
from published_sets import make_harp

from engine.datasets.hand_sequence import load_pixels
from engine.datasets.harp_release import crop_matrix, read_harp
from engine.datasets.set_files import UNPOSED, Findings
from engine.errors import DatasetError

MODEL = hand_with_mean()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("harp")
    return root, make_harp(root / "1", side_px=112)


@pytest.fixture
def sequence(made, tmp_path) -> Path:
    shutil.copytree(made[0] / "1", tmp_path / "1")
    return tmp_path / "1"


def test_published_size_reprojects(tmp_path):
    truth = make_harp(tmp_path / "7", numbers=(1, 2))
    (sequence,) = read_harp(tmp_path, MODEL)
    assert (sequence.name, sequence.handedness, sequence.hand_model, sequence.notes) == (
        "7", "right", "mano", ("fitted with MANO's own origin",),
    )  # fmt: skip
    np.testing.assert_array_equal(sequence.frames[0].intrinsics, [[2000, 0, 224], [0, 2000, 224], [0, 0, 1]])
    assert_reprojects(sequence.frames, truth, "right")
    pixels = load_pixels(sequence.frames[1])
    assert pixels.image.shape == (448, 448, 3) and pixels.mask.shape == (448, 448) and pixels.mask.min() == 255


def test_fits_with_the_arm_model_are_from_the_wrist(tmp_path):
    truth = make_harp(tmp_path, numbers=(1, 2), side_px=112, arm=True)
    (sequence,) = read_harp(tmp_path, MODEL)  # the folder itself is the sequence
    assert sequence.notes == ("fitted with the wrist as origin (HARP's arm model)",)
    assert_reprojects(sequence.frames, truth, "right")


def test_a_missing_frame_does_not_shift_smoothed_poses(tmp_path):
    truth = make_harp(tmp_path / "1", numbers=(1, 3, 4), side_px=112)
    findings = Findings(keep_incomplete=True)
    (sequence,) = read_harp(tmp_path, MODEL, findings=findings)
    assert sequence.numbers == (1, 3, 4)
    assert_reprojects(sequence.frames, truth, "right")
    assert sequence.notes[0] == (
        "smoothed poses are numbered by position: from frame 3 on they were matched through metro_mano/"
    )
    assert "no poses for picture 2" in findings.problems[0] and findings.count == 1


def test_smoothed_poses_that_cannot_be_matched_are_refused(tmp_path):
    make_harp(tmp_path / "1", numbers=(1, 3, 4), side_px=112)
    shutil.rmtree(tmp_path / "1/metro_mano")
    with pytest.raises(DatasetError, match=r"numbers its 3 poses by position, .* 1 to 4 \(4\).*; add metro_mano/"):
        list(read_harp(tmp_path, MODEL))
    findings = Findings(keep_incomplete=True)
    assert not list(read_harp(tmp_path, MODEL, findings=findings)) and findings.count == 1


def test_unequal_fits_fall_back_on_the_unsmoothed(sequence, made):
    (sequence / "metro_mano_smooth/0004_mano.pkl").unlink()
    findings = Findings(keep_incomplete=True)
    (read,) = read_harp(sequence.parent, MODEL, findings=findings)
    assert "has 3 poses, metro_mano 4: which belong together is unknown" in findings.problems[0]
    assert_reprojects(read.frames, made[1], "right")


def test_unsmoothed_poses_alone_and_a_whole_sequence_without_them(sequence, made):
    shutil.rmtree(sequence / "metro_mano")
    (read,) = read_harp(sequence, MODEL)
    assert_reprojects(read.frames, made[1], "right")
    (sequence / "metro_mano_smooth").rename(sequence / "metro_mano")
    (read,) = read_harp(sequence, MODEL)
    assert read.notes[0] == "poses that were not smoothed (there is no metro_mano_smooth/)" and len(read) == 4


def test_without_a_model(made):
    (read,) = read_harp(made[0], None)
    assert UNPOSED in read.notes
    assert not list(read_harp(made[0], None, names=["9"], findings=Findings(keep_incomplete=True)))
    with pytest.raises(DatasetError, match="has no sequence 9: check the names"):
        list(read_harp(made[0], None, names=["9"]))


def test_crop_is_the_middle_of_the_shorter_side():
    np.testing.assert_allclose(crop_matrix(448, 448), np.eye(3))
    # 1280×720: scaled to 796×448 (796.4 is cut), and 174 columns go on either side
    wide = crop_matrix(1280, 720)
    np.testing.assert_allclose(wide @ [640, 360, 1], [224, 224, 1])
    np.testing.assert_allclose(wide @ [0, 720, 1], [-174, 448, 1])
    np.testing.assert_allclose(crop_matrix(720, 1280) @ [720, 0, 1], [448, -174, 1])
    np.testing.assert_allclose(crop_matrix(96, 64, 112)[:2, :2], np.diag([1.75, 1.75]))


def change(path: Path, **values) -> None:
    pickled = pickle.loads(path.read_bytes())
    pickled.update(values)
    path.write_bytes(pickle.dumps({key: value for key, value in pickled.items() if value is not None}))


class Evil:
    def __reduce__(self):
        return (print, ("run",))


FIT = "metro_mano_smooth/0002_mano.pkl"
DAMAGES = {
    "a mask is missing": (
        lambda s: (s / "mask/0002_mask.jpg").unlink(),
        r"has 4 usable pictures but 3 masks \(no masks for picture 2\)",
        3,
    ),
    "a mask too many": (
        lambda s: shutil.copy(s / "mask/0002_mask.jpg", s / "mask/0009_mask.jpg"),
        r"4 usable pictures but 5 masks \(no picture for 9\)",
        4,
    ),
    "no masks": (lambda s: shutil.rmtree(s / "mask"), "mask has no masks", 4),
    "no poses": (lambda s: [shutil.rmtree(s / n) for n in ("metro_mano", "metro_mano_smooth")], "has no poses", 0),
    "no pictures": (lambda s: shutil.rmtree(s / "unscreen_cropped"), "has no pictures: run HARP's preprocessing", 0),
    "a picture of another size": (
        lambda s: Image.new("RGB", (90, 90)).save(s / "unscreen_cropped/0003.jpg"),
        r"0003\.jpg has 90×90 pixels, the others of its camera 112×112",
        3,
    ),
    "a mask of another size": (
        lambda s: Image.new("L", (90, 90)).save(s / "mask/0003_mask.jpg"),
        r"0003_mask\.jpg has 90×90 pixels",
        3,
    ),
    "pictures that are not square": (
        lambda s: [Image.new("RGB", (64, 36)).save(s / f"unscreen_cropped/{n:04d}.jpg") for n in range(1, 5)],
        "has pictures of 64×36, not square: crop them again",
        0,
    ),
    "a program in a pickle": (lambda s: (s / FIT).write_bytes(pickle.dumps(Evil())), "which is not plain data", 3),
    "a pickle cut off": (
        lambda s: (s / FIT).write_bytes((s / FIT).read_bytes()[:50]),
        "is not a readable pickle",
        3,
    ),
    "no camera": (lambda s: change(s / FIT, cam=None), "has no cam: it is of another version", 3),
    "a camera without scale": (lambda s: change(s / FIT, cam=np.zeros(3)), "scale is 0, so the hand has no dist", 3),
    "a NaN": (lambda s: change(s / FIT, rot=np.full((1, 3), np.nan)), "rot holds NaN", 3),
    "PCA poses": (lambda s: change(s / FIT, pose=np.zeros((1, 12))), r"pose has shape \(1, 12\), not 45", 3),
    "joints in metres": (
        lambda s: change(s / FIT, joints=posed_hands("right", 1, (0, 0, 0))[0].keypoints[None]),
        "joints are not in millimetres",
        3,
    ),
    "a huge pickle": (lambda s: (s / FIT).write_bytes(bytes((16 << 20) + 1)), "larger than 16 MB", 3),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_named(sequence, name):
    damage, message, usable = DAMAGES[name]
    damage(sequence)
    with pytest.raises(DatasetError, match=message):
        list(read_harp(sequence, MODEL))
    findings = Findings(keep_incomplete=True)
    assert sum(map(len, read_harp(sequence, MODEL, findings=findings))) == usable and findings.count
