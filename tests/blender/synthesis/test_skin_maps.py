"""Skin textures: what must show, no seams, same at any size, same for a seed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from package_modules import ROOT, module

maps = module("palm_blender.synthesis.skin_maps")
optics = module("palm_blender.synthesis.skin_optics")
regions = module("palm_blender.synthesis.skin_regions")
texels = module("palm_blender.synthesis.texels")
traits = module("palm_blender.synthesis.skin_traits")
noise = module("palm_blender.synthesis.skin_noise")
model_file = module("engine.hand.model_file")
SIZE = 192


def strips(hand, size, *at_once):
    return list(texels.texel_strips(hand.uv, hand.uv_faces, texels.face_map(hand.uv, hand.uv_faces, size), *at_once))


@pytest.fixture(scope="module")
def hand():
    return regions.hand_surface(model_file.read_model_file(ROOT / "assets" / "hand" / "open_hand_right.npz"))


@pytest.fixture(scope="module")
def dark(hand):
    return maps.skin_maps(hand, traits.sample_traits("dark", 30, True, 4), SIZE)


@pytest.fixture(scope="module")
def medium(hand):
    """A larger map, 384 texels wide."""
    return maps.skin_maps(hand, traits.sample_traits("medium", 40, True, 3), 384)


@pytest.fixture(scope="module")
def per_texel(hand):
    """Flat index of the texels on the hand, their palmar share, nail share and position."""
    parts = strips(hand, SIZE)
    known = np.concatenate([hand.palm[:, None], hand.nail[:, None], hand.vertices], axis=1)
    return np.concatenate([s.index for s in parts]), np.concatenate([s.gather(known, hand.faces) for s in parts])


def test_maps_are_whole_and_in_range(dark):
    for name, channels in (("albedo", (3,)), ("roughness", ()), ("height", ()), ("normal", (3,))):
        value = getattr(dark, name)
        assert value.shape == (SIZE, SIZE, *channels) and value.dtype == np.float32 and np.isfinite(value).all()
    assert dark.albedo.min() > 0 and dark.albedo.max() <= 0.9
    assert dark.roughness.min() > 0.1 and dark.roughness.max() < 0.9
    assert np.abs(dark.height).max() < 1.5e-3
    np.testing.assert_allclose(np.linalg.norm(dark.normal, axis=-1), 1, atol=1e-5)
    assert dark.normal[..., 2].min() > 0.3


@pytest.mark.parametrize("tone", ["light", "dark"])
def test_palm_back_and_nails_differ_as_they_do(hand, per_texel, tone):
    person = traits.sample_traits(tone, 35, False, 2)
    made = maps.skin_maps(hand, person, SIZE)
    index, (palm, nail, *_) = per_texel[0], per_texel[1].T
    color, roughness = made.albedo.reshape(-1, 3)[index], made.roughness.reshape(-1)[index]
    back_color, palm_color = (color[chosen & (nail < 0.1)].mean(0) for chosen in (palm < 0.1, palm > 0.9))
    back, front = optics.lab(back_color), optics.lab(palm_color)
    assert front[0] > back[0] + (13 if tone == "dark" else -3)
    assert np.log(palm_color[0] / palm_color[1]) > np.log(back_color[0] / back_color[1]) or tone == "dark"
    assert front[1] > back[1]
    assert roughness[nail > 0.9].mean() < roughness[nail < 0.1].mean() - 0.08
    # knuckles and veins included, the back's mean is still the person's typology
    assert optics.typology_angle(back_color) == pytest.approx(person.angle, abs=12)


def test_charts_meet_without_a_seam(hand, medium):
    """Where one edge of the mesh lies in two charts, both read the same colour."""
    edges: dict[tuple[int, int], list[np.ndarray]] = {}
    for corners, chart in zip(hand.faces, hand.uv_faces, strict=True):
        for k in range(3):
            ends = (corners[k], chart[k]), (corners[(k + 1) % 3], chart[(k + 1) % 3])
            (a, ta), (b, tb) = sorted(ends)
            edges.setdefault((a, b), []).append((hand.uv[ta] + hand.uv[tb]) / 2)
    seams = np.array([pair for pair in edges.values() if len(pair) == 2 and np.abs(pair[0] - pair[1]).max() > 0.05])
    assert len(seams) > 50

    def read(uv):
        return medium.albedo[((1 - uv[:, 1]) * 384).astype(int), (uv[:, 0] * 384).astype(int)]

    difference = np.abs(np.log(read(seams[:, 0]) / read(seams[:, 1])))
    assert np.median(difference) < 0.06


def test_same_seed_same_maps_and_other_seed_other_ones(hand):
    person = traits.sample_traits("tan", 50, True, 8)
    first, second = maps.skin_maps(hand, person, 64), maps.skin_maps(hand, person, 64)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    other = maps.skin_maps(hand, person._replace(seed=person.seed + 1), 64)
    assert np.abs(other.albedo - first.albedo).max() > 0.02


def test_sizes_agree(hand, medium):
    small = maps.skin_maps(hand, traits.sample_traits("medium", 40, True, 3), 96)
    inside = np.zeros(96 * 96, bool)
    for strip in strips(hand, 96):
        inside[strip.index] = True
    shrunk = medium.albedo.reshape(96, 4, 96, 4, 3).mean((1, 3)).reshape(-1, 3)[inside]
    assert np.median(np.abs(np.log(shrunk / small.albedo.reshape(-1, 3)[inside]))) < 0.03


def test_strips_do_not_change_the_texels(hand):
    whole = strips(hand, 128)[0]
    parts = strips(hand, 128, 128 * 10)
    assert len(parts) == 13
    np.testing.assert_array_equal(np.concatenate([p.index for p in parts]), whole.index)
    np.testing.assert_array_equal(np.concatenate([p.faces for p in parts]), whole.faces)
    uv = whole.gather(hand.uv, hand.uv_faces)
    centres = np.stack([whole.index % 128 + 0.5, 128 - whole.index // 128 - 0.5], axis=1) / 128
    np.testing.assert_allclose(uv, centres, atol=1e-5)


def test_normals_lean_away_from_a_hill(hand):
    """Heights that rise by 0.1 per metre along one direction of space give normals that lean back by 0.1."""
    inside, height = np.zeros(SIZE * SIZE, bool), np.zeros(SIZE * SIZE, np.float32)
    slope = np.array([0.1, 0.0, 0.0])
    faces = np.zeros(SIZE * SIZE, int)
    for strip in strips(hand, SIZE):
        inside[strip.index], faces[strip.index] = True, strip.faces
        height[strip.index] = strip.gather(hand.vertices @ slope[:, None], hand.faces)[:, 0]
    normal = maps._normals(hand, height.reshape(SIZE, SIZE), texels.face_map(hand.uv, hand.uv_faces, SIZE)).reshape(
        -1, 3
    )[inside]
    corners, chart = hand.vertices[hand.faces[faces[inside]]], hand.uv[hand.uv_faces[faces[inside]]]
    edges, sides = corners[:, 1:] - corners[:, :1], chart[:, 1:] - chart[:, :1]
    along_u, _ = np.moveaxis(np.linalg.solve(sides, edges), 1, 0)
    tangent = along_u / np.linalg.norm(along_u, axis=1, keepdims=True)
    plane = np.cross(edges[:, 0], edges[:, 1])
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    frame = np.stack([tangent, np.cross(plane, tangent)], axis=1)
    wanted = -(frame @ slope)
    found = normal[:, :2] / normal[:, 2:]
    assert np.median(np.abs(found - wanted)) < 0.004


def test_padding_carries_the_rim_outwards():
    image, inside = np.zeros((9, 9, 1), np.float32), np.zeros((9, 9), bool)
    image[4, 4], inside[4, 4] = 3.0, True
    image[0, 0], inside[0, 0] = 1.0, True
    padded = texels.pad(image, inside, 2)
    assert padded[4, 6, 0] == 3 and padded[0, 1, 0] == 1 and padded[8, 8, 0] == 2


def test_noise_has_its_deviation():
    field = noise.make_noise(np.random.default_rng(0))
    points = np.random.default_rng(1).uniform(0, 0.1, (20000, 3)).astype(np.float32)
    value = noise.smooth_noise(field, points, 0.004, 3)
    assert value.std() == pytest.approx(1, abs=0.1) and abs(value.mean()) < 0.1
    ridges = noise.cell_ridges(field, points, 0.001, 4)
    assert ridges.min() >= 0 and ridges.max() == 1 and 0.3 < ridges.mean() < 0.8


def test_tiny_maps_and_unknown_tones_are_refused(hand):
    with pytest.raises(ValueError, match="16"):
        maps.skin_maps(hand, traits.sample_traits("tan", 40, True, 0), 8)
    with pytest.raises(ValueError, match="blue"):
        traits.sample_traits("blue", 40, True, 0)


def test_nothing_but_numpy_is_needed():
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests" / "blender")!r}, {str(ROOT)!r}]
import worker
worker.BLOCKED += ("bpy",)
sys.meta_path.insert(0, worker.Blocker())
import build, importlib
build.load_package()
for name in ("people", "skin_maps"):
    importlib.import_module("palm_hands.palm_blender.synthesis." + name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
