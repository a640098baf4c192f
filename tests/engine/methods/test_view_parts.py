"""The view's sliders, its thread, its choice of quality, and what it writes."""

from __future__ import annotations

import logging
import threading
import time

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from small_avatar import untrained_xhand, write_small_avatar

from engine.cli import main
from engine.errors import InputError
from engine.hand.mano import hand_forward
from engine.hand.mirror import mirror_axis_angle
from engine.hand.model import open_hand_model
from engine.methods.view_command import picture_size
from engine.methods.view_frames import FrameTimes, as_bytes, over, summary
from engine.methods.view_quality import FINEST, SCALES, Quality, next_quality
from engine.methods.view_sliders import FINGER_JOINTS, Sliders, slider_pose
from engine.methods.view_worker import LatestWorker
from engine.rendering.mesh import Picture

MODEL = open_hand_model()
ZERO = torch.zeros(3)


def tips(sliders: Sliders) -> torch.Tensor:
    """[5,3] thumb to little finger."""
    pose = slider_pose(sliders, MODEL.joint_axes, MODEL.joint_limits)
    return hand_forward(MODEL, torch.zeros(10), ZERO, pose).keypoints[16:]


@pytest.mark.parametrize("finger", FINGER_JOINTS)
def test_a_slider_bends_its_finger_and_no_other(finger):
    moved = (tips(Sliders(**{finger: 0.8})) - tips(Sliders())).norm(dim=1)
    place = list(FINGER_JOINTS).index(finger)
    assert moved[place] > 0.02 and moved.sum() - moved[place] < 1e-6
    # towards the palm, which faces -y
    if finger != "thumb":
        assert (tips(Sliders(**{finger: 0.8})) - tips(Sliders()))[place, 1] < -0.02


def test_fingers_spread_and_the_thumb_stands_off():
    apart = [float((tips(Sliders(spread=share))[1] - tips(Sliders(spread=share))[4]).norm()) for share in (-1, 0, 1)]
    assert apart[0] < apart[1] - 0.01 and apart[2] > apart[1] + 0.01
    assert (tips(Sliders(aside=1.0)) - tips(Sliders(aside=-1.0)))[0].norm() > 0.03


def test_sliders_reach_the_limits_and_mirror():
    pose = slider_pose(Sliders(index=1.0), MODEL.joint_axes, MODEL.joint_limits).reshape(15, 3)
    flexion = torch.einsum("jx,jx->j", pose, MODEL.joint_axes[:, 0])
    torch.testing.assert_close(flexion[:3], MODEL.joint_limits[:3, 0, 1])
    left, sliders = open_hand_model("left"), Sliders(thumb=0.3, ring=-0.2, spread=0.5, aside=0.4)
    mirrored = slider_pose(sliders, left.joint_axes, left.joint_limits)
    own = slider_pose(sliders, MODEL.joint_axes, MODEL.joint_limits)
    torch.testing.assert_close(mirrored, mirror_axis_angle(own))


def test_only_the_newest_request_is_done():
    gate, begun, done = threading.Event(), threading.Event(), []

    def work(number: int) -> int:
        begun.set()
        assert gate.wait(10)
        done.append(number)
        return number

    worker = LatestWorker(work)
    assert worker.take() is None and worker.idle
    worker.submit(0)
    assert begun.wait(10)
    for number in range(1, 6):
        worker.submit(number)
    assert not worker.idle
    gate.set()
    results = []
    until = time.monotonic() + 10
    while (not worker.idle or not results or results[-1] != 5) and time.monotonic() < until:
        results += [result] if (result := worker.take()) is not None else []
    worker.close()
    assert done == [0, 5] and results[-1] == 5


def test_what_drawing_raises_comes_out_where_it_is_taken():
    worker = LatestWorker(lambda number: 1 / number)
    worker.submit(0)
    with pytest.raises(ZeroDivisionError):
        for _ in range(1000):
            worker.take()
            time.sleep(0.01)
    worker.close()


def test_quality_follows_what_costs():
    slow_picture, slow_mesh = FrameTimes(0.02, 0.2, 0.22), FrameTimes(0.2, 0.05, 0.26)
    assert next_quality(FINEST, slow_picture, 3) == Quality(1, 0)
    assert next_quality(FINEST, slow_mesh, 3) == Quality(0, 1)
    assert next_quality(Quality(0, 3), slow_mesh, 3) == Quality(1, 3)
    assert next_quality(Quality(len(SCALES) - 1, 0), slow_picture, 1) == Quality(len(SCALES) - 1, 1)
    assert next_quality(Quality(len(SCALES) - 1, 1), slow_picture, 1) == Quality(len(SCALES) - 1, 1)
    hopeless = FrameTimes(1.0, 2.0, 3.0)
    assert next_quality(FINEST, hopeless, 3) == Quality(3, 0)
    right = FrameTimes(0.03, 0.04, 0.075)
    assert next_quality(Quality(2, 1), right, 3) == Quality(2, 1)
    quick = FrameTimes(0.002, 0.003, 0.006)
    quality = Quality(4, 3)
    for _ in range(7):
        quality = next_quality(quality, quick, 3)
    assert quality == FINEST == next_quality(FINEST, quick, 3) and quality.scale == 1.0


