"""Closing the wrist."""

from __future__ import annotations

import pytest
import torch
import trimesh

from engine.errors import HandModelError
from engine.hand.model import open_hand_model
from engine.hand.sealing import boundary_loop, seal


def test_a_bowl_becomes_a_closed_body_of_the_right_volume():
    mesh = trimesh.creation.icosphere(3, radius=1.0)
    kept = mesh.triangles_center[:, 2] < 0.3
    vertices, faces = torch.tensor(mesh.vertices.copy()), torch.tensor(mesh.faces[kept].copy())
    assert len(boundary_loop(faces)) > 10
    sealed_vertices, sealed_faces = seal(vertices, faces)
    closed = trimesh.Trimesh(sealed_vertices.numpy(), sealed_faces.numpy(), process=False)
    assert closed.is_watertight and closed.is_winding_consistent
    assert 0 < closed.volume < mesh.volume
    height = float(vertices[boundary_loop(faces)][:, 2].mean())
    exact = torch.pi * (2 / 3 + height - height**3 / 3)
    assert closed.volume == pytest.approx(exact, rel=0.03)


def test_batches_share_the_faces():
    mesh = trimesh.creation.icosphere(1)
    faces = torch.tensor(mesh.faces[1:].copy())
    vertices = torch.tensor(mesh.vertices.copy()).expand(3, -1, -1)
    sealed_vertices, sealed_faces = seal(vertices, faces)
    assert sealed_vertices.shape == (3, len(mesh.vertices) + 1, 3)
    assert len(sealed_faces) == len(mesh.faces) - 1 + 3


def test_a_closed_hand_stays_as_it_is():
    model = open_hand_model()
    vertices, faces = seal(model.v_template, model.faces)
    assert vertices is model.v_template and faces is model.faces


def test_two_holes_are_refused():
    mesh = trimesh.creation.icosphere(2)
    height = mesh.triangles_center[:, 2]
    with pytest.raises(HandModelError, match="more than one hole"):
        seal(torch.tensor(mesh.vertices.copy()), torch.tensor(mesh.faces[(height < 0.8) & (height > -0.8)].copy()))
