"""The real engine under what may befall it: each ends in one clear line, and leaves nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import build

build.load_package()
from palm_hands.engine.install import (  # noqa: E402
    MODELS,
    STAMP,
    _without_stamp,
    build_in_words,
    bundle_models,
    parts,
    torch_build,
    torch_ways,
)
from palm_hands.palm_blender import engine_setup  # noqa: E402
from palm_hands.palm_blender.engine_process import (  # noqa: E402
    Ended,
    EngineProcess,
    engine_command,
    engine_environment,
)
from palm_hands.palm_blender.job_queue import Job, JobQueue, scratch_beside  # noqa: E402

SAMPLE = ROOT.parent / "shared" / "samples" / "two_hands_dorsal.jpg"
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and limits as POSIX has them")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    if not SAMPLE.is_file():
        pytest.skip("THE SAMPLE PHOTO IS NOT THERE (../shared/samples): nothing was checked")
    return Path(shutil.copy(SAMPLE, tmp_path / "ma main ä.jpg"))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def until(process: EngineProcess, fraction: float) -> None:
    end = time.monotonic() + 90
    while True:
        news = process.news()
        assert news.ended is None and time.monotonic() < end, news.ended
        if news.fraction is not None and news.fraction >= fraction:
            return
        time.sleep(0.01)


def personalize(photo: Path, *options: object) -> list[str]:
    output = photo.with_suffix(".palmhand")
    return engine_command(
        sys.executable, ["personalize", photo, "-o", output, "--method", "harp", "--quality", "draft", *options]
    )


@posix_only
def test_killed_in_the_middle(photo: Path, scratch: Path) -> None:
    output = photo.with_suffix(".palmhand")
    own, queue = scratch_beside(output), JobQueue()
    command = [str(own / output.name) if word == str(output) else word for word in personalize(photo)]
    job = queue.add(Job("test", "x", command, scratch, output=output, scratch=own))
    until(job.process, 0.03)
    os.kill(job.process.pid, signal.SIGKILL)
    while not queue.tick():
        time.sleep(0.02)
    assert job.state == "failed" and "ended by the system (signal 9" in job.message
    assert sorted(path.name for path in photo.parent.iterdir()) == [photo.name, "scratch"]


def test_cancelled_in_the_middle(photo: Path, scratch: Path) -> None:
    process = EngineProcess(personalize(photo), scratch)
    until(process, 0.03)
    started = time.monotonic()
    process.cancel()
    assert process.wait(15) == Ended("cancelled", "cancelled; nothing was written")
    assert time.monotonic() - started < 10
    assert sorted(path.name for path in photo.parent.iterdir()) == [photo.name, "scratch"]


def test_photo_deleted_before_it_is_read(photo: Path, scratch: Path) -> None:
    process = EngineProcess(personalize(photo), scratch)
    photo.unlink()
    ended = process.wait(60)
    assert ended.state == "failed" and f"{photo.name} does not exist" in ended.message


@posix_only
def test_no_room_on_the_disk(photo: Path, scratch: Path) -> None:
    """Files may grow to 32 KB only, which the log stays under and the pictures do not."""
    command = engine_command(sys.executable, ["look", photo, "-o", photo.with_suffix(".palmlook")])
    limited = ["/bin/sh", "-c", 'ulimit -f 64 && exec "$@"', "sh", *command]
    ended = EngineProcess(limited, scratch, {**engine_environment(), "WARP_CACHE_PATH": ""}).wait(90)
    assert ended.state == "failed" and "cannot write" in ended.message and len(ended.message.splitlines()) == 1
    assert sorted(path.name for path in photo.parent.iterdir()) == [photo.name, "scratch"]


def test_a_corrupt_prior(photo: Path, scratch: Path) -> None:
    prior = scratch / "broken.palmprior"
    prior.mkdir()
    for path in (ROOT / "assets" / "prior" / "open.palmprior").iterdir():
        (prior / path.name).write_bytes(path.read_bytes()[:100])
    command = personalize(photo, "--prior", prior)
    command[command.index("harp")] = "palm"
    ended = EngineProcess(command, scratch).wait(60)
    assert ended.state == "failed" and "broken.palmprior" in ended.message


def test_where_the_engine_s_python_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(engine_setup.VARIABLE, raising=False)
    environment = tmp_path / "my env"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").write_text("")
    assert engine_setup.find_interpreter(str(environment), None) == environment / "bin" / "python"
    assert engine_setup.find_interpreter(sys.executable, None) == Path(sys.executable)
    with pytest.raises(Exception, match="not set up"):
        engine_setup.find_interpreter("", tmp_path)
    with pytest.raises(Exception, match="where no Python is"):
        engine_setup.find_interpreter(str(tmp_path / "nothing"), tmp_path)
    monkeypatch.setenv(engine_setup.VARIABLE, sys.executable)
    assert engine_setup.find_interpreter(str(environment), None) == Path(sys.executable)


def test_the_set_up_is_removed_as_a_whole_and_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    (folder / "env" / "bin").mkdir(parents=True)
    assert engine_setup.is_begun(folder) and engine_setup.installed(folder) is None
    (tmp_path / "mine").mkdir()
    with pytest.raises(Exception, match="holds no engine"):
        engine_setup.remove(tmp_path / "mine")
    engine_setup.remove(folder).join()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_set_up_that_cannot_be_moved_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_use(*_: object) -> None:
        raise PermissionError(13, "in use")

    (tmp_path / "engine" / "env").mkdir(parents=True)
    monkeypatch.setattr(engine_setup.os, "replace", in_use)
    with pytest.raises(Exception, match="close what uses it"):
        engine_setup.remove(tmp_path / "engine")
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_a_set_up_whose_python_went_with_an_update_is_not_one(tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    (tmp_path / STAMP).write_text('{"torch": "cpu", "size_mb": "many"}')
    python.symlink_to(sys.executable)
    assert engine_setup.is_usable(tmp_path)
    python.unlink()
    python.symlink_to(tmp_path / "gone")
    assert not engine_setup.is_usable(tmp_path)
    assert engine_setup.in_words(engine_setup.installed(tmp_path)) == "CPU build"
    assert engine_setup.in_words({"torch": "cuda", "size_mb": 4900}) == "CUDA build, 4.9 GB"


def test_a_set_up_stays_one_until_a_package_changes(tmp_path: Path) -> None:
    """Set up again and cancelled at once: what worked works still. Cancelled in the middle of a change, it does not."""
    place = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    (place / "torch-2.13.0+cpu.dist-info").mkdir(parents=True)
    (tmp_path / STAMP).write_text('{"torch": "cpu"}')
    with pytest.raises(KeyboardInterrupt), _without_stamp(tmp_path):
        assert not (tmp_path / STAMP).exists()
        raise KeyboardInterrupt
    assert engine_setup.installed(tmp_path) == {"torch": "cpu"}
    with pytest.raises(KeyboardInterrupt), _without_stamp(tmp_path):
        (place / "torch-2.13.0+cpu.dist-info").rename(place / "~orch-2.13.0+cpu.dist-info")
        raise KeyboardInterrupt
    assert engine_setup.installed(tmp_path) is None


def test_the_build_is_that_which_is_installed(tmp_path: Path) -> None:
    import torch

    assert torch_build(Path(sys.executable)) == ("cuda" if torch.version.cuda else "cpu")
    assert torch_build(tmp_path / "none") == ""
    assert build_in_words("cuda", "cpu") == "cpu" and build_in_words("cpu", "cuda") == "cuda, on the CPU"


@pytest.mark.parametrize("options", [["--folder", "/proc/none/engine"]])
def test_a_set_up_that_cannot_write(tmp_path: Path, options: list[str]) -> None:
    command = [sys.executable, "-s", "-m", "engine.install", *options, "--parent-pipe"]
    ended = EngineProcess(command, tmp_path).wait(30)
    assert ended.state == "failed" and "cannot write in /proc/none/engine" in ended.message


def test_a_set_up_without_a_connection(tmp_path: Path) -> None:
    """No index at all: the environment is made, torch is refused in one line, and the next set-up goes on from there."""
    folder = tmp_path / "engine ü"
    given = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    nothing = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    command = engine_setup.install_command(sys.executable, folder, "cpu")
    process = EngineProcess(command, tmp_path, {**engine_environment(given=given), **nothing})
    ended = process.wait(120)
    assert ended.state == "failed" and ended.message.startswith("torch cannot be installed"), ended
    assert engine_setup.is_begun(folder) and engine_setup.installed(folder) is None
    assert b"torch" in process.log.read_bytes()
    engine_setup.remove(folder).join()


def test_packages_are_those_that_the_tests_run_with() -> None:
    pinned = {line.strip() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    wanted = {requirement for part in parts((3, 11), "cpu") for requirement in part.requirements}
    assert wanted <= pinned
    # NumPy 1 and the old MediaPipe have no wheels for Python 3.13
    newer = {requirement for part in parts((3, 13), "cpu") for requirement in part.requirements}
    assert {item.partition("==")[0] for item in newer - wanted} == {"mediapipe", "numpy>=2.1,<3"}
    assert torch_ways("win32", "cpu") == torch_ways("darwin", "cpu") == [(f"torch=={'2.13.0'}",)]
    assert "+cpu" in torch_ways("linux", "cpu")[0][0]


def test_models_are_bundled_only_from_what_is_expected(tmp_path: Path) -> None:
    import zipfile

    import mediapipe

    package = Path(mediapipe.__file__).parents[1]
    for name, changed in (("sound.whl", b""), ("changed.whl", b"x")):
        with zipfile.ZipFile(tmp_path / name, "w") as wheel:
            for inside, _ in MODELS.values():
                wheel.writestr(inside, (package / inside).read_bytes() + changed)
    with zipfile.ZipFile(tmp_path / "sound.whl") as wheel:
        bundle_models(wheel, tmp_path / "hand_landmarker.task")
    with zipfile.ZipFile(tmp_path / "hand_landmarker.task") as bundle:
        assert {item.filename for item in bundle.infolist()} == set(MODELS)
        assert {item.compress_type for item in bundle.infolist()} == {zipfile.ZIP_STORED}
    with zipfile.ZipFile(tmp_path / "changed.whl") as wheel, pytest.raises(Exception, match="not the expected model"):
        bundle_models(wheel, tmp_path / "other.task")


def test_a_flat_picture_has_no_hand(tmp_path: Path, scratch: Path) -> None:
    Image.fromarray(np.full((200, 300, 3), 90, np.uint8)).save(tmp_path / "wall.png")
    ended = EngineProcess(personalize(tmp_path / "wall.png"), scratch).wait(60)
    assert ended.state == "failed" and "no hand found" in ended.message
