import argparse
import json
import shutil

import numpy as np
import pytest

from engine.datasets.palm_files import Camera, read_cameras, read_poses, write_cameras, write_palm_set
from engine.errors import Cancelled, DatasetError, InputError, OutputError
from engine.hand.model import open_hand_model
from engine.progress import silent
from engine.registration.command import add_arguments, run
from engine.registration.destination import check_destination, describe_destination
from engine.registration.subject_files import read_scan_subjects, write_keypoints
from engine.registration.subject_work import Begun, RegisterSettings, points_of, pose_of, seen_scan
from engine.registration.synthetic import SyntheticConfig, write_synthetic_set
from engine.registration.synthetic_scan import ScanNoise
from engine.registration.triangulation import triangulate

SMALL = SyntheticConfig(
    subjects=1, scans=3, simple=1, cameras=4, width=306, height=256, hand_px=155, noise_px=(0.5, 1.0), misses=0.02
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A set of three scans, the last of them broken, and of a camera more that detected nothing."""
    root = tmp_path_factory.mktemp("scans") / "set"
    write_synthetic_set(root, open_hand_model(), SyntheticConfig(**{**vars(SMALL), "scan": ScanNoise(levels=1)}))
    folder = root / "0000"
    (folder / "meshes" / "000003.ply").write_bytes(b"ply, or so it says")
    seen = read_scan_subjects(root)[0]
    cameras = {**seen.cameras, "MCU_05": seen.cameras["MCU_01"]}
    write_cameras(folder / "cameras.npy", cameras)
    pixels = np.pad(seen.keypoints, ((0, 0), (0, 1), (0, 0), (0, 0)), constant_values=np.nan)
    confidence = np.pad(seen.confidence, ((0, 0), (0, 1), (0, 0)), constant_values=1.0)
    write_keypoints(folder / "keypoints_2d.npz", pixels, confidence, list(cameras))
    return root


@pytest.fixture
def subject(tmp_path):
    """A subject's folder that needs no scan to be read: eight frames of four cameras."""
    from engine.registration.synthetic import detected, synthetic_cameras

    cameras = synthetic_cameras(SMALL)
    folder = tmp_path / "0007"
    (folder / "meshes").mkdir(parents=True)
    (folder / "meshes" / "000001.ply").write_bytes(b"")
    write_cameras(folder / "cameras.npy", cameras)
    points = np.random.default_rng(0).uniform(-0.08, 0.08, (8, 21, 3))
    found = [detected(frame, cameras, SMALL, number) for number, frame in enumerate(points)]
    pixels, confidence = (np.stack(values) for values in zip(*found, strict=True))
    write_keypoints(folder / "keypoints_2d.npz", pixels, confidence, list(cameras))
    return folder


def arguments(*given):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(value) for value in given])


@pytest.mark.slow
def test_a_set_is_registered_and_goes_on_where_it_stopped(made, tmp_path, monkeypatch):
    out = tmp_path / "out"
    triangulated = []
    monkeypatch.setattr(
        "engine.registration.subject_work.triangulate",
        lambda *given: triangulated.append(given) or triangulate(*given),
    )
    stages = []

    def stop_at_scans(fraction, message="", preview=None):
        stages.append(message)
        if message.startswith("scan 2"):
            raise Cancelled

    with pytest.raises(Cancelled):
        run(arguments(made, "-o", out, "--simple", "1"), stop_at_scans)
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "0000" / "work").iterdir()}
    assert set(kept) == {"shape.json", "000001.json"} and not (out / "report.json").exists()

    assert len(triangulated) == 1

    # a subject that cannot be begun is named, and the others are registered
    two = shutil.copytree(made, tmp_path / "two")
    shutil.copytree(two / "0000", two / "0001")
    cameras = read_cameras(two / "0001" / "cameras.npy")
    doubled = {
        name: camera._replace(intrinsics=camera.intrinsics * [[2], [2], [1]]) for name, camera in cameras.items()
    }
    write_cameras(two / "0001" / "cameras.npy", doubled)
    said = run(arguments(two, "-o", out, "--simple", "1"), silent)
    assert said["registered"] == "2 of 6 scans" and "000003.ply" in said["table"]
    assert {name: (out / "0000" / "work" / name).stat().st_mtime_ns for name in kept} == kept
    report = json.loads((out / "report.json").read_text())
    assert report["mean"]["scan_recall_10mm"] > 0.99
    assert "0001: cameras agree on" in report["failed"][0] and "cannot be read as a mesh" in report["failed"][1]
    assert report["not_begun"] == ["0001"] and list(report["subjects"]) == ["0000"] and not (out / "0001").exists()
    assert report["subjects"]["0000"]["simple_frames"] == [1]
    assert report["subjects"]["0000"]["cameras"][4] == {
        "camera": "MCU_05", "detections": 0, "agreeing_share": None, "median_px": None
    }  # fmt: skip

    poses = read_poses(out / "0000" / "poses.npy")
    np.testing.assert_array_equal(poses.broken_frames(), [False, False, True])
    truth = np.load(made / "0000" / "truth.npz")
    stored = np.load(out / "0000" / "keypoints_3d.npz")
    off = 1000 * np.linalg.norm(stored["registered"][:2] - truth["keypoints"][:2], axis=-1).mean(1)
    assert off.max() < 2.0
    assert np.isnan(stored["registered"][2]).all()


