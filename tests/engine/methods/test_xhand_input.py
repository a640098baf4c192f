"""Sequences for training: whole ones pass untouched, really broken copies are refused or mended with a line that names what."""

from __future__ import annotations

import dataclasses
import math
import shutil

import numpy as np
import pytest
from PIL import Image
from small_sequence import make_sequence

from engine.datasets.hand_sequence import HandSequence, load_pixels
from engine.errors import DatasetError
from engine.hand.model import open_hand_model
from engine.methods.xhand_input import InputConfig, checked_sequence, enough_to_learn
from engine.methods.xhand_input_verdict import usual

MODEL = open_hand_model()
BAD = "MCU_03"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> HandSequence:
    return make_sequence(tmp_path_factory.mktemp("whole"))


def edited(sequence: HandSequence, change, camera: str | None = None, **fields) -> HandSequence:
    """A copy whose frames (of a camera) are dataclasses.replace(frame, **change(frame)); None drops the frame."""
    frames = []
    for frame in sequence.frames:
        changes = change(frame) if camera in (None, frame.camera) else {}
        if changes is not None:
            frames.append(dataclasses.replace(frame, **changes))
    return dataclasses.replace(sequence, frames=tuple(frames), **fields)


def moved(frame, shift_m=(0.03, 0.0, 0.0)) -> dict:
    matrix = np.array(frame.world_to_camera)
    matrix[:3, 3] += shift_m
    return {"world_to_camera": matrix}


def masks_from(sequence: HandSequence, camera: str, source: dict[int, int]) -> HandSequence:
    """The camera's masks taken from other moments: {number: whose mask it gets}."""
    masks = {frame.number: frame.mask for frame in sequence.frames if frame.camera == camera}
    return edited(sequence, lambda frame: {"mask": masks[source.get(frame.number, frame.number)]}, camera)


def test_a_whole_sequence_passes_untouched(whole):
    kept, notes = checked_sequence(whole, MODEL)
    assert kept.frames == whole.frames
    assert len(notes) == 1 and notes[0].startswith("outlines cover masks to 100 %") and "100 % of joints" in notes[0]


@pytest.mark.parametrize("given", ["right", "left"])
def test_left_hands_are_checked_with_the_mirrored_model(tmp_path, given):
    sequence = make_sequence(tmp_path, moments=2, side="left")
    kept, _ = checked_sequence(sequence, open_hand_model(given))
    assert kept.frames == sequence.frames


def test_a_wrongly_calibrated_camera_is_named_with_its_numbers_and_left_out(whole):
    kept, notes = checked_sequence(edited(whole, moved, BAD), MODEL)
    assert BAD not in kept.cameras and len(kept.cameras) == 3
    (line,) = (note for note in notes if "calibration" in note)
    assert line.startswith(f"camera {BAD} (") and "px aside" in line and line.endswith("calibrate it again")
    # three centimetres are so many pixels
    camera = next(frame for frame in whole.frames if frame.camera == BAD)
    expected = 0.03 * camera.intrinsics[0, 0] / camera.world_to_camera[2, 3]
    found = float(line.split("masks, ")[1].split(" px")[0])
    assert found == pytest.approx(expected, rel=0.1)


def test_a_slightly_wrong_camera_is_found_by_its_steady_offset(whole):
    shifted, notes = checked_sequence(edited(whole, lambda frame: moved(frame, (0.003, 0, 0)), BAD), MODEL)
    (line,) = (note for note in notes if "calibration" in note)
    assert BAD not in shifted.cameras and int(line.split("(")[1].split(" %")[0]) > 80, line
    kept, _ = checked_sequence(edited(whole, lambda frame: moved(frame, (0.001, 0, 0)), BAD), MODEL)
    assert BAD in kept.cameras


def test_most_cameras_wrong_is_refused(whole):
    def change(frame):
        return {} if frame.camera == "MCU_01" else moved(frame, (0.04, 0.02, 0))

    with pytest.raises(DatasetError, match=r"3 of 4 cameras do not fit the posed hand \(worst: MCU_0. \(\d+ % of its"):
        checked_sequence(edited(whole, change), MODEL)


