"""A mesh drawn again and again: only faces that look at the camera are rasterised, only outline edges are antialiased."""

from __future__ import annotations

import torch
from torch import Tensor

from ..rendering.antialias import EdgeTable, antialias
from ..rendering.mesh import MeshTopology, Picture, SurfaceView
from ..rendering.rasterize import Fragments, barycentric_at, face_buffer, pixel_centres, project_vertices, to_image
from .xhand_model import Camera


class FastRaster:
    """`rendering.mesh.see` and `compose` of one closed mesh over black, without gradient; the same pictures."""

    def __init__(self, topology: MeshTopology):
        self.topology = topology
        self.faces = topology.faces
        self.edges = topology.edges
        self._first, self._second = topology.edges.faces.unbind(1)
        self._border = self._second < 0
        self._opposite = topology.edges.opposite

    def see(self, vertices: Tensor, camera: Camera) -> SurfaceView:
        """vertices [V,3] metres, world."""
        matrix, intrinsics = camera.world_to_camera.to(vertices), camera.intrinsics.to(vertices)
        screen = project_vertices(vertices @ matrix[:3, :3].T + matrix[:3, 3], intrinsics)
        self._away = away = self._looks_away(screen)
        # an open mesh shows its inside: then every face counts
        shown = torch.nonzero(~away)[:, 0] if not bool(self._border.any()) else None
        faces = self.faces if shown is None else self.faces[shown]
        closeness = torch.where(
            screen[:, 2:] > 1e-6, 1 / screen[:, 2:].clamp_min(1e-6), torch.zeros_like(screen[:, 2:])
        )
        seen = face_buffer(torch.cat([screen[:, :2], closeness], 1), faces, camera.height, camera.width).reshape(-1)
        pixels = torch.nonzero(seen >= 0)[:, 0]
        face = seen[pixels] if shown is None else shown[seen[pixels]]
        where = pixel_centres(pixels, camera.width, screen)
        barycentric, depth = barycentric_at(screen, self.faces[face], where)
        fragments = Fragments(pixels, face, barycentric, depth, camera.height, camera.width)
        return SurfaceView(fragments, screen, float(camera.intrinsics[0, 0]))

    def _looks_away(self, screen: Tensor) -> Tensor:
        x, y = screen[:, 0], screen[:, 1]
        a, b, c = self.faces.unbind(1)
        ax, ay = x[a], y[a]
        return (x[b] - ax) * (y[c] - ay) - (y[b] - ay) * (x[c] - ax) > 0

    def compose(self, view: SurfaceView, values: Tensor) -> Picture:
        """Antialiased colour [H,W,3] of values [P,3] over black, and coverage. view: the last one that `see` gave."""
        fragments = view.fragments
        image = to_image(fragments, torch.cat([values, torch.ones_like(values[:, :1])], dim=1))
        depth = to_image(fragments, fragments.depth[:, None], float("inf"))[..., 0]
        turned = self._away[self._first] != self._away[self._second.clamp_min(0)]
        outline = torch.nonzero(turned | self._border)[:, 0]
        first, second = self._first[outline], self._second[outline]
        # the few faces beside the outline, numbered anew
        beside = torch.where(second >= 0, torch.arange(len(outline), device=first.device) + len(outline), second)
        edges = EdgeTable(
            self.edges.vertices[outline],
            torch.stack([torch.arange(len(outline), device=first.device), beside], 1),
            self._opposite[outline],
        )
        faces = self.faces[torch.cat([first, second.clamp_min(0)])]
        image = antialias(image, depth, view.screen, faces, edges, view.focal_px)
        return Picture(image[..., :3], image[..., 3])
