"""A learned hand → its avatar folder: mesh, textures and everything that animates them."""

from __future__ import annotations

import dataclasses
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.field_mesh import carried_mesh, template_mesh
from ..avatar.folder import Avatar, AvatarMesh, CaptureInfo, write_avatar
from ..avatar.marching import extract_surface
from ..avatar.template_projection import ProjectionConfig, project_template, template_on_surface
from ..avatar.texture_files import write_environment, write_png16
from ..errors import AvatarError
from ..hand.atlas import with_texture_charts
from ..hand.canonical import CanonicalBox
from ..hand.mano import shape_hand
from ..hand.model import HandModel
from ..hand.subdivide import subdivide_model
from ..lighting.color import linear_to_srgb
from .field_bake import CanonicalField, FieldMaps, bake_field, find_surface
from .mesh import MeshTopology, mesh_topology
from .surface import vertex_normals

TEMPLATE, MARCHING = "template", "marching"
WritePictures = Callable[[Path, Avatar], Mapping[str, Any] | None]
LEAST_ON_SURFACE = 0.5
"""Share of vertices below which a field is no hand."""


@dataclass(frozen=True)
class BakeConfig:
    """What the avatar is made of."""

    surface: str = TEMPLATE
    """"template": the hand model's mesh on the field's surface, best for animation; "marching": marching cubes."""
    subdivisions: int = 1
    """Of the template: 0 for a light mesh, 2 for close-ups."""
    marching_cells: int = 128
    """Along the longest side."""
    texture_px: int = 2048
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)


class BakedHand(NamedTuple):
    """A hand's parts before they are written."""

    mesh: AvatarMesh
    topology: MeshTopology
    """Of the mesh, with its UVs welded."""
    maps: FieldMaps
    metrics: dict[str, float]


def bake_hand(
    canonical: CanonicalField,
    model: HandModel,
    betas: Tensor,
    box: CanonicalBox,
    config: BakeConfig = BakeConfig(),
    kept: Tensor | None = None,
) -> BakedHand:
    """Mesh and textures of a canonical field.

    canonical: the hand at zero pose; model: the hand model that it was trained with, not subdivided; betas [≤10] of this person.
    kept: [V,3] canonical metres of the template as subdivided here, where the field was fitted to the model's own surface. The
    template then lies there and has its own normals: what else the field says of its surface is blur and roughness.
    Metrics, of the mesh that is returned: mean and 95th percentile of its distance to the surface in mm, shares of vertices and
    texels on it. Raises AvatarError where the field is no hand.
    """
    device = model.v_template.device
    if config.surface == TEMPLATE:
        fine = subdivide_model(with_texture_charts(model), config.subdivisions)
        cap = torch.zeros(len(fine.v_template), dtype=torch.bool, device=device)
        cap[fine.faces[fine.cap_faces].reshape(-1)] = True
        asked = (fine.faces, canonical.sdf_and_gradient, config.projection)
        if kept is None:
            projected = project_template(shape_hand(fine, betas)[0], *asked, held=cap)
        else:
            projected = template_on_surface(kept, *asked)
        vertices = projected.vertices
        mesh = template_mesh(fine, betas, vertices)
        topology = mesh_topology(fine.faces, fine.uv, fine.uv_faces)
        skin, facing = projected.distance[~cap], projected.facing[~cap]
    elif config.surface == MARCHING:
        vertices, faces = extract_surface(canonical.distance, box, config.marching_cells, device=device)
        # between grid nodes marching cubes guesses: its vertices are put where the field is zero
        vertices = find_surface(vertices, vertex_normals(vertices, faces), canonical).points
        mesh = carried_mesh(subdivide_model(model, 1), betas, vertices, faces)
        topology = _welded(mesh, vertices)
        distance = canonical.distance(vertices).detach().abs()
        skin, facing = distance, distance < 1e-3
    else:
        raise AvatarError(f"surface {config.surface!r} is neither {TEMPLATE!r} nor {MARCHING!r}")
    maps = bake_field(vertices, topology, canonical, config.texture_px)
    if kept is not None and config.surface == TEMPLATE:
        upright = maps.normal.new_tensor([0.0, 0.0, 1.0]).expand_as(maps.normal)
        maps = maps._replace(normal=upright.clone())
    metrics = {
        "surface_distance_mm": 1e3 * float(skin[facing].mean()) if bool(facing.any()) else float("inf"),
        "surface_distance_p95_mm": 1e3 * float(skin.quantile(0.95)),
        "vertices_on_surface": float((facing & (skin < 1e-3)).float().mean()),
        "texels_on_surface": float(maps.on_surface[maps.inside].float().mean()),
    }
    # a template that is kept lies beside the field's surface as far as that is wrong; its texels look for it, as far as they may
    found = metrics["vertices_on_surface" if kept is None else "texels_on_surface"]
    if not found > LEAST_ON_SURFACE:
        share = f"{found:.0%}"
        raise AvatarError(f"only {share} of the hand's mesh found the field's surface: train or personalise it further")
    return BakedHand(mesh, topology, maps, metrics)


