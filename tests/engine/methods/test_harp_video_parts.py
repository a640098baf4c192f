"""The parts of HARP on videos: frames that are left out, weights, batches, scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic_video import make_video

from engine.capture.capture_file import read_captures, read_mask
from engine.capture.options import CaptureOptions
from engine.cli import main
from engine.datasets.hand_sequence import HandFrame, HandSequence
from engine.errors import InputError
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.hand.pose_files import load_pose_file
from engine.hand.rotations import axis_angle_to_matrix
from engine.methods.adam import Adam, FrameAdam
from engine.methods.harp_fixed import facing_weight
from engine.methods.harp_frames import Frames, sharpness
from engine.methods.harp_sequence_input import in_camera, video_of_hand_sequence
from engine.methods.harp_stages import Track, shuffled_batches
from engine.methods.harp_video_command import holds_plain_frames
from engine.methods.harp_video_input import smoothness_links, usable_frames, video_of_captures
from engine.methods.harp_video_metrics import SIDE_PX, VideoScores, compare, protocol_window
from engine.methods.losses import acceleration_energy
from engine.methods.pose_refinement import RefinedPoses
from engine.methods.refine_command import write_refined

MISSING = "frames have no capture: no hand was found, or they were left out"


@pytest.fixture(scope="module")
def captures():
    return make_video(12).video.captures


def moved(capture, right_px):
    return dataclasses.replace(capture, keypoints_2d=capture.keypoints_2d + np.array([right_px, 0.0]))


def test_frames_without_a_hand_and_unsound_ones_are_named(captures):
    unsound = dataclasses.replace(captures[3], quality=dataclasses.replace(captures[3].quality, mask_iou=0.3))
    found, notes = usable_frames([None, *captures[:3], unsound, *captures[4:]], None, "a.mp4")
    assert [capture.frame for capture in found] == [1, 2, 3, *range(5, 13)]
    assert notes == (f"1 of 13 {MISSING}", "1 frames do not fit the hand and were left out: 4")


def test_after_a_cut_only_the_longest_stretch_is_used(captures):
    """A hand that is suddenly elsewhere was not moved there, but filmed anew."""
    jumped = [*captures[:3], *(moved(capture, 400.0) for capture in captures[3:])]
    found, notes = usable_frames(jumped, None, "a.mp4")
    assert [capture.frame for capture in found] == list(range(3, 12))
    assert "the hand jumps before frame 3, as at a cut: only frames 3 to 11 were used" in notes[0]
    # known poses are no track that can jump
    assert len(usable_frames(jumped, None, "a.mp4", known=True)[0]) == 12


def test_a_hand_that_comes_nearer_at_once_is_a_cut(captures):
    near = [dataclasses.replace(capture, joints_3d=capture.joints_3d * 0.5) for capture in captures[9:]]
    found, _ = usable_frames([*captures[:9], *near], None, "a.mp4")
    assert [capture.frame for capture in found] == list(range(9))


def test_too_few_frames_are_refused_and_too_many_thinned(captures):
    with pytest.raises(InputError, match=rf"only 5 of its 6 frames show one hand well \(1 of 6 {MISSING}\)"):
        usable_frames([None, *captures[:5]], None, "a.mp4")
    found, notes = usable_frames(captures, 9, "a.mp4")
    assert len(found) == 9 and found[0].frame == 0 and found[-1].frame == 11
    assert notes == ("9 of 12 frames were used, evenly chosen",)
    with pytest.raises(InputError, match=r"--frames 7 are too few: give 8 or more, or personalize one photo of a\.mp4"):
        usable_frames(captures, 7, "a.mp4")
    assert len(usable_frames(captures, 8, "a.mp4")[0]) == 8


def test_links_hold_only_between_neighbours(captures):
    kept = [True] * 12
    links = smoothness_links(captures, kept)
    assert links[0] == links[-1] == 0 and (links[1:-1] > 0).all() and links.max() <= 1
    kept[5] = False
    assert (smoothness_links(captures, kept)[[4, 6]] == 0).all()
    without = [capture for capture in captures if capture.frame != 5]
    assert (smoothness_links(without, [True] * 11)[[4, 5]] == 0).all()
    quick = [*captures[:6], moved(captures[6], 30.0), *captures[7:]]
    assert smoothness_links(quick, [True] * 12)[6] < 0.2 * links[6]


def test_a_straight_track_costs_nothing():
    joints = torch.arange(5.0)[:, None, None].expand(5, 16, 3) * 0.01
    track = Track(joints.clone(), torch.ones(5))
    assert float(track.energy(joints[2:3], torch.tensor([2]))) == pytest.approx(0, abs=1e-10)
    bent = joints[2:3] + 0.01
    # every joint is 2 cm, 0.2 dm, off the line's double in each of 3 axes
    assert float(track.energy(bent, torch.tensor([2]))) == pytest.approx(3 * 0.2**2, rel=1e-4)
    assert torch.equal(track.joints[2], bent[0])
    one = torch.tensor([[1.0, 2.0]])
    assert float(acceleration_energy(one, 0 * one, one, torch.tensor([0.5]))) == pytest.approx(2.5)


def test_rows_that_are_not_seen_stay():
    """A row that is always seen moves as with plain Adam; one that is not, not at all."""
    generator = torch.Generator().manual_seed(0)
    plain, rows = (torch.ones(3, 2, requires_grad=True) for _ in range(2))
    one, other = Adam([(plain, 0.1)]), FrameAdam([(rows, 0.1)])
    for step in range(5):
        index = torch.tensor([0, 1]) if step < 2 else torch.tensor([0])
        gradient = torch.randn(3, 2, generator=generator)
        plain.grad, rows.grad = gradient.clone(), gradient.clone()
        one.step(0.5)
        other.step(index, 0.5)
        if step == 1:
            second = rows[1].detach().clone()
    assert torch.allclose(rows[0], plain[0], atol=1e-6)
    assert torch.equal(rows[1], second) and bool((rows[1] != 1).all())
    assert bool((rows[2] == 1).all())


def test_every_epoch_sees_every_frame():
    frames = torch.tensor([2, 3, 5, 7, 11])
    batches = shuffled_batches(frames, 2, 3, torch.Generator().manual_seed(0))
    assert len(batches) == 9 and all(len(set(batch.tolist())) == 2 for batch in batches)
    for epoch in range(3):
        seen = torch.cat(batches[3 * epoch : 3 * epoch + 3])
        assert set(seen.tolist()) == set(frames.tolist())
    assert len(shuffled_batches(frames, 8, 1, torch.Generator())[0]) == 5


def test_few_frames_are_seen_as_often_as_asked():
    batches = shuffled_batches(torch.arange(5), 2, 1, torch.Generator().manual_seed(0), least=7)
    assert len(batches) == 9  # whole epochs of three
    assert all(len(torch.cat(batches[k : k + 3]).unique()) == 5 for k in (0, 3, 6))


def test_blurred_frames_count_less():
    checks = ((torch.arange(32)[:, None] // 2 + torch.arange(32) // 2) % 2).to(torch.uint8)[..., None] * 100
    sharp = checks.expand(32, 32, 3)
    flat = torch.full((32, 32, 3), 50, dtype=torch.uint8)
    inside = torch.full((5, 32, 32, 3), 255, dtype=torch.uint8)
    color = torch.stack([sharp, sharp, flat, sharp, sharp // 2])
    weights = sharpness(Frames(color, inside, torch.eye(3).expand(5, 3, 3)))
    assert weights[[0, 1, 3]].tolist() == [1, 1, 1]
    assert float(weights[4]) == pytest.approx(0.25, abs=0.01) and float(weights[2]) == pytest.approx(0.02)


def test_flat_views_count_less():
    normals = torch.nn.functional.normalize(torch.tensor([[0.0, 0, -1], [1, 0, -0.35], [1, 0, -0.05]]), dim=1)
    weight = facing_weight(normals)
    assert weight[0] == 1 and 0.3 < float(weight[1]) < 0.7 and float(weight[2]) == pytest.approx(0.1)


def test_shrunk_frames_keep_their_means():
    generator = torch.Generator().manual_seed(0)
    values = (torch.rand(2, 8, 6, 3, generator=generator) * 255).to(torch.uint8)
    frames = Frames(values, values, torch.eye(3).expand(2, 3, 3))
    whole, half = frames.target(torch.tensor([1])), frames.target(torch.tensor([1]), 2)
    assert half.color.shape == (4, 3, 3) and (half.height, half.width) == (4, 3)
    assert torch.allclose(half.color.mean((0, 1)), whole.color.mean((0, 1)), atol=1e-6)
    assert half.intrinsics[0].tolist() == [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]]


def test_scores_in_closed_form():
    side = SIDE_PX
    frame = torch.ones(side, side, 3)
    mask = torch.zeros(side, side)
    mask[100:300, 100:300] = 1
    frame[100:300, 100:300] = 0.5
    same = compare(frame, mask, frame, mask)
    assert same.iou == 1 and same.l1 == 0 and same.ms_ssim == pytest.approx(1, abs=1e-5) and same.psnr_db == 120
    render, coverage = torch.ones(side, side, 3), torch.zeros(side, side)
    coverage[100:300, 100:200] = 1
    render[100:300, 100:200] = 0.6
    scores = compare(frame, mask, render, coverage)
    assert scores.iou == pytest.approx(0.5)
    # half of the hand is 0.1 too bright, the other half white
    area = 200 * 100 / side**2
    assert scores.l1 == pytest.approx(area * (0.1 + 0.5), rel=1e-4)
    assert scores.psnr_db == pytest.approx(-10 * np.log10(area * (0.01 + 0.25)), abs=1e-3)
    assert scores.psnr_hand_db == pytest.approx(-10 * np.log10(0.13), abs=1e-3)
    both = VideoScores.mean([same, scores])
    assert both.frames == 2 and both.iou == pytest.approx(0.75)
    assert both.as_metrics("train")["train_frames"] == 2


def test_the_window_is_448_pixels_about_the_hand():
    """The shorter side becomes 448 pixels; the hand's centre is the window's."""
    vertices = torch.tensor([[-0.1, 0.0, 1.0], [0.3, 0.1, 1.0]])
    camera = torch.tensor([[1000.0, 0, 300], [0, 1000, 500], [0, 0, 1]])
    window = protocol_window(vertices, camera, height=1080, width=620)
    assert window.scale == pytest.approx(448 / 620) and (window.width, window.height) == (448, 448)
    centre = vertices.mean(0) @ window.intrinsics(camera).T
    assert torch.allclose(centre[:2], torch.tensor([224.0, 224.0]), atol=1e-3)


def a_frame(folder, number, world_to_camera, camera="0", hand_model_pose=0.1):
    image, mask = folder / f"{number}_{camera}.png", folder / f"{number}_{camera}_mask.png"
    Image.fromarray(np.full((8, 10, 3), 90, np.uint8)).save(image)
    Image.fromarray(np.full((8, 10), 255, np.uint8)).save(mask)
    pose = np.full(45, hand_model_pose)
    camera_matrix = np.array([[20.0, 0, 5], [0, 20, 4], [0, 0, 1]])
    place = np.array([0.1, 0.02 * number, 0.5])
    return HandFrame(
        f"{number}",
        number,
        camera,
        image,
        mask,
        camera_matrix,
        world_to_camera,
        8,
        10,
        np.zeros(10),
        np.ones(3),
        pose,
        place,
    )


def test_known_poses_are_turned_into_the_cameras_axes(tmp_path):
    """Vertices posed by the converted numbers are the world's, seen from the camera."""
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = axis_angle_to_matrix(torch.tensor([0.3, -0.8, 0.2])).numpy()
    world_to_camera[:3, 3] = [0.1, 0.2, 0.3]
    frame = a_frame(tmp_path, 0, world_to_camera)
    model = open_hand_model("right")

    def vertices(orient, transl):
        values = (frame.betas, orient, frame.hand_pose, transl)
        return hand_forward(model, *(torch.as_tensor(np.asarray(value)).float() for value in values)).vertices.numpy()

    there = vertices(frame.global_orient, frame.transl) @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    assert np.allclose(vertices(*in_camera(frame, model, frame.betas)), there, atol=1e-5)


