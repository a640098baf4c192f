"""A picture that shows at a glance what capture understood: the landmarks and mask, and beside it the fitted hand."""

from __future__ import annotations

import cv2
import numpy as np

from ..hand.joints import KEYPOINT_NAMES, KEYPOINT_PARENTS
from ..hand.normals import face_normals, vertex_normals

FINGER_COLOURS = {
    "thumb": (232, 111, 81),
    "index": (240, 180, 60),
    "middle": (98, 190, 110),
    "ring": (70, 160, 220),
    "pinky": (155, 110, 215),
    "wrist": (245, 245, 245),
}
MASK_COLOUR = (64, 224, 208)
CLAY = np.array([236.0, 196.0, 168.0])
LEAST_SIDE_PX, MOST_SIDE_PX = 900, 1800
_BITS = 4


def overlay(
    image: np.ndarray,
    mask: np.ndarray,
    keypoints: np.ndarray,
    vertices: np.ndarray,
    pixels: np.ndarray,
    faces: np.ndarray,
    fitted_pixels: np.ndarray,
    caption: str = "",
) -> np.ndarray:
    """Two pictures side by side, [h,w,3] uint8.

    image [H,W,3] uint8; mask [H,W] bool; keypoints, fitted_pixels [21,2] px detected and fitted; vertices [V,3] camera axes
    and pixels [V,2] of the fitted hand; faces [F,3].
    """
    height, width = image.shape[:2]
    scale = float(np.clip(LEAST_SIDE_PX / max(height, width), 1.0, 4.0)) if max(height, width) < LEAST_SIDE_PX else 1.0
    scale = min(scale, MOST_SIDE_PX / max(height, width))
    size = (round(width * scale), round(height * scale))
    photo = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    stroke = max(1, round(max(size) / 700))

    seen = _dim_outside(photo, mask, size)
    _outline(seen, mask, size, stroke)
    _skeleton(seen, keypoints * scale, stroke)

    mesh = _shaded(photo, vertices, pixels * scale, faces)
    _skeleton(mesh, fitted_pixels * scale, max(1, stroke - 1), 0.55)
    gap = np.full((size[1], max(4, stroke * 4), 3), 24, np.uint8)
    sheet = np.hstack([seen, gap, mesh])
    return _with_caption(sheet, caption) if caption else sheet


def masked_view(image: np.ndarray, mask: np.ndarray, longest_px: int = MOST_SIDE_PX) -> np.ndarray:
    """The photo [H,W,3] uint8, grey outside the mask [H,W] bool, the mask's border drawn; its longer side at most longest_px."""
    height, width = image.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    seen = _dim_outside(cv2.resize(image, size, interpolation=cv2.INTER_AREA), mask, size)
    _outline(seen, mask, size, max(1, round(max(size) / 700)))
    return seen


def _dim_outside(photo: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    inside = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None]
    grey = photo.mean(-1, keepdims=True) * 0.55 + 30
    return (photo * inside + grey * (1 - inside)).astype(np.uint8)


def _outline(picture: np.ndarray, mask: np.ndarray, size: tuple[int, int], stroke: int) -> None:
    large = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
    borders, _ = cv2.findContours(large.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, borders, -1, MASK_COLOUR, stroke, cv2.LINE_AA)


def _skeleton(picture: np.ndarray, points: np.ndarray, stroke: int, strength: float = 1.0) -> None:
    top = picture.copy()
    fixed = np.round((np.clip(points, -8000, 8000) - 0.5) * (1 << _BITS)).astype(int)
    for index, parent in enumerate(KEYPOINT_PARENTS):
        if parent >= 0:
            _line(top, fixed[parent], fixed[index], (20, 20, 20), stroke + 2)
    for index, parent in enumerate(KEYPOINT_PARENTS):
        if parent >= 0:
            _line(top, fixed[parent], fixed[index], _colour(index), stroke)
    for index, point in enumerate(fixed):
        centre = (int(point[0]), int(point[1]))
        cv2.circle(top, centre, int((stroke * 2 + 1.5) * (1 << _BITS)), (20, 20, 20), -1, cv2.LINE_AA, _BITS)
        cv2.circle(top, centre, int((stroke * 2) * (1 << _BITS)), _colour(index), -1, cv2.LINE_AA, _BITS)
    cv2.addWeighted(top, strength, picture, 1 - strength, 0, dst=picture)


def _line(picture: np.ndarray, start: np.ndarray, end: np.ndarray, colour: tuple[int, int, int], stroke: int) -> None:
    cv2.line(picture, tuple(map(int, start)), tuple(map(int, end)), colour, stroke, cv2.LINE_AA, _BITS)


def _colour(index: int) -> tuple[int, int, int]:
    return FINGER_COLOURS[KEYPOINT_NAMES[index].rstrip("123").removesuffix("_tip")]


def _shaded(photo: np.ndarray, vertices: np.ndarray, pixels: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The photo with the hand as lit clay over it: painter's algorithm at twice the resolution, then reduced."""
    corners = vertices[faces]
    smooth = vertex_normals(vertices, faces)[faces].mean(1)
    facing = (face_normals(vertices, faces) * corners.mean(1)).sum(1) < 0
    order = np.flatnonzero(facing)
    order = order[np.argsort(-corners[order, :, 2].mean(1))]
    # a main light from the upper left, a fill from the right
    light = (
        np.clip(smooth @ np.array([-0.5, -0.6, -0.62]), 0, 1) * 0.75
        + np.clip(smooth @ np.array([0.8, 0.1, -0.6]), 0, 1) * 0.3
    )
    colours = np.clip(CLAY * (0.22 + light)[:, None], 0, 255)

    factor = 2
    height, width = photo.shape[:2]
    canvas = np.zeros((height * factor, width * factor, 3), np.uint8)
    coverage = np.zeros((height * factor, width * factor), np.uint8)
    fixed = np.round((np.clip(pixels, -4000, 12000) * factor - 0.5) * (1 << _BITS)).astype(np.int32)
    for index in order:
        triangle = fixed[faces[index]]
        cv2.fillConvexPoly(canvas, triangle, tuple(map(float, colours[index])), cv2.LINE_8, _BITS)
        cv2.fillConvexPoly(coverage, triangle, 255, cv2.LINE_8, _BITS)
    canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(coverage, (width, height), interpolation=cv2.INTER_AREA)[..., None] / 255.0
    strength = 0.8
    return (photo * (1 - strength * alpha) + canvas * strength).astype(np.uint8)


def _with_caption(sheet: np.ndarray, caption: str) -> np.ndarray:
    size = max(0.45, sheet.shape[1] / 2600)
    bar = np.full((round(44 * size / 0.6), sheet.shape[1], 3), 24, np.uint8)
    baseline = round(bar.shape[0] * 0.66)
    cv2.putText(bar, caption, (12, baseline), cv2.FONT_HERSHEY_SIMPLEX, size, (225, 225, 225), 1, cv2.LINE_AA)
    return np.vstack([sheet, bar])
