"""Surface labels: which side is dorsal, which skin is palmar, which vertices are nail."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from tools.open_hand.flatten import target_directions
from tools.open_hand.skeleton import FINGERS
from tools.open_hand.topology import face_normals, quad_graph, smooth, vertex_normals
from tools.open_hand.weights import ramp

THUMB_DORSAL = np.array([0.05, 0.80, 0.60])
"""Side of the thumb's nail in the flat rest pose."""

NAIL_HALF_SIZE_MM = {
    "thumb": (7.0, 6.3), "index": (6.2, 4.9), "middle": (6.2, 4.9), "ring": (6.2, 4.9), "pinky": (5.4, 4.0),
}  # fmt: skip
"""Half length and half width of an ellipse that holds the nail plate."""


def dorsal_directions(points, quads, weights, graph: sp.csr_matrix) -> np.ndarray:
    """Unit direction [V, 3] out of the back of the hand, turning to the nail's side along the thumb."""
    thumb = weights[:, 13:16].sum(1)[:, None]
    directions = (1 - thumb) * np.array([0.0, 1.0, 0.0]) + thumb * THUMB_DORSAL / np.linalg.norm(THUMB_DORSAL)
    directions = smooth(directions, graph, 6)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def palm_weight(points, quads, dorsal, graph) -> np.ndarray:
    """[V] in [0, 1]: 1 on palmar skin, 0 on the back, smooth along the sides."""
    facing = np.einsum("vi,vi->v", vertex_normals(points, quads), dorsal)
    return ramp(-smooth(facing, graph, 3), -0.45, 0.45)


def nail_vertices(points, quads, tips: dict[str, int], dorsal) -> np.ndarray:
    """[V] bool: the nail plates.

    A plate is grown from its middle over quads as long as the surface curves away; the groove around it, where the
    surface rises again, and the free edge, where it turns steeply down, stop the growth.
    """
    normals = face_normals(points, quads)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    centres = points[quads].mean(1)
    neighbours = quad_graph(quads)
    nail = np.zeros(len(points), bool)
    for finger in FINGERS:
        tip = points[tips[finger]]
        direction = target_directions(finger)[2]
        up = dorsal[tips[finger]]
        length, width = (1e-3 * size for size in NAIL_HALF_SIZE_MM[finger])
        middle = tip - 1.12 * length * direction
        seed = np.linalg.norm(centres - middle - 0.006 * up, axis=1).argmin()
        across = np.cross(direction, up)
        along, beside = (centres - middle) @ direction, (centres - middle) @ (across / np.linalg.norm(across))
        near = (along / length) ** 2 + (beside / width) ** 2 < 1
        plate = {int(seed)}
        frontier = [int(seed)]
        while frontier:
            quad = frontier.pop()
            for other in neighbours.indices[neighbours.indptr[quad] : neighbours.indptr[quad + 1]]:
                step = centres[other] - centres[quad]
                rises = step @ (normals[quad] - normals[other]) > 0.10 * np.linalg.norm(step)
                turned = normals[other] @ normals[quad] < 0.80 or normals[other] @ normals[seed] < 0.60
                if near[other] and not rises and not turned and int(other) not in plate:
                    plate.add(int(other))
                    frontier.append(int(other))
        nail[np.unique(quads[sorted(plate)])] = True
    return nail
