"""Normals of triangle meshes in NumPy."""

from __future__ import annotations

import numpy as np


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F,3] outward for counter-clockwise faces, twice the area long. vertices [V,3], faces [F,3]."""
    corners = vertices[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[V,3] unit, the area-weighted mean of the faces around each vertex."""
    normals = np.zeros_like(vertices)
    of_faces = face_normals(vertices, faces)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], of_faces)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
