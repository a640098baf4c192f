"""What keypoints look like on their board: flat coloured rings with a dot, and light strips between them.

Meshes and not empties: Blender draws empties in its theme's wire colour, which is black and cannot be seen on dark skin.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Matrix

SEGMENTS = 24
RING = (0.72, 1.0)
"""Inner and outer radius, of the point's size."""
DOT = 0.28
STRIP_WIDTH, STRIP_GAP = 0.0022, 0.002
"""Metres; strips lie behind the points."""
STRIP_COLOUR = (0.92, 0.92, 0.88, 1.0)


def ring_mesh(size: float) -> bpy.types.Mesh:
    """A ring around a dot, in XZ about the origin, outer radius `size` metres."""
    angles = np.linspace(0, 2 * np.pi, SEGMENTS, endpoint=False)
    circle = np.stack([np.cos(angles), np.zeros(SEGMENTS), np.sin(angles)], axis=1) * size
    vertices = np.concatenate([circle * RING[0], circle * RING[1], circle * DOT])
    after = np.roll(np.arange(SEGMENTS), -1)
    faces = [[k, after[k], SEGMENTS + after[k], SEGMENTS + k] for k in range(SEGMENTS)]
    faces.append(list(range(2 * SEGMENTS, 3 * SEGMENTS)))
    data = bpy.data.meshes.new("PALM keypoint")
    data.from_pydata(vertices.tolist(), [], [[int(corner) for corner in face] for face in faces])
    return data


def strips(points: Sequence[bpy.types.Object], parents: Sequence[int]) -> bpy.types.Object:
    """Two strips from each point to its parent (-1: none), in the points' own frame; their ends hang on the points.

    Vertex k, a loose one, lies on point k.
    """
    positions = np.array([point.location for point in points])
    vertices, faces = positions.tolist(), []
    hung: list[list[int]] = [[index] for index in range(len(points))]
    for index, parent in enumerate(parents):
        if parent < 0:
            continue
        # one strip has width where it runs along x, the other along z: dragged anywhere, some of it is seen
        for across in 0.5 * STRIP_WIDTH * np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]):
            first = len(vertices)
            for end, side in ((parent, -1), (parent, 1), (index, 1), (index, -1)):
                hung[end].append(len(vertices))
                vertices.append((positions[end] + side * across).tolist())
            faces.append([first, first + 1, first + 2, first + 3])
    data = bpy.data.meshes.new("PALM keypoint lines")
    data.from_pydata(vertices, [], faces)
    lines = bpy.data.objects.new("PALM keypoint lines", data)
    lines.location, lines.color = (0, STRIP_GAP, 0), STRIP_COLOUR
    lines.show_in_front = lines.hide_select = lines.hide_render = True
    for point, vertex_indices in zip(points, hung, strict=True):
        hook = lines.modifiers.new(point.name, "HOOK")
        hook.object = point
        hook.vertex_indices_set(vertex_indices)
        hook.matrix_inverse = Matrix.Translation(-point.location)
    return lines
