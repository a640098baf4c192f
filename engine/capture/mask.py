"""The hand's mask: GrabCut (Rother et al. 2004) started from the projected hand, with the forearm cut at the wrist."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..hand.joints import KEYPOINT_NAMES, KEYPOINT_PARENTS
from .silhouette import Window, cover, cut, front_facing, window_around

BONE_WIDTH = 0.016
"""Width, over the hand's size, of the lines between landmarks whose pixels are hand for certain."""
CERTAIN_OUTSIDE = 0.09
"""Distance outside, over its size, from which it is certainly not."""
FOREARM_WIDTH = 1.5
"""Width of the strip in which the forearm may lie, over the wrist's."""


@dataclass(frozen=True)
class WristCut:
    """Where the hand ends in the picture, from the model's wrist."""

    centre: np.ndarray
    """[2] px."""
    direction: np.ndarray
    """[2] unit, towards the elbow."""
    ring: np.ndarray
    """[N,2] px, the projected wrist ring."""
    visible: bool
    """False when the forearm points so nearly along the view that there is nothing to cut."""

    @property
    def half_width(self) -> float:
        across = np.array([-self.direction[1], self.direction[0]])
        return float(np.abs((self.ring - self.centre) @ across).max())

    def beyond(self, window: Window) -> np.ndarray:
        """[h,w] bool: the window's pixels on the elbow's side of the wrist ring."""
        along, _ = self._coordinates(window)
        hull = cv2.convexHull(np.round(window.to_window(self.ring) - 0.5).astype(np.int32))
        ring = np.zeros(along.shape, np.uint8)
        cv2.fillConvexPoly(ring, hull, 1)
        return (along > 0) & (ring == 0)

    def strip(self, window: Window) -> np.ndarray:
        """[h,w] bool: where the forearm may lie."""
        along, across = self._coordinates(window)
        half = self.half_width
        return (along > -0.3 * half) & (np.abs(across) < FOREARM_WIDTH * half + 0.25 * np.maximum(along, 0))

    def near(self, window: Window, distance: float) -> np.ndarray:
        """[h,w] bool: within a distance, over the wrist's half width, of the ring's image."""
        ring = np.zeros((window.height, window.width), np.uint8)
        cv2.fillConvexPoly(ring, cv2.convexHull(np.round(window.to_window(self.ring) - 0.5).astype(np.int32)), 1)
        return cv2.dilate(ring, _disc(distance * self.half_width * window.scale)) > 0

    def _coordinates(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = np.mgrid[: window.height, : window.width] + 0.5
        offset = window.to_image(np.stack([columns, rows], -1)) - self.centre
        return offset @ self.direction, offset @ np.array([-self.direction[1], self.direction[0]])


def wrist_ring(faces: np.ndarray, cap_faces: np.ndarray) -> np.ndarray:
    """Indices of the vertices around the wrist's opening: the rim of the lid, or of the hole where there is no lid."""
    open_faces = faces[~cap_faces]
    pairs = np.sort(open_faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, counts = np.unique(pairs, axis=0, return_counts=True)
    return np.unique(unique[counts == 1])


def wrist_cut(
    ring_points: np.ndarray, ring_pixels: np.ndarray, knuckle: np.ndarray, knuckle_pixel: np.ndarray
) -> WristCut:
    """The cut from the wrist ring [N,3] in camera axes and [N,2] px, and the middle knuckle, likewise."""
    centre3, centre = ring_points.mean(0), ring_pixels.mean(0)
    normal = np.linalg.svd(ring_points - centre3)[2][2]
    if normal @ (centre3 - knuckle) < 0:
        normal = -normal
    # the normal's image: how the ring's centre moves when it slides along the forearm
    depth = max(float(centre3[2]), 1e-3)
    slide = normal[:2] - centre3[:2] / depth * normal[2]
    length = float(np.linalg.norm(slide))
    fallback = centre - knuckle_pixel
    direction = slide / length if length > 0.15 else fallback / max(float(np.linalg.norm(fallback)), 1e-6)
    return WristCut(centre, direction, ring_pixels, length > 0.15)


def hand_mask(
    image: np.ndarray,
    points: np.ndarray,
    faces: np.ndarray,
    keypoints: np.ndarray,
    wrist: WristCut,
    longest_px: int = 448,
    iterations: int = 4,
) -> np.ndarray:
    """[H,W] bool mask of the hand in `image` [H,W,3] uint8.

    points [V,2] px: the fitted hand's projected vertices; faces [F,3]; keypoints [21,2] px, as detected:
    they, not the fit, say what is hand for certain. longest_px: resolution of the segmentation, whose
    outline is then carried to the picture's own resolution by a guided filter (He et al. 2013).
    """
    size = (image.shape[1], image.shape[0])
    window = window_around(points, size, 0.22, longest_px)
    pixels = cut(image, window)
    local = window.to_window(points)
    projected = cover(local, faces[front_facing(local, faces)], window.width, window.height)
    full = np.zeros(image.shape[:2], bool)
    if np.count_nonzero(projected) < 50:
        return full
    extent = float(np.hypot(*np.ptp(local, axis=0)))
    trimap = _trimap(projected, window.to_window(keypoints), wrist, window, extent)
    found = _grab_cut(pixels, trimap, iterations)
    found = _tidy(found, projected, extent)
    # the forearm is cut before the outline is carried over, but never a finger that reaches across the wrist
    near = cv2.dilate(projected, _disc(0.03 * extent)) > 0
    if wrist.visible:
        fingers = near & ~wrist.near(window, 0.35)
        found &= ~(wrist.beyond(window) & ~fingers)
    found = _largest_parts(found, projected)
    x0, y0 = (int(c) for c in window.corner)
    width, height = round(window.width / window.scale), round(window.height / window.scale)
    part = image[y0 : y0 + height, x0 : x0 + width]
    full[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = _sharpened(found, part, window.scale)
    return full


def _trimap(projected: np.ndarray, keypoints: np.ndarray, wrist: WristCut, window: Window, extent: float) -> np.ndarray:
    possible = cv2.dilate(projected, _disc(CERTAIN_OUTSIDE * extent)) > 0
    trimap = np.full(projected.shape, cv2.GC_BGD, np.uint8)
    trimap[possible] = cv2.GC_PR_BGD
    trimap[projected > 0] = cv2.GC_PR_FGD
    if wrist.visible:
        # the forearm has the hand's colour: called background, it would teach the background model skin
        arm = wrist.strip(window) & wrist.beyond(window) & (projected == 0)
        trimap[arm] = cv2.GC_PR_FGD
    trimap[_bones(keypoints, projected.shape, BONE_WIDTH * extent)] = cv2.GC_FGD
    return trimap


def _bones(keypoints: np.ndarray, shape: tuple[int, ...], width: float) -> np.ndarray:
    """[h,w] bool: lines along the detected bones and the palm between them."""
    picture = np.zeros(shape[:2], np.uint8)
    fixed = np.round(np.clip(keypoints, -4096, 8192) - 0.5).astype(np.int32)
    palm = fixed[[KEYPOINT_NAMES.index(n) for n in ("wrist", "index1", "middle1", "ring1", "pinky1")]]
    cv2.fillConvexPoly(picture, cv2.convexHull(palm), 1)
    picture = cv2.erode(picture, _disc(2 * width))
    for child, parent in enumerate(KEYPOINT_PARENTS):
        # the straight lines to the knuckles of thumb and little finger can leave a narrow wrist
        if parent > 0:
            start, end = (tuple(int(c) for c in fixed[k]) for k in (parent, child))
            cv2.line(picture, start, end, 1, max(1, round(width)))
    return picture > 0


def _grab_cut(pixels: np.ndarray, trimap: np.ndarray, iterations: int) -> np.ndarray:
    """[h,w] bool. Falls back to the trimap's own guess where there is too little of either colour model."""
    guess = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    if np.count_nonzero(guess) < 30 or np.count_nonzero(~guess) < 30:
        return guess
    # GrabCut draws its colour clusters' starts from OpenCV's random numbers
    cv2.setRNGSeed(0)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    labels: np.ndarray = trimap.copy()
    blurred = cv2.bilateralFilter(np.ascontiguousarray(pixels), 5, 20, 2)
    cv2.grabCut(blurred, labels, None, background, foreground, iterations, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _tidy(found: np.ndarray, projected: np.ndarray, extent: float) -> np.ndarray:
    """Without specks and pinholes; real gaps between fingers stay."""
    picture = found.astype(np.uint8)
    picture = cv2.morphologyEx(picture, cv2.MORPH_OPEN, _disc(max(1.0, 0.004 * extent)))
    holes = cv2.connectedComponentsWithStats(1 - picture, connectivity=4)
    small = holes[2][:, cv2.CC_STAT_AREA] < (0.012 * extent) ** 2
    small[0] = False
    picture[small[holes[1]]] = 1
    return picture > 0


def _largest_parts(found: np.ndarray, projected: np.ndarray) -> np.ndarray:
    """The parts that the projected hand explains: the largest, and others of which it covers half."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    if count <= 2:
        return found
    areas = stats[:, cv2.CC_STAT_AREA]
    covered = np.bincount(labels[projected > 0], minlength=count)
    keep = (covered > 0.5 * areas) & (areas > 0.004 * areas[1:].max())
    keep[1 + int(np.argmax(covered[1:]))] = True
    keep[0] = False
    return keep[labels]


def _sharpened(found: np.ndarray, part: np.ndarray, scale: float) -> np.ndarray:
    """The mask at the picture's resolution, its edge drawn to the picture's."""
    size = (part.shape[1], part.shape[0])
    radius = max(2, round(2 / scale))
    coarse = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    guide = part.astype(np.float32) / 255
    filtered = cv2.ximgproc.guidedFilter(guide, coarse, radius, 1e-4)
    return filtered > 0.5


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