def test_masks_of_something_else_are_refused(whole, tmp_path):
    disc = np.hypot(*np.mgrid[-47.5:48, -47.5:48]) < 12
    Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / "disc.png")
    with pytest.raises(DatasetError, match="cameras, poses and masks are not of one release"):
        checked_sequence(edited(whole, lambda _: {"mask": tmp_path / "disc.png"}), MODEL)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m, k: (np.diag([-1.0, 1, 1, 1]) @ m, k), "mirror the world"),
        (lambda m, k: (np.diag([2.0, 2, 2, 1]) @ m, k), "its rotation is none"),
        (lambda m, k: (m, np.diag([-1.0, 1, 1]) @ k), "does not fit pictures of 96×96"),
        (lambda m, k: (m, k * np.nan), "NaN"),
        (lambda m, k: (scaled(m, 1000), k), "millimetres"),
        (lambda m, k: (scaled(m, 0.0), k), "inside the hand"),
        (lambda m, k: (np.diag([-1.0, 1, -1, 1]) @ m, k), "behind it"),
    ],
)
def test_impossible_cameras_are_named(whole, change, said):
    def broken(frame):
        matrix, intrinsics = change(frame.world_to_camera, frame.intrinsics)
        return {"world_to_camera": matrix, "intrinsics": intrinsics}

    kept, notes = checked_sequence(edited(whole, broken, BAD), MODEL)
    assert BAD not in kept.cameras
    assert any(note.startswith(f"camera {BAD}: ") and said in note for note in notes), notes
    with pytest.raises(DatasetError, match="4 of 4 cameras cannot be true"):
        checked_sequence(edited(whole, broken), MODEL)


def scaled(matrix, factor: float) -> np.ndarray:
    """World to camera with its distance from the world's origin scaled."""
    result = np.array(matrix)
    result[:3, 3] *= factor
    return result


@pytest.mark.parametrize(("late", "said"), [(1, "1 frame late"), (2, "2 frames late"), (-1, "1 frame early")])
def test_masks_of_one_camera_that_lag_are_recognised(whole, late, said):
    source = {number: min(max(number - late, 1), 6) for number in whole.numbers}
    kept, notes = checked_sequence(masks_from(whole, BAD, source), MODEL)
    assert BAD not in kept.cameras and len(kept) == 18
    assert any(note.startswith(f"masks of camera {BAD} look {said}") for note in notes), notes


def test_poses_that_lag_in_all_cameras_are_refused(whole):
    poses = {frame.number: frame for frame in whole.frames}

    def change(frame):
        if frame.number + 1 not in poses:
            return None
        later = poses[frame.number + 1]
        names = ("global_orient", "hand_pose", "transl", "keypoints_3d")
        return {name: getattr(later, name) for name in names}

    with pytest.raises(
        DatasetError, match="masks of 4 of 4 cameras look 1 frame late: poses and pictures are numbered"
    ):
        checked_sequence(edited(whole, change), MODEL)


def test_shuffled_masks_of_one_camera_are_named(whole):
    kept, notes = checked_sequence(masks_from(whole, BAD, {1: 5, 2: 6, 3: 1, 4: 2, 5: 4, 6: 3}), MODEL)
    assert BAD not in kept.cameras
    assert any(note.startswith(f"masks of camera {BAD} are of other moments (") for note in notes), notes


def test_single_masks_of_other_moments_are_left_out_and_named(whole):
    kept, notes = checked_sequence(masks_from(whole, BAD, {2: 5}), MODEL)
    assert [frame.label for frame in whole.frames if frame not in kept.frames] == [f"{BAD}/2"]
    (line,) = (note for note in notes if note.startswith(f"mask {BAD}/2 "))
    assert "it looks like moment 5's" in line
    assert f"camera {BAD} lacks 1 of 6 moments (2): used without" in notes


def test_a_moment_whose_pose_is_wrong_is_left_out(whole):
    def change(frame):
        if frame.number != 4:
            return {}
        return {
            "hand_pose": np.zeros(45),
            "global_orient": frame.global_orient + np.array([0.0, 1, 0]),
            "keypoints_3d": None,
        }

    kept, notes = checked_sequence(edited(whole, change), MODEL)
    assert set(kept.numbers) == {1, 2, 3, 5, 6}
    assert any(note.startswith("moment 4: the posed hand fits the masks in 0 of 4 cameras only") for note in notes)
    assert "1 moment missing (4): used without" in notes