def test_cameras_that_disagree_are_named(subject):
    cameras = read_cameras(subject / "cameras.npy")
    matrix = cameras["MCU_02"].world_to_camera.copy()
    matrix[:2, 3] += 0.04
    cameras["MCU_02"] = cameras["MCU_02"]._replace(world_to_camera=matrix)
    write_cameras(subject / "cameras.npy", cameras)
    with pytest.raises(DatasetError, match=r"camera MCU_02 disagrees .* --leave-out-camera MCU_02"):
        run(arguments(subject, "-o", subject.parent / "out"), silent)


def test_a_camera_that_looks_away_is_named(subject):
    cameras = read_cameras(subject / "cameras.npy")
    turned = np.diag([-1.0, 1.0, -1.0, 1.0]) @ cameras["MCU_02"].world_to_camera
    cameras["MCU_02"] = cameras["MCU_02"]._replace(world_to_camera=turned)
    write_cameras(subject / "cameras.npy", cameras)
    with pytest.raises(DatasetError, match=r"camera MCU_02 disagrees .*0% of its keypoints fit, half lie behind it"):
        run(arguments(subject, "-o", subject.parent / "out"), silent)


def test_cameras_of_pictures_of_another_size_are_told(subject):
    cameras = read_cameras(subject / "cameras.npy")
    full = np.diag([2.0, 2.0, 1.0])
    changed = {name: camera._replace(intrinsics=full @ camera.intrinsics) for name, camera in cameras.items()}
    write_cameras(subject / "cameras.npy", changed)
    with pytest.raises(DatasetError, match=r"cameras agree on .* cameras.npy is not of these pictures"):
        run(arguments(subject, "-o", subject.parent / "out"), silent)


@pytest.mark.parametrize("out", [".", "out", "folders", "folders/0007", "folders/0007/out"])
def test_a_set_is_not_written_over_itself(subject, tmp_path, out):
    root = tmp_path / "set"
    (root / "folders").mkdir(parents=True)
    folder = subject.rename(root / "folders" / "0007")
    write_palm_set(root, {"hand_model": "mano", "exact_masks": True})
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with pytest.raises(OutputError, match="is the set itself"):
        run(arguments(root, "-o", root / out), silent)
    for given, message in ((root / "folders", "poses would be replaced"), (root, "dataset.json is not of `register`")):
        with pytest.raises(OutputError, match=message):
            run(arguments(folder, "-o", given), silent)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_folder_that_register_began_is_gone_on_in(subject, tmp_path):
    subjects = read_scan_subjects(subject)
    describe_destination(tmp_path / "out", open_hand_model())
    check_destination(tmp_path / "out", subject, subjects)
    (tmp_path / "out" / "dataset.json").write_text("no JSON")
    with pytest.raises(InputError, match=r"dataset.json is not valid JSON"):
        check_destination(tmp_path / "out", subject, subjects)


def test_scans_in_millimetres_are_told_with_the_remedy(subject):
    from engine.datasets.scan_file import write_scan

    corners = 250 * np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    write_scan(subject / "meshes" / "000001.ply", corners, np.array([[0, 1, 2]]))
    with pytest.raises(DatasetError, match=r"no simple pose of .*000001.ply is 354 m long.*--scan-unit"):
        run(arguments(subject, "-o", subject.parent / "out"), silent)


def test_cameras_can_be_left_out_but_for_two(subject):
    assert list(read_scan_subjects(subject, frozenset({"MCU_02"}))[0].cameras) == ["MCU_01", "MCU_03", "MCU_04"]
    with pytest.raises(DatasetError, match="keypoints of 1 cameras"):
        read_scan_subjects(subject, frozenset({"MCU_01", "MCU_02", "MCU_03"}))
    with pytest.raises(DatasetError, match="no camera MCU_09 to leave out"):
        read_scan_subjects(subject, frozenset({"MCU_09"}))


