"""The fitted hand in the picture: which pixels it covers, and which of its vertices lie on the outline. OpenCV, NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Window:
    """A square-pixel cut of the picture at another scale: window px = (image px - corner) * scale."""

    corner: tuple[float, float]
    scale: float
    width: int
    height: int

    def to_window(self, points: np.ndarray) -> np.ndarray:
        return (points - np.asarray(self.corner)) * self.scale

    def to_image(self, points: np.ndarray) -> np.ndarray:
        return points / self.scale + np.asarray(self.corner)


def window_around(points: np.ndarray, size: tuple[int, int], margin: float, longest_px: int) -> Window:
    """The window around points [N,2] with a margin (of their extent), inside the picture of `size` (w, h) px.

    Its longer side has at most `longest_px` pixels; the picture is never enlarged.
    """
    low, high = points.min(0), points.max(0)
    pad = margin * float(max(*(high - low), 8.0))
    x0, y0 = np.floor(np.clip(low - pad, 0, np.asarray(size) - 2)).astype(int)
    x1, y1 = np.ceil(np.clip(high + pad, (x0 + 2, y0 + 2), size)).astype(int)
    scale = min(1.0, longest_px / max(x1 - x0, y1 - y0))
    width, height = max(2, round((x1 - x0) * scale)), max(2, round((y1 - y0) * scale))
    return Window((float(x0), float(y0)), scale, width, height)


def cut(image: np.ndarray, window: Window) -> np.ndarray:
    """The window's pixels of an image [H,W] or [H,W,3]."""
    x0, y0 = (int(c) for c in window.corner)
    width, height = round(window.width / window.scale), round(window.height / window.scale)
    part = image[y0 : y0 + height, x0 : x0 + width]
    if part.shape[:2] == (window.height, window.width):
        return part
    return cv2.resize(part, (window.width, window.height), interpolation=cv2.INTER_AREA)


def front_facing(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F] bool: triangles of projected points [V,2] px that turn their outside to the camera (y grows downward)."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]) < 0


