"""Sequences cut as protocols say, and judged."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from engine.datasets.hand_sequence import HandSequence
from engine.datasets.palm import read_palm_folder
from engine.datasets.palm_sequences import as_hand_frame
from engine.errors import DatasetError
from engine.evaluation.avatar_picture import PictureConfig
from engine.evaluation.protocols import HARP_VIDEO, PALM_INTERHAND
from engine.evaluation.sets import read_set, with_masks
from engine.evaluation.shots import file_name, in_photo_axes, judged_sequence, shots_of
from engine.evaluation.unit import ProtocolConfig, evaluate_unit
from engine.hand.cameras import project
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.hand.rotations import axis_angle_to_matrix


@pytest.fixture(scope="module")
def model():
    return open_hand_model("right")


@pytest.fixture
def sequence(relit_set, model):
    """The three pictures in light B, as a sequence of their own, seen by a camera that is not the world's origin."""
    dataset = read_palm_folder(relit_set / "relit_00", model.hands_mean.numpy())
    frames = [as_hand_frame(frame) for frame in dataset.frames if frame.subject == "_val"]
    turn = np.eye(4)
    turn[:3, :3] = axis_angle_to_matrix(torch.tensor([0.3, -1.2, 0.5], dtype=torch.float64)).numpy()
    turn[:3, 3] = (0.1, -0.2, 0.3)
    # the world moves, the pictures stay: hands go there through the inverse
    moved = [dataclasses.replace(frame, world_to_camera=np.linalg.inv(turn)) for frame in in_photo_axes(frames, model)]
    shifted = in_photo_axes([dataclasses.replace(moved[0], world_to_camera=turn), *moved], model)[1:]
    back = [dataclasses.replace(frame, world_to_camera=np.linalg.inv(turn)) for frame in shifted]
    return HandSequence("hands/one", tuple(back), "right", "open")


def pixels(frame, model) -> np.ndarray:
    numbers = (frame.betas, frame.global_orient, frame.hand_pose, frame.transl)
    posed = hand_forward(model, *(torch.as_tensor(np.asarray(values)).float() for values in numbers))
    return project(posed.keypoints.double().numpy(), frame.intrinsics, frame.world_to_camera)


def test_the_photos_camera_becomes_the_world_and_no_picture_changes(sequence, model):
    moved = in_photo_axes(sequence.frames, model)
    np.testing.assert_allclose(moved[0].world_to_camera, np.eye(4), atol=1e-9)
    assert np.abs(moved[0].transl - sequence.frames[0].transl).max() > 0.1
    for before, after in zip(sequence.frames, moved, strict=True):
        np.testing.assert_allclose(pixels(after, model), pixels(before, model), atol=1e-3)


def test_each_protocol_cuts_in_its_own_way(sequence, model):
    one = judged_sequence(sequence, PALM_INTERHAND, model)
    assert (one.name, len(one.training), len(one.judged)) == ("hands_one", 1, 2)
    assert one.photo is one.training[0]
    video = judged_sequence(sequence, HARP_VIDEO, model)
    assert [frame.number for frame in (*video.training, *video.judged)] == [1, 2, 3]
    assert len(video.judged) == 1
    assert [(shot.seen, shot.file) for shot in shots_of(video, 1)] == [
        (True, "MCU_02_000002.png"),
        (False, "MCU_02_000003.png"),
    ]


def test_what_methods_cannot_do_is_refused_by_name(sequence, model):
    for changed, said in (
        ({"handedness": "left"}, "left hand"),
        ({"hand_model": "mano"}, "--hand-model MANO_RIGHT.pkl"),
        ({"frames": sequence.frames[:1]}, "has 1 pictures"),
        (
            {"frames": tuple(dataclasses.replace(frame, mask=None) for frame in sequence.frames)},
            "has 0 pictures with masks",
        ),
    ):
        with pytest.raises(DatasetError, match=said):
            judged_sequence(dataclasses.replace(sequence, **changed), PALM_INTERHAND, model)


def test_masks_come_from_a_folder_and_from_nowhere_else(sequence, model, tmp_path):
    bare = dataclasses.replace(
        sequence, frames=tuple(dataclasses.replace(frame, mask=None) for frame in sequence.frames)
    )
    folder = tmp_path / "masks"
    (folder / "MCU_02").mkdir(parents=True)
    for frame in sequence.frames[:2]:
        (folder / f"{frame.label}.png").write_bytes(frame.mask.read_bytes())
    outside = dataclasses.replace(bare.frames[2], label="../secret")
    (tmp_path / "secret.png").write_bytes(b"")
    masked = with_masks(dataclasses.replace(bare, frames=(*bare.frames[:2], outside)), folder)
    assert [frame.mask is not None for frame in masked.frames] == [True, True, False]
    kept = judged_sequence(masked, PALM_INTERHAND, model)
    assert len(kept.judged) == 1
    assert "1 pictures without a mask" in kept.notes[0]


def test_a_sequence_is_judged_by_its_own_light_and_over_white(sequence, model, relit_set, tmp_path):
    """The true hand estimates no light, so it stands in white: right in outline, wrong in colour."""
    judged = judged_sequence(sequence, PALM_INTERHAND, model, relit_set / "avatars" / "relit_00.palmhand")
    config = ProtocolConfig(pictures=PictureConfig(longest_px=48), protocol=PALM_INTERHAND)
    result = evaluate_unit(judged, "truth", tmp_path, config)
    assert set(result.frames) == {"MCU_02/000002", "MCU_02/000003"}
    assert set(result.seen_frames) == {"MCU_02/000001"}
    for scores in result.frames.values():
        assert scores["iou"] > 0.93
        assert scores["psnr_whole_db"] > scores["psnr_db"] > 5  # white around is right in both
        assert scores["l1"] < scores["l1_mask"]
    assert (tmp_path / "pictures" / "hands_one" / "_true" / result.pictures["MCU_02/000002"]).is_file()


def test_sets_of_other_protocols_are_refused(relit_set, model, tmp_path):
    with pytest.raises(DatasetError, match="--protocol harp-relit"):
        read_set(relit_set, PALM_INTERHAND, model)
    with pytest.raises(DatasetError, match="not a folder"):
        read_set(tmp_path / "none", HARP_VIDEO, model)
    with pytest.raises(DatasetError, match="none of the known layouts"):
        read_set(tmp_path, HARP_VIDEO, model)


@pytest.mark.parametrize(("name", "file"), [("../a b", "_a_b"), ("..", "_"), ("x" * 200, "x" * 80), ("a/b.c", "a_b.c")])
def test_names_of_sets_become_names_of_files(name, file):
    assert file_name(name) == file
