"""Which point of the hand belongs to which of the scan and of the masks' outlines, at one moment of the fit. NumPy, SciPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from ..capture.mask import wrist_cut, wrist_ring
from ..capture.silhouette import cut, match_outlines, mesh_edges, window_around
from ..datasets.palm_files import Camera
from ..datasets.scan import Scan, samples
from ..hand.cameras import project
from ..hand.model import HandModel
from ..hand.normals import face_normals, vertex_normals
from .closest_point import SurfaceSearch

OUTLINE_WINDOW_PX = 320
OUTLINE_POINTS = 120
NEIGHBOURS = 5
MIDDLE_KNUCKLE = 4
BEHIND_WRIST = 0.15


@dataclass(frozen=True)
class PairingRound:
    """How pairs are chosen in one round of the fit."""

    reach_m: float
    """Beyond, nothing is paired."""
    size_m: float
    """Expected distance of scan and surface."""
    least_cosine: float
    """Of the normals of a pair."""
    outlines: bool = False


@dataclass(frozen=True)
class PairShares:
    """How many independent measurements each kind of pair counts as in all, however many pairs there are."""

    scan: float = 500.0
    """From the scan to the surface."""
    surface: float = 300.0
    """From the surface to the scan, the paper's."""
    outlines: float = 80.0
    """Over all cameras."""
    outline_size_m: float = 0.0012
    samples: int = 2500


class Pairs(NamedTuple):
    """N planes, as `scan_energy.ScanPairs` of one frame."""

    corners: np.ndarray
    barycentric: np.ndarray
    directions: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    weights: np.ndarray


class SurfaceTables:
    """What stays the same of a hand model's surface."""

    def __init__(self, model: HandModel):
        self.faces = model.faces.cpu().numpy()
        self.cap = model.cap_faces.cpu().numpy()
        self.ring = wrist_ring(self.faces, self.cap)
        touches = np.isin(self.faces, self.ring).any(1)
        self.at_wrist = self.cap | touches
        """[F] bool: scan points nearest to these are the forearm's, or on the cut."""
        self.inner = np.ones(len(model.v_template), bool)
        self.inner[np.unique(self.faces[self.at_wrist])] = False
        self.edges, self.edge_faces = mesh_edges(self.faces)


class PreparedScan:
    """A scan with its search tree and its samples."""

    def __init__(self, scan: Scan, count: int, seed: int):
        self.scan = scan
        self.tree = cKDTree(scan.vertices)
        self.chosen = samples(scan, count, seed)


def scan_pairs(
    vertices: np.ndarray, tables: SurfaceTables, prepared: PreparedScan, how: PairingRound, shares: PairShares
) -> Pairs:
    """Closest points both ways: vertices [V,3] of the surface."""
    return _joined(
        [_to_surface(vertices, tables, prepared, how, shares), _to_scan(vertices, tables, prepared, how, shares)]
    )


def _to_surface(
    vertices: np.ndarray, tables: SurfaceTables, prepared: PreparedScan, how: PairingRound, shares: PairShares
) -> Pairs:
    scan, chosen = prepared.scan, prepared.chosen
    points, normals = scan.vertices[chosen], scan.normals[chosen]
    nearest, agreeing = SurfaceSearch(vertices, tables.faces).closest_agreeing(points, normals, how.least_cosine)
    good = (agreeing.distances < how.reach_m) & ~tables.at_wrist[nearest.faces] & ~tables.at_wrist[agreeing.faces]
    return _planes(
        tables.faces[agreeing.faces],
        agreeing.barycentric,
        points,
        normals,
        np.full(len(chosen), how.size_m),
        good * (shares.scan / len(chosen)),
    )


