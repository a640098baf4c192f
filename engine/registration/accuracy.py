"""How well a registered hand explains its scan and its keypoints, as PALM's section 3.2 reports it. NumPy.

The paper's 5.3 mm is the mean distance of the registered hand's keypoints from the triangulated ones; its 95 % at 10 mm is a
recall of keypoints. The recall of the scanned surface stands beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..datasets.scan import Scan, samples
from .closest_point import SurfaceSearch
from .pairing import SurfaceTables

RECALL_M = 0.010
SAMPLES = 5000


class Accuracy(NamedTuple):
    """Of one scan. Millimetres; None where there was nothing to measure; a scan's recall is 0 then."""

    scan_recall_10mm: float
    """Share of the scan's surface (near the hand's bones, before the wrist's cut) within 10 mm of the hand's."""
    scan_mm: float | None
    """Mean distance of the same from the hand's surface."""
    scan_95_mm: float | None
    keypoint_recall_10mm: float | None
    """Share of the triangulated keypoints within 10 mm of the hand's."""
    keypoint_mm: float | None
    """Their mean distance."""


def accuracy(
    vertices: np.ndarray, keypoints: np.ndarray, tables: SurfaceTables, scan: Scan, triangulated: np.ndarray
) -> Accuracy:
    """Of a hand's vertices [V,3] and keypoints [21,3] against a scan cropped to the hand and keypoints [21,3] (NaN unknown)."""
    distance = scan_distances(vertices, tables, scan.vertices[samples(scan, SAMPLES, 0)])
    distance = distance[np.isfinite(distance)]
    off = np.linalg.norm(keypoints - triangulated, axis=1)
    off = off[np.isfinite(off)]
    return Accuracy(
        float((distance <= RECALL_M).mean()) if len(distance) else 0.0,
        1000 * float(distance.mean()) if len(distance) else None,
        1000 * float(np.percentile(distance, 95)) if len(distance) else None,
        float((off <= RECALL_M).mean()) if len(off) else None,
        1000 * float(off.mean()) if len(off) else None,
    )


def scan_distances(vertices: np.ndarray, tables: SurfaceTables, points: np.ndarray) -> np.ndarray:
    """[N] metres from points [N,3] to the hand's surface; NaN beyond the wrist's cut, where the model ends."""
    found = SurfaceSearch(vertices, tables.faces).closest(points)
    return np.where(tables.at_wrist[found.faces], np.nan, found.distances)
