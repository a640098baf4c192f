"""Which keypoints are marked visible: boxes by hand, then real hands from all sides; masks as COCO stores them."""

from __future__ import annotations

import numpy as np
import pytest
from package_modules import module
from rasterised import frame_pixels

from engine.hand.joints import KEYPOINT_NAMES, KEYPOINT_PARENTS

visibility, mask_codes, shots, plan, recipes, placement, poses, hand_shape = (
    module(f"palm_blender.synthesis.{name}")
    for name in ("visibility", "mask_codes", "shots", "plan", "recipe", "placement", "poses", "hand_shape")
)
bone_math = module("engine.hand.pose_files")
K = np.array([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]])
AHEAD = np.eye(4)


def seen(point, depth, radius=0.01) -> int:
    """Of keypoints that all lie in one place."""
    points = np.tile(np.array(point, float), (21, 1))
    found = visibility.visibility(points, K, AHEAD, depth, np.full(21, radius))
    assert len(set(found.tolist())) == 1
    return int(found[0])


def wall(metres: float) -> np.ndarray:
    return np.full((100, 100), metres, np.float32)


def test_a_joint_is_visible_behind_its_own_flesh_and_hidden_behind_more():
    assert seen((0, 0, 0.5), wall(0.495)) == visibility.VISIBLE
    assert seen((0, 0, 0.5), wall(0.505)) == visibility.VISIBLE
    assert seen((0, 0, 0.5), wall(0.48)) == visibility.HIDDEN
    assert seen((0, 0, 0.5), wall(0)) == visibility.VISIBLE


def test_one_pixel_beside_is_enough():
    depth = wall(0.4)
    depth[51, 51] = 0.5
    assert seen((0.001, 0.001, 0.5), depth) == visibility.VISIBLE
    assert seen((-0.02, 0, 0.5), depth) == visibility.HIDDEN


def test_in_a_finger_that_points_at_the_camera_the_joints_near_its_tip_are_visible():
    points = np.tile([0.0, 0.1, 0.5], (21, 1))
    # the index finger's three joints and its tip, which is nearest to the camera, aslant
    for keypoint, place in zip((1, 2, 3, 17), (0.54, 0.50, 0.475, 0.455), strict=True):
        points[keypoint] = (0, 0, place)
    found = visibility.visibility(points, K, AHEAD, wall(0.453), np.full(21, 0.01))
    assert found[[1, 2, 3, 17]].tolist() == [
        visibility.HIDDEN,
        visibility.HIDDEN,
        visibility.VISIBLE,
        visibility.VISIBLE,
    ]


@pytest.mark.parametrize("point", [(-0.26, 0, 0.5), (0.251, 0, 0.5), (0, 0.3, 0.5), (0, 0, -0.5), (0, 0, 0)])
def test_outside_the_picture_or_behind_the_camera_is_not_labelled(point):
    assert seen(point, wall(0.5)) == visibility.OUTSIDE


def test_the_picture_ends_at_its_edges():
    assert seen((0.2499, 0.2499, 0.5), wall(0.5)) == visibility.VISIBLE
    assert seen((-0.25, -0.25, 0.5), wall(0.5)) == visibility.VISIBLE


def test_flesh_is_as_thick_as_fingers_and_palms_are():
    radii = dict(zip(KEYPOINT_NAMES, 1e3 * visibility.flesh_radii(np.zeros(10)), strict=True))
    assert 20 < radii["wrist"] < 40
    assert all(6 < radii[f"{finger}_tip"] < 13 for finger in ("thumb", "index", "middle", "ring", "pinky"))
    for finger in ("index", "middle", "ring", "pinky"):
        assert radii[f"{finger}1"] > radii[f"{finger}2"] > radii[f"{finger}3"] == radii[f"{finger}_tip"]


