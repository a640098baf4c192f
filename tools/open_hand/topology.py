"""Triangles, the wrist cap and the split into texture charts: everything that has no coordinates of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

DORSAL, PALMAR, CAP = 0, 1, 2


@dataclass(frozen=True)
class Topology:
    """Closed triangle mesh of the hand.

    faces [F, 3] (outward, counter-clockwise); cap_faces [F] bool; face_chart [F] (DORSAL, PALMAR, CAP);
    uv_faces [F, 3] into chart corners; uv_vertex [T] the vertex of each chart corner;
    rim [R] the open wrist's vertices in order; the cap adds an inner ring [R] and one centre vertex.
    """

    faces: np.ndarray
    cap_faces: np.ndarray
    face_chart: np.ndarray
    uv_faces: np.ndarray
    uv_vertex: np.ndarray
    rim: np.ndarray

    @property
    def cap_ring(self) -> np.ndarray:
        start = int(self.faces.max()) - len(self.rim)
        return np.arange(start, start + len(self.rim))

    @property
    def cap_centre(self) -> int:
        return int(self.faces.max())


def build_topology(quads: np.ndarray, vertices: np.ndarray, dorsal: np.ndarray) -> Topology:
    """quads [Q, 4] of the open hand; vertices [V, 3] metres; dorsal [V, 3] the unit direction of the back of the
    hand (of the finger, near a finger) at each vertex, which tells dorsal from palmar skin."""
    triangles = split_quads(quads, vertices)
    rim = boundary_loop(triangles)
    inner = len(vertices) + np.arange(len(rim))
    centre = len(vertices) + len(rim)
    following = np.roll(np.arange(len(rim)), -1)
    # the boundary runs with the skin's triangles, so the cap's run against it
    outer = np.concatenate([
        np.stack([rim[following], rim, inner], 1),
        np.stack([rim[following], inner, inner[following]], 1),
        np.stack([inner[following], inner, np.full(len(rim), centre)], 1),
    ])  # fmt: skip
    chart = np.repeat(_dorsal_palmar(quads, vertices, dorsal), 2)
    faces = np.concatenate([triangles, outer])
    face_chart = np.concatenate([chart, np.full(len(outer), CAP)])
    corners, uv_faces = np.unique(face_chart[:, None] * (centre + 1) + faces, return_inverse=True)
    return Topology(
        faces=faces.astype(np.int32), cap_faces=face_chart == CAP, face_chart=face_chart,
        uv_faces=uv_faces.reshape(-1, 3).astype(np.int32), uv_vertex=corners % (centre + 1), rim=rim,
    )  # fmt: skip


def with_cap(skin: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """Append the cap's vertices to skin [..., V, 3]: an inner ring at 55 % of the radius, then the centre."""
    loop = skin[..., rim, :]
    centre = loop.mean(-2, keepdims=True)
    return np.concatenate([skin, centre + 0.55 * (loop - centre), centre], -2)


def split_quads(quads: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Triangles [2Q, 3], each quad cut along its shorter diagonal; a quad's two triangles are neighbours."""
    p = vertices[quads]
    first = np.linalg.norm(p[:, 0] - p[:, 2], axis=1) <= np.linalg.norm(p[:, 1] - p[:, 3], axis=1)
    along_02 = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1)
    along_13 = np.stack([quads[:, [0, 1, 3]], quads[:, [1, 2, 3]]], 1)
    return np.where(first[:, None, None], along_02, along_13).reshape(-1, 3)


def boundary_loop(triangles: np.ndarray) -> np.ndarray:
    """Vertices of the only open boundary, in the direction in which the triangles run along it."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    present = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in present if (b, a) not in present}
    loop = [min(following)]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
    if len(loop) != len(following):
        raise ValueError("the hand's skin has more than one open boundary")
    return np.array(loop)


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted (not unit) normals [F, 3] of triangles or quads."""
    p = vertices[faces]
    return 0.5 * np.cross(p[:, 2] - p[:, 0], p[:, -1] - p[:, 1])


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals [V, 3], area-weighted over the faces around a vertex."""
    normals = np.zeros_like(vertices)
    for corner in range(faces.shape[1]):
        np.add.at(normals, faces[:, corner], face_normals(vertices, faces))
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def vertex_graph(faces: np.ndarray, count: int) -> sp.csr_matrix:
    """Symmetric 0/1 adjacency [count, count] along the faces' edges (for quads: sides, no diagonals)."""
    pairs = np.concatenate([faces[:, [i, (i + 1) % faces.shape[1]]] for i in range(faces.shape[1])])
    graph = sp.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    graph = graph + graph.T
    graph.data[:] = 1.0
    return graph


def smooth(values: np.ndarray, graph: sp.csr_matrix, rounds: int) -> np.ndarray:
    """Average values [V, ...] with their neighbours, `rounds` times."""
    mean = sp.diags(1.0 / np.maximum(np.asarray(graph.sum(1)).ravel(), 1)) @ graph
    for _ in range(rounds):
        values = 0.5 * values + 0.5 * (mean @ values)
    return values


def _dorsal_palmar(quads: np.ndarray, vertices: np.ndarray, dorsal: np.ndarray) -> np.ndarray:
    """DORSAL or PALMAR for each quad: two connected patches whose border runs along the sides of the fingers."""
    normals = vertex_normals(vertices, quads)
    facing = np.einsum("vi,vi->v", normals, dorsal)
    facing = smooth(facing, vertex_graph(quads, len(vertices)), 6)
    chart = np.where(facing[quads].mean(1) > 0.0, DORSAL, PALMAR)
    neighbours = quad_graph(quads)
    for _ in range(20):
        # a quad that sits among three quads of the other side is a notch in the border
        other = neighbours @ (chart == DORSAL).astype(float) / np.asarray(neighbours.sum(1)).ravel()
        flipped = np.where(other > 0.7, DORSAL, np.where(other < 0.3, PALMAR, chart))
        if np.array_equal(flipped, chart):
            break
        chart = flipped
    for side in (DORSAL, PALMAR):
        members = np.flatnonzero(chart == side)
        count, label = csgraph.connected_components(neighbours[members][:, members], directed=False)
        if count > 1:
            largest = np.bincount(label).argmax()
            chart[members[label != largest]] = PALMAR if side == DORSAL else DORSAL
    return chart


def quad_graph(quads: np.ndarray) -> sp.csr_matrix:
    """Symmetric 0/1 adjacency [Q, Q] of quads that share a side."""
    sides = np.sort(np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)]), 1)
    owner = np.tile(np.arange(len(quads)), 4)
    _, edge = np.unique(sides, axis=0, return_inverse=True)
    incidence = sp.coo_matrix((np.ones(len(owner)), (edge.ravel(), owner))).tocsr()
    graph = (incidence.T @ incidence).tolil()
    graph.setdiag(0)
    graph = graph.tocsr()
    graph.data = np.minimum(graph.data, 1.0)
    graph.eliminate_zeros()
    return graph
