"""What is photographed: the same on every machine, any part alone as in the whole, all of every hand in its picture."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import avatars
import numpy as np
import pytest
from conftest import python_with_blender
from package_modules import module
from plan_digests import digest_of_plans
from rasterised import outside_px

from engine.hand.cameras import project
from engine.hand.pose_files import PoseSequence, save_pose_file

contact, hand_shape, plan, ring, recipes = (
    module(f"palm_blender.synthesis.{name}") for name in ("contact", "hand_shape", "plan", "ring", "recipe")
)
placement, poses, animation_plan, pose_choice, views = (
    module(f"palm_blender.synthesis.{name}")
    for name in ("placement", "poses", "animation_plan", "pose_choice", "views")
)
errors = module("engine.errors")
Recipe = recipes.Recipe


def recipe_of_kind(kind: str, **changes):
    values = {"kind": kind, "seed": 3, "units": 4, "samples": 4}
    return Recipe(**{**values, **changes})


def cohort(**changes):
    return recipe_of_kind("cohort", **{"frames": 3, "cameras": 7, "width": 256, "height": 256, **changes})


def relit(**changes):
    lights = ("rig", "studio")
    return recipe_of_kind(
        "harp-relit", **{"frames": 6, "cameras": 1, "width": 512, "height": 512, "environments": lights, **changes}
    )


def same(first, second) -> bool:
    return json.dumps(plain(first)) == json.dumps(plain(second))


def plain(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (int, float, str, type(None))) else str(value)


# any part is that part of the whole


@pytest.mark.parametrize("recipe", [cohort(), relit(), cohort(vary_light=True, environments=("rig", "studio", "city"))])
def test_a_unit_made_alone_is_that_unit_of_the_whole(recipe):
    whole = [plan.build_unit(recipe, index) for index in range(2)]
    assert same(plan.build_unit(recipe, 1), whole[1])
    assert not same(whole[0].shots, whole[1].shots)
    for index, unit in enumerate(whole):
        assert tuple(shot.id for shot in unit.shots) == plan.shot_list(recipe, index)


def test_a_larger_cohort_begins_with_the_smaller_one():
    small, large = plan.build_unit(cohort(units=2, frames=3), 1), plan.build_unit(cohort(units=9, frames=4), 1)
    assert same(small.folders["folders/0001"].poses, large.folders["folders/0001"].poses[:3])
    assert same(small.shots, large.shots[:21])


def test_other_seeds_are_other_cohorts():
    first, second = (plan.build_unit(cohort(seed=seed, frames=2), 0) for seed in (0, 1))
    assert np.abs(first.betas - second.betas).max() > 0.1
    assert not same(first.folders["folders/0000"].poses, second.folders["folders/0000"].poses)


def test_plans_are_the_same_with_another_python_and_numpy():
    python = python_with_blender("5.2")
    if python is None:
        pytest.skip("BLENDER 5.2'S PYTHON IS NOT INSTALLED: run `python tools/setup_bpy.py`; nothing was checked")
    script = Path(__file__).with_name("plan_digests.py")
    done = subprocess.run([python, str(script)], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == digest_of_plans()


# everything is in the picture


@pytest.mark.parametrize("size", [(256, 256), (2448, 2048), (120, 200), (300, 100)])
def test_every_hand_is_whole_in_every_picture_of_the_ring(size):
    recipe = cohort(seed=0, units=200, width=size[0], height=size[1], frames=2)
    # the largest of the first 300 people
    for index in (71, 100):
        unit = plan.build_unit(recipe, index)
        for shot in unit.shots:
            assert outside_px(unit, shot) < -0.005 * min(size), (index, shot.id)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_every_frame_of_a_relit_sequence_is_whole_in_its_picture(index):
    unit = plan.build_unit(relit(frames=21), index)
    margins = np.array([-outside_px(unit, shot) for shot in unit.shots]) / 512
    assert margins.min() > 0.9 * views.MARGIN
    # and near enough to be worth its pixels
    assert margins.min() < 0.2


def test_the_largest_open_hand_fills_the_picture_well():
    unit = plan.build_unit(cohort(seed=0, units=101, frames=1), 100)
    shape = hand_shape.load_hand_shape(unit.betas)
    upright = placement.turned_upright(0, 0, 0)
    spread = hand_shape.pose_hand(shape, poses.load_gesture("spread")) @ upright.T
    spread -= (spread.min(0) + spread.max(0)) / 2
    fills = [
        np.ptp(project(spread, camera.intrinsics, camera.world_to_camera)[:, 1]) / camera.height
        for camera in ring.ring_cameras(256, 256, 7).values()
    ]
    assert 0.7 < max(fills) < 0.86


# cameras


def test_the_ring_sees_the_hand_from_all_around_at_alternating_heights():
    cameras = list(ring.ring_cameras(2448, 2048, 7).values())
    places = np.array([-c.world_to_camera[:3, :3].T @ c.world_to_camera[:3, 3] for c in cameras])
    turns = np.unwrap(np.arctan2(places[:, 0], -places[:, 2]))
    np.testing.assert_allclose(np.diff(turns), 2 * np.pi / 7, atol=np.deg2rad(7))
    heights = -places[1:, 1]
    assert (np.sign(heights) == [1, -1, 1, -1, 1, -1]).all()
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 0.8, atol=0.021)
    for camera in cameras:
        np.testing.assert_allclose(
            camera.world_to_camera[:3, :3] @ camera.world_to_camera[:3, :3].T, np.eye(3), atol=1e-9
        )
        assert np.linalg.det(camera.world_to_camera[:3, :3]) > 0
        # upright: what is up in the world is up in the picture
        up = project(np.array([[0.0, 0, 0], [0, -0.05, 0]]), camera.intrinsics, camera.world_to_camera)
        assert up[1, 1] < up[0, 1] - 50
    focals = [camera.intrinsics[0, 0] for camera in cameras]
    assert 0.005 < np.ptp(focals) / np.mean(focals) < 0.1


def test_a_smaller_picture_is_the_same_picture_scaled():
    whole, half = ring.ring_cameras(2448, 2048, 7), ring.ring_cameras(1224, 1024, 7)
    for name, camera in whole.items():
        np.testing.assert_allclose(half[name].intrinsics[:2], camera.intrinsics[:2] / 2, atol=1e-5)
        np.testing.assert_array_equal(half[name].world_to_camera, camera.world_to_camera)


def test_fewer_cameras_are_spread_around_the_ring():
    assert ring.chosen_cameras(1) == ("MCU_01",)
    for count in range(1, 8):
        numbers = [int(name[-2:]) for name in ring.chosen_cameras(count)]
        gaps = np.diff([*numbers, numbers[0] + 7])
        assert len(set(numbers)) == count and gaps.max() - gaps.min() <= 1


# poses and light


def test_poses_are_free_on_each_persons_hand_and_their_palms_face_the_first_camera():
    recipe = cohort(frames=6)
    test = contact.contact_test(hand_shape.load_hand_shape())
    for index in range(2):
        unit = plan.build_unit(recipe, index)
        shape = hand_shape.load_hand_shape(unit.betas)
        for pose in unit.folders[f"folders/{index:04d}"].poses:
            assert contact.penetration(shape, test, pose.hand_pose) <= contact.SOFT_CONTACT_M + 1e-5
            turn = hand_shape.rotation_matrices(pose.global_orient)
            assert (turn @ [-1, 0, 0])[1] < -0.8 and (turn @ [0, -1, 0])[2] < -0.6


def test_a_person_takes_every_gesture_before_variants_come():
    shape, names = hand_shape.load_hand_shape(), poses.gesture_names()
    count = len(names) + len(names) // 5 + 4
    taken = np.stack(pose_choice.chosen_poses(shape, 0, 0, count))
    gestures = np.stack([poses.load_gesture(name) for name in names])
    nearest = np.abs(taken[:, None] - gestures).max(-1)
    for gesture, apart in zip(names, nearest.T, strict=True):
        assert apart.min() < 1e-6, gesture
    at_random = np.arange(count) % pose_choice.RANDOM_EVERY == pose_choice.RANDOM_EVERY - 1
    assert nearest[at_random].min(1).min() > np.deg2rad(5)
    variants = nearest[~at_random][len(names) :].min(1)
    assert len(variants) and (variants > np.deg2rad(1)).all() and (variants < np.deg2rad(60)).all()


def test_relit_sequences_flip_and_move_fingers_in_turn_in_two_lights():
    flip, fingers = (plan.build_unit(relit(frames=21), index) for index in (0, 1))
    for unit, name in ((flip, "relit_00"), (fingers, "relit_01")):
        train, val = unit.folders[f"{name}/folders/_train"], unit.folders[f"{name}/folders/_val"]
        assert (len(train.poses), len(val.poses), train.stem(0)) == (1, 20, "0001")
        assert {shot.light.environment for shot in unit.shots if shot.folder.endswith("_train")} == {"rig"}
        assert {shot.light.environment for shot in unit.shots if shot.folder.endswith("_val")} == {"studio"}
        np.testing.assert_array_equal(val.cameras["MCU_02"].world_to_camera, np.eye(4))
        assert 0.4 < val.poses[0].transl[2] < 0.7
    facing = [
        (hand_shape.rotation_matrices(p.global_orient) @ [0, -1, 0])[2]
        for p in flip.folders["relit_00/folders/_val"].poses
    ]
    assert min(facing) < -0.8 and max(facing) > 0.8
    facing = [
        (hand_shape.rotation_matrices(p.global_orient) @ [0, -1, 0])[2]
        for p in fingers.folders["relit_01/folders/_val"].poses
    ]
    assert max(facing) < -0.8


def test_light_is_one_unless_it_is_to_vary():
    assert len({shot.light for shot in plan.build_unit(cohort(), 0).shots}) == 1
    varied = plan.build_unit(cohort(vary_light=True), 0).shots
    by_frame = [{shot.light for shot in varied if shot.frame == frame} for frame in range(3)]
    assert all(len(lights) == 1 for lights in by_frame) and len(set().union(*by_frame)) == 3
    strengths = [light.strength for lights in by_frame for light in lights]
    assert 0.6 <= min(strengths) < max(strengths) <= 1.7
    sequence = plan.build_unit(relit(vary_light=True), 0).shots
    assert len({shot.light for shot in sequence}) == 2


def test_a_folder_of_environments_is_drawn_from_by_seed(tmp_path):
    for name in ("b.exr", "a.hdr", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    recipe = cohort(environments=(str(tmp_path),), frames=8)
    used = {Path(shot.light.environment).name for shot in plan.build_unit(recipe, 0).shots}
    assert used == {"a.hdr", "b.exr"}
    assert same(plan.build_unit(recipe, 0).shots, plan.build_unit(recipe, 0).shots)
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.InputError, match=r"has no \.exr or \.hdr"):
        plan.build_unit(cohort(environments=(str(tmp_path / "empty"),)), 0)


def test_no_two_pictures_share_their_noise():
    seeds = [shot.seed for index in range(2) for shot in plan.build_unit(cohort(), index).shots]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 1 << 31 for seed in seeds)


# the user's own poses


def own_poses(path: Path, frames: int = 12, side: str | None = "right") -> Path:
    generator = np.random.default_rng(0)
    bends = np.zeros((frames, 15, 3))
    bends[:, :12, 2] = np.linspace(0, 0.8, frames)[:, None]
    zero = np.zeros((frames, 3))
    orient = np.array([0.3, -0.2, 0.1]) * generator.random((frames, 1))
    save_pose_file(path, PoseSequence(orient, bends.reshape(frames, 45), zero, side=side, fps=24.0))
    return path


def test_the_users_poses_replace_the_projects(tmp_path):
    path = str(own_poses(tmp_path / "own.npz"))
    unit = plan.build_unit(cohort(poses=path, frames=4), 0)
    bends = [pose.hand_pose[2] for pose in unit.folders["folders/0000"].poses]
    np.testing.assert_allclose(bends, np.linspace(0, 0.8, 12)[::3], atol=1e-6)
    sequence = plan.build_unit(relit(poses=path, frames=3), 0)
    assert all(outside_px(sequence, shot) < 0 for shot in sequence.shots)
    for recipe in (cohort(poses=path, frames=13), relit(poses=path, frames=13)):
        with pytest.raises(errors.InputError, match=r"too short for 13 poses: give --frames 12"):
            plan.shot_list(recipe, 0)
    with pytest.raises(errors.PoseFileError, match=r"does not exist"):
        plan.shot_list(cohort(poses=str(tmp_path / "none.npz")), 0)


def test_a_pose_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    """Every unit asks for it again: minutes for long files."""
    path = own_poses(tmp_path / "own.npz")
    read = []
    load = pose_choice.load_pose_file
    monkeypatch.setattr(pose_choice, "load_pose_file", lambda path: read.append(path) or load(path))
    for index in range(3):
        plan.shot_list(cohort(poses=str(path), frames=4), index)
    assert len(read) == 1
    own_poses(path, frames=13)
    assert len(plan.shot_list(cohort(poses=str(path), frames=13), 0)) == 13 * 7
    assert len(read) == 2


def test_left_hands_poses_are_mirrored(tmp_path):
    right, left = own_poses(tmp_path / "right.npz"), own_poses(tmp_path / "left.npz", side="left")
    first, second = (plan.build_unit(cohort(poses=str(path), frames=2), 0) for path in (right, left))
    poses_of = lambda unit: np.stack([pose.hand_pose for pose in unit.folders["folders/0000"].poses])  # noqa: E731
    np.testing.assert_allclose(poses_of(second)[1, 2], -poses_of(first)[1, 2], atol=0.2)


@pytest.fixture(scope="module")
def avatar_pair(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("animated")
    made = {side: folder / f"{side}.palmhand" for side in ("right", "left")}
    for side, path in made.items():
        avatars.make_avatar(path, avatars.hand_model(side, levels=0))
    return made


def avatar_pixels(recipe) -> np.ndarray:
    """[T,V,2] where an animation's vertices are seen."""
    unit = plan.build_unit(recipe, 0)
    ((_, folder),) = unit.folders.items()
    (camera,) = folder.cameras.values()
    shape = animation_plan.avatar_shape(animation_plan.read_avatar(unit.avatar))
    return np.stack([
        project(placement.placed_vertices(shape, pose), camera.intrinsics, camera.world_to_camera)
        for pose in folder.poses
    ])  # fmt: skip


