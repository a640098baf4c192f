"""Texture maps of one person's skin on the hand model's charts, at any size and in bounded memory. NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .skin_patterns import SkinModel, evaluate, skin_model
from .skin_regions import HandSurface, SkinPoints
from .skin_traits import SkinTraits
from .texels import face_map, pad, slopes, texel_strips

PADDING = 1 / 128
"""Width of the rim carried beyond the charts, as a share of the map."""


class SkinMaps(NamedTuple):
    """Square maps [S,S,*], float32, first row at the top (V = 1)."""

    albedo: np.ndarray
    """[S,S,3] linear Rec.709"""
    roughness: np.ndarray
    """[S,S]"""
    height: np.ndarray
    """[S,S] metres"""
    normal: np.ndarray
    """[S,S,3] unit, tangent space, OpenGL (green upward), in [-1,1]"""


class MovingMaps(NamedTuple):
    """Maps of skin whose relief follows the pose. A slope map [S,S,2] holds what the tangent-space normal's first two
    components are where its third is 1, so that slopes of reliefs on top of each other add up."""

    albedo: np.ndarray
    """[S,S,3] linear Rec.709"""
    roughness: np.ndarray
    """[S,S]"""
    still: np.ndarray
    """slopes of what no pose changes"""
    fold: np.ndarray
    """slopes of the wrinkles on the back of joints"""
    crease: np.ndarray
    """slopes of the lines of palm and fingers"""


def skin_maps(hand: HandSurface, traits: SkinTraits, size: int) -> SkinMaps:
    """The maps of one person. size: side in texels. Deterministic. Raises ValueError for a size below 16.

    Work goes in strips of half a million texels: at 4096 the maps themselves (500 MB) are most of what it takes.
    """
    skin = skin_model(hand, traits)
    sheet = _evaluated(skin, size, ("albedo", "roughness", "height"))
    height = sheet.maps["height"][..., 0]
    normal = _normals(hand, height, sheet.owner)
    return SkinMaps(
        sheet.padded("albedo"),
        sheet.padded("roughness")[..., 0],
        sheet.padded("height")[..., 0],
        _unit(pad(normal, sheet.owner >= 0, sheet.rim)),
    )


def moving_maps(skin: SkinModel, size: int) -> MovingMaps:
    """The maps of one person in motion, as `skin_maps`. The valleys of the palm's lines are in none: they are geometry."""
    sheet = _evaluated(skin, size, ("albedo", "roughness", "height", "fold", "crease", "valley"))
    maps = {name: values[..., 0] for name, values in sheet.maps.items()}
    parts = (maps["height"] - maps["fold"] - maps["crease"] - maps["valley"], maps["fold"], maps["crease"])
    slopes = (pad(_slopes(skin.hand, part, sheet.owner), sheet.owner >= 0, sheet.rim) for part in parts)
    return MovingMaps(sheet.padded("albedo"), sheet.padded("roughness")[..., 0], *slopes)


class _Sheet(NamedTuple):
    """What a skin was found to be at the texels of square maps."""

    maps: dict[str, np.ndarray]
    """[S,S,C] each, 0 beside the charts"""
    owner: np.ndarray
    """[S,S] face, -1 beside the charts"""
    rim: int

    def padded(self, name: str) -> np.ndarray:
        return pad(self.maps[name], self.owner >= 0, self.rim)


def _evaluated(skin: SkinModel, size: int, names: tuple[str, ...]) -> _Sheet:
    """Fields of `SkinSample` on maps. Raises ValueError for a size below 16."""
    if size < 16:
        raise ValueError(f"skin maps of {size} texels are too small: ask for 16 or more")
    hand = skin.hand
    footprint = _texel_metres(hand, size)
    maps = {name: np.zeros((size * size, 3 if name == "albedo" else 1), np.float32) for name in names}
    owner = face_map(hand.uv, hand.uv_faces, size)
    known = np.concatenate([hand.vertices, hand.normals, hand.palm[:, None], hand.skinning], axis=1)
    for texels in texel_strips(hand.uv, hand.uv_faces, owner):
        values = texels.gather(known, hand.faces)
        sample = evaluate(skin, SkinPoints(values[:, :3], values[:, 3:6], values[:, 6], values[:, 7:]), footprint)
        for name in names:
            maps[name][texels.index] = getattr(sample, name).reshape(len(texels.index), -1)
    square = {name: values.reshape(size, size, -1) for name, values in maps.items()}
    return _Sheet(square, owner, max(2, round(PADDING * size)))


def _texel_metres(hand: HandSurface, size: int) -> float:
    """The usual side of a texel on the skin."""
    skin, chart = (
        np.linalg.norm(np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]), axis=1)
        for c in (hand.vertices[hand.faces], np.pad(hand.uv, ((0, 0), (0, 1)))[hand.uv_faces])
    )
    return float(np.sqrt(np.median(skin / np.maximum(chart, 1e-12))) / size)


def _slopes(hand: HandSurface, height: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """[S,S,2] of a height map: minus its gradient along the surface in the frame of tangents.

    With a = dP/du and b = dP/dv, the gradient is the g in their plane with g·a = dh/du and g·b = dh/dv.
    """
    size = len(owner)
    right, up = slopes(height, owner >= 0)
    result = np.zeros((size * size, 2), np.float32)
    frame = _metric(hand)
    for texels in texel_strips(hand.uv, hand.uv_faces, owner):
        # per unit of u: length of a; b's part along a; b's part across a
        along, lean, across = texels.gather(frame, hand.uv_faces).T
        du, dv = right.reshape(-1)[texels.index] * size, up.reshape(-1)[texels.index] * size
        first = du / along
        second = (dv - lean * first) / across
        result[texels.index] = np.stack([-first, -second], axis=1)
    return result.reshape(size, size, 2)


def _normals(hand: HandSurface, height: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Tangent-space normals [S,S,3] of a height map."""
    slope = _slopes(hand, height, owner)
    return _unit(np.concatenate([slope, np.ones_like(slope[..., :1])], axis=-1))


def _metric(hand: HandSurface) -> np.ndarray:
    """[T,3] at texture points, metres per unit of the chart: |a|, b·a/|a| and |b - its part along a|; means over faces."""
    corners, chart = hand.vertices[hand.faces], hand.uv[hand.uv_faces]
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    (u1, v1), (u2, v2) = (chart[:, 1] - chart[:, 0]).T, (chart[:, 2] - chart[:, 0]).T
    area = u1 * v2 - u2 * v1
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)[:, None]
    a = (v2[:, None] * edge1 - v1[:, None] * edge2) / area
    b = (u1[:, None] * edge2 - u2[:, None] * edge1) / area
    along = np.linalg.norm(a, axis=1)
    lean = (a * b).sum(1) / along
    across = np.sqrt(np.maximum((b**2).sum(1) - lean**2, 1e-12))
    values, weight = np.stack([along, lean, across], 1), np.abs(area)
    total, share = np.zeros((len(hand.uv), 3)), np.zeros((len(hand.uv), 1))
    for k in range(3):
        np.add.at(total, hand.uv_faces[:, k], weight * values)
        np.add.at(share, hand.uv_faces[:, k], weight)
    return total / np.maximum(share, 1e-15)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
