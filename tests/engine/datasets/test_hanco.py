"""HanCo: eight cameras that see one hand, annotations for every moment."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from published_hands import assert_reprojects, hand_with_mean
from published_sets import edit, make_hanco

from engine.datasets.hanco import read_hanco
from engine.datasets.set_files import UNPOSED, Findings
from engine.errors import DatasetError

MODEL = hand_with_mean()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("hanco")
    return root, make_hanco(root)


@pytest.fixture
def root(made, tmp_path) -> Path:
    shutil.copytree(made[0], tmp_path / "set")
    return tmp_path / "set"


def test_eight_cameras_reproject(made):
    (sequence,) = read_hanco(made[0], MODEL)
    assert sequence.name == "0110" and sequence.numbers == (0, 1) and len(sequence) == 16
    assert sequence.cameras == tuple(f"cam{k}" for k in range(8)) and sequence.notes == ("masks from mask_hand/",)
    assert_reprojects(sequence.frames, made[1], "right")
    assert sequence.frames[3].mask.parts[-4:] == ("mask_hand", "0110", "cam3", "00000000.jpg")


def test_moments_without_a_fit_are_left_out_and_counted(root):
    (root / "shape/0110/00000000.json").unlink()
    (sequence,) = read_hanco(root, None)
    assert sequence.numbers == (1,)
    assert sequence.notes == ("1 moment of 2 without a fit left out", "masks from mask_hand/", UNPOSED)


def test_masks_of_the_foreground_or_none(root):
    (root / "mask_hand").rename(root / "mask_fg")
    (sequence,) = read_hanco(root, MODEL)
    assert sequence.notes == ("masks from mask_fg/",) and "mask_fg" in sequence.frames[0].mask.parts
    shutil.rmtree(root / "mask_fg")
    (sequence,) = read_hanco(root, MODEL)
    assert sequence.notes == ("no masks (mask_hand/)",) and sequence.frames[0].mask is None


def test_sequences_by_name(made):
    assert [s.name for s in read_hanco(made[0], MODEL, ["0110"])] == ["0110"]
    with pytest.raises(DatasetError, match="has no sequence 9999: check the names, or unpack it"):
        list(read_hanco(made[0], MODEL, ["9999"]))


CALIB, SHAPE, XYZ = (f"{kind}/0110/00000001.json" for kind in ("calib", "shape", "xyz"))
DAMAGES = {
    "no shapes": (lambda r: shutil.rmtree(r / "shape/0110"), "so sequence 0110 has no poses: unpack HanCo_shape.zip", 0),
    "no fits": (
        lambda r: [path.unlink() for path in (r / "shape/0110").iterdir()],
        "has 2 moments, none with a fit",
        0,
    ),
    "no calibration": (lambda r: (r / CALIB).unlink(), "00000001.json is missing", 8),
    "five cameras": (
        lambda r: edit(r / CALIB, lambda v: {key: value[:5] for key, value in v.items()}),
        r"K has shape \(5, 3, 3\), not 8×3×3",
        8,
    ),
    "a camera's vector form": (
        lambda r: edit(r / SHAPE, lambda v: v["poses"][0].extend([0.0] * 13)),
        r"poses has shape \(1, 61\), not 48",
        8,
    ),
    "a NaN": (
        lambda r: edit(r / SHAPE, lambda v: v.update(global_t=[[[0, 0, float("inf")]]])),
        "global_t holds NaN or infinite",
        8,
    ),
    "no rotation": (
        lambda r: edit(r / CALIB, lambda v: v["M"].__setitem__(2, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])),
        "camera 2: M is no rotation",
        15,
    ),
    "joints as an object": (lambda r: (r / XYZ).write_text("{}"), "holds dict, not a list", 8),
    "a picture missing": (
        lambda r: (r / "rgb/0110/cam4/00000001.jpg").unlink(),
        "has unequal numbers of pictures .*cam4 1",
        15,
    ),
    "a mask missing": (
        lambda r: (r / "mask_hand/0110/cam4/00000001.jpg").unlink(),
        r"cam4 has 1 masks for 2 pictures \(missing: 1\)",
        15,
    ),
    "a picture of another size": (
        lambda r: Image.new("RGB", (320, 240)).save(r / "rgb/0110/cam4/00000001.jpg"),
        "has 320×240 pixels, the others of its camera",
        15,
    ),
    "another folder": (lambda r: (r / "rgb/0110/cam12").mkdir(), "cam12 is none of cam0 to cam7", 16),
    "a huge file": (
        lambda r: (r / XYZ).write_text("[" + " " * (1 << 20) + "]"),
        "has 1 MB, more than the 1 MB that are read",
        8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_named(root, name):
    damage, message, usable = DAMAGES[name]
    damage(root)
    with pytest.raises(DatasetError, match=message):
        list(read_hanco(root, MODEL))
    findings = Findings(keep_incomplete=True)
    assert sum(map(len, read_hanco(root, MODEL, findings=findings))) == usable and findings.count
