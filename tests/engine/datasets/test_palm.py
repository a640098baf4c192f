"""The PALM folder: what is written is read back, and what does not fit together is named."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from engine.datasets.palm import (
    Camera,
    SubjectFrame,
    load_frame,
    read_palm_folder,
    write_palm_set,
    write_palm_subject,
)
from engine.datasets.palm_files import SubjectPoses
from engine.datasets.palm_normals import decode_normals, encode_normals
from engine.datasets.palm_pixels import mend_mask
from engine.errors import DatasetError

HEIGHT, WIDTH, FRAMES = 60, 80, 3
MEAN = np.linspace(-0.3, 0.4, 45)


def disc(centre: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 < radius**2


def subject_contents(seed: int = 0) -> tuple[dict[str, Camera], SubjectPoses, list[SubjectFrame]]:
    generator = np.random.default_rng(seed)
    intrinsics = np.array([[200.0, 0, 41.5], [0, 201.0, 29.0], [0, 0, 1]])
    turned = np.array([[0.0, 0, 1, 0.1], [0, 1, 0, 0.2], [-1, 0, 0, 0.6], [0, 0, 0, 1]])
    cameras = {
        "MCU_01": Camera(intrinsics, np.eye(4), HEIGHT, WIDTH),
        "MCU_02": Camera(intrinsics, turned, HEIGHT, WIDTH),
    }
    poses = SubjectPoses(
        generator.normal(size=10),
        generator.normal(size=(FRAMES, 3)),
        generator.normal(size=(FRAMES, 45)),
        generator.normal(size=(FRAMES, 3)),
    )
    frames = []
    for index in range(FRAMES):
        for camera in cameras:
            hand = disc((40 + index, 30), 22)
            normals = generator.normal(size=(HEIGHT, WIDTH, 3))
            normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
            picture = generator.random((HEIGHT, WIDTH, 3)) * hand[..., None]
            frames.append(SubjectFrame(index, camera, picture, hand, hand, normals * hand[..., None]))
    return cameras, poses, frames


@pytest.fixture
def subject(tmp_path: Path) -> Path:
    write_palm_subject(tmp_path / "set", "0007", *subject_contents(), hands_mean=MEAN)
    return tmp_path / "set" / "0007"


def read(subject: Path, **options):
    return read_palm_folder(subject.parent, MEAN, **options)


def test_written_subject_is_read_back(subject):
    cameras, poses, frames = subject_contents()
    dataset = read(subject)
    assert dataset.subjects == ("0007",) and dataset.left_out == () and dataset.hand_model is None
    assert len(dataset.frames) == 6
    assert [(f.frame, f.camera) for f in dataset.frames] == [(i, c) for i in range(FRAMES) for c in cameras]
    for frame, written in zip(dataset.frames, frames, strict=True):
        np.testing.assert_array_equal(frame.world_to_camera, cameras[frame.camera].world_to_camera)
        np.testing.assert_array_equal(frame.intrinsics, cameras[frame.camera].intrinsics)
        for name in ("global_orient", "hand_pose", "transl"):
            np.testing.assert_allclose(getattr(frame, name), getattr(poses, name)[frame.frame], atol=1e-6)
        np.testing.assert_allclose(frame.betas, poses.betas, atol=1e-6)
        pixels = load_frame(frame)
        assert pixels.image_srgb.dtype == torch.float32 and pixels.mask.dtype == torch.bool
        np.testing.assert_allclose(pixels.image_srgb, written.image_srgb, atol=0.5 / 255 + 1e-6)


def test_files_are_as_the_published_readers_expect_them(subject):
    cameras = np.load(subject / "cameras.npy", allow_pickle=True).item()["cameras"]
    assert set(cameras["MCU_01"]) == {"K", "Rt", "height", "width"} and cameras["MCU_01"]["height"] == HEIGHT
    poses = np.load(subject / "poses.npy", allow_pickle=True).item()
    assert {name: value.shape for name, value in poses.items()} == {
        "betas": (1, 10), "hand_pose": (FRAMES, 45), "global_orient": (FRAMES, 3), "transl": (FRAMES, 3),
    }  # fmt: skip
    np.testing.assert_allclose(poses["hand_pose"] + MEAN, subject_contents()[1].hand_pose, atol=1e-6)
    for kind, channels in (("images", "RGB"), ("masks", "L"), ("mano", "RGBA"), ("normals", "RGB")):
        with Image.open(subject / kind / "MCU_02" / "000003.png") as picture:
            assert picture.mode == channels and picture.size == (WIDTH, HEIGHT)
    assert np.asarray(Image.open(subject / "mano" / "MCU_02" / "000003.png"))[..., 3].max() == 255


def test_the_only_subject_may_be_given_itself_or_under_folders(subject, tmp_path):
    assert read_palm_folder(subject, MEAN).subjects == ("0007",)
    (tmp_path / "released").mkdir()
    subject.parent.rename(tmp_path / "released" / "folders")
    assert len(read_palm_folder(tmp_path / "released", MEAN).frames) == 6


def test_jpeg_pictures_and_short_stems_are_read(subject):
    for kind in ("images", "masks", "mano", "normals"):
        for path in sorted((subject / kind).glob("*/*.png")):
            renamed = path.with_name(f"{int(path.stem):04d}.png")
            path.rename(renamed)
            if kind == "images":
                Image.open(renamed).save(renamed.with_suffix(".jpg"), quality=95)
                renamed.unlink()
    dataset = read(subject)
    assert dataset.frames[0].image.name == "0001.jpg" and dataset.frames[0].mask.name == "0001.png"
    assert load_frame(dataset.frames[0]).image_srgb.shape == (HEIGHT, WIDTH, 3)


def test_normals_change_axes_and_survive_eight_bits(subject):
    frame = read(subject).frames[0]
    pixels, written = load_frame(frame), subject_contents()[2][0]
    known = np.abs(written.normals).max(-1) > 0
    cosine = (pixels.normals.numpy() * written.normals).sum(-1)[known]
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 0.8
    assert not pixels.normals[~torch.from_numpy(known)].any()
    # straight at the camera: OpenCV's -z, in the files (0.5, 0.5, 1)
    facing = encode_normals(np.array([[[0.0, 0, -1], [0, -1, 0]]]), np.ones((1, 2), bool))
    assert facing[0].tolist() in ([[128, 128, 255], [128, 255, 128]], [[127, 127, 255], [127, 255, 127]])
    assert not decode_normals(np.array([[[0, 128, 255]]], np.uint8)).any()


def test_mask_is_mended_as_published():
    """Holes inside and specks outside go; what lies within 20 px of the outline is the segmentation's to say."""
    rows, columns = np.mgrid[:160, :160]
    distance = np.hypot(rows - 80, columns - 80)
    silhouette = distance < 55
    hole, speck, sleeve = distance < 6, (rows < 6) & (columns < 6), (distance < 65) & (columns > 120)
    mended = mend_mask((silhouette & ~hole) | speck | sleeve, silhouette)
    assert mended[hole].all() and not mended[speck].any()
    assert (mended & sleeve).sum() > 0.9 * sleeve.sum()
    inner = cv2.erode(silhouette.astype(np.uint8), np.ones((21, 21), np.uint8), iterations=2)
    outer = cv2.dilate(silhouette.astype(np.uint8), np.ones((11, 11), np.uint8), iterations=2)
    held = (((silhouette & ~hole) | speck | sleeve) * outer + inner > 0).astype(np.uint8)
    np.testing.assert_array_equal(mended, cv2.medianBlur(held, 7) > 0)


