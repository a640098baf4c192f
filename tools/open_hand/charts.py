"""Texture charts of the hand: back, palm and the wrist's cap in one unit square.

Back and palm are each one chart, cut along the sides of the fingers. A chart starts as the hand drawn flat with its
fingers side by side, and relaxes as a thin rubber sheet that wants every triangle's shape and area of the skin.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

from tools.open_hand.skeleton import FINGERS
from tools.open_hand.topology import CAP, DORSAL, PALMAR, Topology, boundary_loop

COLUMN_MM = {"thumb": -81.0, "index": -46.0, "middle": -15.0, "ring": 16.0, "pinky": 45.0}
"""Middle of each finger's column, from the middle of the hand away from the thumb."""

ROOT_MM = {"thumb": 74.0, "index": 101.0, "middle": 106.0, "ring": 102.0, "pinky": 92.0}
"""Height of the knuckle (for the thumb of its second joint) above the wrist joint in the charts."""

LATERAL_STRETCH = 1.4
"""Half a finger's girth over its width: drawn flat, a finger's half is this much wider than it looks."""

AREA_STIFFNESS = 3.0
COLUMN_STIFFNESS = 0.03
WALL = 60.0
WEB_MM = 17.0
GAP_MM = 2.5
WEB_GAP_MM = 1.2
WEB_ROUNDS = 6
NOTCH_MM = 6.0
MARGIN = 0.008
CAP_RADIUS = 0.045


def layout(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, shape: Topology) -> np.ndarray:
    """Texture coordinates [T, 2] in the unit square for shape.uv_faces.

    vertices [V, 3] rest, joints [16, 3], weights [V, 16]. Seen from outside, u runs right and v towards the tips.
    """
    points = 1e3 * vertices[shape.uv_vertex]
    uv = np.zeros((len(points), 2))
    boxes = {}
    for side in (DORSAL, PALMAR):
        faces = shape.uv_faces[shape.face_chart == side]
        own = np.unique(faces)
        start, column, slot = _drawn_flat(points[own], 1e3 * joints, weights[shape.uv_vertex[own]])
        local = np.searchsorted(own, faces)
        rim = np.isin(shape.uv_vertex[own], shape.rim)
        if side == PALMAR:  # seen from outside, the palm is the mirror image of the back
            start[:, 0] *= -1
            column, slot = -column, -slot[:, ::-1]
        uv[own] = _relax(points[own], local, start, column, slot, rim)
        boxes[side] = own
    return _pack(uv, boxes, points, shape)


