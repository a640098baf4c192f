"""Photos of a hand with known textures under a known environment, path traced: plain, with a mark, in a strip's shadow."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from synthetic_photo import make_photo
from torch import Tensor
from torch.nn.functional import normalize

from engine.hand.atlas import with_texture_charts
from engine.hand.mano import hand_forward
from engine.hand.subdivide import subdivide_model
from engine.lighting.color import linear_to_srgb
from engine.lighting.environment import lamp_environment
from engine.lighting.image_light import image_light
from engine.methods.detail import HandInPhoto
from engine.rendering.bake import TexelMap, chart_padding, pad_map, texel_map
from engine.rendering.field_bake import FieldMaps
from engine.rendering.mesh import MeshTopology, mesh_topology
from engine.rendering.mesh_pbr import MeshRenderConfig, MeshScene, render_mesh

SIDE_PX = 256
"""Of the textures."""
ZOOM = 1.0
MARK_M = 0.0025
MARK = (0.35, 0.45, 0.6)
"""What the mark leaves of the albedo."""
SHADING = MeshRenderConfig(pixel_samples=4, light_samples=8, bounces=0)
LAMP_RADIUS = 0.05
"""Radians: the edge of the strip's shadow is 2 cm wide."""


class PaintedHand(NamedTuple):
    vertices: Tensor
    topology: MeshTopology
    texels: TexelMap
    plain: FieldMaps
    environment: Tensor
    intrinsics: Tensor
    size: tuple[int, int]
    marked: Tensor
    """[N] bool, the texels under the mark."""


@lru_cache(maxsize=1)
def painted_hand() -> PaintedHand:
    synthetic = make_photo()
    capture = synthetic.capture
    model = subdivide_model(with_texture_charts(synthetic.model))
    pose = [
        torch.as_tensor(getattr(capture, name)).float() for name in ("betas", "global_orient", "hand_pose", "transl")
    ]
    vertices = hand_forward(model, *pose).vertices
    topology = mesh_topology(model.faces, model.uv, model.uv_faces)
    texels = texel_map(topology, SIDE_PX)
    skin = torch.as_tensor(synthetic.albedo).float() * (1 + 0.15 * model.palm_weight[:, None])
    inside = texels.inside()
    padding = chart_padding(inside, 6)
    albedo = pad_map(texels.to_map(texels.gather(skin, topology.faces)), padding, inside)
    flat = torch.tensor([0.0, 0.0, 1.0]).expand(SIDE_PX, SIDE_PX, 3)
    plain = FieldMaps(albedo, flat.clone(), torch.full((SIDE_PX, SIDE_PX), 0.5), inside, inside)
    intrinsics = torch.as_tensor(capture.K).float() * torch.tensor([[ZOOM], [ZOOM], [1.0]])
    width, height = (round(ZOOM * side) for side in capture.image_size)
    place = texels.gather(vertices, topology.faces)
    back = nearest_to(vertices, (0.0, 0.02))
    marked = (place - vertices[back]).norm(dim=1) < MARK_M
    environment = lamp_environment(synthetic.light, height=128, angular_radius=LAMP_RADIUS)
    return PaintedHand(vertices, topology, texels, plain, environment, intrinsics, (height, width), marked)


def nearest_to(vertices: Tensor, place: tuple[float, float]) -> int:
    """The vertex in front at x, y metres of the camera's frame."""
    aside = (vertices[:, :2] - torch.tensor(place)).norm(dim=1)
    near = torch.nonzero(aside < 0.006)[:, 0]
    return int(near[vertices[near, 2].argmin()])


def with_mark(hand: PaintedHand) -> FieldMaps:
    albedo = hand.plain.albedo.reshape(-1, 3).clone()
    places = hand.texels.texels[hand.marked]
    albedo[places] *= torch.tensor(MARK)
    return hand.plain._replace(albedo=albedo.reshape(SIDE_PX, SIDE_PX, 3))


def strip(towards: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices [4,3] and faces [4,3] of a strip, 3 cm wide, out of the picture between the hand and the lamp."""
    middle = torch.tensor([0.0, 0.01, 0.55]) + 0.24 * towards
    along = normalize(torch.linalg.cross(towards, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    across = torch.linalg.cross(towards, along)
    ends = [middle + 0.25 * a * along + 0.015 * b * across for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return torch.stack(ends), torch.tensor([[0, 1, 2], [0, 2, 3], [2, 1, 0], [3, 2, 0]])


@lru_cache(maxsize=4)
def photo_of(kind: str) -> tuple[Tensor, Tensor]:
    """[H,W,3] sRGB and mask [H,W] in [0,1]; kind: "plain", "mark" or "shadow"."""
    hand = painted_hand()
    maps = with_mark(hand) if kind == "mark" else hand.plain
    vertices, faces, uv_faces = hand.vertices, hand.topology.faces, hand.topology.uv_faces
    if kind == "shadow":
        more, triangles = strip(normalize(make_photo().light.to_lamp, dim=0))
        faces = torch.cat([faces, triangles + len(vertices)])
        vertices = torch.cat([vertices, more])
        uv_faces = torch.cat([uv_faces, torch.zeros_like(triangles)])
    scene = MeshScene(vertices, faces, hand.topology.uv, uv_faces, maps.albedo, maps.roughness[..., None], maps.normal)
    generator = torch.Generator().manual_seed(0)
    camera = (hand.intrinsics, torch.eye(4), *hand.size)
    picture = render_mesh(scene, image_light(hand.environment), *camera, SHADING, generator)
    color = linear_to_srgb(picture.color + 0.3 * (1 - picture.coverage[..., None])).clamp(0, 1)
    return (color * 255).round() / 255, picture.coverage


def in_photo(kind: str) -> HandInPhoto:
    """What a fit of detail starts with: the textures without a mark, and a light without the strip."""
    hand = painted_hand()
    color, mask = photo_of(kind)
    return HandInPhoto(
        *(hand.vertices, hand.topology, hand.plain, hand.environment, color, mask, hand.intrinsics, torch.eye(4))
    )