def test_timings_are_medians_after_the_warm_up():
    times = [FrameTimes(9, 9, 99)] * 3 + [
        FrameTimes(0.01, 0.03, 0.05),
        FrameTimes(0.02, 0.03, 0.05),
        FrameTimes(0.03, 0.03, 0.05),
    ]
    told = summary(times)
    assert told["mesh_ms"] == pytest.approx(20) and told["render_ms"] == pytest.approx(30)
    assert told["frames_per_second"] == pytest.approx(20) and told["mesh_per_second"] == pytest.approx(50)


def test_pixels_are_not_premultiplied_and_lie_over_a_backdrop():
    half = Picture(torch.tensor([[[0.25, 0.5, 0.0]]]), torch.tensor([[0.5]]))
    pixels = as_bytes(half)
    assert pixels.tolist() == [[[128, 255, 0, 128]]]
    assert over(pixels, 100).tolist() == [[[114, 178, 50]]]


@pytest.mark.parametrize(("words", "size"), [("512", (512, 512)), ("334x512", (334, 512)), ("167×256", (167, 256))])
def test_sizes(words, size):
    assert picture_size(words) == size


@pytest.mark.parametrize("words", ["", "8", "x", "512x", "9999x512", "3x3x3", "-512"])
def test_no_sizes(words):
    with pytest.raises(InputError, match=r"--size.* is no size from 16 to 4096 px"):
        picture_size(words)


@pytest.fixture(scope="module")
def avatars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("avatars")
    write_small_avatar(folder / "plain.palmhand")
    write_small_avatar(folder / "learned.palmhand", learned=untrained_xhand())
    return folder


def test_frames_of_a_pose_file_and_their_rate(avatars, tmp_path, capsys, caplog):
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "poses.npz", hand_pose=rng.normal(0, 0.1, (4, 45)), global_orient=np.tile([-1.2, -1.2, 1.2], (4, 1))
    )
    arguments = ["view", str(avatars / "learned.palmhand"), "--out", str(tmp_path / "frames"), "--size", "48x64"]
    with caplog.at_level(logging.WARNING):
        assert main([*arguments, "--poses", str(tmp_path / "poses.npz"), "--frames", "3", "--progress", "none"]) == 0
    told = capsys.readouterr().out
    for line in ("count: 3", "neural: yes", "mesh ms:", "render ms:", "frames per second:", "size: 48×64"):
        assert line in told
    pictures = sorted((tmp_path / "frames").iterdir())
    assert [picture.name for picture in pictures] == ["0000.png", "0001.png", "0002.png"]
    pixels = np.asarray(Image.open(pictures[1]))
    assert pixels.shape == (64, 48, 4) and 0.1 < (pixels[..., 3] == 255).mean() < 0.9
    assert main([*arguments, "--frames", "2", "--progress", "none"]) == 2
    assert "exists" in capsys.readouterr().err
    assert main([*arguments, "--frames", "2", "--progress", "none", "--force", "--no-neural"]) == 0
    assert "neural: no" in capsys.readouterr().out and len(list((tmp_path / "frames").iterdir())) == 2


def test_poses_beyond_the_learned_ones_are_told_once(avatars, tmp_path, capsys):
    pose = np.zeros((2, 45))
    pose[:, 2] = 3.0
    np.savez(tmp_path / "poses.npz", hand_pose=pose, global_orient=np.zeros((2, 3)))
    arguments = ["view", str(avatars / "learned.palmhand"), "--out", str(tmp_path / "frames"), "--size", "32"]
    assert main([*arguments, "--poses", str(tmp_path / "poses.npz"), "--progress", "none"]) == 0
    told = capsys.readouterr().out
    assert told.count("bend beyond the poses that the hand was learned from") == 1 and "index1" in told


def test_a_film_has_even_sides(avatars, tmp_path, capsys):
    film = tmp_path / "hand.mp4"
    assert (
        main(
            [
                "view",
                str(avatars / "plain.palmhand"),
                "--out",
                str(film),
                "--frames",
                "5",
                "--size",
                "33x49",
                "--progress",
                "none",
            ]
        )
        == 0
    )
    read = cv2.VideoCapture(str(film))
    assert int(read.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    fine, picture = read.read()
    assert fine and picture.shape == (50, 34, 3) and picture.max() > 100
    read.release()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--frames", "0"], "--frames 0 is not 1 or more"),
        (["--azimuth", "nan"], "are degrees"),
        (["--neural"], "has no neural renderer: leave out --neural"),
        (["--size", "9"], "no size from 16"),
        (["--poses", "/nowhere.npz"], "nowhere.npz"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(avatars, tmp_path, capsys, extra, said):
    base = ["view", str(avatars / "plain.palmhand"), "--out", str(tmp_path / "out"), "--progress", "none"]
    assert main([*base, *extra]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_the_other_hands_poses_are_refused(avatars, tmp_path, capsys):
    np.savez(tmp_path / "left.npz", hand_pose=np.zeros((1, 45)), global_orient=np.zeros((1, 3)), side="left")
    base = ["view", str(avatars / "plain.palmhand"), "--out", str(tmp_path / "out"), "--progress", "none"]
    assert main([*base, "--poses", str(tmp_path / "left.npz")]) == 2
    assert "is of a left hand, the avatar is a right one" in capsys.readouterr().err
