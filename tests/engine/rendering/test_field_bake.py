from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.avatar.folder import Avatar, CaptureInfo, read_avatar
from engine.avatar.template_projection import ProjectionConfig
from engine.avatar.texture_files import read_png, write_png8
from engine.errors import AvatarError
from engine.hand.canonical import OPEN_BOX
from engine.hand.mano import shape_hand
from engine.hand.model import open_hand_model
from engine.hand.signed_distance import signed_distance
from engine.rendering.avatar_bake import MARCHING, BakeConfig, bake_avatar, bake_hand
from engine.rendering.bake import texel_map
from engine.rendering.field_bake import CanonicalField, bake_field, find_surface
from engine.rendering.mesh import MeshTopology, mesh_topology
from engine.rendering.surface import corner_tangents, perturb_normal, vertex_normals

RADIUS = 0.05


def colors(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth materials that differ everywhere."""
    return 0.5 + 4 * points, 0.5 + 3 * points[:, 0]


def wavy_ball(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A sphere with ripples of a fifth of a millimetre, finer than the mesh."""
    wave, height = 600.0, 2e-4
    length = points.norm(dim=1)
    value = length - RADIUS - height * torch.sin(wave * points[:, 2])
    gradient = points / length[:, None]
    gradient = gradient - height * wave * torch.cos(wave * points[:, 2])[:, None] * points.new_tensor([0.0, 0.0, 1.0])
    return value, gradient


def patch(device: torch.device) -> tuple[torch.Tensor, MeshTopology]:
    """A curved quarter of the sphere with a slanted, stretched chart."""
    u, v = torch.meshgrid(torch.linspace(0, 1, 17), torch.linspace(0, 1, 17), indexing="xy")
    azimuth, height = (u * 1.2 - 0.6).reshape(-1), (v * 1.0 - 0.5).reshape(-1)
    ring = torch.sqrt(1 - height**2)
    vertices = RADIUS * torch.stack([ring * torch.cos(azimuth), ring * torch.sin(azimuth), height], dim=1)
    uv = torch.stack([0.1 + 0.7 * u.reshape(-1) + 0.1 * v.reshape(-1), 0.1 + 0.8 * v.reshape(-1)], dim=1)
    corner = torch.arange(16 * 17).reshape(16, 17)[:, :16].reshape(-1)
    faces = torch.cat(
        [torch.stack([corner, corner + 1, corner + 18], 1), torch.stack([corner, corner + 18, corner + 17], 1)]
    )
    return vertices.to(device), mesh_topology(faces.to(device), uv.to(device), faces.to(device))


def test_texels_land_on_the_surface(device: torch.device) -> None:
    vertices, topology = patch(device)
    texels = texel_map(topology, 128)
    start = texels.gather(vertices, topology.faces)
    smooth = torch.nn.functional.normalize(start, dim=1)
    found = find_surface(start, smooth, CanonicalField(wavy_ball, colors))
    assert found.reached.all()
    assert wavy_ball(found.points)[0].abs().max() < 1e-6


def test_the_normal_map_gives_the_fields_normals_back(device: torch.device) -> None:
    """Rendered with the mesh's own frame, the baked map shows the ripples that the mesh lacks."""
    vertices, topology = patch(device)
    field = CanonicalField(wavy_ball, colors)
    maps = bake_field(vertices, topology, field, 256)
    texels = texel_map(topology, 256)
    normals = vertex_normals(vertices, topology.faces)
    tangents = corner_tangents(vertices, normals, topology.faces, topology.uv, topology.uv_faces)
    shown = perturb_normal(
        normals,
        tangents,
        topology.faces,
        topology.uv_faces,
        texels.faces,
        texels.barycentric,
        maps.normal.reshape(-1, 3)[texels.texels],
    )
    start = texels.gather(vertices, topology.faces)
    wanted = find_surface(start, torch.nn.functional.normalize(start, dim=1), field).normals
    cosine = (shown * wanted).sum(1).clamp(-1, 1)
    assert torch.rad2deg(torch.acos(cosine)).max() < 0.2
    flat = torch.rad2deg(torch.acos((torch.nn.functional.normalize(start, dim=1) * wanted).sum(1).clamp(-1, 1)))
    assert flat.max() > 4, "the ripples should show"


def test_materials_are_those_of_the_surface_point(device: torch.device) -> None:
    vertices, topology = patch(device)
    maps = bake_field(vertices, topology, CanonicalField(wavy_ball, colors), 128)
    texels = texel_map(topology, 128)
    points = find_surface(
        texels.gather(vertices, topology.faces),
        torch.nn.functional.normalize(texels.gather(vertices, topology.faces), dim=1),
        CanonicalField(wavy_ball, colors),
    ).points
    albedo, roughness = colors(points)
    assert torch.allclose(maps.albedo.reshape(-1, 3)[texels.texels], albedo, atol=1e-5)
    assert torch.allclose(maps.roughness.reshape(-1)[texels.texels], roughness, atol=1e-5)
    assert maps.inside.float().mean() > 0.5 and torch.isfinite(maps.albedo).all()
    # beyond the chart its border's colour goes on
    row = int(maps.inside.any(1).nonzero()[0])
    column = int(maps.inside[row].nonzero()[0])
    assert torch.allclose(maps.albedo[row, column - 1], maps.albedo[row, column], atol=0.02)


def test_texels_far_from_the_surface_keep_the_meshs_own(device: torch.device) -> None:
    vertices, topology = patch(device)
    maps = bake_field(vertices * 1.2, topology, CanonicalField(wavy_ball, colors), 64)
    assert not maps.on_surface.any()
    assert torch.allclose(maps.normal[maps.inside], maps.normal.new_tensor([0.0, 0.0, 1.0]), atol=1e-3)


@pytest.fixture(scope="module")
def hand_field() -> tuple[CanonicalField, torch.Tensor]:
    """Another person's open hand as a field, and its betas."""
    model = open_hand_model()
    betas = torch.tensor([0.8, -0.6, 0.5, 0.3, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0])
    rest, _ = shape_hand(model, betas)

    def field(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        step = 2e-4
        # a tetrahedron of four points gives value and gradient
        corner = points.new_tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
        values = signed_distance(rest, model.faces, (points[None] + step * corner[:, None]).reshape(-1, 3)).reshape(
            4, -1
        )
        return values.mean(0), (values.T @ corner) / (4 * step)

    return CanonicalField(field, colors, lambda points: signed_distance(rest, model.faces, points)), betas


CAPTURE = CaptureInfo("photo.jpg", (64, 64), np.eye(3), np.eye(4), np.zeros(3), np.zeros(45), np.zeros(3))
SMALL = BakeConfig(subdivisions=0, texture_px=64, projection=ProjectionConfig(iterations=14))


def write_preview(folder: Path, avatar: Avatar) -> None:
    assert avatar.folder == folder and read_png(folder / "albedo.png").shape == (64, 64, 3)
    write_png8(folder / "preview.png", np.zeros((8, 8, 3), np.uint8))


def test_a_field_becomes_an_avatar_folder(tmp_path: Path, hand_field) -> None:
    field, betas = hand_field
    model = open_hand_model()
    avatar = bake_avatar(
        tmp_path / "hand.palmhand", field, model, betas, OPEN_BOX, CAPTURE, torch.ones(4, 8, 3), write_preview,
        method="palm", prior="open", config=SMALL,
    )  # fmt: skip
    assert read_avatar(tmp_path / "hand.palmhand").mesh.vertices.shape == (len(model.v_template), 3)
    assert np.allclose(avatar.betas, betas) and avatar.prior == "open"
    assert avatar.metrics["surface_distance_mm"] < 0.05 and avatar.metrics["texels_on_surface"] > 0.9


def test_a_marched_hand_has_textures_too(hand_field) -> None:
    field, betas = hand_field
    config = BakeConfig(surface=MARCHING, texture_px=64, marching_cells=32)
    baked = bake_hand(field, open_hand_model(), betas, OPEN_BOX, config)
    assert baked.metrics["vertices_on_surface"] > 0.95 and baked.metrics["texels_on_surface"] > 0.7
    assert np.allclose(baked.mesh.skinning_weights.sum(1), 1, atol=1e-5)


def test_a_template_that_is_kept_stays_where_it_is(hand_field) -> None:
    field, betas = hand_field
    small = BakeConfig(texture_px=64, subdivisions=0)
    rest, _ = shape_hand(open_hand_model(), betas)
    moved, kept = (bake_hand(field, open_hand_model(), betas, OPEN_BOX, small, place) for place in (None, rest))
    assert np.array_equal(kept.mesh.vertices, rest.numpy())
    assert np.abs(moved.mesh.vertices - rest.numpy()).max() > 1e-4
    assert torch.equal(kept.maps.normal, torch.tensor([0.0, 0.0, 1.0]).expand(64, 64, 3))
    torch.testing.assert_close(kept.maps.albedo, moved.maps.albedo, atol=0.1, rtol=0)
    # what is measured is the mesh that is returned: a template beside the surface is not on it
    beside = bake_hand(field, open_hand_model(), betas, OPEN_BOX, small, rest + rest.new_tensor([0.0, 0.0, 0.001]))
    assert kept.metrics["surface_distance_mm"] > moved.metrics["surface_distance_mm"]
    assert beside.metrics["surface_distance_p95_mm"] > 0.7 > moved.metrics["surface_distance_p95_mm"]


def test_failures_leave_nothing(tmp_path: Path, hand_field) -> None:
    field, betas = hand_field

    def fail(folder: Path, avatar: Avatar) -> None:
        raise AvatarError("no preview")

    with pytest.raises(AvatarError, match="no preview"):
        bake_avatar(
            tmp_path / "hand.palmhand", field, open_hand_model(), betas, OPEN_BOX, CAPTURE, torch.ones(4, 8, 3), fail,
            method="palm", config=SMALL,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())
    with pytest.raises(AvatarError, match="neither"):
        bake_hand(field, open_hand_model(), betas, OPEN_BOX, BakeConfig(surface="cubes"))
    nowhere = CanonicalField(lambda x: (torch.ones(len(x)), torch.ones(len(x), 3)), colors)
    with pytest.raises(AvatarError, match="surface"):
        bake_hand(nowhere, open_hand_model(), betas, OPEN_BOX, SMALL)
