import numpy as np
import pytest

from engine.datasets.scan import cropped, near_hand, samples, scan_from_mesh
from engine.datasets.scan_file import read_scan, write_scan
from engine.errors import DatasetError


def sheet(side=0.2, steps=21, height=0.0):
    """A level square of metres with normals up (+z)."""
    grid = np.stack(np.meshgrid(np.linspace(0, side, steps), np.linspace(0, side, steps)), -1).reshape(-1, 2)
    corner = (np.arange(steps - 1)[:, None] * steps + np.arange(steps - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + steps], 1),
            np.stack([corner + 1, corner + steps + 1, corner + steps], 1),
        ]
    )
    return np.concatenate([grid, np.full((len(grid), 1), height)], 1), faces


def test_a_sheet_has_its_normals_its_area_and_its_rim():
    scan = scan_from_mesh(*sheet(), "sheet")
    np.testing.assert_allclose(scan.normals, np.tile([0, 0, 1.0], (441, 1)), atol=1e-12)
    assert scan.areas.sum() == pytest.approx(0.04)
    # the border and the row next to it
    assert (~scan.rim).sum() == 17 * 17


def test_noise_is_smoothed_out_of_normals():
    vertices, faces = sheet(steps=41)
    vertices[:, 2] += 0.001 * np.random.default_rng(0).standard_normal(len(vertices))
    scan = scan_from_mesh(vertices, faces, "rough sheet")
    rough = np.cross(
        scan.vertices[scan.faces[:, 1]] - scan.vertices[scan.faces[:, 0]],
        scan.vertices[scan.faces[:, 2]] - scan.vertices[scan.faces[:, 0]],
    )
    rough /= np.linalg.norm(rough, axis=1, keepdims=True)
    assert np.median(scan.normals[~scan.rim, 2]) > 0.995 > np.median(rough[:, 2])


def test_split_vertices_are_joined_and_small_pieces_removed():
    vertices, faces = sheet()
    split = vertices[faces].reshape(-1, 3)
    fleck = np.array([[0.1, 0.1, 0.05], [0.101, 0.1, 0.05], [0.1, 0.101, 0.05]])
    scan = scan_from_mesh(
        np.concatenate([split, fleck]), np.arange(len(split) + 3).reshape(-1, 3), "sheet with a fleck"
    )
    assert len(scan.vertices) == 441 and scan.removed == 3


def test_samples_are_even_over_the_area_not_over_vertices():
    fine, coarse = sheet(steps=41), sheet(steps=11, height=0.1)
    scan = scan_from_mesh(
        np.concatenate([fine[0], coarse[0]]), np.concatenate([fine[1], coarse[1] + len(fine[0])]), "two sheets"
    )
    chosen = samples(scan, 60, 0)
    assert len(np.unique(chosen)) == 60
    assert 15 < (scan.vertices[chosen, 2] > 0.05).sum() < 45
    assert len(samples(scan, 10**6, 0)) == len(scan.vertices)


def test_what_is_far_from_the_bones_is_left_out():
    scan = scan_from_mesh(*sheet(side=0.4, steps=41), "table")
    keypoints = np.full((21, 3), np.nan)
    keypoints[0], keypoints[1] = (0.1, 0.1, 0.0), (0.2, 0.1, 0.0)  # wrist, index1
    near = near_hand(scan, keypoints)
    assert near.vertices[:, 0].min() == pytest.approx(0.06) and near.vertices[:, 0].max() == pytest.approx(0.24)
    assert len(near_hand(scan, np.full((21, 3), np.nan)).vertices) == len(scan.vertices)
    none = cropped(scan, np.zeros(len(scan.vertices), bool))
    assert len(none.vertices) == 0 and none.faces.shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, f: (v * 1000, f), "millimetres or centimetres.*--scan-unit"),
        (lambda v, f: (v / 1000, f), "no hand in metres"),
        (lambda v, f: (v, f[:0]), "no triangles"),
        (lambda v, f: (np.where(v == v[7], np.nan, v), f), "NaN"),
        (lambda v, f: (v, f + 400), "does not have"),
        (lambda v, f: (v, f[:2] * 1), "few for a hand|no hand in metres"),
    ],
)
def test_meshes_that_are_no_scans_are_refused_by_name(change, message):
    with pytest.raises(DatasetError, match=message) as caught:
        scan_from_mesh(*change(*sheet()), "SCAN7.ply")
    assert "SCAN7.ply" in str(caught.value)


@pytest.mark.parametrize("suffix", ["ply", "obj", "stl"])
def test_files_are_read_in_their_unit(tmp_path, suffix):
    import trimesh

    vertices, faces = sheet()
    path = tmp_path / f"000001.{suffix}"
    trimesh.Trimesh(vertices * 1000, faces, process=False).export(path)
    scan = read_scan(path, "mm")
    assert len(scan.vertices) == 441 and scan.vertices.max() == pytest.approx(0.2, abs=1e-6)
    with pytest.raises(DatasetError, match="283 m long"):
        read_scan(path)


def test_a_written_scan_comes_back(tmp_path):
    write_scan(tmp_path / "a.ply", *sheet())
    assert len(read_scan(tmp_path / "a.ply").faces) == 800


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.ply", b"", "is empty"),
        ("a.ply", b"no mesh at all\n" * 20, "cannot be read as a mesh|no triangles"),
        ("a.obj", b"mtllib /etc/passwd\nv 0 0 0\nv 1 0 0\n", "cannot be read as a mesh|no triangles"),
        ("a.stl", b"\x00" * 300, "cannot be read as a mesh|no triangles"),
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
            b"0 0 0\n1 0 0\n",
            "no triangles",
        ),
    ],
)
def test_files_that_are_no_meshes_are_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message) as caught:
        read_scan(tmp_path / name)
    assert name in str(caught.value)
    with pytest.raises(DatasetError, match="does not exist"):
        read_scan(tmp_path / "other.ply")