def test_a_sequence_of_known_poses_is_a_video(tmp_path):
    frames = [a_frame(tmp_path, number, np.eye(4)) for number in (2, 3, *range(5, 12))]
    sequence = HandSequence("s", tuple(frames), "right", "open", ("read",))
    video = video_of_hand_sequence(sequence, CaptureOptions(), None, "s")
    assert video.numbers == [2, 3, *range(5, 12)]
    assert video.notes == ("read", f"1 of 10 {MISSING}")
    pictures = list(video.pictures())
    assert len(pictures) == 9 and pictures[0][0].shape == (8, 10, 3) and pictures[0][1].max() == 1
    other = a_frame(tmp_path, 2, np.eye(4), camera="1")
    twice = dataclasses.replace(frames[0], label="again")
    for changed, says in (
        (dataclasses.replace(sequence, frames=(*frames, other)), "seen by 2 cameras"),
        (
            dataclasses.replace(sequence, frames=(*frames, twice)),
            "s: 2 and again have one number, 2: give a sequence of",
        ),
        (dataclasses.replace(sequence, hand_model="mano"), "poses of the hand model 'mano': add --hand-model"),
        (
            dataclasses.replace(sequence, frames=(dataclasses.replace(frames[0], mask=None), *frames[1:])),
            "have no mask",
        ),
    ):
        with pytest.raises(InputError, match=says):
            video_of_hand_sequence(changed, CaptureOptions(), None, "s")