def cover(points: np.ndarray, faces: np.ndarray, width: int, height: int) -> np.ndarray:
    """[H,W] uint8 0/255 picture of the triangles `faces` [F,3] over points [V,2] in pixels (first centre at 0.5)."""
    # OpenCV counts from the first pixel's centre
    fixed = np.round((np.clip(points, -4096, 8192) - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    picture = np.zeros((height, width), np.uint8)
    for triangle in fixed[faces]:
        cv2.fillConvexPoly(picture, triangle, 255, cv2.LINE_8, _SUBPIXEL_BITS)
    return picture


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two pictures [H,W] whose non-zero pixels are inside."""
    one, other = one > 0, other > 0
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 0.0


def contour_points(mask: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Points [N,2] px along all borders of a mask [H,W], and their outward unit normals [N,2].

    Points on the picture's edge are left out: there the mask is cut off, not outlined.
    """
    height, width = mask.shape
    borders, _ = cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    points, normals = [], []
    field = cv2.GaussianBlur((mask > 0).astype(np.float32), (0, 0), 2.0)
    gradient = np.stack([cv2.Sobel(field, cv2.CV_32F, 1, 0), cv2.Sobel(field, cv2.CV_32F, 0, 1)], -1)
    step = max(1, round(spacing))
    for border in borders:
        if len(border) < 12:
            continue
        pixels = border[::step, 0]
        inside = ((pixels > 1) & (pixels < (width - 2, height - 2))).all(1)
        pixels = pixels[inside]
        slope = gradient[pixels[:, 1], pixels[:, 0]]
        length = np.linalg.norm(slope, axis=1)
        good = length > 1e-3
        normal = -slope[good] / length[good, None]
        # the border pixel is the last one inside: the outline runs half a pixel further out
        points.append(pixels[good] + 0.5 + 0.5 * normal)
        normals.append(normal)
    if not points:
        return np.zeros((0, 2)), np.zeros((0, 2))
    return np.concatenate(points).astype(float), np.concatenate(normals).astype(float)


def rim_vertices(points: np.ndarray, faces: np.ndarray, edges: np.ndarray, edge_faces: np.ndarray) -> np.ndarray:
    """Indices of vertices on edges between a front- and a back-facing triangle: the candidates for the outline."""
    front = front_facing(points, faces)
    rim = edges[front[edge_faces[:, 0]] != front[edge_faces[:, 1]]]
    return np.unique(rim)


def mesh_edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges [E,2] with two triangles, and these triangles [E,2]."""
    pairs = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    owner = np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs, owner = pairs[order], owner[order]
    same = (pairs[1:] == pairs[:-1]).all(1)
    first = np.flatnonzero(same)
    return pairs[first], np.stack([owner[first], owner[first + 1]], axis=1)


@dataclass(frozen=True)
class OutlineMatches:
    """Model vertices and the picture's outline points that they should reach, in image pixels."""

    vertices: np.ndarray
    """[N]."""
    points: np.ndarray
    """[N,2]."""
    normals: np.ndarray
    """[N,2]."""
    weights: np.ndarray
    """[N], summing to 1."""


def match_outlines(
    mask: np.ndarray,
    points: np.ndarray,
    faces: np.ndarray,
    edges: np.ndarray,
    edge_faces: np.ndarray,
    reach: float,
    count: int,
    ignored: np.ndarray | None = None,
) -> OutlineMatches:
    """Pair the mask's outline with the projected hand's, both ways, by place and direction.

    mask [H,W]; points [V,2] px of the projected vertices; reach: px beyond which nothing is paired; count: number of pairs
    at most; ignored [H,W] bool: where the picture's outline is no evidence (the cut at the wrist).
    """
    height, width = mask.shape
    drawn = cover(points, faces[front_facing(points, faces)], width, height)
    spacing = 2.0
    seen, seen_normals = contour_points(mask, spacing)
    own, own_normals = contour_points(drawn, spacing)
    rim = rim_vertices(points, faces, edges, edge_faces)
    if not len(seen) or not len(own) or not len(rim):
        return _no_matches()
    if ignored is not None:
        seen, seen_normals = _outside(seen, seen_normals, ignored)
        own, own_normals = _outside(own, own_normals, ignored)
        if not len(seen) or not len(own):
            return _no_matches()
    rim_distance, rim_index = cKDTree(points[rim]).query(own)
    on_rim = rim_distance < 0.5 * reach
    own, own_normals, vertices = own[on_rim], own_normals[on_rim], rim[rim_index[on_rim]]
    if not len(own):
        return _no_matches()
    # direction counts as a distance, so that a finger's left side is not pulled to its neighbour's right
    turn = reach
    own_tree = cKDTree(np.hstack([own, turn * own_normals]))
    seen_tree = cKDTree(np.hstack([seen, turn * seen_normals]))
    to_own, own_of_seen = own_tree.query(np.hstack([seen, turn * seen_normals]))
    to_seen, seen_of_own = seen_tree.query(np.hstack([own, turn * own_normals]))
    own_index = np.concatenate([own_of_seen[to_own < reach], np.flatnonzero(to_seen < reach)])
    seen_index = np.concatenate([np.flatnonzero(to_own < reach), seen_of_own[to_seen < reach]])
    if len(own_index) > count:
        keep = np.linspace(0, len(own_index) - 1, count).astype(int)
        own_index, seen_index = own_index[keep], seen_index[keep]
    if not len(own_index):
        return _no_matches()
    # the vertex lies near its outline pixel, not on it: ask for the outline to move, not for the vertex to jump
    chosen = vertices[own_index]
    goal = points[chosen] + (seen[seen_index] - own[own_index])
    return OutlineMatches(chosen, goal, seen_normals[seen_index], np.full(len(chosen), 1 / len(chosen)))


def _outside(points: np.ndarray, normals: np.ndarray, ignored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    column, row = points.astype(int).T
    height, width = ignored.shape
    keep = ~ignored[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return points[keep], normals[keep]


def _no_matches() -> OutlineMatches:
    return OutlineMatches(np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
