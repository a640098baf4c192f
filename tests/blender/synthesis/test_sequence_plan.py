"""Sequences: a motion that is smooth, wide and possible, and cameras all around that see all of it, as near as they may."""

from __future__ import annotations

import numpy as np
import pytest
from package_modules import module

from engine.hand.cameras import project

contact, dome, hand_shape, light_plan, motion, people, placement, plan, poses, recipes, sequence_plan = (
    module(f"palm_blender.synthesis.{name}")
    for name in (
        "contact", "dome", "hand_shape", "light_plan", "sequence_motion", "people", "placement", "plan", "poses", "recipe",
        "sequence_plan",
    )
)  # fmt: skip
errors = module("engine.errors")
FRAMES = 11


def sequence(**changes):
    values = {"seed": 19, "units": 1, "frames": FRAMES, "cameras": 6, "width": 167, "height": 256, "samples": 4}
    return recipes.Recipe("sequence", **{**values, **changes})


@pytest.fixture(scope="module")
def unit():
    return plan.build_unit(sequence(), 0)


def test_all_of_every_frame_lies_in_every_picture_and_reaches_across_it(unit):
    (folder,) = unit.folders.values()
    shape = hand_shape.load_hand_shape(unit.betas)
    spans = []
    for pose in folder.poses:
        points = placement.placed_vertices(shape, pose)
        for camera in folder.cameras.values():
            pixels = project(points, camera.intrinsics, camera.world_to_camera)
            # what the true surface may add is a pixel or two
            assert pixels.min() > 3
            assert (pixels.max(0) < np.array([camera.width, camera.height]) - 3).all()
            spans.append(((pixels.max(0) - pixels.min(0)) / [camera.width, camera.height]).max())
    assert np.min(spans) > 0.4
    assert np.max(spans) > 0.85


def test_the_hand_moves_smoothly_within_its_joints_limits(unit):
    (folder,) = unit.folders.values()
    shape = hand_shape.load_hand_shape(unit.betas)
    angles = hand_shape.joint_angles(shape, np.stack([pose.hand_pose for pose in folder.poses]))
    low, high = np.moveaxis(shape.joint_limits, -1, 0)
    assert (angles > low - 1e-3).all() and (angles < high + 1e-3).all()
    # a finger closes within five frames, fastest half-way
    assert np.rad2deg(np.abs(np.diff(angles, axis=0)).max()) < 60
    turned = hand_shape.rotation_matrices(np.stack([pose.global_orient for pose in folder.poses]))
    steps = np.arccos(np.clip((np.einsum("tij,tij->t", turned[1:], turned[:-1]) - 1) / 2, -1, 1))
    assert np.rad2deg(steps).min() > 0 and np.rad2deg(steps).max() < 35


def test_the_fingers_stay_out_of_each_other(unit):
    (folder,) = unit.folders.values()
    shape = hand_shape.load_hand_shape(unit.betas)
    test = module("palm_blender.synthesis.pose_choice").hand_contact()
    visited = [folder.poses[frame].hand_pose for frame in range(0, FRAMES, motion.MOVE_FRAMES)]
    assert max(contact.penetration(shape, test, pose) for pose in visited) < contact.SOFT_CONTACT_M + 1e-5


def test_kinds_of_gestures_all_come_before_any_comes_again():
    known = set(poses.gesture_names())
    assert all(name in known for kind in motion.KINDS for name in kind)
    for seed in range(4):
        names = motion.gestures_of(seed, 0, 12)
        kinds = [next(k for k, kind in enumerate(motion.KINDS) if name in kind) for name in names]
        assert kinds[0] == 0
        assert len(set(names)) == 12
        assert motion.gestures_of(seed, 0, 5) == names[:5]
    assert motion.gestures_of(1, 0, 12) != motion.gestures_of(2, 0, 12)


def test_every_beginning_of_the_dome_is_spread_around():
    directions = dome.dome_directions()
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    # the palm faces -z, the back +z
    assert directions[0, 2] < -0.95 and directions[1, 2] > 0.9
    elevation = np.rad2deg(np.arcsin(-directions[:, 1]))
    assert elevation.min() > dome.LOWEST_DEG - 1 and elevation.max() < dome.HIGHEST_DEG + 1
    for count, apart_deg in ((4, 70), (12, 35), (36, 20)):
        cosine = directions[:count] @ directions[:count].T - 2 * np.eye(count)
        assert np.rad2deg(np.arccos(cosine.max())) > apart_deg


def test_more_cameras_leave_the_first_ones_where_they_are(unit):
    (few,) = (folder.cameras for folder in plan.build_unit(sequence(cameras=2), 0).folders.values())
    (many,) = (folder.cameras for folder in unit.folders.values())
    for name, camera in few.items():
        np.testing.assert_array_equal(camera.intrinsics, many[name].intrinsics)
        np.testing.assert_array_equal(camera.world_to_camera, many[name].world_to_camera)


def test_shots_are_listed_as_they_are_built_spread_over_the_motion(unit):
    listed = plan.shot_list(sequence(), 0)
    assert listed == tuple(shot.id for shot in unit.shots)
    assert sequence_plan.halving(8) == [0, 4, 2, 6, 1, 5, 3, 7]
    assert sorted(sequence_plan.halving(58)) == list(range(58))
    # a moment's pictures share all settings
    assert len({(shot.light, shot.seed) for shot in unit.shots if shot.frame == 3}) == 1


def test_the_light_stands_still_as_the_hand_moves_also_where_it_varies_between_hands():
    recipe = sequence(units=2, frames=2, cameras=1, vary_light=True, environments=("city",))
    one, two = plan.build_unit(recipe, 0).shots
    assert one.light == two.light != light_plan.light_of(recipe, recipe.environments, 1, 0)


def test_impossible_sequences_are_refused():
    recipes.check_recipe(sequence(cameras=36))
    for changes in ({"cameras": 37}, {"avatars": True}, {"frames": 0}):
        with pytest.raises(errors.InputError):
            recipes.check_recipe(sequence(**changes))