def test_a_folder_of_pictures_is_a_video_unless_it_is_a_data_set(tmp_path):
    plain, empty = tmp_path / "plain", tmp_path / "empty"
    plain.mkdir()
    empty.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(plain / "0001.png")
    assert holds_plain_frames(plain) and not holds_plain_frames(empty)


def test_refined_poses_are_captures_or_a_pose_file(tmp_path):
    made = make_video(3)
    generator = np.random.default_rng(0)
    turn, pose, place = generator.random((3, 3)), generator.random((3, 45)), generator.random((3, 3))
    found = RefinedPoses(turn, pose, place, generator.random((3, 21, 3)), np.zeros(3), np.array([0.7, 0.8, 0.9]))
    betas = np.arange(10.0)
    write_refined(tmp_path / "captures.json", found, made.video, betas, False)
    captures, fps = read_captures(tmp_path / "captures.json")
    assert fps == 25.0 and [capture.frame for capture in captures] == [0, 1, 2]
    assert np.allclose(captures[1].hand_pose, pose[1]) and np.allclose(captures[2].betas, betas)
    assert captures[2].quality.mask_iou == pytest.approx(0.9)
    assert np.array_equal(read_mask(tmp_path / "captures.json", captures[0]), next(iter(made.video.pictures()))[1])
    write_refined(tmp_path / "poses.npz", found, made.video, betas, False)
    assert np.allclose(load_pose_file(tmp_path / "poses.npz").transl, place)