def test_mask_is_used_as_it_is_where_the_set_says_it_is_exact(subject):
    write_palm_set(subject.parent, {"hand_model": "open hand", "exact_masks": True})
    dataset = read(subject)
    assert dataset.hand_model == "open hand" and dataset.frames[0].mano is None
    written = subject_contents()[2][0].mask
    pixels = load_frame(dataset.frames[0])
    np.testing.assert_array_equal(pixels.mask, written)
    assert (pixels.dilated.numpy() | ~written).all() and pixels.dilated.sum() > written.sum()


def test_best_frames_by_quality(subject, tmp_path):
    np.save(tmp_path / "quality.npy", {"0007/000001.jpg": 3.0, "0007/000002.jpg": 1.0, "0007/000003.jpg": 2.0})
    dataset = read(subject, quality=tmp_path / "quality.npy", best=2)
    assert sorted({frame.frame for frame in dataset.frames}) == [1, 2] and len(dataset.frames) == 4
    assert dataset.left_out == ("1 of 3 frames: not among the best 2 by fitting error",)


def test_unasked_subjects_are_listed(subject):
    write_palm_subject(subject.parent, "0008", *subject_contents(1), hands_mean=MEAN)
    dataset = read(subject, subjects=["0008"])
    assert dataset.subjects == ("0008",) and dataset.left_out == ("1 subjects that were not asked for",)
    with pytest.raises(DatasetError, match="has no subject 0009: check the names"):
        read(subject, subjects=["0009"])


