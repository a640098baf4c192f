"""Several photos of one hand, frames of a video and of capture files: what is taken, what is refused, what comes of it."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from palm_tiny import CONFIG, tiny_prior
from PIL import Image
from synthetic_photo import make_photo

from engine.avatar.folder import read_avatar
from engine.capture.capture_file import Capture, Quality, write_captures
from engine.capture.video import digest_of_frames, open_video
from engine.cli import main
from engine.errors import CaptureError, InputError
from engine.methods import command
from engine.methods.capture_check import check_capture
from engine.methods.frames_input import chosen_frames, frames_of_captures
from engine.methods.photo_input import captured_photos
from engine.progress import silent
from engine.training.prior_file import write_prior

SHIFT_PX = 12
QUIET = ("--progress", "none")


def quality(overlap: float, landmarks: float = 0.01) -> Quality:
    return Quality(3.0, landmarks, overlap, None)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A prior, and a folder of three frames with their captures: a hand, nothing, the hand elsewhere in the picture."""
    folder = tmp_path_factory.mktemp("several")
    write_prior(folder / "tiny.palmprior", tiny_prior())
    made = make_photo()
    moved = np.roll(made.image, SHIFT_PX, axis=1), np.roll(made.mask, SHIFT_PX, axis=1)
    frames = folder / "frames"
    frames.mkdir()
    blank = np.full_like(made.image, 150)
    for number, image in enumerate((made.image, blank, moved[0])):
        Image.fromarray(image).save(frames / f"{number}.png")
    digest = digest_of_frames(open_video(frames).files)
    camera = made.capture.K.copy()
    camera[0, 2] += SHIFT_PX
    first = replace(made.capture, image="frames/0.png", image_sha256=digest, frame=0)
    second = replace(first, image="frames/2.png", frame=2, K=camera)
    write_captures(folder / "captures.json", [first, None, second], [made.mask, None, moved[1]], None)
    return folder


def frame_list(*overlaps: float | None) -> list[Capture | None]:
    capture = make_photo().capture
    return [
        None if overlap is None else replace(capture, quality=quality(overlap), frame=number)
        for number, overlap in enumerate(overlaps)
    ]


def test_frames_are_the_best_of_equal_stretches_of_the_sound_ones():
    captures = frame_list(0.9, 0.92, None, 0.3, 0.95, 0.91, None, 0.93, 0.92)
    assert chosen_frames(captures, 3) == [1, 4, 7]
    assert chosen_frames(captures, 1) == [4]
    assert chosen_frames(captures, 50) == [0, 1, 4, 5, 7, 8]


def test_without_a_sound_frame_the_best_one_tells_why():
    with pytest.raises(CaptureError, match=r"synthetic\.png, frame 2: mask and fitted hand overlap by 40% only"):
        chosen_frames(frame_list(0.3, None, 0.4), 2)
    with pytest.raises(InputError, match="no frame of the video shows a hand"):
        chosen_frames(frame_list(None, None), 2)


def test_frames_come_with_their_pictures(place):
    photos = frames_of_captures(place / "captures.json", 6)
    assert [photo.capture.frame for photo in photos] == [0, 2]
    for photo in photos:
        assert np.array_equal(photo.image, np.asarray(Image.open(place / photo.capture.image)))
        assert photo.mask.shape == photo.image.shape[:2] and photo.mask.any()


@pytest.fixture
def changed(place):
    """Writes captures.json with changes to its second hand, beside the frames; gone afterwards."""
    path = place / "changed.json"

    def write(**changes):
        values = json.loads((place / "captures.json").read_text())
        values["frames"][2] |= changes
        path.write_text(json.dumps(values))
        return path

    yield write
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"handedness": "left"}, "frame 0 is a right hand, frame 2 a left one"),
        ({"betas": [0.5] * 10}, "have different betas"),
        ({"image": "frames/gone.png"}, "'frames/gone.png' of .* is missing"),
        ({"image_size": [10, 10]}, "is not the video or folder"),
    ],
)
def test_frames_that_do_not_belong_together(place, changed, changes, says):
    with pytest.raises(InputError, match=says):
        frames_of_captures(changed(**changes), 6)


