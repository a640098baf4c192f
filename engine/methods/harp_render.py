"""HARP's picture of the hand: what each frame shows of the skin, and the colour that light and maps give it (eq. 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..hand.subdivide import interpolate as interpolate_midpoints
from ..lighting.color import srgb_to_linear
from ..lighting.environment import LAMP_ANGULAR_RADIUS
from ..lighting.lamp import LampLight, shade
from ..rendering.frame_stack import frame_slices
from ..rendering.mesh import MeshTopology, SurfaceView, surface_values
from ..rendering.occlusion import ambient_visibility, bounced_lamp, multiple_bounce
from ..rendering.shadow import disc_visibility
from ..rendering.surface import corner_tangents, mapped_normals, vertex_normals
from ..rendering.texture import sample_texture
from .harp_model import Template


class Shading(NamedTuple):
    """What shading needs of a posed hand, or of a stack of them."""

    normals: Tensor
    """[V,3]"""
    tangents: Tensor
    """[T,4]"""
    openness: Tensor
    """[V] ambient visibility."""


class SeenSkin(NamedTuple):
    """The points of skin that pictures show, P of them."""

    pixels: Tensor
    """[P] int64 into the stack of pictures, flat."""
    uv: Tensor
    """[P,2]"""
    normals: Tensor
    """[P,3] of the mesh, interpolated."""
    tangents: Tensor
    """[P,3]"""
    signs: Tensor
    """[P,1] of the bitangents."""
    openness: Tensor
    """[P,1] ambient visibility."""

    def packed(self) -> SeenSkin:
        """The same in half the bytes; directions and shares need no more than 11 bits."""
        half = {name: getattr(self, name).half() for name in ("normals", "tangents", "signs", "openness")}
        return self._replace(pixels=self.pixels.to(torch.int32), **half)

    def only(self, keep: Tensor) -> SeenSkin:
        """The points with keep [P] bool."""
        return SeenSkin(*(part[keep] for part in self))


def stacked_skin(parts: list[SeenSkin], picture_px: int) -> SeenSkin:
    """Packed points of single frames as those of their stack, at full precision. picture_px: pixels of a frame."""
    like = parts[0].uv
    pixels = torch.cat([part.pixels.long() + k * picture_px for k, part in enumerate(parts)])
    rest = [torch.cat([getattr(part, name) for part in parts]).to(like) for name in SeenSkin._fields[1:]]
    return SeenSkin(pixels, *rest)


def openness_of(template: Template, vertices: Tensor, normals: Tensor, rays: int) -> Tensor:
    """[V] ambient visibility of a posed hand's vertices [V,3]. No gradient.

    Found on the mesh before subdivision: occlusion is smooth over a few millimetres.
    """
    coarse = len(template.smoother)
    points, outward = vertices.detach()[:coarse], normals.detach()[:coarse]
    return finer(template, ambient_visibility(points, template.coarse_faces, points, outward, rays))


def finer(template: Template, values: Tensor) -> Tensor:
    """Values of the coarse vertices [N] carried to the template's [V]."""
    for edges in template.midpoints:
        values = interpolate_midpoints(values, edges)
    return values


class SkyViews:
    """Ambient visibility of a video's frames, found where each is first seen and kept: poses move it little from then on."""

    def __init__(self, template: Template, rays: int):
        self.template, self.rays = template, rays
        self.known: dict[int, Tensor] = {}

    @torch.no_grad()
    def of(self, number: int, vertices: Tensor, normals: Tensor) -> Tensor:
        """[V] of one frame; vertices, normals [V,3]."""
        coarse = len(self.template.smoother)
        if number not in self.known:
            self.known[number] = openness_of(self.template, vertices, normals, self.rays)[:coarse].half()
        return finer(self.template, self.known[number].to(vertices))

    def forget(self, number: int) -> None:
        """Find it anew when it is next asked for."""
        self.known.pop(number, None)


def shading_of(template: Template, vertices: Tensor, rays: int) -> Shading:
    """Normals, tangent frames and ambient visibility of a posed hand [V,3]. No gradient through the last."""
    topology = template.topology
    normals = vertex_normals(vertices, topology.faces)
    tangents = corner_tangents(vertices, normals, topology.faces, topology.uv, topology.uv_faces)
    return Shading(normals, tangents, openness_of(template, vertices, normals, rays))


def seen_skin(view: SurfaceView, topology: MeshTopology, shading: Shading) -> SeenSkin:
    """What a view shows, ready to be shaded; view, topology and shading of one hand or of a stack."""
    faces, uv_faces, fragments = topology.faces, topology.uv_faces, view.fragments
    return SeenSkin(
        fragments.pixels,
        surface_values(view, topology.uv, uv_faces),
        surface_values(view, shading.normals, faces),
        surface_values(view, shading.tangents[:, :3], uv_faces),
        shading.tangents[uv_faces[fragments.faces, 0], 3:4],
        surface_values(view, shading.openness[:, None], faces),
    )


def shade_skin(skin: SeenSkin, maps: Tensor, light: LampLight, lamp_visibility: Tensor | None) -> Tensor:
    """Linear colour [P,3] of seen skin. maps [M,M,6] of `AppearanceParameters`; lamp_visibility [P], None: no shadows."""
    values = sample_texture(maps, skin.uv)
    albedo = srgb_to_linear(values[:, :3].clamp(0, 1))
    normals = mapped_normals(skin.normals, skin.tangents, skin.signs, values[:, 3:])
    tint = albedo.detach()
    ambient = multiple_bounce(skin.openness, tint)
    return albedo * shade(light, normals, lamp_visibility, ambient, bounced_lamp(skin.openness, tint))


def visible_lamp(
    template: Template, vertices: Tensor, view: SurfaceView, normals: Tensor, to_lamp: Tensor, samples: int
) -> Tensor:
    """[P] share of the lamp's disc that the visible points of B frames see: percentage-closer soft shadows.

    vertices [B,V,3]; view: the stack's; normals [B·V,3]; samples 1 tests the disc's centre alone.
    """
    faces, count = template.topology.faces, len(vertices)
    tall = faces if count == 1 else torch.cat([faces + k * vertices.shape[1] for k in range(count)])
    points = surface_values(view, vertices.reshape(-1, 3), tall)
    smooth = normalize(surface_values(view, normals, tall), dim=1)
    fragments = view.fragments
    parts = [
        disc_visibility(vertices[k], faces, to_lamp, points[own], smooth[own], LAMP_ANGULAR_RADIUS, samples)
        for k, own in enumerate(frame_slices(fragments.pixels, count, fragments.height // count, fragments.width))
    ]
    return torch.cat(parts)
