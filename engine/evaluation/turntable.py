"""A hand's avatar from all sides, as one strip of small pictures: what a page turns by dragging."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from ..avatar.folder import read_avatar
from ..errors import InputError
from ..files import atomic_file, read_json, sha256_of, write_json
from ..lighting.color import linear_to_srgb
from ..lighting.lamp import LampLight, shade
from ..methods.preview import open_pose, studio_light, turn
from ..methods.rerender import LoadedAvatar, load_avatar
from ..progress import Progress, silent
from ..rendering.mesh import compose, see, surface_values
from ..rendering.occlusion import ambient_visibility, multiple_bounce
from ..rendering.surface import corner_tangents, perturb_normal, vertex_normals
from ..rendering.texture import sample_texture

VIEWS = 16
SIDE_PX = 160
SUPERSAMPLING = 2
OPENNESS_RAYS = 64
QUALITY = 72
"""Of WebP."""
SCHEMA = 1


class _Turned(NamedTuple):
    """What stays the same while an avatar turns."""

    vertices: Tensor
    """[V,3] the flat hand, fingers up."""
    openness: Tensor
    """[V,1] ambient visibility."""
    camera: Tensor
    """[3,3] px, supersampled, in which every view fits."""


def turntable(loaded: LoadedAvatar, progress: Progress = silent) -> np.ndarray:
    """[SIDE_PX, VIEWS·SIDE_PX, 4] uint8 sRGB and opacity: the flat hand turned about the vertical, in a studio's light.

    The light stays with the camera; it casts no shadows but those of ambient occlusion, so that a view takes moments.
    """
    turned, light, views = _turned(loaded), studio_light(), []
    for number in range(VIEWS):
        progress(number / VIEWS, "turning")
        views.append(_view(loaded, turned, 2 * math.pi * number / VIEWS, light))
    return (torch.cat(views, dim=1).clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def write_turntable(path: Path, folder: Path, progress: Progress = silent) -> None:
    """Write an avatar folder's strip as WebP, unless one of the same avatar is there. Raises AvatarError, OutputError."""
    note = path.with_suffix(".json")
    identity = {"schema_version": SCHEMA, "views": VIEWS, "side_px": SIDE_PX,
                "avatar": [sha256_of(folder / name) for name in ("mesh.npz", "albedo.png", "normal.png")]}  # fmt: skip
    if path.is_file() and _said(note) == identity:
        return
    strip = turntable(load_avatar(read_avatar(folder)), progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        Image.fromarray(strip).save(temporary, quality=QUALITY, method=4)
    write_json(note, identity)


def _said(note: Path) -> dict | None:
    try:
        return read_json(note) if note.is_file() else None
    except InputError:
        return None


def _turned(loaded: LoadedAvatar) -> _Turned:
    vertices = turn(open_pose(loaded, palm_to_camera=True), 0.0)
    faces = loaded.topology.faces
    openness = ambient_visibility(vertices, faces, vertices, vertex_normals(vertices, faces), rays=OPENNESS_RAYS)
    # the cylinder that the hand sweeps
    reach = float(vertices[:, [0, 2]].sub(torch.tensor([0.0, 0.6])).norm(dim=1).max())
    half = max(reach, float(vertices[:, 1].abs().max()))
    side = SIDE_PX * SUPERSAMPLING
    focal = 0.47 * side * (0.6 - reach) / half
    return _Turned(vertices, openness[:, None], torch.tensor([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]]))


def _view(loaded: LoadedAvatar, turned: _Turned, angle: float, light: LampLight) -> Tensor:
    """[SIDE_PX,SIDE_PX,4]"""
    topology, side = loaded.topology, SIDE_PX * SUPERSAMPLING
    vertices = turn(turned.vertices, angle)
    view = see(vertices, topology, turned.camera, side, side)
    uv = surface_values(view, topology.uv, topology.uv_faces)
    albedo = sample_texture(loaded.albedo, uv)
    normals = vertex_normals(vertices, topology.faces)
    tangents = corner_tangents(vertices, normals, topology.faces, topology.uv, topology.uv_faces)
    places = (topology.faces, topology.uv_faces, view.fragments.faces, view.fragments.barycentric)
    detailed = normalize(perturb_normal(normals, tangents, *places, sample_texture(loaded.normal, uv)), dim=1)
    openness = surface_values(view, turned.openness, topology.faces)
    shaded = albedo * shade(light, detailed, openness[:, 0], multiple_bounce(openness, albedo))
    picture = compose(view, topology, linear_to_srgb(shaded.clamp_min(0)).clamp(0, 1))
    stacked = torch.cat([picture.color, picture.coverage[..., None]], dim=-1).permute(2, 0, 1)[None]
    pooled = avg_pool2d(stacked, SUPERSAMPLING)[0].permute(1, 2, 0)
    # over black so far; a page lays it over its own background
    return torch.cat([pooled[..., :3] / pooled[..., 3:].clamp_min(1e-3), pooled[..., 3:]], dim=-1)