def test_the_other_hand_is_refused_by_name(tmp_path):
    left = make_sequence(tmp_path / "left", moments=3, side="left")
    named = dataclasses.replace(edited(left, lambda _: {"keypoints_3d": None}), handedness="right")
    with pytest.raises(DatasetError, match=r"small says right, but the mirrored hand fits .* it shows a left hand"):
        checked_sequence(named, MODEL)
    # the set's own joints tell it without any picture
    with pytest.raises(DatasetError, match=r"mm from the set's.*or its side is another one"):
        checked_sequence(dataclasses.replace(left, handedness="right"), MODEL)


def test_mirrored_pictures_are_refused_by_name(whole, tmp_path):
    copies = {}
    for frame in whole.frames:
        copies[frame.mask] = tmp_path / f"{frame.camera}_{frame.number}.png"
        Image.open(frame.mask).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(copies[frame.mask])
    with pytest.raises(DatasetError, match="its pictures are mirrored: flip them back"):
        checked_sequence(edited(whole, lambda frame: {"mask": copies[frame.mask]}), MODEL)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hand_pose": np.full(45, np.nan)}, "hand_pose has NaN"),
        ({"hand_pose": np.full(45, 20.0)}, "5.5 whole turns"),
        ({"global_orient": np.array([0.0, 90.0, 0.0])}, "joint 0 is turned by 14.3 whole turns"),
        ({"betas": np.full(10, 40.0)}, "beyond any hand's"),
        ({"transl": np.zeros(2)}, r"transl has shape \(2,\)"),
        ({"transl": np.array([0.0, 0.0, 0.01])}, "another one than MCU_02/2's of the same moment 2"),
        ({"number": 1, "global_orient": None}, "MCU_01/1 is of the same camera and moment"),
    ],
)
def test_impossible_poses_are_refused(whole, change, said):
    first = whole.frames[0]
    if "number" in change:
        names = ("global_orient", "hand_pose", "transl")
        change = {"number": 1, **{name: getattr(first, name) for name in names}}
    picked = {"MCU_01/2"} if "number" in change or "of the same moment" in said else {"MCU_01/1"}
    broken = edited(whole, lambda frame: change if frame.label in picked else {})
    if "of the same moment" in said:
        broken = dataclasses.replace(broken, frames=tuple(sorted(broken.frames, key=lambda f: f.camera == "MCU_01")))
    with pytest.raises(DatasetError, match=said):
        checked_sequence(broken, MODEL)


def test_a_turn_beyond_half_a_turn_is_a_pose(whole):
    def longer(frame):
        angle = np.linalg.norm(frame.global_orient)
        return {"global_orient": frame.global_orient * (angle - 2 * math.pi) / angle}

    assert len(checked_sequence(edited(whole, longer), MODEL)[0]) == len(whole)


def test_one_camera_is_warned_of_and_too_few_pictures_refused(tmp_path):
    sequence = make_sequence(tmp_path, moments=8, cameras=1)
    kept, _ = checked_sequence(sequence, MODEL)
    assert len(kept) == 8
    alone = "one camera only (MCU_01): geometry and skin are known from its side alone"
    assert enough_to_learn(kept) == (alone,)
    few = dataclasses.replace(sequence, frames=sequence.frames[:7])
    with pytest.raises(DatasetError, match="7 pictures can be used, and fewer than 8 teach nothing"):
        checked_sequence(few, MODEL)
    with pytest.raises(DatasetError, match="7 pictures are left to learn from, and fewer than 8 teach nothing"):
        enough_to_learn(few)
    with pytest.raises(DatasetError, match="small has no pictures"):
        checked_sequence(dataclasses.replace(sequence, frames=()), MODEL)


def test_one_moment_is_warned_of(whole):
    still = edited(whole, lambda frame: {} if frame.number == 2 else None)
    config = InputConfig(least_pictures=4)
    assert enough_to_learn(still, config) == ("one moment only: what depends on the pose cannot be learnt from it",)
    assert enough_to_learn(whole) == ()


def test_shapes_that_differ_are_told_and_those_of_several_hands_refused(whole):
    def with_shapes(size):
        return edited(whole, lambda frame: {"betas": np.eye(10)[0] * size * (frame.number % 2)})

    _, notes = checked_sequence(with_shapes(0.6), MODEL)
    assert any("shapes differ between moments (joints by up to " in note for note in notes)
    with pytest.raises(DatasetError, match=r"are of several hands \(MCU_01/\d has joints \d+ mm"):
        checked_sequence(with_shapes(6.0), MODEL)


