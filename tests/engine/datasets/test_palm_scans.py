"""The scans of PALM are found wherever they are unpacked, and read in the unit that gives a hand's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.datasets.palm_scans import PalmScan, find_scans, read_palm_scan
from engine.datasets.set_files import Findings
from engine.errors import DatasetError
from engine.hand.model import open_hand_model

HAND = open_hand_model()


def write_mesh(path: Path, scale: float = 1.0) -> None:
    """An OBJ, as text of our own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in (HAND.v_template.numpy() * scale)]
    lines += ["f {} {} {}".format(*face) for face in HAND.faces.numpy() + 1]
    path.write_text("mtllib ../../../secret.mtl\n" + "\n".join(lines))


def test_scans_of_a_release_and_of_one_subject(tmp_path):
    for name in (
        "XR20A/meshes/0000/scan_000010.obj",
        "XR20A/meshes/0000/scan_000009.obj",
        "XR20A/meshes/0001/3/mesh.obj",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    findings = Findings(keep_incomplete=True)
    scans = find_scans(tmp_path, findings)
    assert [(scan.subject, scan.number) for scan in scans] == [("0000", 9), ("0000", 10), ("0001", None)]
    assert findings.count == 1 and "mesh.obj has no number in its name" in findings.problems[0]
    subject = tmp_path / "folders/0002"
    write_mesh(subject / "meshes/000001.obj")
    (subject / "poses.npy").write_bytes(b"")
    assert [scan.number for scan in find_scans(subject)] == [1]
    assert [scan.subject for scan in find_scans(tmp_path, Findings(True))] == ["0000", "0000", "0001", "0002"]
    assert find_scans(tmp_path / "nowhere") == ()


def test_packed_and_doubled_scans_are_named(tmp_path):
    (tmp_path / "meshes/0000").mkdir(parents=True)
    for name in ("0000.zip", "0001.zip", "0000/1.ply", "0000/01.obj"):
        (tmp_path / "meshes" / name).write_bytes(b"")
    findings = Findings(keep_incomplete=True)
    assert len(find_scans(tmp_path, findings)) == 1
    assert "scans that are still packed (0001.zip)" in findings.problems[0]
    assert "has two scans of number 1 (01.obj, 1.ply)" in findings.problems[1]
    with pytest.raises(DatasetError, match="still packed"):
        find_scans(tmp_path)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1000.0])
def test_the_unit_is_found(tmp_path, scale):
    write_mesh(tmp_path / "1.obj", scale)
    scan = read_palm_scan(PalmScan("0000", 1, tmp_path / "1.obj"))
    extent, expected = np.ptp(scan.vertices, axis=0), np.ptp(HAND.v_template.numpy(), axis=0)
    np.testing.assert_allclose(extent, expected, rtol=1e-5)


def test_what_is_no_hand_is_refused(tmp_path):
    write_mesh(tmp_path / "1.obj", 1e6)
    with pytest.raises(DatasetError, match="is of no hand's size in metres, millimetres or centimetres"):
        read_palm_scan(PalmScan("0000", 1, tmp_path / "1.obj"))
    (tmp_path / "2.ply").write_bytes(b"ply\nnonsense")
    with pytest.raises(DatasetError, match="cannot be read as a mesh"):
        read_palm_scan(PalmScan("0000", 2, tmp_path / "2.ply"))