def hand_before_the_camera(name: str, yaw: float) -> tuple[np.ndarray, dict[str, int]]:
    """Visibility by name of a gesture held up and turned by an angle."""
    views = module("palm_blender.synthesis.views")
    shape = hand_shape.load_hand_shape()
    camera = views.phone_camera(128, 128)
    turn = bone_math.matrix_to_axis_angle(placement.turned_upright(yaw, 0, 0))
    pose = shots.HandPose(turn, poses.load_gesture(name), np.zeros(3))
    shift = views.shift_into_view(placement.placed_vertices(shape, pose), camera)
    folder = shots.Folder({"MCU_02": camera}, (pose._replace(transl=shift),), 4)
    shot = shots.Shot("f", 0, "MCU_02", shots.Light("rig", 0, 1), 0)
    unit = shots.Unit("u", None, None, np.zeros(10), {"f": folder}, (shot,))
    pixels = frame_pixels(shots, unit, shot)
    radii = visibility.flesh_radii(unit.betas)
    found = visibility.visibility(pixels.keypoints, camera.intrinsics, camera.world_to_camera, pixels.depth, radii)
    return found, dict(zip(KEYPOINT_NAMES, found.tolist(), strict=True))


@pytest.mark.parametrize("yaw", [0, np.pi])
@pytest.mark.parametrize("name", ["flat", "spread", "stop"])
def test_all_of_an_open_hand_is_visible_from_the_palm_and_from_the_back(name, yaw):
    found, names = hand_before_the_camera(name, yaw)
    assert (found == visibility.VISIBLE).all(), names


def test_a_fist_hides_its_fingertips_from_the_back_and_shows_its_knuckles():
    _, names = hand_before_the_camera("fist", np.pi)
    assert all(names[f"{finger}_tip"] == visibility.HIDDEN for finger in ("index", "middle", "ring", "pinky"))
    assert all(names[f"{finger}1"] == visibility.VISIBLE for finger in ("index", "middle", "ring", "pinky"))


def test_folded_fingers_hide_their_first_knuckles_from_the_palm():
    _, names = hand_before_the_camera("fist", 0)
    assert names["middle1"] == names["ring1"] == visibility.HIDDEN
    assert names["middle2"] == names["ring2"] == visibility.VISIBLE


def test_from_the_little_fingers_side_the_index_finger_is_hidden():
    _, names = hand_before_the_camera("fingers_together", -np.pi / 2)
    little = hand_before_the_camera("fingers_together", np.pi / 2)[1]
    sides = {names["index2"], little["index2"]}
    assert sides == {visibility.HIDDEN, visibility.VISIBLE}
    assert names["index2"] == little["pinky2"] and names["pinky2"] == little["index2"]


def test_parents_of_tips_are_last_joints():
    assert KEYPOINT_PARENTS[16:] == (15, 3, 6, 12, 9)


# masks as COCO stores them


@pytest.mark.parametrize("seed", range(6))
def test_masks_come_back(seed):
    generator = np.random.default_rng(seed)
    shape = tuple(generator.integers(1, 60, 2))
    mask = generator.random(shape) < generator.random()
    code = mask_codes.mask_code(mask)
    np.testing.assert_array_equal(mask_codes.mask_of(code), mask)
    assert code["size"] == list(shape)


def test_empty_full_and_known_masks():
    assert mask_codes.mask_code(np.zeros((3, 4), bool))["counts"] == "<"
    assert mask_codes.mask_code(np.ones((3, 4), bool))["counts"] == "0<"
    # by hand: runs 5, 2, 5 down the columns
    mask = np.zeros((3, 4), bool)
    mask[2, 1] = mask[0, 2] = True
    assert mask_codes.mask_code(mask)["counts"] == "525"


@pytest.mark.parametrize("counts", ["5", "525<", "52\x10", "52P"])
def test_damaged_masks_are_refused(counts):
    with pytest.raises(ValueError, match=r"run"):
        mask_codes.mask_of({"size": [3, 4], "counts": counts})