def test_gaps_are_listed_and_used_without(whole):
    def change(frame):
        return None if frame.number == 3 or frame.label == "MCU_02/5" else {}

    kept, notes = checked_sequence(edited(whole, change), MODEL)
    assert len(kept) == 19
    assert "1 moment missing (3): used without" in notes
    assert "camera MCU_02 lacks 1 of 5 moments (5): used without" in notes


def test_sizes_may_differ_between_cameras_but_not_within_one(whole, tmp_path):
    larger = make_sequence(tmp_path, size_px=120)
    mixed = [b if b.camera == BAD else a for a, b in zip(whole.frames, larger.frames, strict=True)]
    assert len(checked_sequence(dataclasses.replace(whole, frames=tuple(mixed)), MODEL)[0]) == 24
    odd = edited(whole, lambda frame: {"height": 80} if frame.label == f"{BAD}/2" else {})
    with pytest.raises(DatasetError, match=r"camera MCU_03 differ in size \(5 of 96×96, 1 of 96×80\)"):
        checked_sequence(odd, MODEL)


def test_files_that_cannot_be_read_are_left_out_and_named(whole, tmp_path):
    cut, empty = tmp_path / "cut.png", tmp_path / "empty.png"
    first, second, third = (frame for frame in whole.frames if frame.camera == BAD and frame.number <= 3)
    cut.write_bytes(first.mask.read_bytes()[:60])
    Image.new("L", (96, 96)).save(empty)
    broken = {first.label: {"mask": cut}, second.label: {"mask": empty}, third.label: {"image": tmp_path / "gone.png"}}
    kept, notes = checked_sequence(edited(whole, lambda frame: broken.get(frame.label, {})), MODEL)
    assert len(kept) == 21
    for name in ("cut.png", "empty.png shows no hand", "gone.png"):
        assert any(name in note and note.endswith("left out") for note in notes), (name, notes)


def test_masks_are_drawn_where_a_set_has_none(whole, tmp_path):
    bare = edited(whole, lambda _: {"mask": None})
    kept, notes = checked_sequence(bare, MODEL)
    assert kept.frames == bare.frames and any(
        "no masks, so cameras and poses could not be compared" in n for n in notes
    )
    drawn, notes = checked_sequence(bare, MODEL, tmp_path / "drawn")
    assert any("masks of 24 pictures are the posed model's outline" in note for note in notes)
    assert np.array_equal(load_pixels(drawn.frames[5]).mask, load_pixels(whole.frames[5]).mask)
    shutil.rmtree(tmp_path / "drawn")


def test_usual_is_what_the_better_half_is_like():
    values = np.array([0.9, 0.92, 0.91, 0.2, 0.1])
    assert usual(values).centre == pytest.approx(0.91) and usual(values).spread == pytest.approx(1.4826 * 0.01)
    assert usual(np.array([0.3, 0.95])).centre == 0.95


def test_runs_of_a_long_camera_are_put_together(whole):
    """Runs bound the memory; twelve moments at a time must find the same as all at once."""
    config = InputConfig(evidence=dataclasses.replace(InputConfig().evidence, pixels_at_once=1))
    frames = []
    for times in range(3):
        for frame in whole.frames:
            label = f"{frame.label}+{times}"
            frames.append(dataclasses.replace(frame, label=label, number=frame.number + 6 * times))
    long = dataclasses.replace(whole, frames=tuple(frames))
    wrong = masks_from(long, BAD, {14: 17})
    kept, notes = checked_sequence(wrong, MODEL, config=config)
    assert [frame.number for frame in long.frames if frame.label not in {f.label for f in kept.frames}] == [14]
    assert any("looks like moment 17's" in note for note in notes)


def test_of_a_long_sequence_runs_of_moments_are_looked_at(whole):
    config = InputConfig(most_pictures=16, run=2)
    broken = masks_from(edited(whole, moved, "MCU_02"), BAD, {6: 1})
    kept, notes = checked_sequence(broken, MODEL, config=config)
    assert "masks of 16 of 24 pictures were compared with the posed hand" in notes
    assert set(kept.cameras) == {"MCU_01", BAD, "MCU_04"} and f"{BAD}/6" not in {frame.label for frame in kept.frames}