def test_two_frames_make_one_avatar(place, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.methods.palm_command.palm_quality", lambda name: CONFIG)
    output = tmp_path / "hand.palmhand"
    line = ["personalize", str(place / "captures.json"), "-o", str(output), "--texture-size", "128", *QUIET]
    assert main([*line, "--prior", str(place / "tiny.palmprior")]) == 0
    avatar = read_avatar(output)
    assert [source.get("frame") for source in avatar.provenance["inputs"]] == [0, 2]
    metrics = avatar.metrics
    assert len(metrics["rerender_psnr_db_by_photo"]) == len(metrics["silhouette_iou_by_photo"]) == 2
    assert metrics["rerender_psnr_db_by_photo"][0] == metrics["rerender_psnr_db"]
    # the second picture is the first, moved, and so is its camera
    assert abs(np.diff(metrics["silhouette_iou_by_photo"])[0]) < 0.02
    assert min(metrics["silhouette_iou_by_photo"]) > 0.75
    assert metrics["capture_mask_iou_worst"] == 1.0
    # the first photo is the avatar's own
    assert np.array_equal(np.asarray(Image.open(output / "photo.png")), np.asarray(Image.open(place / "frames/0.png")))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frames/0.png", "gone.png"], "gone.png does not exist"),
        (["frames/0.png", "frames/0.png"], "given twice"),
        (["frames/0.png", "captures.json"], "captures.json is a capture file and stands for a whole run"),
        (["frames/0.png", "frames"], "frames is a folder"),
        (["frames/0.png", "frames/2.png", "--mask", "frames/0.png"], "--mask belongs to one photo"),
        (["frames/0.png", "--frames", "3"], "--frames 3 is for videos"),
        (["captures.json", "--focal-px", "700"], "--focal-px cannot change"),
        (["captures.json", "--method", "harp"], "frames show one hand well"),
        (["frames/0.png", "frames/2.png", "--method", "harp"], "--method harp fits one photo or one video"),
        (["frames/0.png", "--frames", "3", "--method", "harp"], "--frames 3 is for videos"),
    ],
)
def test_what_cannot_be_combined(place, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(place)
    prior = [] if "harp" in arguments else ["--prior", "tiny.palmprior"]
    assert main(["personalize", *arguments, "-o", str(tmp_path / "a.palmhand"), *prior, *QUIET]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and says in message
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def video_frames(samples, tmp_path_factory):
    """Two pictures of the real hand, and the first in black and white."""
    pytest.importorskip("mediapipe", reason="MEDIAPIPE IS MISSING (extra 'capture'): real photos were not captured")
    folder = tmp_path_factory.mktemp("frames")
    for number, frame in enumerate(open_video(samples / "asl_hand_25fps.mp4").frames()):
        if number in (130, 200):
            Image.fromarray(frame).save(folder / f"{number}.png")
        if number == 200:
            break
    Image.open(folder / "130.png").convert("L").save(folder / "grey.png")
    return folder


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([*arguments, "-o", "hand.palmhand"])


def test_real_photos_share_one_shape_and_the_bad_one_is_named(video_frames):
    # one of them without colours: it must still be found, and fit
    paths = [str(video_frames / name) for name in ("grey.png", "200.png")]
    photos = captured_photos(parsed(*paths), silent)
    assert [photo.capture.image for photo in photos] == paths
    np.testing.assert_array_equal(photos[0].capture.betas, photos[1].capture.betas)
    for photo in photos:
        check_capture(photo.capture)
        assert photo.capture.quality.mask_iou > 0.85 and photo.capture.quality.reprojection_relative < 0.04
    Image.fromarray(np.full((300, 300, 3), 200, np.uint8)).save(video_frames / "wall.png")
    with pytest.raises(CaptureError, match=r"no hand found in .*wall\.png"):
        captured_photos(parsed(*paths, str(video_frames / "wall.png")), silent)


@pytest.fixture(scope="module")
def clip(samples, tmp_path_factory):
    """A second of the real video, every fifth frame, and its captures as `capture` writes them."""
    pytest.importorskip("mediapipe", reason="MEDIAPIPE IS MISSING (extra 'capture'): the real video was not captured")
    folder = tmp_path_factory.mktemp("clip")
    writer = None
    for number, frame in enumerate(open_video(samples / "asl_hand_25fps.mp4", last=146).frames()):
        if number < 120 or number % 5:
            continue
        small = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        if writer is None:
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(folder / "clip.mp4"), codec, 5, (small.shape[1], small.shape[0]))
        writer.write(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    writer.release()
    assert main(["capture", str(folder / "clip.mp4"), "-o", str(folder / "captures.json"), *QUIET]) == 0
    return folder


def test_a_video_and_its_captures_give_the_same_frames(clip):
    now = captured_photos(parsed(str(clip / "clip.mp4"), "--frames", "2"), silent)
    assert len(now) == 2 and now[0].capture.frame < 3 <= now[1].capture.frame
    np.testing.assert_array_equal(now[0].capture.betas, now[1].capture.betas)
    before = captured_photos(parsed(str(clip / "captures.json"), "--frames", "2"), silent)
    for one, other in zip(now, before, strict=True):
        assert one.capture.frame == other.capture.frame
        assert np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask)
        np.testing.assert_allclose(one.capture.hand_pose, other.capture.hand_pose, atol=1e-6)
        check_capture(one.capture)


def test_another_video_of_that_name_is_noticed(clip, tmp_path):
    for name in ("captures.json", "captures_masks"):
        (tmp_path / name).symlink_to(clip / name)
    values = json.loads((clip / "captures.json").read_text()) | {"image": "clip.mp4", "image_sha256": "0" * 64}
    (tmp_path / "captures.json").unlink()
    (tmp_path / "captures.json").write_text(json.dumps(values))
    (tmp_path / "clip.mp4").write_bytes((clip / "clip.mp4").read_bytes())
    with pytest.raises(InputError, match=r"clip\.mp4 is not the video or folder that .* was made from"):
        frames_of_captures(tmp_path / "captures.json", 2)