def edit(path: Path, **changes) -> None:
    value = np.load(path, allow_pickle=True).item()
    value.update(changes)
    np.save(path, {name: item for name, item in value.items() if item is not None})


def nan_pose(subject: Path) -> None:
    pose = np.load(subject / "poses.npy", allow_pickle=True).item()["hand_pose"]
    pose[1, 7] = np.nan
    edit(subject / "poses.npy", hand_pose=pose)


def camera_without(subject: Path, name: str) -> None:
    cameras = np.load(subject / "cameras.npy", allow_pickle=True).item()["cameras"]
    edit(subject / "cameras.npy", cameras={key: value for key, value in cameras.items() if key != name})


def camera_broken(subject: Path, **changes) -> None:
    cameras = np.load(subject / "cameras.npy", allow_pickle=True).item()["cameras"]
    cameras["MCU_01"].update(changes)
    edit(subject / "cameras.npy", cameras=cameras)


def remove(path: Path) -> None:
    for child in path.iterdir():
        child.unlink()
    path.rmdir()


DAMAGES = {
    "a pose is missing": (
        lambda s: edit(
            s / "poses.npy",
            **{k: np.zeros((2, n)) for k, n in (("hand_pose", 45), ("global_orient", 3), ("transl", 3))},
        ),
        "subject {s}, camera MCU_01 has 3 pictures but poses.npy 2 poses (no pose for 000003): copy the subject again",
        4,
    ),
    "a picture is missing": (
        lambda s: (s / "images/MCU_02/000002.png").unlink(),
        "subject {s}, camera MCU_02 has 2 pictures but poses.npy 3 poses (no picture of frame 000002): copy the subject again",
        5,
    ),
    "a mask is missing": (
        lambda s: (s / "masks/MCU_02/000002.png").unlink(),
        "subject {s}, camera MCU_02 has 3 pictures but 2 masks (missing: 000002): copy the subject again",
        5,
    ),
    "a silhouette is missing": (
        lambda s: (s / "mano/MCU_01/000001.png").unlink(),
        "subject {s}, camera MCU_01 has 3 pictures but 2 mano (missing: 000001): copy the subject again",
        5,
    ),
    "a mask too many": (
        lambda s: (s / "masks/MCU_02/000009.png").write_bytes((s / "masks/MCU_02/000001.png").read_bytes()),
        "subject {s}, camera MCU_02 has 3 pictures but 4 masks (without a picture: 000009): copy the subject again",
        6,
    ),
    "normals of one camera only": (
        lambda s: remove(s / "normals/MCU_01"),
        "subject {s}, camera MCU_01 has 3 pictures but 0 normals (missing: 000001, 000002, 000003): copy the subject again",
        3,
    ),
    "a picture is cut off": (
        lambda s: (s / "images/MCU_01/000001.png").write_bytes((s / "images/MCU_01/000001.png").read_bytes()[:200]),
        "{s}/images/MCU_01/000001.png is damaged or cut off: copy it again",
        5,
    ),
    "a picture of another kind": (
        lambda s: (s / "images/MCU_01/000001.png").rename(s / "images/MCU_01/000001.jpg").write_bytes(b"no picture"),
        "{s}/images/MCU_01/000001.jpg cannot be read as a picture: copy it again",
        5,
    ),
    "a picture of another size": (
        lambda s: Image.new("RGB", (80, 59)).save(s / "images/MCU_01/000001.png"),
        "{s}/images/MCU_01/000001.png has 80×59 pixels, but camera MCU_01 80×60: copy the subject again",
        5,
    ),
    "a picture without a number": (
        lambda s: (s / "images/MCU_01/000001.png").rename(s / "images/MCU_01/first.png"),
        "subject {s}, camera MCU_01: the picture first is not numbered; name pictures 000001.png and so on",
        5,
    ),
    "a camera is missing": (
        lambda s: camera_without(s, "MCU_02"),
        "{s}/cameras.npy has no camera MCU_02, but images/MCU_02 has pictures: copy it again",
        3,
    ),
    "a camera has no pictures": (
        lambda s: remove(s / "images/MCU_02"),
        "subject {s} has no pictures of camera MCU_02 (images/MCU_02): copy the subject again",
        3,
    ),
    "a camera without K": (
        lambda s: camera_broken(s, K=np.zeros(3)),
        "{s}/cameras.npy: camera MCU_01: K has shape (3,), not 3×3 numbers: write it again",
        0,
    ),
    "a camera that scales": (
        lambda s: camera_broken(s, Rt=np.diag([2.0, 2, 2, 1])),
        "{s}/cameras.npy: camera MCU_01: Rt is no rigid motion from world to camera; copy the subject again",
        0,
    ),
    "a NaN pose": (
        nan_pose,
        "{s}/poses.npy: the pose of frame 000002 holds NaN or infinite numbers; copy it again",
        4,
    ),
    "NaN betas": (
        lambda s: edit(s / "poses.npy", betas=np.full((1, 10), np.nan)),
        "{s}/poses.npy: betas holds NaN or infinite numbers: write it again",
        0,
    ),
    "unequal poses": (
        lambda s: edit(s / "poses.npy", transl=np.zeros((2, 3))),
        "{s}/poses.npy has unequal numbers of frames (hand_pose 3, global_orient 3, transl 2): copy the subject again",
        0,
    ),
    "no hand_pose": (
        lambda s: edit(s / "poses.npy", hand_pose=None),
        "{s}/poses.npy has no hand_pose: copy the subject again",
        0,
    ),
    "PCA poses": (
        lambda s: edit(s / "poses.npy", hand_pose=np.zeros((3, 12))),
        "{s}/poses.npy: hand_pose has shape (3, 12), not (frames, 45); copy the subject again",
        0,
    ),
    "a file in a folder's place": (
        lambda s: ((s / "images").rename(s / "elsewhere"), (s / "images").write_text("x")),
        "{s}/images is not a folder: copy the subject again",
        0,
    ),
    "no poses.npy": (
        lambda s: (s / "poses.npy").unlink(),
        "subject {s} has no poses.npy: copy the subject again",
        0,
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_named(subject, name):
    damage, message, usable = DAMAGES[name]
    damage(subject)
    with pytest.raises(DatasetError) as error:
        read(subject)
    expected = message.format(s=subject)
    assert str(error.value) == expected
    if usable:
        dataset = read(subject, keep_incomplete=True)
        assert len(dataset.frames) == usable and expected in dataset.left_out
    else:
        with pytest.raises(DatasetError, match=r"nothing in .* can be used"):
            read(subject, keep_incomplete=True)


def test_a_broken_subject_is_left_out_by_name(subject):
    write_palm_subject(subject.parent, "0008", *subject_contents(1), hands_mean=MEAN)
    (subject / "cameras.npy").write_bytes(b"nothing")
    dataset = read(subject, keep_incomplete=True)
    assert dataset.subjects == ("0008",) and len(dataset.left_out) == 1 and str(subject) in dataset.left_out[0]


def test_damage_inside_a_picture_is_found_when_it_is_decoded(subject):
    path = subject / "images/MCU_01/000001.png"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DatasetError) as error:
        load_frame(read(subject).frames[0])
    assert str(error.value) == f"{path} cannot be read as a picture: copy it again"


def test_an_empty_mask_is_refused(subject):
    write_palm_set(subject.parent, {"exact_masks": True})
    Image.new("L", (WIDTH, HEIGHT)).save(subject / "masks/MCU_01/000001.png")
    with pytest.raises(DatasetError, match="shows no hand"):
        load_frame(read(subject).frames[0])


def test_folders_that_are_no_set(tmp_path):
    with pytest.raises(DatasetError, match=r"is not a folder"):
        read_palm_folder(tmp_path / "nowhere", MEAN)
    with pytest.raises(DatasetError, match="holds no subject"):
        read_palm_folder(tmp_path, MEAN)
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "0000.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match="unpack the subjects' zips first"):
        read_palm_folder(tmp_path, MEAN)


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_hostile_annotations_are_refused(subject):
    np.save(subject / "poses.npy", np.array({"hand_pose": Evil()}, dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="which is not plain data"):
        read(subject)
    (subject / "poses.npy").write_bytes(pickle.dumps({"hand_pose": 1}))
    with pytest.raises(DatasetError, match=r"is not a readable \.npy file"):
        read(subject)