def bake_avatar(
    folder: Path,
    canonical: CanonicalField,
    model: HandModel,
    betas: Tensor,
    box: CanonicalBox,
    capture: CaptureInfo,
    environment: Tensor,
    write_pictures: WritePictures,
    method: str,
    prior: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    config: BakeConfig = BakeConfig(),
    force: bool = False,
    kept: Tensor | None = None,
) -> Avatar:
    """Bake (`bake_hand`, to which `kept` goes) and write (`write_baked`) an avatar folder. Raises AvatarError, OutputError."""
    baked = bake_hand(canonical, model, betas, box, config, kept)
    avatar = Avatar(
        handedness=model.side,
        method=method,
        betas=ten_betas(betas),
        mesh=baked.mesh,
        capture=capture,
        provenance=dict(provenance or {}),
        metrics={**baked.metrics, **(metrics or {})},
        prior=prior,
    )
    return write_baked(folder, avatar, baked.maps, environment, write_pictures, force)


def write_baked(
    folder: Path,
    avatar: Avatar,
    maps: FieldMaps,
    environment: Tensor,
    write_pictures: WritePictures,
    force: bool = False,
) -> Avatar:
    """Write an avatar folder, whole or not at all; returns it as read back.

    environment [H,2H,3] linear, equirectangular, +Z up. write_pictures: called with the temporary folder, in which the textures
    are, and the avatar; writes preview.png and whatever else there is (photo.png, mask.png, seen.png), and returns what it
    measured on them. Raises AvatarError, OutputError.
    """
    measured: dict[str, Any] = {}

    def write_images(temporary: Path) -> None:
        write_png16(temporary / "albedo.png", linear_to_srgb(maps.albedo).clamp(0, 1).cpu().numpy())
        write_png16(temporary / "normal.png", (maps.normal * 0.5 + 0.5).cpu().numpy())
        write_png16(temporary / "roughness.png", maps.roughness.cpu().numpy())
        write_environment(temporary / "environment.exr", environment.detach().cpu().numpy())
        measured.update(write_pictures(temporary, dataclasses.replace(avatar, folder=temporary)) or {})

    # avatar.json is written after the pictures, so it can hold what was measured on them
    with_measured = dataclasses.replace(avatar, metrics=ChainMap(measured, dict(avatar.metrics)))
    return write_avatar(folder, with_measured, write_images, force)


def ten_betas(betas: Tensor) -> np.ndarray:
    """[≤10] as an avatar records them, [10]."""
    numbers = np.zeros(10)
    numbers[: len(betas)] = betas.detach().cpu().numpy()[:10]
    return numbers


def _welded(mesh: AvatarMesh, like: Tensor) -> MeshTopology:
    """The mesh's topology with one UV vertex for all corners that share position and UV."""
    corners = np.concatenate([mesh.faces.reshape(-1, 1), mesh.uv.reshape(-1, 2).round(6)], axis=1)
    welded, index = np.unique(corners, axis=0, return_inverse=True)
    uv = torch.as_tensor(welded[:, 1:]).to(like)
    faces = torch.as_tensor(mesh.faces).to(like.device).long()
    return mesh_topology(faces, uv, torch.as_tensor(index.reshape(-1, 3)).to(like.device))
