"""Normals: a square plate, and a sphere-like closed mesh."""

from __future__ import annotations

import numpy as np
import trimesh

from engine.hand.normals import face_normals, vertex_normals


def test_plate():
    vertices = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    np.testing.assert_array_equal(face_normals(vertices, faces), [[0, 0, 4], [0, 0, 4]])
    np.testing.assert_array_equal(vertex_normals(vertices, faces), [[0, 0, 1]] * 4)


def test_sphere():
    mesh = trimesh.creation.icosphere(3)
    normals = vertex_normals(np.asarray(mesh.vertices), np.asarray(mesh.faces))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    assert ((normals * mesh.vertices).sum(1) > 0.999).all()
