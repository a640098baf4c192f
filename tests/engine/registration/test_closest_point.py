import numpy as np
import pytest

from engine.registration.closest_point import SurfaceSearch, closest_barycentric

TRIANGLE = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("point", "weights"),
    [
        ((0.25, 0.25, 3.0), (0.5, 0.25, 0.25)),
        ((-1.0, -1.0, 0.0), (1, 0, 0)),
        ((3.0, -1.0, 1.0), (0, 1, 0)),
        ((-1.0, 4.0, 0.0), (0, 0, 1)),
        ((0.3, -2.0, 0.0), (0.7, 0.3, 0)),
        ((-2.0, 0.4, 0.0), (0.6, 0, 0.4)),
        ((1.0, 1.0, 0.0), (0, 0.5, 0.5)),
    ],
)
def test_each_region_of_a_triangle(point, weights):
    np.testing.assert_allclose(closest_barycentric(np.array(point), TRIANGLE), weights, atol=1e-12)


def test_the_nearest_point_is_no_farther_than_any_point_of_the_surface():
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 15), np.linspace(-1, 1, 15)), -1).reshape(-1, 2)
    vertices = np.concatenate([grid, 0.2 * np.sin(3 * grid[:, :1])], 1)
    corner = (np.arange(14)[:, None] * 15 + np.arange(14)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 15], 1), np.stack([corner + 1, corner + 16, corner + 15], 1)]
    )
    points = random.uniform(-1, 1, (60, 3)) * [1, 1, 0.4]
    found = SurfaceSearch(vertices, faces).closest(points)
    exact = np.array(
        [
            np.linalg.norm(
                np.einsum("fc,fcd->fd", closest_barycentric(point[None], vertices[faces]), vertices[faces]) - point,
                axis=1,
            ).min()
            for point in points
        ]
    )
    np.testing.assert_allclose(found.distances, exact, atol=1e-12)
    np.testing.assert_allclose(
        np.einsum("nc,ncd->nd", found.barycentric, vertices[faces[found.faces]]), found.points, atol=1e-12
    )


def test_normals_decide_between_the_sides_of_a_thin_plate():
    plate = np.concatenate([TRIANGLE, TRIANGLE + np.array([0, 0, 0.1])])
    faces = np.array([[0, 2, 1], [3, 4, 5]])  # below looks down, above looks up
    point = np.array([[0.2, 0.2, 0.02]])
    nearest, agreeing = SurfaceSearch(plate, faces).closest_agreeing(point, np.array([[0.0, 0, 1]]), 0.5)
    assert nearest.faces[0] == 0 and nearest.distances[0] == pytest.approx(0.02)
    assert agreeing.faces[0] == 1 and agreeing.distances[0] == pytest.approx(0.08)
    _, none = SurfaceSearch(plate, faces).closest_agreeing(point, np.array([[1.0, 0, 0]]), 0.5)
    assert np.isinf(none.distances[0])
