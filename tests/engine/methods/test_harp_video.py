"""HARP on a video with known answers: the avatar, its poses found again, its pictures."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from synthetic_video import make_video

from engine.avatar.folder import read_avatar
from engine.errors import AvatarError, Cancelled
from engine.hand.model import open_hand_model
from engine.hand.pose_files import PoseSequence, load_pose_file, save_pose_file
from engine.methods.avatar_template import regressor_for, template_of
from engine.methods.config import HarpConfig, VideoSchedule
from engine.methods.harp_model import GeometryParameters, build_template, pose_hand
from engine.methods.harp_video import held_out_frames, personalize_video
from engine.methods.harp_video_command import poses_of
from engine.methods.output import write_personalised
from engine.methods.pose_pictures import PictureView, orbit, pose_pictures
from engine.methods.pose_refinement import refine_poses
from engine.methods.rerender import Pose, pose_mesh

TINY = HarpConfig(
    geometry_steps=1,
    joint_steps=1,
    appearance_steps=1,
    subdivision=0,
    parameter_map_px=64,
    texture_px=128,
    occlusion_rays=16,
    video=VideoSchedule(
        geometry_epochs=10,
        joint_epochs=1,
        fine_joint_epochs=2,
        appearance_epochs=6,
        held_out_epochs=24,
        refinement_epochs=24,
        batch=4,
        crop_px=96,
        light_frames=2,
        occlusion_rays=16,
        shadow_samples=1,
        bake_frames=2,
    ),
)


@pytest.fixture(scope="module")
def made():
    return make_video()


@pytest.fixture(scope="module")
def result(made):
    return personalize_video(made.video, made.model, TINY, hold_out=4)


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "hand.palmhand"
    write_personalised(path, result.hand, {}, {})
    return path


def test_the_avatar_rerenders_its_frames_and_those_held_out(result):
    assert (result.fitted.frames, result.held_out.frames) == (6, 2)
    for scores in (result.fitted, result.held_out):
        assert scores.iou > 0.95 and scores.l1 < 0.012 and scores.ms_ssim > 0.94 and scores.psnr_db > 24
    metrics = result.hand.avatar.metrics
    assert metrics["train_iou"] == pytest.approx(result.fitted.iou, abs=1e-4)
    assert metrics["held_out_l1"] == pytest.approx(result.held_out.l1, abs=1e-4)
    assert result.track.held_out == (False, False, True, False) * 2


def test_skin_that_was_not_seen_is_skin(result):
    maps = result.hand.maps
    hidden, seen = maps.albedo[maps.seen < 0.01], maps.albedo[maps.seen > 0.9]
    assert len(seen) > 500 and 0.5 < float(hidden.mean() / seen.mean()) < 1.7


def test_poses_can_be_read_back(result, made, tmp_path):
    """Played at the video's rate, poses stay beside its frames where one of them was left out."""
    numbers = [2, 3, 4, *range(6, 11)]
    save_pose_file(tmp_path / "poses.npz", poses_of(result, made.video), numbers)
    poses = load_pose_file(tmp_path / "poses.npz")
    assert len(poses) == 9 and poses.fps == 25.0 and poses.side == "right"
    assert np.allclose(poses.betas, result.hand.avatar.betas)
    shown = [number - 2 for number in numbers]
    assert np.allclose(poses.hand_pose[shown], result.track.hand_pose)
    assert np.allclose(poses.transl[3], result.track.transl[2:4].mean(0))
    assert poses.notes == ("the first pose is of its video's frame 2", "1 left-out frame was bridged")


def test_the_same_seed_gives_the_same_avatar(made):
    video = dataclasses.replace(
        TINY.video, geometry_epochs=1, fine_joint_epochs=0, appearance_epochs=1, light_frames=1, measured_frames=1
    )
    config = dataclasses.replace(TINY, video=video)
    one, other = (personalize_video(made.video, made.model, config) for _ in range(2))
    assert torch.equal(one.hand.maps.albedo, other.hand.maps.albedo)
    assert np.array_equal(one.track.hand_pose, other.track.hand_pose) and one.held_out is None