def test_keypoints_of_another_tool_s_order_are_put_in_ours(subject):
    from engine.hand.joints import from_palm

    ours = read_scan_subjects(subject)[0]
    np.savez(
        subject / "keypoints_2d.npz",
        keypoints=from_palm(ours.keypoints, "openpose"),
        confidence=from_palm(ours.confidence[..., None], "openpose")[..., 0],
        cameras=list(ours.cameras),
        order="openpose",
    )
    np.testing.assert_array_equal(read_scan_subjects(subject)[0].keypoints, ours.keypoints)


def broken_keypoints(**change):
    fields = {"cameras": ["MCU_01", "MCU_02"], "keypoints": np.zeros((2, 2, 21, 2)), "confidence": np.ones((2, 2, 21))}
    return {**fields, **change}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (broken_keypoints(confidence=np.ones((2, 3, 21))), "should be frames"),
        (broken_keypoints(keypoints=np.zeros((2, 2, 20, 2))), "should be frames"),
        (broken_keypoints(cameras=["MCU_01", "MCU_77"]), "no camera MCU_77"),
        (broken_keypoints(cameras=["MCU_01", "MCU_01"]), "names a camera twice"),
        (broken_keypoints(order="alphabetical"), "order 'alphabetical' is unknown"),
        (broken_keypoints(keypoints=np.array([object()])), "plain arrays"),
        ({"keypoints": np.zeros(3)}, "has no cameras, confidence"),
    ],
)
def test_keypoint_files_that_do_not_fit_are_refused_by_name(subject, fields, message):
    np.savez(subject / "keypoints_2d.npz", **fields)
    with pytest.raises(DatasetError, match=message):
        read_scan_subjects(subject)


def test_counts_that_differ_and_names_that_are_no_frames_are_refused(subject):
    scans = subject / "meshes"
    (scans / "000009.ply").write_bytes(b"")
    with pytest.raises(DatasetError, match="keypoints of 8 frames, but meshes/ has a scan of frame 9"):
        read_scan_subjects(subject)
    (scans / "000009.ply").rename(scans / "000001.obj")
    with pytest.raises(DatasetError, match="two scans of frame 1"):
        read_scan_subjects(subject)
    (scans / "000001.obj").rename(scans / "scan.obj")
    with pytest.raises(DatasetError, match=r"scan.obj is not named by its frame"):
        read_scan_subjects(subject)
    (scans / "scan.obj").unlink()
    (scans / "000001.ply").unlink()
    with pytest.raises(DatasetError, match="holds no scan"):
        read_scan_subjects(subject)
    with pytest.raises(DatasetError, match="holds no subject with scans"):
        read_scan_subjects(subject / "meshes")
    (subject / "cameras.npy").unlink()
    with pytest.raises(DatasetError, match=r"has no cameras.npy"):
        read_scan_subjects(subject)


def test_a_scan_whose_mask_changed_is_done_again(subject, tmp_path):
    from engine.avatar.texture_files import write_png8

    mask = subject / "masks" / "MCU_01" / "000001.png"
    mask.parent.mkdir(parents=True)
    write_png8(mask, np.zeros((SMALL.height, SMALL.width), np.uint8))
    whole = mask.read_bytes()
    mask.write_bytes(b"x" * len(whole))
    (tmp_path / "work").mkdir()
    settings, read = RegisterSettings(), read_scan_subjects(subject)[0]
    begun = Begun(read, points_of(read, settings), {"betas": [0.0] * 10})
    first = pose_of(begun, 0, settings, tmp_path, silent)
    assert str(mask) in first.failure and pose_of(begun, 0, settings, tmp_path, silent) == first
    mask.write_bytes(whole)
    assert "000001.ply" in pose_of(begun, 0, settings, tmp_path, silent).failure


def test_masks_of_another_size_are_named(made, tmp_path):
    subject = read_scan_subjects(made)[0]
    name, camera = next(iter(subject.cameras.items()))
    subject.cameras[name] = Camera(camera.intrinsics, camera.world_to_camera, camera.height + 2, camera.width)
    settings = RegisterSettings()
    with pytest.raises(DatasetError, match="give masks of the pictures' size"):
        seen_scan(subject, 0, points_of(subject, settings), settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--simple", "1,x"), "no list of scans' numbers"),
        (("--simple", "0"), "numbers from 1"),
        (("--workers", "0"), "--workers 0"),
        (("--seed", "-1"), "--seed -1"),
        (("--inlier-px", "nan"), "not above 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        run(arguments(tmp_path, "-o", tmp_path / "out", *given), silent)