def test_refined_captures_keep_their_frames_and_no_old_numbers(tmp_path):
    """A capture file has the video's frames in their places, and its quality is that of the new poses."""
    made = make_video(3)
    kept = [
        dataclasses.replace(capture, frame=number)
        for capture, number in zip(made.video.captures, (0, 2, 5), strict=True)
    ]
    video = made.video._replace(captures=kept)
    points = np.stack([capture.joints_3d for capture in kept])
    seen = points[1] @ kept[1].K.T
    kept[1] = dataclasses.replace(kept[1], keypoints_2d=seen[:, :2] / seen[:, 2:] - [4.0, 3.0])
    found = RefinedPoses(np.zeros((3, 3)), np.zeros((3, 45)), np.zeros((3, 3)), points, np.zeros(3), np.full(3, 0.8))
    write_refined(tmp_path / "captures.json", found, video, np.zeros(10), False)
    captures, _ = read_captures(tmp_path / "captures.json")
    assert [capture and capture.frame for capture in captures] == [0, None, 2, None, None, 5]
    assert captures[0].quality.reprojection_px < 1e-3 and captures[0].quality.joints_3d_error_mm is None
    size = np.linalg.norm(np.ptp(kept[1].keypoints_2d, axis=0))
    assert captures[2].quality.reprojection_px == pytest.approx(5)
    assert captures[2].quality.reprojection_relative == pytest.approx(5 / size)
    write_refined(tmp_path / "poses.npz", found, video, np.zeros(10), False)
    assert len(load_pose_file(tmp_path / "poses.npz")) == 6
    late = video._replace(captures=[*kept[:2], dataclasses.replace(kept[2], frame=200_000)])
    with pytest.raises(InputError, match="a capture file ends at frame 199999, not 200000: write poses"):
        write_refined(tmp_path / "late.captures.json", found, late, np.zeros(10), False)


