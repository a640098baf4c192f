"""Data sets on disk: read by the engine as PALM's are, whole or not at all, mended on resume."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from package_modules import module
from rasterised import frame_pixels
from small_sets import COHORT, RELIT, SIZE, recipe_of_kind, write_set

from engine.datasets.palm import load_frame, read_palm_folder
from engine.datasets.palm_check import whole_frames
from engine.hand.cameras import project
from engine.hand.model import open_hand_model
from engine.progress import silent

layout, manifest, plan, recipes, records, resume, shots = (
    module(f"palm_blender.synthesis.{name}")
    for name in ("layout", "manifest", "plan", "recipe", "records", "resume", "shots")
)
errors = module("engine.errors")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("written")
    for name, recipe in (("cohort", COHORT), ("relit", RELIT)):
        write_set(folder / name, recipe)
    return {"cohort": folder / "cohort", "relit": folder / "relit"}


@pytest.fixture
def cohort(written, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(written["cohort"], tmp_path / "cohort"))


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


# the engine reads it


@pytest.mark.parametrize(("name", "parts"), [("cohort", [""]), ("relit", ["relit_00", "relit_01"])])
def test_the_engine_reads_every_frame_with_its_labels(written, name, parts):
    recipe = {"cohort": COHORT, "relit": RELIT}[name]
    found = {}
    for part in parts:
        read = read_palm_folder(written[name] / part, np.zeros(45))
        assert read.hand_model == open_hand_model().name and read.left_out == ()
        good, _ = whole_frames(read.frames, False, silent)
        assert len(good) == len(read.frames)
        home = f"{part}/folders".lstrip("/")
        found |= {(f"{home}/{frame.subject}", frame.frame, frame.camera): frame for frame in read.frames}
    units = [plan.build_unit(recipe, index) for index in range(2)]
    assert set(found) == {tuple(shot.id) for unit in units for shot in unit.shots}
    for unit in units:
        shot = unit.shots[-1]
        frame, pixels = found[tuple(shot.id)], load_frame(found[tuple(shot.id)])
        wanted = frame_pixels(shots, unit, shot)
        folder = unit.folders[shot.folder]
        assert frame.mano is None  # masks are exact: nothing is mended
        np.testing.assert_array_equal(pixels.mask, wanted.mask)
        np.testing.assert_allclose(pixels.image_srgb * 255, wanted.image, atol=1e-3)
        angle = np.degrees(np.arccos(np.clip((pixels.normals.numpy() * wanted.normals).sum(-1)[wanted.mask], -1, 1)))
        assert angle.max() < 0.8
        np.testing.assert_allclose(frame.betas, unit.betas, atol=1e-6)
        for given, stored in zip(
            folder.poses[shot.frame], (frame.global_orient, frame.hand_pose, frame.transl), strict=True
        ):
            np.testing.assert_allclose(stored, given, atol=1e-6)
        np.testing.assert_array_equal(frame.intrinsics, folder.cameras[shot.camera].intrinsics)


def test_the_stored_parameters_give_the_stored_keypoints(written):
    import torch

    from engine.hand.mano import hand_forward

    model = open_hand_model(dtype=torch.float64)
    for record in manifest.records(written["cohort"], COHORT):
        mano = {
            name: torch.tensor(value, dtype=torch.float64) for name, value in record["mano"].items() if name != "side"
        }
        out = hand_forward(model, mano["betas"], mano["global_orient"], mano["hand_pose"], mano["transl"])
        np.testing.assert_allclose(out.keypoints, record["keypoints_3d"], atol=2e-6)
        camera = record["camera"]
        pixels = project(np.array(record["keypoints_3d"]), np.array(camera["K"]), np.array(camera["Rt"]))
        np.testing.assert_allclose(pixels, record["keypoints_2d"], atol=2e-3)


def test_pictures_hold_what_was_photographed(written):
    unit = plan.build_unit(COHORT, 0)
    shot = unit.shots[1]
    wanted = frame_pixels(shots, unit, shot)
    home, stem = written["cohort"] / shot.folder, unit.folders[shot.folder].stem(shot.frame)
    read = {
        kind: layout.read_picture(home / layout.picture_path(kind, shot.camera, stem))
        for kind in layout.kinds_of(COHORT)
    }
    mask = wanted.mask
    assert {values.shape[:2] for values in read.values()} == {(SIZE, SIZE)}
    np.testing.assert_array_equal(read["masks"] == 255, mask)
    np.testing.assert_array_equal(read["mano"][..., 3], read["masks"])
    np.testing.assert_allclose(layout.decode_depth(read["depth"]), wanted.depth, atol=1.8 / 65535)
    np.testing.assert_array_equal(read["depth"] > 0, mask)
    encoded = read["albedo"] / 65535
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(linear, wanted.albedo, atol=1e-4)
    np.testing.assert_allclose(read["roughness"] / 65535, wanted.roughness, atol=1e-4)
    np.testing.assert_allclose(read["radiance"].astype(float), wanted.radiance, atol=1e-3)


def test_depth_ends_at_palms_range():
    depth = np.array([[0.0, 1e-6, 0.9, 1.8, 3.0]], np.float32)
    encoded = layout.encode_depth(depth, depth > 0)
    np.testing.assert_array_equal(encoded, [[0, 1, 32768, 65535, 65535]])


# writing again


def test_writing_again_gives_the_same_files(written, tmp_path):
    write_set(tmp_path / "again", COHORT)
    first, second = snapshot(written["cohort"]), snapshot(tmp_path / "again")
    first = {name: content for name, content in first.items() if name not in (manifest.MANIFEST, manifest.COCO_FILE)}
    assert first == second


def test_folder_files_that_are_right_are_left_alone(cohort):
    unit = plan.build_unit(COHORT, 0)
    home = cohort / "folders/0000"
    before = [(home / name).stat().st_mtime_ns for name in ("cameras.npy", "poses.npy")]
    layout.write_folder_files(cohort, unit)
    assert before == [(home / name).stat().st_mtime_ns for name in ("cameras.npy", "poses.npy")]


# what is whole


def missing(root: Path) -> list:
    return [shot for index in range(2) for shot in resume.missing_shots(root, COHORT, index)]


def spoilt(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "flip":
        place = len(content) * 2 // 3
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


def test_other_parts_pictures_are_looked_for_without_decoding(cohort):
    """A run that closes a set of many parts must not read them all again; a picture that is gone is missed all the same."""
    first = plan.build_unit(COHORT, 0).shots[0]
    home = cohort / first.folder
    picture = home / layout.picture_path("images", first.camera, resume.stem_of(COHORT, first.id))
    picture.write_bytes(picture.read_bytes()[:-20])
    assert len(resume.missing_shots(cohort, COHORT, 0)) == 1
    assert not resume.missing_shots(cohort, COHORT, 0, decode=False)
    picture.unlink()
    assert len(resume.missing_shots(cohort, COHORT, 0, decode=False)) == 1


def test_a_whole_set_lacks_nothing(written):
    assert missing(written["cohort"]) == []
    assert all(resume.missing_shots(written["relit"], RELIT, index) == () for index in range(2))
    assert all(resume.folder_files_are_whole(written["cohort"], COHORT, index) for index in range(2))


@pytest.mark.parametrize("how", ["cut", "flip", "empty", "gone"])
@pytest.mark.parametrize("kind", [*layout.PICTURES, "radiance", "labels"])
def test_what_is_spoilt_is_found_and_mended(cohort, kind, how):
    whole = snapshot(cohort)
    ending = {"radiance": "exr", "labels": "json"}.get(kind, "png")
    unit = plan.build_unit(COHORT, 1)
    shot = unit.shots[2]
    spoilt(cohort / shot.folder / kind / shot.camera / f"000002.{ending}", how)
    assert missing(cohort) == [shot.id]
    layout.write_shot(cohort, unit, shot, frame_pixels(shots, unit, shot), COHORT)
    assert missing(cohort) == [] and snapshot(cohort) == whole


@pytest.mark.parametrize("how", ["cut", "flip", "empty", "gone"])
@pytest.mark.parametrize("name", ["cameras.npy", "poses.npy"])
def test_spoilt_folder_files_are_mended_without_new_pictures(cohort, name, how):
    whole = snapshot(cohort)
    spoilt(cohort / "folders/0001" / name, how)
    assert missing(cohort) == []
    assert [resume.folder_files_are_whole(cohort, COHORT, index) for index in range(2)] == [True, False]
    layout.write_folder_files(cohort, plan.build_unit(COHORT, 1))
    assert resume.folder_files_are_whole(cohort, COHORT, 1) and snapshot(cohort) == whole


def test_any_change_in_a_record_is_noticed(cohort):
    shot = plan.build_unit(COHORT, 0).shots[0]
    path = cohort / shot.folder / "labels" / shot.camera / "000001.json"
    content = path.read_bytes()
    for place in range(5, len(content) - 2, 41):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not resume.shot_is_whole(cohort, COHORT, shot.id), content[place - 20 : place + 20]
    path.write_text(json.dumps({**json.loads(content), "area": 1}), encoding="utf-8")
    assert not resume.shot_is_whole(cohort, COHORT, shot.id)


def test_pictures_of_another_kind_of_set_are_taken_again(cohort):
    plainer = recipe_of_kind("cohort", radiance=False)
    assert len(resume.missing_shots(cohort, plainer, 0)) == 4


def test_a_picture_put_in_another_ones_place_is_noticed(cohort):
    home = cohort / "folders/0000/images/MCU_01"
    shutil.copyfile(home / "000001.png", home / "000002.png")
    assert [shot.frame for shot in missing(cohort)] == [1]


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(cohort):
    whole = snapshot(cohort)
    place = cohort / "folders/0000"
    for name in ("images/MCU_01/.000001-abc.png", "labels/MCU_01/.000001-x.json", ".poses-1.npy"):
        (place / name).write_bytes(b"half")
    (place / ".keep").write_text("mine", encoding="utf-8")
    with pytest.raises(Exception, match=r"numbered"):
        read_palm_folder(cohort, np.zeros(45))
    assert resume.remove_leftovers(cohort, ["folders/0000", "folders/9999"]) == 3
    (place / ".keep").unlink()
    assert snapshot(cohort) == whole


# what cannot be written


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text and len(text) < 400
    return text


def assert_nothing_half_written(root: Path, recipe) -> None:
    """Every file that is there is whole, no temporary ones are left, and no record speaks of missing pictures."""
    for path in root.rglob("*"):
        if path.is_file():
            assert not path.name.startswith("."), path
            if path.suffix in (".png", ".exr"):
                layout.read_picture(path)
            elif path.parent.parent.name == "labels":
                home = path.parent.parent.parent
                assert all((home / name).is_file() for name in records.read_record(path)["files"])


def take_until_it_fails(root: Path) -> pytest.ExceptionInfo:
    with pytest.raises(errors.OutputError) as error:
        for index in range(2):
            unit = plan.build_unit(COHORT, index)
            layout.write_folder_files(root, unit)
            for shot in unit.shots:
                layout.write_shot(root, unit, shot, frame_pixels(shots, unit, shot), COHORT)
    return error


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 192 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=192k", "none", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("A SMALL FILE SYSTEM CANNOT BE MOUNTED HERE: nothing was checked")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_one_line_and_leaves_only_whole_files(small_disk):
    text = one_line(take_until_it_fails(small_disk))
    assert "No space left" in text and str(small_disk) in text
    assert_nothing_half_written(small_disk, COHORT)
    done = sorted(small_disk.rglob("labels/*/*.json"))
    assert done and len(missing(small_disk)) == 8 - len(done)


@pytest.mark.skipif(os.name == "nt", reason="no limits of this kind there")
def test_files_that_may_not_grow_are_one_line_and_leave_only_whole_ones(tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, limits[1]))
    try:
        error = take_until_it_fails(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "too large" in one_line(error)
    assert_nothing_half_written(tmp_path, COHORT)


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "folders/0000").mkdir(parents=True)
    (tmp_path / "folders/0000/images").write_text("", encoding="utf-8")
    text = one_line(take_until_it_fails(tmp_path))
    assert "cannot make" in text and "images" in text
    assert_nothing_half_written(tmp_path, COHORT)


def test_a_read_only_folder_is_named(tmp_path):
    if os.name == "nt" or os.geteuid() == 0:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "none", str(tmp_path)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("NOTHING IS READ-ONLY FOR THIS USER, AND NOTHING CAN BE MOUNTED: nothing was checked")
    else:
        tmp_path.chmod(0o500)
    try:
        text = one_line(take_until_it_fails(tmp_path))
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(tmp_path)], check=True)
        tmp_path.chmod(0o700)
    assert "cannot make" in text and str(tmp_path) in text


# the lights


def test_lights_are_kept_beside_the_set(tmp_path):
    source = tmp_path / "sunset.exr"
    source.write_bytes(b"light")
    layout.keep_environment(tmp_path, str(source), source)
    kept = tmp_path / "environments/sunset.exr"
    before = kept.stat().st_mtime_ns
    layout.keep_environment(tmp_path, "sunset", source)
    assert kept.read_bytes() == b"light" and kept.stat().st_mtime_ns == before
    kept.write_bytes(b"")
    layout.keep_environment(tmp_path, "sunset", source)
    assert kept.read_bytes() == b"light"
    with pytest.raises(errors.InputError, match=r"none\.exr cannot be read"):
        layout.keep_environment(tmp_path, "none", tmp_path / "none.exr")
