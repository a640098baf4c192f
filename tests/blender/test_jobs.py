"""Jobs of the add-on in Blender: life, failures, keypoints, a real photo."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from engine.cli import main as engine

SAMPLE = ROOT.parent / "shared" / "samples" / "two_hands_dorsal.jpg"


@pytest.fixture(autouse=True)
def engine_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALM_HANDS_PYTHON", sys.executable)


@pytest.fixture(scope="module")
def photo() -> Path:
    if not SAMPLE.is_file():
        pytest.skip("THE SAMPLE PHOTO IS NOT THERE (../shared/samples): nothing was checked")
    return SAMPLE


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.0", "5.2"])
def test_jobs_live_through_saving_loading_and_undo(blender, avatar_folders, tmp_path, version):
    facts = blender("job_jobs.life_of_jobs", version=version, avatar=avatar_folders["right"][0], folder=tmp_path)
    assert facts["queued"] == ["running", "waiting"]
    hand = {"objects": 2, "collections": ["right"]}
    assert facts["added"] == hand and facts["active"] == "ARMATURE"
    assert facts["second"] == "running"
    assert facts["undone"] == {"objects": 0, "collections": []} and facts["redone"] == hand
    assert facts["jobs_after_undo"] == ["done", "running"]
    assert facts["survived_saving"] == "running" and facts["cancelled"] == "cancelled"
    assert facts["folders"] == [True, True]
    # another file: nothing is built into it, and the panel says why
    assert facts["known_after_load"] == "for the saved file"
    assert facts["other_file"] == [0, "it was started in another Blender file"]
    assert facts["same_file"] == ["right", "right.001"]
    assert facts["placed"] == 2
    assert facts["cleared"] == [[], False]
    assert facts["timer"] and facts["ended_with_add_on"] == ["cancelled", "cancelled", False]
    assert facts["left_over"] == [False, False, 0, False] and facts["again"] == 0


def test_failures_say_one_clear_line(blender, tmp_path, photo):
    facts = blender("job_jobs.failures", folder=tmp_path, photo=photo)
    for name, said in (
        ("no photo", "no photo is chosen"),
        ("no such photo", "such ä.jpg does not exist: choose the photo again"),
        ("no such image", 'no image "nothing"'),
        ("no engine", "the engine is not set up: open the add-on's preferences"),
        ("no engine to remove", "there is nothing to remove"),
        ("wrong engine", "no python here, where no Python is"),
        ("paper with harp", "Paper quality is PALM's"),
        ("no picture", "is not a picture that can be read"),
        ("no log", "no log"),
        ("unknown job", "no longer known"),
    ):
        assert said.lower() in facts[name].lower(), name
        assert len(facts[name].splitlines()) == 1
    assert facts["offline"] == [False, False]
    assert (
        facts["corrupt avatar"][0] == "failed" and "lacks mesh.npz: copy the whole folder" in facts["corrupt avatar"][1]
    )
    assert facts["objects"] == 0
    assert facts["beside"] == ["broken.palmhand", "scene.blend"]


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.0", "5.2"])
def test_keypoints_are_shown_moved_and_taken_away(blender, tmp_path, photo, version):
    look = tmp_path / "hand.palmlook"
    assert engine(["look", str(photo), "-o", str(look), "--progress", "none"]) == 0
    facts = blender("job_jobs.points", version=version, photo=photo, look=look, folder=tmp_path)
    assert facts["error_px"] < 0.05 and not facts["moved_at_first"]
    assert facts["after_undo"] == [True, 1]
    assert facts["moved"] and facts["shift"] == pytest.approx([30, 20], abs=0.1)
    assert facts["line_follows"] < 0.003
    written = json.loads(facts["file"])
    assert written["handedness"] == "left" and len(written["keypoints"]) == 21
    assert "the keypoint wrist was deleted" in facts["deleted_point"]
    assert facts["left_over"] == [] and facts["lost"] == [] and not facts["poll"]
    # points that nobody moved are not given back: the engine knows more than they say
    assert facts["as_found"] == [False, "left", False]
    assert facts["moved_points"] == [True, "", False] and facts["other_hand"] == [True, "", False]
    # they stay until the hand is there: after a cancel, and where they were moved meanwhile
    assert facts["after_cancel"] == [True, True] and facts["moved_meanwhile"] and not facts["after_the_hand"]


@pytest.mark.parametrize("version", ["4.5", "5.2"])
def test_images_of_the_file_are_photos_too(blender, tmp_path, photo, version):
    facts = blender("job_jobs.images", version=version, folder=tmp_path, photo=photo)
    assert facts["same_file"] == str(photo)
    assert facts["packed"] == ["Föto.jpg", True]
    assert facts["painted"] == ["painted.png", [64, 32], [0.25, 0.5, 0.75], ""]
    assert facts["images"] == 4
    # linear light of 0.25 and 0.5 as sRGB has it
    assert facts["float"] == pytest.approx([0.537, 0.735, 1.0], abs=0.01)


@pytest.mark.parametrize("version", ["4.5", "5.2"])
def test_the_timer_outlives_whatever_goes_wrong(blender, avatar_folders, tmp_path, version):
    facts = blender("job_jobs.defects", version=version, avatar=avatar_folders["right"][0], folder=tmp_path)
    assert facts["finisher"] == ["failed", "KeyError: 'look'"] and "Traceback" in facts["log"]
    assert facts["title"] == ["photo ?.jpg", "working on ?.jpg"]
    assert facts["unheard"][0] == "failed" and "cannot be heard any more (ValueError: no sense)" in facts["unheard"][1]
    assert facts["next"] == "done"
    assert facts["intervals"] == [0.1, 0.5]
    # a click on a hand that waits adds it, or says why not
    assert "Not added: Object Mode is needed" in facts["not_placed"]
    assert facts["drags"] == [True, True, False, False]
    assert facts["kernels"] == "kernels"
    assert "is not saved" in facts["beside_unsaved"]
    assert facts["beside_saved"] == str(tmp_path / "hands")


def test_switching_off_goes_on_past_a_fault(blender):
    facts = blender("job_jobs.faults_of_registration")
    assert facts["halfway"] == ["registered halfway", [], False]
    assert facts["left_over"] == [] and facts["again"]


def test_preferences_of_the_extension(blender, tmp_path):
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "palm_hands").symlink_to(ROOT)
    facts = blender("job_jobs.add_on_preferences", repository=repository)
    assert facts["enabled"] and facts["package"] == "bl_ext.local.palm_hands"
    assert Path(facts["folder"]).parts[-4:] == (".user", "local", "palm_hands", "engine")
    assert (
        facts["interpreter"]
        == f"the preferences name {repository}, where no Python is: choose a Python or set the engine up"
    )
    assert facts["left_over"] == []


def test_an_extension_that_cannot_be_written_in(blender, tmp_path):
    """Everything it needs to write goes elsewhere: its folder is the same after a job as before."""
    folder = tmp_path / "nur zum lesen" / "palm_hands"
    ignored = shutil.ignore_patterns("__pycache__", "pictures", "samples")
    for name in ("engine", "palm_blender", "assets"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("__init__.py", "blender_manifest.toml"):
        shutil.copy(ROOT / name, folder)
    before = listing(folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    facts = blender("job_jobs.job_of_the_extension", repository=folder.parent)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    assert facts["done"] == ["FINISHED"] and facts["summary"] == "the engine is ready"
    assert facts["findings"] == ["works"] * 7
    assert listing(folder) == before


def listing(folder: Path) -> list[tuple[str, int]]:
    """Every file but compiled code, with its time."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted((str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in files)


@pytest.mark.slow
def test_a_real_photo_becomes_a_hand_in_the_scene(blender, tmp_path, photo):
    place = tmp_path / "Zoë's hände"
    place.mkdir()
    copy = place / "ma main.jpg"
    copy.write_bytes(photo.read_bytes())
    facts = blender("personalize_jobs.personalize_sample", timeout=600, photo=copy, folder=place, method="harp")
    assert (facts["begun"], facts["state"]) == (["FINISHED"], "done"), facts["message"]
    assert facts["objects"] == ["ARMATURE", "MESH"] and facts["after_undo"] == 0
    # the photo was deleted when the engine had read it
    assert facts["beside"] == ["ma main.palmhand", "scène.blend"]
    assert facts["steps"] > 10 and facts["rising"]
    # a tick that adds the hand is not among them: building it is the one step that takes a moment
    assert facts["slowest_ms"] < 50, facts
    assert facts["grown_mb"] < 60, facts
    pictures = facts["elsewhere"]["pictures"]
    assert len(pictures) >= 3 and all(side > 0 and packed for side, packed in pictures)
    assert facts["elsewhere"]["bends_mm"] > 5
