"""Surfaces beside a sequence: what was written is read, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from engine.datasets.true_surface import (
    has_true_surface,
    surface_path,
    true_surface,
    write_faces,
    write_vertices,
)
from engine.errors import DatasetError

VERTICES = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3]])


@pytest.fixture
def folder(tmp_path):
    write_faces(tmp_path, FACES)
    write_vertices(tmp_path, 7, VERTICES)
    return tmp_path


def test_what_is_written_is_read(folder):
    surface = true_surface(folder, 7)
    np.testing.assert_array_equal(surface.vertices, VERTICES)
    np.testing.assert_array_equal(surface.faces, FACES)
    assert surface.vertices.dtype == np.float32 and surface.faces.dtype == np.int32
    assert has_true_surface(folder) and not has_true_surface(folder / "surface")


def test_a_moment_without_a_surface_is_named(folder):
    with pytest.raises(DatasetError, match=r"000008\.npz does not exist"):
        true_surface(folder, 8)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "cannot be read"),
        (lambda path: np.savez(path, points=VERTICES), "cannot be read"),
        (lambda path: np.savez(path, vertices=np.array([{}, None, 1])), "cannot be read"),
        (lambda path: np.savez(path, vertices=VERTICES.astype(float)), "no array"),
        (lambda path: np.savez(path, vertices=VERTICES[:, :2]), "no array"),
        (lambda path: np.savez(path, vertices=VERTICES * np.float32(np.nan)), "no metres"),
        (lambda path: np.savez(path, vertices=VERTICES + np.float32(1e6)), "no metres"),
        (lambda path: np.savez(path, vertices=VERTICES[:3]), "too few"),
    ],
)
def test_damaged_surfaces_are_refused_in_one_line(folder, damage, reason):
    damage(surface_path(folder, 7))
    with pytest.raises(DatasetError, match=reason) as refused:
        true_surface(folder, 7)
    assert "000007.npz" in str(refused.value) and "\n" not in str(refused.value)
