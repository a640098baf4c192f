"""The bundled open hand: MANO's format, a closed mesh, human proportions, and skin that keeps its volume."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh

from engine.hand.joints import FINGERS, MANO_PARENTS
from engine.hand.model import OPEN_HAND
from engine.hand.pose_files import load_pose_file

REPOSITORY = OPEN_HAND.parents[2]
sys.path.insert(0, str(REPOSITORY))

from tools.gestures.table import GESTURES  # noqa: E402
from tools.open_hand import correctives, elastic  # noqa: E402
from tools.open_hand.poses import hand_pose  # noqa: E402

PHALANGES_MM = {
    # proximal, middle, distal with the tip's soft tissue (thumb: metacarpal, proximal, distal), mean and deviation:
    # Buryanov & Kotiuk, "Proportions of hand segments", Int. J. Morphol. 28(3), 2010
    "index": ((39.78, 4.94), (22.38, 2.51), (19.66, 2.34)),
    "middle": ((44.63, 3.81), (26.33, 3.00), (21.35, 1.95)),
    "ring": ((41.37, 3.87), (25.65, 3.29), (21.25, 2.30)),
    "pinky": ((32.74, 2.77), (18.11, 2.54), (19.69, 2.53)),
    "thumb": ((46.22, 3.94), (31.57, 3.13), (27.34, 1.71)),
}
SURVEY_MM = {
    # hand length and breadth, US Army survey of 1988 (Gordon et al. 1989; Greiner 1991)
    "men": (193.8, 90.4),
    "women": (180.5, 79.4),
}
TIP_OF = {"thumb": 0, "index": 1, "middle": 2, "ring": 3, "pinky": 4}


@pytest.fixture(scope="module")
def fields() -> dict[str, np.ndarray]:
    with np.load(OPEN_HAND, allow_pickle=False) as stored:
        return {k: stored[k].astype(float) if stored[k].dtype == np.float32 else stored[k] for k in stored.files}


def rest_hand(fields, betas) -> tuple[np.ndarray, np.ndarray]:
    vertices = fields["v_template"] + fields["shapedirs"] @ betas
    return vertices, fields["J_regressor"] @ vertices


def random_hands(fields, count: int, seed: int):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield rest_hand(fields, generator.normal(size=10).clip(-2.5, 2.5))


def bone_lengths_mm(fields, vertices, joints, finger) -> np.ndarray:
    j = 1 + 3 * FINGERS.index(finger)
    chain = np.concatenate([joints[j : j + 3], vertices[fields["tip_vertices"][[TIP_OF[finger]]]]])
    return 1e3 * np.linalg.norm(np.diff(chain, axis=0), axis=1)


def test_fields_have_manos_names_and_shapes(fields):
    count, triangles = len(fields["v_template"]), len(fields["f"])
    shapes = {
        "v_template": (count, 3), "shapedirs": (count, 3, 10), "posedirs": (count, 3, 135),
        "J_regressor": (16, count), "weights": (count, 16), "f": (triangles, 3), "kintree_table": (2, 16),
        "hands_mean": (45,), "ft": (triangles, 3), "tip_vertices": (5,), "joint_axes": (15, 3, 3),
        "joint_limits": (15, 3, 2), "cap_faces": (triangles,), "nail_vertices": (count,), "palm_weight": (count,),
    }  # fmt: skip
    for name, shape in shapes.items():
        assert fields[name].shape == shape, name
    assert fields["kintree_table"][0].tolist() == list(MANO_PARENTS)
    assert not fields["hands_mean"].any()
    assert str(fields["side"]) == "right"
    assert all(str(fields[name]) for name in ("name", "version", "licence", "source"))
    assert all(np.isfinite(value).all() for value in fields.values() if value.dtype.kind == "f")
    assert OPEN_HAND.stat().st_size < 6e6


def test_weights_and_regressor_are_partitions_of_unity(fields):
    assert (fields["weights"] >= 0).all()
    np.testing.assert_allclose(fields["weights"].sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(fields["J_regressor"].sum(1), 1, atol=1e-5)


def test_fingers_do_not_bleed_into_each_other(fields):
    """8 mm beyond its middle joint (the thumb's second), a finger's skin follows that finger alone."""
    vertices, joints = rest_hand(fields, np.zeros(10))
    for f, finger in enumerate(FINGERS):
        j = 1 + 3 * f
        direction = joints[j + 2] - joints[j + 1]
        beyond = (vertices - joints[j + 1]) @ direction / np.linalg.norm(direction) > 0.008
        own = fields["weights"][:, j : j + 3].sum(1)
        assert own[beyond & (own > 0.5)].min() > 0.99, finger


def test_mesh_is_closed_and_faces_outwards(fields):
    mesh = trimesh.Trimesh(fields["v_template"], fields["f"], process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.euler_number == 2
    assert 250e-6 < mesh.volume < 450e-6
    assert len(np.unique(fields["f"])) == len(fields["v_template"])
    cap = fields["v_template"][np.unique(fields["f"][fields["cap_faces"]])]
    assert cap[:, 0].min() > 0.1 and 20 < fields["cap_faces"].sum() < 100


def test_rest_frame_is_manos(fields):
    vertices, joints = rest_hand(fields, np.zeros(10))
    np.testing.assert_allclose(joints[0], [0.0957, 0.0064, 0.0062], atol=1e-3)
    for f, finger in enumerate(FINGERS[:4]):
        bones = np.diff(joints[1 + 3 * f : 4 + 3 * f], axis=0)
        bones /= np.linalg.norm(bones, axis=1, keepdims=True)
        assert (bones[:, 0] < -0.85).all(), finger
        assert np.abs(bones[:, 1]).max() < 0.02, f"{finger} is not flat"
        assert bones[0] @ bones[1] > 0.9995, f"{finger} is bent"
    assert joints[13, 2] > joints[0, 2] and joints[15, 2] > joints[1, 2]
    palm, back = fields["palm_weight"] > 0.9, fields["palm_weight"] < 0.1
    skin = fields["weights"][:, 0] > 0.9
    assert vertices[palm & skin, 1].mean() < vertices[back & skin, 1].mean() - 0.01
    # flexion bends every finger towards the palm
    for finger in range(5):
        angles = np.zeros((15, 3))
        angles[3 * finger : 3 * finger + 3, 0] = 20
        _, bent = correctives.skin(vertices, joints, fields["weights"], _pose(angles, fields))
        tip = fields["tip_vertices"][TIP_OF[FINGERS[finger]]]
        assert bent[0, tip, 1] < vertices[tip, 1] - 0.01


def test_joints_lie_in_the_flesh_over_the_population(fields):
    for vertices, joints in random_hands(fields, 25, seed=3):
        mesh = trimesh.Trimesh(vertices, fields["f"], process=False)
        assert mesh.contains(joints).all()
        depth = np.linalg.norm(vertices[None] - joints[:, None], axis=-1).min(1)
        assert depth.min() > 0.0035


def test_bones_of_the_mean_adult_are_as_published(fields):
    """Within 1.5 published standard deviations, the mean of a man's and a woman's hand."""
    hands = [rest_hand(fields, fields[f"betas_{sex}"]) for sex in SURVEY_MM]
    for finger, published in PHALANGES_MM.items():
        lengths = np.mean([bone_lengths_mm(fields, *hand, finger) for hand in hands], axis=0)
        for length, (mean, deviation) in zip(lengths, published, strict=True):
            assert abs(length - mean) < 1.5 * deviation, (finger, lengths)
    middle = bone_lengths_mm(fields, *rest_hand(fields, np.zeros(10)), "middle")
    assert middle[0] > middle[1] > middle[2]


@pytest.mark.parametrize("sex", SURVEY_MM)
def test_length_and_breadth_are_as_surveyed(fields, sex):
    length, breadth = SURVEY_MM[sex]
    vertices, joints = rest_hand(fields, fields[f"betas_{sex}"])
    middle_tip = vertices[fields["tip_vertices"][2]]
    # the wrist's distal crease lies about 5 mm beyond the joint's centre
    assert 1e3 * (joints[0, 0] - middle_tip[0]) + 5 == pytest.approx(length, rel=0.03)
    palm = (fields["weights"][:, 0] > 0.2) & (fields["weights"][:, 13:].sum(1) < 0.15)
    near = [palm & (np.abs(vertices[:, 0] - joints[j, 0]) < 0.010) for j in (1, 7)]
    measured = 1e3 * (vertices[near[0], 2].max() - vertices[near[1], 2].min())
    assert measured == pytest.approx(breadth, rel=0.05)


def test_betas_have_unit_variance_and_cover_the_population(fields):
    np.testing.assert_allclose(fields["betas_deviation"], 1, atol=0.01)
    explained = fields["shape_variance_explained"]
    assert (np.diff(explained) < 0).all() and explained.sum() > 0.99
    # beta 0 is size: one deviation changes the hand's length by several per cent
    lengths = [np.ptp(rest_hand(fields, b * np.eye(10)[0])[0][:, 0]) for b in (-1, 1)]
    assert 1.04 < lengths[1] / lengths[0] < 1.25


def test_texture_charts_fill_the_square_without_overlap(fields):
    corners = fields["vt"][fields["ft"]]
    assert (fields["vt"] >= 0).all() and (fields["vt"] <= 1).all()
    sides = corners[:, 1:] - corners[:, :1]
    areas = 0.5 * (sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0])
    assert areas.min() > 0, "a triangle is flipped"
    counts = _covering_triangles(corners, 1024)
    assert (counts > 1).sum() == 0, "charts overlap"
    assert (counts == 1).mean() >= 0.60
    assert areas[fields["cap_faces"]].sum() < 0.02
    # equal skin gets equal texels
    skin = ~fields["cap_faces"]
    p = fields["v_template"][fields["f"]]
    area = 0.5 * np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1)
    density = np.sqrt(areas[skin] / area[skin])
    low, high = np.percentile(density / np.median(density), [2, 98])
    assert low > 0.75 and high < 1.3


def test_uv_corners_belong_to_one_vertex(fields):
    vertex = np.full(len(fields["vt"]), -1)
    vertex[fields["ft"].ravel()] = fields["f"].ravel()
    np.testing.assert_array_equal(vertex[fields["ft"]], fields["f"])


def test_limits_and_axes(fields):
    low, high = np.rad2deg(np.moveaxis(fields["joint_limits"], -1, 0))
    assert (low < 0).all() and (high > 0).all() and (low >= -45).all() and (high <= 110).all()
    axes = fields["joint_axes"]
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (15, 3, 3)), atol=1e-5)
    assert (axes[:12, 0, 2] > 0.85).all(), "fingers flex about +Z"


@pytest.mark.parametrize("name", GESTURES)
def test_named_poses_are_within_the_limits(fields, name):
    poses = load_pose_file(REPOSITORY / "assets" / "poses" / f"{name}.json")
    assert poses.side == "right" and len(poses) == 1
    vectors = np.asarray(poses.hand_pose).reshape(15, 3)
    angles = np.einsum("jax,jx->ja", fields["joint_axes"], vectors)
    assert (angles >= fields["joint_limits"][..., 0] - 1e-3).all()
    assert (angles <= fields["joint_limits"][..., 1] + 1e-3).all()


def test_pinch_brings_thumb_and_index_together(fields):
    pose = load_pose_file(REPOSITORY / "assets" / "poses" / "pinch.json").hand_pose.reshape(1, 15, 3)
    vertices, joints = rest_hand(fields, np.zeros(10))
    pinch = correctives.skin(vertices, joints, fields["weights"], pose, fields["posedirs"])[1][0]
    thumb, index = (pinch[fields["weights"][:, j] > 0.9] for j in (15, 3))
    assert np.linalg.norm(thumb[:, None] - index[None], axis=-1).min() < 0.004


def test_correctives_keep_the_volume_of_bent_hands(fields):
    """Skinning alone loses flesh at bent joints; the correctives return more than half of it on unseen poses."""
    poses = correctives.sample_poses(60, fields["joint_limits"], fields["joint_axes"], seed=99)
    plain, corrected = (_volume_change(fields, poses, d) for d in (None, fields["posedirs"]))
    assert plain.mean() < -0.03
    assert abs(corrected.mean()) < 0.5 * abs(plain.mean())


def test_correctives_keep_the_volume_at_each_bent_joint(fields):
    """A single knuckle or middle joint of a long finger, bent by 85°."""
    joints = [3 * finger + k for finger in range(4) for k in (0, 1)]
    angles = np.zeros((len(joints), 15, 3))
    angles[np.arange(len(joints)), joints, 0] = 85
    poses = hand_pose(angles, fields["joint_axes"]).reshape(-1, 15, 3)
    plain, corrected = (_volume_change(fields, poses, d) for d in (None, fields["posedirs"]))
    assert (plain < 0).all()
    assert (np.abs(corrected) < np.abs(plain)).all()


def _volume_change(fields, poses, directions) -> np.ndarray:
    vertices, joints = rest_hand(fields, np.zeros(10))
    posed = correctives.skin(vertices, joints, fields["weights"], poses, directions)[1]
    return correctives.enclosed_volume(posed, fields["f"]) / correctives.enclosed_volume(vertices, fields["f"]) - 1


def test_correctives_follow_the_elastic_hand_on_unseen_poses(fields):
    vertices, joints = rest_hand(fields, np.zeros(10))
    poses = correctives.sample_poses(1, fields["joint_limits"], fields["joint_axes"], seed=1234)
    tips = vertices[fields["tip_vertices"][[1, 2, 4, 3, 0]]]
    solid = elastic.build_solid(vertices, fields["f"], joints, tips, fields["weights"])
    targets = np.stack(
        [elastic.settle(solid, r, t) for r, t in zip(*correctives.bone_transforms(poses, joints), strict=True)]
    )
    report = correctives.measure(
        poses, targets, vertices, fields["f"], joints, fields["weights"], fields["posedirs"]
    )  # fmt: skip
    assert report.corrected_mm < 0.6 * report.plain_mm
    assert abs(report.corrected_volume - report.elastic_volume) < 0.5 * abs(report.plain_volume - report.elastic_volume)


def test_correctives_vanish_at_rest_and_stay_on_their_finger(fields):
    directions = fields["posedirs"].reshape(-1, 3, 15, 9)
    for f in range(5):
        others = [3 * g + k for g in range(5) if g != f for k in range(3)]
        tip = fields["weights"][:, 1 + 3 * f + 2] > 0.9
        assert not directions[tip][:, :, others].any()


def _pose(angles_deg: np.ndarray, fields) -> np.ndarray:
    return hand_pose(angles_deg, fields["joint_axes"]).reshape(1, 15, 3)


def _covering_triangles(corners: np.ndarray, size: int) -> np.ndarray:
    """How many triangles [F, 3, 2] cover each texel's centre."""
    counts = np.zeros((size, size), int)
    for a, b, c in corners * size:
        low = np.floor(np.minimum(np.minimum(a, b), c)).astype(int).clip(0, size - 1)
        high = np.ceil(np.maximum(np.maximum(a, b), c)).astype(int).clip(0, size)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        u = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        v = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        counts[low[1] : high[1], low[0] : high[0]] += (u > 0) & (v > 0) & (u + v < 1)
    return counts