def test_it_can_be_cancelled(made):
    def stop(fraction, message="", preview=None):
        if fraction > 0.2:
            raise Cancelled

    with pytest.raises(Cancelled):
        personalize_video(made.video, made.model, TINY, progress=stop)


def test_an_avatar_is_its_own_template(folder):
    avatar = read_avatar(folder)
    template = template_of(avatar, open_hand_model("right"), 0)
    generator = torch.Generator().manual_seed(0)
    orient, pose, transl = (0.4 * torch.randn(count, generator=generator) for count in (3, 45, 3))
    posed = pose_hand(
        template, GeometryParameters(torch.zeros(10), orient, pose, transl, torch.zeros(len(template.smoother)))
    )
    wanted = pose_mesh(avatar.mesh, Pose(orient.numpy(), pose.numpy(), transl.numpy()))
    assert torch.allclose(posed.vertices, wanted.vertices, atol=1e-5)
    assert torch.allclose(posed.joints, wanted.joints, atol=1e-5)
    with pytest.raises(AvatarError, match="mesh is not the hand model's"):
        template_of(avatar, open_hand_model("right"), 1)
    for levels in (0, 1):
        arm = build_template(open_hand_model(template="forearm"), levels).model
        longer = dataclasses.replace(avatar, mesh=dataclasses.replace(avatar.mesh, faces=arm.faces.numpy()))
        with pytest.raises(AvatarError, match="refine-poses does not take avatars made with --template forearm"):
            template_of(longer, open_hand_model("right"), levels)


def test_regressor_takes_vertices_to_joints():
    vertices, joints = torch.rand(40, 3), torch.rand(5, 3) * 2
    weights = regressor_for(vertices, joints)
    assert torch.allclose(weights @ vertices, joints, atol=1e-5)
    assert torch.allclose(weights.sum(1), torch.ones(5), atol=1e-5)


def test_known_appearance_finds_poses_better_than_the_captures(made, folder):
    """Wrong poses, a known hand: fingers come nearer to where they are, and nothing else may have moved."""
    worse = make_video(4, pose_error=0.12)
    before = read_avatar(folder)
    found = refine_poses(before, worse.video, open_hand_model("right"), TINY)
    assert found.overlap.mean() > found.overlap_before.mean() + 0.01
    after = read_avatar(folder)
    assert np.array_equal(before.mesh.vertices, after.mesh.vertices)
    start = np.stack([capture.hand_pose for capture in worse.video.captures])
    assert found.keypoints.shape == (4, 21, 3) and np.abs(found.hand_pose - start).max() < 1.5


def test_pictures_from_the_right_and_from_above(folder):
    """The camera moves to the hand's right in the picture and up: what lay there comes nearer."""
    right, up = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, -1, 0])
    assert float((orbit(math.pi / 2, 0) @ right)[2]) == pytest.approx(-1)
    assert float((orbit(0, math.pi / 2) @ up)[2]) == pytest.approx(-1)
    avatar = read_avatar(folder)
    capture = avatar.capture
    poses = PoseSequence(
        np.stack([capture.global_orient] * 2), np.stack([capture.hand_pose, 0 * capture.hand_pose]), np.zeros((2, 3))
    )
    front = list(pose_pictures(avatar, poses, PictureView(size_px=64)))
    side = list(pose_pictures(avatar, poses, PictureView(azimuth=1.2, size_px=64)))
    assert [picture.shape for picture in front] == [(64, 64, 4)] * 2
    assert all(picture.isfinite().all() and picture.max() <= 1 and picture.min() >= 0 for picture in front + side)
    # nothing touches the border, and a hand seen from its edge covers less
    assert front[1][0, :, 3].max() == 0 and front[1][:, 0, 3].max() == 0
    assert side[1][..., 3].sum() != front[1][..., 3].sum()


def test_frames_are_held_out_evenly():
    assert held_out_frames(6, 0).sum() == 0
    assert held_out_frames(9, 3).tolist() == [False, True, False] * 3
    # a last run of 5 frames ends before its middle, one of 6 reaches it
    assert [held_out_frames(count, 10).nonzero().ravel().tolist() for count in (15, 16)] == [[5], [5, 15]]