def test_refined_captures_of_a_data_set_are_a_video_again(tmp_path):
    """Its pictures have no video in common: each is known by its own digest."""
    frames = [dataclasses.replace(a_frame(tmp_path, number, np.eye(4)), height=32, width=40) for number in range(9)]
    for number, frame in enumerate(frames):
        Image.fromarray(np.full((32, 40, 3), 20 * number, np.uint8)).save(frame.image)
        Image.fromarray(np.full((32, 40), 255, np.uint8)).save(frame.mask)
    video = video_of_hand_sequence(HandSequence("s", tuple(frames), "right", "open", ()), CaptureOptions(), None, "s")
    points = np.stack([capture.joints_3d for capture in video.captures])
    found = RefinedPoses(np.zeros((9, 3)), np.zeros((9, 45)), np.zeros((9, 3)), points, np.zeros(9), np.ones(9))
    path = tmp_path / "out.captures.json"
    write_refined(path, found, video, np.zeros(10), False)
    again = video_of_captures(path, None)
    assert [int(image[0, 0, 0]) for image, _ in again.pictures()] == [20 * number for number in range(9)]
    Image.fromarray(np.full((32, 40, 3), 7, np.uint8)).save(frames[4].image)
    with pytest.raises(InputError, match=r"is not the picture that .*captures.json was made from"):
        list(video_of_captures(path, None).pictures())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["clip.mp4", "--hold-out", "1"], "--hold-out 1 leaves no frames to fit"),
        (["clip.mp4", "--frames", "601"], "--frames 601 is not between 1 and 600"),
        (["clip.mp4", "--device", "cuda"], "--device cuda"),
        (["folder"], "folder holds no pictures (.jpg, .png) and is no data set that is read"),
        (["packed"], "packed holds packed files (set.zip): unpack them first"),
        (["photo.png", "--hold-out", "3"], "--hold-out 3 is for videos"),
        (["clip.mp4"], "clip.mp4 is not a video that can be read"),
    ],
)
def test_what_cannot_be_fitted(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    (tmp_path / "photo.png").write_bytes(b"no photo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "set.zip").write_bytes(b"PK")
    assert main(["personalize", *arguments, "--method", "harp", "-o", "a.palmhand", "--progress", "none"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and says in message and not (tmp_path / "a.palmhand").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["render", "none.palmhand", "-o", "pictures", "--size", "4"], "--size 4 is not between"),
        (["render", "none.palmhand", "-o", "pictures"], "none.palmhand"),
        (["refine-poses", "none.palmhand", "clip.mp4", "-o", "poses.txt"], "should end in .npz or .json"),
        (["refine-poses", "none.palmhand", "clip.mp4", "-o", "poses.npz"], "none.palmhand"),
    ],
)
def test_what_the_other_verbs_refuse(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--progress", "none"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and says in message and list(tmp_path.iterdir()) == []
