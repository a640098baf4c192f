"""One data set however it is made: workers, parts, Ray, kills and resumption; and one line for what cannot be made."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import poses_within_limits, save_poses
from dataset_runs import (
    COHORT,
    ROOT,
    TINY,
    below_named,
    finish,
    is_alive,
    kill,
    labels_digest,
    last_run,
    leftovers,
    make,
    one_line,
    records,
    refused,
    run,
    start,
    wait_for,
    workers_below,
)
from package_modules import module

from engine.avatar.folder import read_avatar

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are found through /proc")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set as one worker makes it; eight pictures."""
    out = tmp_path_factory.mktemp("reference") / "set"
    said = make(*COHORT, "--out", out)
    assert "device: CPU" in said
    assert "frame 8 of 8" in said
    assert labels_digest(out) in said
    assert len(records(out)) == 8
    return out


def pictures(out: Path) -> list[dict]:
    """Digests of all files by picture."""
    return [entry["files"] for entry in json.loads((out / "manifest.json").read_text())["pictures"]]


def test_two_workers_and_fresh_ones(reference, tmp_path):
    """Not only the labels: on one machine the pictures are the same to the last bit."""
    make(*COHORT, "--out", tmp_path / "set", "--workers", 2, "--renew-after", 2)
    assert labels_digest(tmp_path / "set") == labels_digest(reference)
    assert pictures(tmp_path / "set") == pictures(reference)
    facts = last_run(tmp_path / "set")
    assert (facts["pictures"], facts["started_workers"], facts["lost_workers"]) == (8, 4, 0)
    assert 0 < facts["peak_memory_bytes"] < 2 << 30


def test_parts(reference, tmp_path):
    """Whichever ends last finds all of it whole; before, a part says what is missing."""
    out = tmp_path / "set"
    said = make(*COHORT, "--out", out, "--shard", "2/2")
    assert "4 pictures of other parts are missing" in said
    assert not (out / "manifest.json").exists()
    assert {path.parts[-4] for path in records(out)} == {"0001"}
    assert labels_said(make(*COHORT, "--out", out, "--shard", "1/2")) == labels_digest(reference)
    assert labels_digest(out) == labels_digest(reference)
    manifest = json.loads((out / "manifest.json").read_text())
    assert [facts["shard"] for facts in manifest["run"]["runs"]] == [[2, 2], [1, 2]]


def labels_said(said: str) -> str:
    return said.partition("labels: ")[2].split()[0]


@needs_proc
def test_killed_and_resumed(reference, tmp_path):
    """kill -9 of the controller: its worker ends by itself, nothing half-written is left, and resuming completes the set,
    mending what was damaged meanwhile."""
    out = tmp_path / "set"
    process = start(*COHORT, "--out", out)
    wait_for(lambda: len(records(out)) >= 2, "picture")
    (worker,) = workers_below(process.pid)
    kill(process.pid)
    finish(process)
    wait_for(lambda: not is_alive(worker), "end of the worker", 20)
    assert leftovers(out) == []
    done = records(out)
    assert 2 <= len(done) < 8
    spoilt = out / "folders/0000/depth" / done[0].parent.name / f"{done[0].stem}.png"
    spoilt.write_bytes(spoilt.read_bytes()[:-20])
    assert "add --resume" in refused(*COHORT, "--out", out)
    said = make(*COHORT, "--out", out, "--resume")
    assert last_run(out)["pictures"] == 8 - len(done) + 1
    assert "frame 8 of 8" in said
    assert pictures(out) == pictures(reference)
    assert "frame" not in make(*COHORT, "--out", out, "--resume")


@needs_proc
def test_killed_worker(reference, tmp_path):
    out = tmp_path / "set"
    process = start(*COHORT, "--out", out)
    wait_for(lambda: records(out), "picture")
    kill(workers_below(process.pid)[0])
    status, said, _ = finish(process)
    assert status == 0, said
    assert "a worker was lost (ended by signal 9" in said
    assert last_run(out)["lost_workers"] == 1
    assert labels_digest(out) == labels_digest(reference)
    assert leftovers(out) == []


@needs_proc
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal(tmp_path, number, expected):
    out = tmp_path / "set"
    process = start(*COHORT, "--out", out)
    wait_for(lambda: records(out), "picture")
    (worker,) = workers_below(process.pid)
    process.send_signal(number)
    status, _, err = finish(process, 30)
    assert status == expected
    assert err.strip().splitlines() == ["stopped; what is written is whole: --resume goes on"]
    assert not is_alive(worker)
    assert leftovers(out) == []


@needs_proc
def test_cancelled_by_the_add_on(tmp_path):
    """As its panel cancels it: the run ends in order with its own last words, and a signal given twice is one."""
    processes = module("palm_blender.engine_process")
    out = tmp_path / "set"
    words = map(str, (*COHORT, "--out", out, "--progress", "json", "--parent-pipe"))
    process = processes.EngineProcess([sys.executable, str(ROOT / "build.py"), *words], tmp_path)
    wait_for(lambda: records(out) or process.news().ended, "picture")
    (worker,) = workers_below(process.pid)
    process.cancel()
    os.kill(process.pid, signal.SIGTERM)
    ended = process.wait(60)
    assert (ended.state, ended.message) == ("cancelled", "stopped; what is written is whole: --resume goes on")
    assert not is_alive(worker)
    assert leftovers(out) == []