def animation(avatar: Path, path: Path, **changes):
    values = {"frames": 0, "cameras": 1, "width": 320, "height": 400, "avatar": str(avatar), "poses": str(path)}
    return recipe_of_kind("animate", **{**values, **changes})


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_fitted_camera_sees_all_of_a_motion(avatar_pair, side, tmp_path):
    path = own_poses(tmp_path / "own.npz")
    recipe = animation(avatar_pair[side], path, view="fitted")
    pixels = avatar_pixels(recipe)
    assert len(pixels) == len(plan.shot_list(recipe, 0)) == 12
    assert (pixels.min((0, 1)) > (5, 8)).all() and (pixels.max((0, 1)) < (315, 392)).all()
    assert (np.ptp(pixels, axis=(0, 1)) / (320, 400)).max() > 0.85
    assert plan.build_unit(recipe, 0).name == side and animation_plan.animation_poses(recipe).fps == 24


def test_in_the_photos_camera_a_motion_begins_where_the_photos_hand_was(avatar_pair, tmp_path):
    path = own_poses(tmp_path / "own.npz")
    unit = plan.build_unit(animation(avatar_pair["right"], path, frames=5), 0)
    capture = animation_plan.read_avatar(avatar_pair["right"]).capture
    folder = unit.folders["folders/right"]
    assert len(folder.poses) == 5
    np.testing.assert_allclose(folder.poses[0].transl, capture.transl, atol=1e-6)
    found, wanted = (
        hand_shape.rotation_matrices(np.asarray(v, float))
        for v in (folder.poses[0].global_orient, capture.global_orient)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    # what the file says of the camera's own view is kept
    own = tmp_path / "placed.npz"
    orient, moved = np.tile(capture.global_orient, (2, 1)), capture.transl + np.array([0.01, 0, 0])
    save_pose_file(own, PoseSequence(orient, np.zeros((2, 45)), np.tile(moved, (2, 1)), side="right"))
    kept = plan.build_unit(animation(avatar_pair["right"], own), 0).folders["folders/right"].poses[1]
    np.testing.assert_allclose(kept.transl, moved, atol=1e-6)


def test_the_photos_camera_scales_with_the_picture(avatar_pair):
    capture = animation_plan.read_avatar(avatar_pair["right"]).capture
    point = np.array([[0.02, -0.03, 0.5]])
    pixel = project(point, capture.intrinsics, capture.world_to_camera)
    for size, scale, shift in (((640, 800), 2, (0, 0)), ((400, 400), 1, (40, 0)), ((160, 300), 0.5, (0, 50))):
        camera = animation_plan.scaled_camera(capture, *size)
        np.testing.assert_allclose(project(point, camera.intrinsics, camera.world_to_camera), scale * pixel + shift)


def test_more_frames_than_the_file_has_are_refused(avatar_pair, tmp_path):
    path = own_poses(tmp_path / "own.npz")
    with pytest.raises(errors.InputError, match=r"own\.npz is too short for 13 poses: give --frames 12"):
        plan.shot_list(animation(avatar_pair["right"], path, frames=13), 0)
    for recipe in (cohort(frames=13, poses=str(path)), relit(frames=13, poses=str(path))):
        with pytest.raises(errors.InputError, match=r"own\.npz is too short for 13 poses: give --frames 12"):
            plan.build_unit(recipe, 0)