def _drawn_flat(
    mm: np.ndarray, joints_mm: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First guess [T, 2] in mm (u away from the thumb, v towards the tips), the column [T] that a vertex on a
    finger's middle line belongs to (nan elsewhere) and the slot [T, 2] (least, greatest u) of a finger's vertices
    (infinite elsewhere), so that neighbouring fingers stay apart."""
    origin = joints_mm[0]
    guess = np.stack([-1.25 * (mm[:, 2] - origin[2] + 4.0), -(mm[:, 0] - origin[0])], 1)
    blended = weights[:, :1] * guess
    column = np.full(len(mm), np.nan)
    slot = np.tile([-np.inf, np.inf], (len(mm), 1))
    order = sorted(COLUMN_MM.values())
    for f, finger in enumerate(FINGERS):
        share = weights[:, 1 + 3 * f : 4 + 3 * f].sum(1)
        root, after = (14, 15) if finger == "thumb" else (1 + 3 * f, 2 + 3 * f)
        axis = joints_mm[after] - joints_mm[root]
        axis[1] = 0
        axis /= np.linalg.norm(axis)
        side = np.array([axis[2], 0.0, -axis[0]])  # across the finger, away from the thumb for axis = −x
        relative = mm - joints_mm[root]
        along, across = relative @ axis, -(relative @ side)
        drawn = np.stack([COLUMN_MM[finger] + LATERAL_STRETCH * across, ROOT_MM[finger] + along], 1)
        blended += share[:, None] * drawn
        middle = (share > 0.9) & (along > 15.0) & (np.abs(across) < 5.0)
        column[middle] = COLUMN_MM[finger]
        beyond_web = (share > 0.55) & (along > WEB_MM)
        place = order.index(COLUMN_MM[finger])
        if place > 0:
            slot[beyond_web, 0] = 0.5 * (order[place - 1] + order[place]) + 0.5 * GAP_MM
        if place < 4:
            slot[beyond_web, 1] = 0.5 * (order[place] + order[place + 1]) - 0.5 * GAP_MM
    return blended, column, slot


def _relax(mm: np.ndarray, faces: np.ndarray, start: np.ndarray, column: np.ndarray, slot: np.ndarray,
           rim: np.ndarray) -> np.ndarray:  # fmt: skip
    """Least-energy flat sheet: a two-dimensional neo-Hookean material, soft springs to the columns."""
    gradient, area = _gradient_operator(mm, faces)
    held = np.isfinite(column)
    goal = np.where(held, column, 0.0)
    level = start[rim, 1].mean()
    pull = COLUMN_STIFFNESS * area.sum() / len(mm) / 8.0
    alpha = 1 + 1 / AREA_STIFFNESS

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        uv = flat.reshape(-1, 2)
        f = (gradient @ uv).reshape(-1, 2, 2)
        det = f[:, 0, 0] * f[:, 1, 1] - f[:, 0, 1] * f[:, 1, 0]
        cofactor = np.stack([f[:, 1, 1], -f[:, 1, 0], -f[:, 0, 1], f[:, 0, 0]], 1).reshape(-1, 2, 2)
        density = 0.5 * (f * f).sum((1, 2)) + 0.5 * AREA_STIFFNESS * (det - alpha) ** 2
        stress = area[:, None, None] * (f + (AREA_STIFFNESS * (det - alpha))[:, None, None] * cofactor)
        slope = gradient.T @ stress.reshape(-1, 2)
        off = np.where(held, uv[:, 0] - goal, 0.0)
        low = np.where(rim, uv[:, 1] - level, 0.0)
        out = uv[:, 0] - np.clip(uv[:, 0], slot[:, 0], slot[:, 1])
        short = np.maximum(gap - (uv[right, 0] - uv[left, 0]), 0)
        slope[:, 0] += pull * off + WALL * pull * out
        np.add.at(slope[:, 0], right, -WALL * pull * short)
        np.add.at(slope[:, 0], left, WALL * pull * short)
        slope[:, 1] += 40 * pull * low
        notch_energy = _open_notches(uv, notches, slope, WALL * pull)
        return float(
            area @ density
            + 0.5 * pull * (off @ off + WALL * (out @ out + short @ short))
            + 20 * pull * (low @ low)
            + notch_energy
        ), slope.ravel()

    boundary = boundary_loop(faces)
    uv, webs = start, np.zeros(0, int)
    right, left, gap = webs, webs, np.zeros(0)
    places, notches = webs, np.zeros((0, 3), int)
    for _ in range(WEB_ROUNDS):
        options = {"maxiter": 4000, "maxfun": 6000, "ftol": 1e-10}
        uv = minimize(energy, uv.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(-1, 2)
        narrow, valley = _narrow_wedges(uv, faces, boundary)
        closed = np.setdiff1d(narrow[valley], webs)
        sharp = np.setdiff1d(narrow, places)
        if not len(closed) and not len(sharp):
            break
        places = np.concatenate([places, sharp])
        notches = np.stack([boundary[places], boundary[places - 1], boundary[(places + 1) % len(boundary)]], 1)
        # a web opens towards +v, so the boundary comes down on its right and goes up on its left
        webs = np.concatenate([webs, closed])
        steps = np.arange(1, 6)
        right = boundary[(webs[:, None] - steps) % len(boundary)].ravel()
        left = boundary[(webs[:, None] + steps) % len(boundary)].ravel()
        gap = np.tile(WEB_GAP_MM * steps, len(webs))
    return uv


def _open_notches(uv: np.ndarray, notches: np.ndarray, slope: np.ndarray, stiffness: float) -> float:
    """Energy of notches [K, 3] (vertex, the boundary's vertex before and after) that are narrower than about 20°;
    adds its gradient to slope."""
    before, after = uv[notches[:, 1]] - uv[notches[:, 0]], uv[notches[:, 2]] - uv[notches[:, 0]]
    product = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1) + 1e-9
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    short = np.maximum(0.35 - cross / product, 0)
    factor = -stiffness * NOTCH_MM**2 * short / product
    g_before = factor[:, None] * (
        np.stack([after[:, 1], -after[:, 0]], 1) - cross[:, None] * before / (before**2).sum(1, keepdims=True)
    )
    g_after = factor[:, None] * (
        np.stack([-before[:, 1], before[:, 0]], 1) - cross[:, None] * after / (after**2).sum(1, keepdims=True)
    )
    np.add.at(slope, notches[:, 1], g_before)
    np.add.at(slope, notches[:, 2], g_after)
    np.add.at(slope, notches[:, 0], -g_before - g_after)
    return 0.5 * stiffness * NOTCH_MM**2 * float(short @ short)


def _narrow_wedges(uv: np.ndarray, faces: np.ndarray, boundary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in the boundary where the wedge outside the chart is narrower than 15° (30° in a web) or folded over;
    and which of them are webs, open towards +v."""
    p = uv[faces]
    angles = np.zeros(len(uv))
    for corner in range(3):
        a, b = p[:, corner - 1] - p[:, corner], p[:, corner - 2] - p[:, corner]
        cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        np.add.at(angles, faces[:, corner], np.arccos(np.clip(cosine, -1, 1)))
    height = uv[boundary, 1]
    valley = (np.roll(height, 3) > height + 1) & (np.roll(height, -3) > height + 1)
    outside = 2 * np.pi - angles[boundary]
    narrow = np.flatnonzero(outside < np.deg2rad(np.where(valley, 30, 15)))
    return narrow, valley[narrow]


def _gradient_operator(mm: np.ndarray, faces: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """Operator (2F, T) from texture coordinates to their 2×2 derivative in each triangle's plane, seen from
    outside (a positive determinant means unflipped), and the areas [F]."""
    p = mm[faces]
    first = p[:, 1] - p[:, 0]
    length = np.linalg.norm(first, axis=1)
    second = p[:, 2] - p[:, 0]
    x = (second * first).sum(1) / length
    y = np.linalg.norm(np.cross(first, second), axis=1) / length
    edges = np.stack([np.stack([length, x], 1), np.stack([np.zeros_like(y), y], 1)], 1)
    inverse = np.linalg.inv(edges)
    local = np.concatenate([-inverse.sum(1, keepdims=True), inverse], 1)  # [F, 3, 2]
    rows = 2 * np.arange(len(faces))[:, None, None] + np.arange(2) + np.zeros((1, 3, 1), int)
    columns = np.repeat(faces[:, :, None], 2, 2)
    operator = sp.csr_matrix((local.ravel(), (rows.ravel(), columns.ravel())), shape=(2 * len(faces), len(mm)))
    return operator, 0.5 * length * y


def _pack(uv: np.ndarray, boxes: dict[int, np.ndarray], points: np.ndarray, shape: Topology) -> np.ndarray:
    """Back on the left, palm on the right, each filling its half; the cap in the gap above the little fingers."""
    packed = uv.copy()
    width = sum(np.ptp(uv[own, 0]) for own in boxes.values())
    scale_u = (1 - 3 * MARGIN) / width
    left = MARGIN
    for own in boxes.values():
        u, v = uv[own, 0], uv[own, 1]
        packed[own, 0] = left + scale_u * (u - u.min())
        packed[own, 1] = MARGIN + (1 - 2 * MARGIN) * (v - v.min()) / np.ptp(v)
        left += scale_u * np.ptp(u) + MARGIN
    cap = np.unique(shape.uv_faces[shape.face_chart == CAP])
    flat = points[cap][:, [2, 1]] * [-1, 1]
    flat = flat - flat.mean(0)
    border = MARGIN + scale_u * np.ptp(uv[boxes[DORSAL], 0]) + 0.5 * MARGIN
    packed[cap] = np.array([border, 1 - MARGIN - CAP_RADIUS]) + CAP_RADIUS * flat / np.linalg.norm(flat, axis=1).max()
    return packed