def test_folder_that_another_run_took(tmp_path):
    """Two runs that begin in one folder at once: the first one's pictures would be counted as the second one's."""
    controller, processes, recipes = (
        module(f"palm_blender.synthesis.{name}") for name in ("controller", "worker_process", "recipe")
    )
    out = tmp_path / "set"
    recipe = recipes.Recipe("cohort", 0, 1, 1, 1, 32, 32, 1, texture=64)
    controller.prepare_folder(out, recipe, False, (1, 1))
    worker = processes.WorkerProcess(tmp_path / "worker", 120.0)
    try:
        list(worker.ask({"do": "open", "out": str(out), "device": "cpu", "threads": 1}))
        controller.prepare_folder(out, replace(recipe, seed=1), False, (1, 1))
        with pytest.raises(module("engine.errors").InputError, match="begun anew with another recipe"):
            list(worker.ask({"do": "photograph", "unit": 0, "shots": []}))
    finally:
        worker.close()
    assert not (out / "folders").exists()


@needs_proc
def test_killed_ray_worker(reference, tmp_path):
    pytest.importorskip("ray", reason="RAY IS NOT INSTALLED: nothing was checked")
    out = tmp_path / "set"
    process = start(*COHORT, "--out", out, "--ray", "local", "--workers", 2)
    wait_for(lambda: records(out), "picture")
    kill(below_named(process.pid, "ray::Photographer")[0])
    status, said, err = finish(process)
    assert status == 0, said + err
    assert "a worker was lost (Ray: " in said
    assert labels_digest(out) == labels_digest(reference)
    assert leftovers(out) == []


def test_environment_that_is_cut_off(tmp_path):
    import bpy

    source = Path(bpy.utils.system_resource("DATAFILES", path="studiolights/world")) / "forest.exr"
    broken = tmp_path / "broken.exr"
    broken.write_bytes(source.read_bytes()[:-5000])
    line = refused(*COHORT, "--out", tmp_path / "set", "--env", broken)
    assert str(broken) in line
    assert "damaged" in line or "cannot be" in line
    assert records(tmp_path / "set") == leftovers(tmp_path / "set") == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB; (re)mounted as asked."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(place)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("NO RIGHT TO MOUNT A SMALL DISK: nothing was checked")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk_and_read_only_folder(small_disk):
    out = small_disk / "set"
    many = [str(value) for value in COHORT]
    many[many.index("--size") + 1] = "128x128"
    line = one_line(run(*many, "--out", out))
    assert "No space left" in line
    assert str(out) in line
    assert leftovers(out) == []
    for path in records(out):
        assert json.loads(path.read_text())["files"]
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    line = refused(*COHORT, "--out", small_disk / "other")
    assert "cannot make" in line
    assert "Read-only" in line
    line = refused(*many, "--out", out, "--resume")
    assert "Read-only" in line


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_the_right_to_write(tmp_path):
    tmp_path.chmod(0o555)
    assert "cannot make" in refused(*COHORT, "--out", tmp_path / "set")


def test_relit_sequence_with_its_truth(tmp_path):
    """Also what a resumed run mends where pictures are whole: the avatar and the folder's files."""
    out = tmp_path / "set"
    words = (
        "harp-relit",
        "--sequences",
        1,
        "--frames",
        2,
        "--train-env",
        "studio",
        "--eval-env",
        "sunset",
        "--avatars",
    )
    make(*words, "--out", out, *TINY)
    assert sorted(path.name for path in (out / "environments").iterdir()) == ["studio.exr", "sunset.exr"]
    assert sorted(str(path.relative_to(out)) for path in records(out)) == [
        "relit_00/folders/_train/labels/MCU_02/0001.json",
        "relit_00/folders/_val/labels/MCU_02/0001.json",
    ]
    avatar = out / "avatars/relit_00.palmhand"
    betas = read_avatar(avatar).betas
    (avatar / "mesh.npz").write_bytes(b"cut off")
    unfinished = out / "avatars/.relit_00-x1y2z3"
    shutil.copytree(avatar, unfinished)
    (out / "relit_00/folders/_val/cameras.npy").unlink()
    assert "frame" not in make(*words, "--out", out, *TINY, "--resume")
    assert (read_avatar(avatar).betas == betas).all()
    assert not unfinished.exists()
    assert (out / "relit_00/folders/_val/cameras.npy").is_file()


def test_video(avatar_folders, tmp_path):
    """The video's frames are the pictures."""
    avatar, model = avatar_folders["right"]
    poses = save_poses(tmp_path / "wave.npz", poses_within_limits(model, 5, seed=2))
    common = ("animate", avatar, "--poses", poses, "--env", "studio", "--camera", "fitted", *TINY, "--size", "64x48")
    make(*common, "--background", "environment", "--fps", 24, "--out", tmp_path / "hand.mp4")
    film = cv2.VideoCapture(str(tmp_path / "hand.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(24)
    shown = [frame for ok, frame in iter(film.read, (False, None)) if ok]
    paths = sorted((tmp_path / "hand_frames").glob("folders/*/images/*/*.png"))
    assert len(shown) == len(paths) == 5
    for frame, path in zip(shown, paths, strict=True):
        assert np.abs(frame.astype(int) - cv2.imread(str(path)).astype(int)).mean() < 4
    assert "--force" in refused(*common, "--out", tmp_path / "hand.mp4")
    assert "transparency" in refused(*common, "--background", "transparent", "--out", tmp_path / "b.mp4")


def test_help_is_instant():
    code = "import sys; sys.argv = ['build.py', 'cohort', '--help']; import build, contextlib\n"
    code += "with contextlib.suppress(SystemExit): build.main()\nassert 'bpy' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--shard I/N" in done.stdout
