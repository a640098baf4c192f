"""The whole capture on the shared photo, with every part given by the user in turn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.capture.capture_file import read_capture
from engine.capture.command import _overlay_file
from engine.capture.options import CaptureOptions
from engine.capture.photo import CaptureResult, capture_photo, overlay_of
from engine.capture.session import project_points
from engine.cli import main
from engine.errors import CaptureError, PalmError


@pytest.mark.parametrize("index", [0, 1])
def test_quality_of_both_hands(photo_captures: list[CaptureResult], index: int) -> None:
    capture = photo_captures[index].capture
    assert capture.handedness == "left"
    assert capture.quality.reprojection_relative <= 0.02
    assert capture.quality.mask_iou >= 0.88
    assert capture.quality.joints_3d_error_mm is not None
    assert capture.focal_source.startswith("default")


@pytest.mark.parametrize("index", [0, 1])
def test_mask_is_the_hand_on_its_white_ground(photo_captures: list[CaptureResult], index: int) -> None:
    result = photo_captures[index]
    dark = result.image.astype(int).sum(-1) < 600
    # all of the mask is skin, and it holds the hand: what is dark within its outline's box, but the forearm
    assert dark[result.mask].mean() > 0.97
    rows, columns = np.nonzero(result.mask)
    box = dark[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert result.mask.sum() > 0.9 * box.sum()


def test_the_two_fits_are_one_hand(photo_captures: list[CaptureResult]) -> None:
    # the photo shows one hand twice, turned by half: shape and articulation must agree
    one, two = (result.capture for result in photo_captures)
    assert np.abs(one.betas - two.betas).max() < 0.5
    assert np.degrees(np.abs(one.hand_pose - two.hand_pose)).max() < 12


def test_the_back_of_the_hand_faces_the_camera(photo_captures: list[CaptureResult]) -> None:
    for result in photo_captures:
        joints = result.capture.joints_3d
        across, along = joints[7] - joints[1], joints[4] - joints[0]
        # little finger minus index times wrist to middle: towards the palm of a left hand
        palm = np.cross(across, along) * (1 if result.capture.handedness == "left" else -1)
        assert palm[2] / np.linalg.norm(palm) > 0.8


def test_capture_is_consistent(photo_captures: list[CaptureResult]) -> None:
    result = photo_captures[0]
    capture = result.capture
    assert (result.vertices[:, 2] > 0.1).all()
    pixels = project_points(capture.joints_3d, capture.K)
    # tips apart, which the detector puts at the nail
    error = np.linalg.norm(pixels[:16] - capture.keypoints_2d[:16], axis=-1).mean()
    assert error < 1.5 * capture.quality.reprojection_px
    picture = overlay_of(result)
    assert picture.dtype == np.uint8 and picture.shape[1] > picture.shape[0]


def test_same_seed_same_result(photo_captures: list[CaptureResult], photo_path: Path) -> None:
    again = capture_photo(photo_path, CaptureOptions(hand="0")).capture
    np.testing.assert_array_equal(again.hand_pose, photo_captures[0].capture.hand_pose)
    np.testing.assert_array_equal(again.betas, photo_captures[0].capture.betas)


def test_turned_by_exif(photo_path: Path, photo_captures: list[CaptureResult], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photo_path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    capture = capture_photo(tmp_path / "a.png", CaptureOptions(hand="0")).capture
    assert capture.image_size == (720, 382)
    assert np.abs(capture.keypoints_2d - photo_captures[0].capture.keypoints_2d).max() < 3


def test_given_mask_camera_and_focal(photo_path: Path, photo_captures: list[CaptureResult], tmp_path: Path) -> None:
    mask = photo_captures[0].mask
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (tmp_path / "camera.json").write_text(json.dumps({"fx": 1500, "cx": 350, "cy": 200}))
    options = CaptureOptions(hand="0", mask=tmp_path / "mask.png", camera=tmp_path / "camera.json")
    result = capture_photo(photo_path, options)
    np.testing.assert_array_equal(result.mask, mask)
    assert result.capture.K[0, 0] == 1500 and result.capture.K[0, 2] == 350
    assert result.capture.focal_source == "camera file"
    longer = capture_photo(photo_path, CaptureOptions(hand="0", focal_px=1500.0)).capture
    assert longer.focal_source == "given"
    # the same picture from further away
    ratio = longer.transl[2] / photo_captures[0].capture.transl[2]
    assert ratio == pytest.approx(1500 / photo_captures[0].capture.K[0, 0], rel=0.1)


def test_given_keypoints(photo_path: Path, photo_captures: list[CaptureResult], tmp_path: Path) -> None:
    points = photo_captures[0].capture.keypoints_2d
    value = {"keypoints": points.tolist(), "handedness": "left"}
    (tmp_path / "k.json").write_text(json.dumps(value))
    capture = capture_photo(photo_path, CaptureOptions(keypoints=tmp_path / "k.json")).capture
    np.testing.assert_allclose(capture.keypoints_2d, points)
    assert capture.quality.reprojection_relative <= 0.02
    assert capture.quality.joints_3d_error_mm is None


def test_given_pose_is_kept(photo_path: Path, photo_captures: list[CaptureResult], tmp_path: Path) -> None:
    known = photo_captures[0].capture
    value = {"convention": "flat_hand", "hand_pose": known.hand_pose.tolist(), "side": "left"}
    (tmp_path / "pose.json").write_text(json.dumps(value))
    capture = capture_photo(photo_path, CaptureOptions(hand="0", pose=tmp_path / "pose.json")).capture
    np.testing.assert_allclose(capture.hand_pose, known.hand_pose, atol=1e-6)
    assert capture.quality.reprojection_relative <= 0.02
    assert capture.quality.mask_iou >= 0.88


def test_mean_pose_of_the_side_that_is_found(photo_path: Path, tmp_path: Path) -> None:
    # bent fingers, which every joint limit allows
    mean = np.append(np.tile([0.0, 0.0, 0.2], 12), np.zeros(9))
    bundled = Path(__file__).resolve().parents[3] / "assets" / "hand" / "open_hand_right.npz"
    with np.load(bundled) as archive:
        np.savez(tmp_path / "mean.npz", **{**archive, "hands_mean": mean})
    value = {"convention": "mean_relative", "hand_pose": [0.0] * 45}
    (tmp_path / "pose.json").write_text(json.dumps(value))
    options = CaptureOptions(hand="0", pose=tmp_path / "pose.json", hand_model=tmp_path / "mean.npz")
    capture = capture_photo(photo_path, options).capture
    assert capture.handedness == "left"
    # a left hand's rotation vectors are (x, -y, -z) of the right one's
    np.testing.assert_allclose(capture.hand_pose, -mean, atol=1e-6)


LEFT_POSE = {"convention": "flat_hand", "hand_pose": [0.1] * 45, "side": "left"}
RIGHT_POINTS = {"keypoints": np.random.default_rng(0).uniform(50, 300, (21, 2)).tolist(), "handedness": "right"}


@pytest.mark.parametrize(
    ("hand", "keypoints", "pose"),
    [
        ("right", None, LEFT_POSE),
        (None, RIGHT_POINTS, LEFT_POSE),
        ("left", RIGHT_POINTS, None),
        # the photo shows left hands
        ("0", None, {**LEFT_POSE, "side": "right"}),
    ],
)
def test_parts_of_different_hands_are_refused(
    photo_path: Path, tmp_path: Path, hand: str | None, keypoints: object, pose: object
) -> None:
    paths = {}
    for name, value in (("keypoints", keypoints), ("pose", pose)):
        if value is not None:
            paths[name] = tmp_path / f"{name}.json"
            paths[name].write_text(json.dumps(value))
    with pytest.raises(CaptureError, match=r"(left|right) but .*: give all of one hand") as caught:
        capture_photo(photo_path, CaptureOptions(hand=hand, **paths))
    assert "\n" not in str(caught.value)


def test_pose_with_nan_names_the_field(photo_path: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "pose.npz", hand_pose=np.full((1, 45), np.nan))
    with pytest.raises(PalmError, match="hand_pose"):
        capture_photo(photo_path, CaptureOptions(pose=tmp_path / "pose.npz"))


def test_command_line(photo_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, overlay = tmp_path / "capture.json", tmp_path / "overlay.png"
    arguments = ["capture", "--progress", "none", str(photo_path), "-o", str(out), "--overlay", str(overlay)]
    assert main(arguments) == 0
    assert read_capture(out).handedness == "left"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["capture.json", "capture_mask.png", "overlay.png"]
    capsys.readouterr()
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err


def _no_hand(folder: Path) -> list[str]:
    Image.new("RGB", (320, 240), (90, 120, 80)).save(folder / "wall.png")
    return [str(folder / "wall.png")]


def _text_file(folder: Path) -> list[str]:
    (folder / "notes.jpg").write_text("not a photo")
    return [str(folder / "notes.jpg")]


def _empty_folder(folder: Path) -> list[str]:
    (folder / "empty").mkdir()
    return [str(folder / "empty")]


def _bad_video(folder: Path) -> list[str]:
    (folder / "film.mp4").write_bytes(b"no film" * 50)
    return [str(folder / "film.mp4")]


def _tiny(folder: Path) -> list[str]:
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    return [str(folder / "dot.png")]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_no_hand, "no hand found"),
        (_text_file, "not a picture"),
        (_empty_folder, "has no pictures"),
        (_bad_video, "not a video"),
        (_tiny, "1×1"),
        (lambda folder: [str(folder / "none.jpg")], "does not exist"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make: object, message: str
) -> None:
    arguments = make(tmp_path)  # type: ignore[operator]
    before = sorted(p.name for p in tmp_path.iterdir())
    assert main(["capture", "--progress", "none", *arguments, "-o", str(tmp_path / "c.json")]) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_mask_of_another_size(photo_path: Path, tmp_path: Path) -> None:
    Image.new("L", (100, 100), 255).save(tmp_path / "mask.png")
    with pytest.raises(CaptureError, match="100×100 but the photo is 720×382"):
        capture_photo(photo_path, CaptureOptions(mask=tmp_path / "mask.png"))


def test_output_folder_that_is_not_there(photo_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["capture", "--progress", "none", str(photo_path), "-o", str(tmp_path / "no" / "c.json")]
    assert main(arguments) == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("there", "options", "message"),
    [
        (["c_mask.png"], [], "c_mask.png exists already"),
        (["ov.png"], [], "ov.png exists already"),
        ([], ["--overlay", "PHOTO", "--force"], "would replace"),
        ([], ["--overlay", "link.jpg", "--force"], "would replace"),
        (["c_mask.png"], ["--mask", "c_mask.png", "--force"], "would replace"),
        (["c.json"], ["--camera", "c.json", "--force"], "would replace"),
        ([], ["--overlay", "c_mask.png"], "both to be written"),
        (["c.json/x"], ["--force"], "is a folder"),
    ],
)
def test_outputs_are_checked_before_any_work(
    photo_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: list[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(photo_path, "own.jpg")
    Path("link.jpg").symlink_to("own.jpg")
    for name in there:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("precious")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    options = ["own.jpg" if option == "PHOTO" else option for option in options]
    assert main(["capture", "--progress", "json", "own.jpg", "-o", "c.json", "--overlay", "ov.png", *options]) == 2
    said = capsys.readouterr()
    assert message in said.err and "reading the photo" not in said.out
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_overlay_is_not_left_alone(photo_captures: list[CaptureResult], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), _overlay_file(tmp_path / "ov.png", photo_captures[0]):
        raise RuntimeError("the capture cannot be written")
    assert list(tmp_path.iterdir()) == []
    with _overlay_file(tmp_path / "ov.png", photo_captures[0]):
        assert not (tmp_path / "ov.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["ov.png"]