def _to_scan(
    vertices: np.ndarray, tables: SurfaceTables, prepared: PreparedScan, how: PairingRound, shares: PairShares
) -> Pairs:
    scan = prepared.scan
    doubled = np.linalg.norm(face_normals(vertices, tables.faces), axis=1)
    area = np.bincount(tables.faces.ravel(), np.repeat(doubled, 3), len(vertices)) * tables.inner
    distance, near = prepared.tree.query(vertices, NEIGHBOURS)
    own = vertex_normals(vertices, tables.faces)
    agrees = np.einsum("nkd,nd->nk", scan.normals[near], own) >= how.least_cosine
    agrees &= (distance < how.reach_m) & ~scan.rim[near]
    # the mean of a few neighbours: one vertex of a scan is mostly noise
    share = agrees / np.maximum(agrees.sum(1, keepdims=True), 1)
    goals = (share[..., None] * scan.vertices[near]).sum(1)
    normals = (share[..., None] * scan.normals[near]).sum(1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    # next to a hole the nearest points of the scan are its rim
    good = agrees.any(1) & ~scan.rim[near[:, 0]]
    index = np.arange(len(vertices))
    return _planes(
        np.stack([index] * 3, 1),
        np.tile([1.0, 0.0, 0.0], (len(index), 1)),
        goals,
        normals,
        np.full(len(index), how.size_m),
        good * area * (shares.surface / area.sum()),
    )


def outline_pairs(
    vertices: np.ndarray,
    keypoints: np.ndarray,
    tables: SurfaceTables,
    masks: Mapping[str, np.ndarray],
    cameras: Mapping[str, Camera],
    reach_m: float,
    shares: PairShares,
) -> Pairs:
    """Outlines of masks {camera: [H,W] bool}: each pair is the plane through the camera's centre and the outline there."""
    parts = []
    for name, mask in masks.items():
        camera = cameras[name]
        inside = vertices @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        knuckle = camera.world_to_camera[:3, :3] @ keypoints[MIDDLE_KNUCKLE] + camera.world_to_camera[:3, 3]
        if inside[:, 2].min() < 0.01:
            continue
        pixels = project(inside, camera.intrinsics)
        window = window_around(pixels, (mask.shape[1], mask.shape[0]), 0.12, OUTLINE_WINDOW_PX)
        px_per_m = camera.intrinsics[0, 0] / float(np.median(inside[:, 2])) * window.scale
        wrist = wrist_cut(inside[tables.ring], pixels[tables.ring], knuckle, project(knuckle, camera.intrinsics))
        found = match_outlines(
            cut(mask.astype(np.uint8), window),
            window.to_window(pixels),
            tables.faces,
            tables.edges,
            tables.edge_faces,
            max(2.0, reach_m * px_per_m),
            OUTLINE_POINTS,
            wrist.beyond(window) | wrist.near(window, BEHIND_WRIST) if wrist.visible else None,
        )
        if not len(found.vertices):
            continue
        goals = window.to_image(found.points)
        # the line n · x = n · goal in the picture is a plane in space: Pᵀ line (Hartley and Zisserman 2004, section 8.1)
        line = np.concatenate([found.normals, -(found.normals * goals).sum(1, keepdims=True)], 1)
        plane = line @ (camera.intrinsics @ camera.world_to_camera[:3])
        plane /= np.linalg.norm(plane[:, :3], axis=1, keepdims=True)
        count = len(goals)
        parts.append(
            Pairs(
                np.stack([found.vertices] * 3, 1),
                np.tile([1.0, 0.0, 0.0], (count, 1)),
                plane[:, :3],
                -plane[:, 3],
                np.full(count, shares.outline_size_m),
                found.weights * shares.outlines / len(masks),
            )
        )
    return _joined(parts)


def _planes(
    corners: np.ndarray,
    barycentric: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    sizes: np.ndarray,
    weights: np.ndarray,
) -> Pairs:
    """Of the pairs that count."""
    used = weights > 0
    offsets = (points * normals).sum(1)
    return Pairs(*(part[used] for part in (corners, barycentric, normals, offsets, sizes, weights)))


def _joined(parts: list[Pairs]) -> Pairs:
    if not parts:
        return Pairs(np.zeros((0, 3), int), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0), np.zeros(0))
    return Pairs(*(np.concatenate(values) for values in zip(*parts, strict=True)))
