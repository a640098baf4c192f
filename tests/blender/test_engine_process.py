"""Processes beside Blender, real ones: what they say, how they fail, that they end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

import build

build.load_package()
from palm_hands.palm_blender import engine_process  # noqa: E402
from palm_hands.palm_blender.engine_process import (  # noqa: E402
    Ended,
    EngineProcess,
    engine_command,
    engine_environment,
)
from palm_hands.palm_blender.job_queue import (  # noqa: E402
    CANCELLED,
    DONE,
    FAILED,
    MOST_ENDED,
    RUNNING,
    SCRATCH,
    WAITING,
    Job,
    JobQueue,
    free_name,
    scratch_beside,
)

FAKE = Path(__file__).with_name("fake_engine.py")


def fake(*arguments: object) -> list[str]:
    return [sys.executable, str(FAKE), *map(str, arguments)]


def run(folder: Path, *arguments: object, hang_s: float = 60) -> tuple[Ended, EngineProcess]:
    process = EngineProcess(fake(*arguments), folder, hang_s=hang_s)
    return process.wait(30), process


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)


def test_progress_and_result(tmp_path: Path) -> None:
    process = EngineProcess(fake("work", 20), tmp_path)
    heard = []
    while True:
        news = process.news()
        if news.fraction is not None:
            heard.append((news.fraction, news.message))
        if news.ended:
            break
        time.sleep(0.005)
    assert (len(heard) > 5 and heard == sorted(heard, key=lambda item: item[0])) or heard[0][1] == "doing work"
    assert news.ended == Ended("done", "", {"avatar": "somewhere"})
    assert process.news().ended == news.ended


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("refuse", "photo x.jpg does not exist: check the path"),
        ("crash", "the engine ended with status 1: RuntimeError: it broke"),
        ("empty", "the engine ended without a result: see the log"),
        ("die", "the engine was ended by the system (signal 9; perhaps the memory ran out): see the log"),
    ],
)
def test_failures_say_why_in_one_line(tmp_path: Path, what: str, said: str) -> None:
    ended, _ = run(tmp_path, what)
    assert (ended.state, ended.message) == ("failed", said)


def test_a_missing_engine(tmp_path: Path) -> None:
    process = EngineProcess([str(tmp_path / "no python")], tmp_path)
    ended = process.news().ended
    assert ended.state == "failed" and "no python" in ended.message and "preferences" in ended.message
    process.cancel(), process.kill()


def test_garbage_is_noted_and_survived(tmp_path: Path) -> None:
    ended, process = run(tmp_path, "garbage")
    assert ended == Ended("done", "", {"avatar": "despite all"})
    log = process.log.read_bytes()
    assert b"not understood" in log and len(log) < 10_000


def script(text: str) -> list[str]:
    """A program that speaks the engine's protocol as it likes."""
    return [sys.executable, "-c", f"import json, signal, sys, time\n{text}"]


def test_a_line_that_no_number_holds_leaves_the_rest_heard(tmp_path: Path) -> None:
    huge = '{"event": "progress", "fraction": 1' + 400 * "0" + "}"
    half = '{"event": "error", "message": "no \\\\udcff.jpg"}'
    ended = EngineProcess(script(f"print('{huge}'); print('{half}'); sys.exit(2)"), tmp_path).wait(20)
    assert ended == Ended("failed", "no ?.jpg")


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_cancelled_process_has_the_last_word_and_is_asked_once(tmp_path: Path) -> None:
    """Asked twice, a run that winds up takes it for a person's impatience."""
    text = """
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
sys.path.insert(0, ROOT)
from engine.parent import end_with_parent
end_with_parent()
print('{"event": "progress", "fraction": 0, "message": "up"}', flush=True)
while not asked:
    time.sleep(0.02)
time.sleep(1.5)
print(json.dumps({"event": "cancelled", "message": f"asked {len(asked)} times; 3 pictures are kept"}), flush=True)
sys.exit(130)
"""
    process = EngineProcess(script(text.replace("ROOT", repr(str(ROOT)))), tmp_path)
    wait_for(lambda: process.news().message == "up")
    process.cancel()
    assert process.wait(15) == Ended("cancelled", "asked 1 times; 3 pictures are kept")


def test_a_hung_engine_is_ended(tmp_path: Path) -> None:
    ended, process = run(tmp_path, "hang", hang_s=0.7)
    assert ended.state == "failed" and "said nothing for 1 s" in ended.message
    wait_for(lambda: not is_running(process.pid))


def test_cancel_ends_what_listens_and_what_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_process, "GRACE_S", 0.5)
    for what in ("hang", "deaf"):
        process = EngineProcess(fake(what), tmp_path)
        wait_for(lambda process=process, what=what: process.news().message == f"doing {what}" or what == "deaf")
        time.sleep(0.3)
        process.cancel()
        assert process.wait(10).state == "cancelled"
        assert not is_running(process.pid)


@pytest.mark.skipif(os.name != "posix", reason="groups of processes are POSIX's")
def test_children_that_hold_the_output_end_with_it(tmp_path: Path) -> None:
    started = time.monotonic()
    ended, _ = run(tmp_path, "children")
    assert ended.state == "done" and time.monotonic() - started < 10
    wait_for(lambda: not is_running(ended.result["child"]))


def test_the_user_s_python_settings_do_not_reach_it(tmp_path: Path) -> None:
    given = {**os.environ, "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere", "VIRTUAL_ENV": "/nowhere", "KEPT": "é"}
    process = EngineProcess(fake("environment"), tmp_path, engine_environment(given=given))
    result = process.wait(20).result
    assert result["environment"]["PYTHONPATH"] == str(ROOT) and result["environment"]["KEPT"] == "é"
    assert not {"PYTHONHOME", "VIRTUAL_ENV"} & set(result["environment"])
    assert str(ROOT) in result["path"] and "/nowhere" not in result["path"]


def test_the_engine_itself_in_a_folder_with_spaces_and_letters(tmp_path: Path) -> None:
    """The real engine, found by PYTHONPATH alone from a strange place, refuses in its own words."""
    folder = tmp_path / "Bilder von Zoë 手"
    folder.mkdir()
    command = engine_command(sys.executable, ["look", folder / "kein Bild ä.jpg", "-o", folder / "a.palmlook"])
    ended = EngineProcess(command, folder).wait(60)
    assert ended.state == "failed" and "kein Bild ä.jpg does not exist" in ended.message


def test_jobs_run_one_after_another(tmp_path: Path) -> None:
    queue = JobQueue()
    jobs = [queue.add(Job("test", what, fake(*what.split()), folder_in(tmp_path))) for what in ("work 9", "refuse")]
    jobs.append(queue.add(Job("test", "later", fake("work", 3), folder_in(tmp_path))))
    assert [job.state for job in jobs] == [RUNNING, WAITING, WAITING]
    queue.cancel(jobs[2].number)
    ended = []
    wait_for(lambda: ended.extend(queue.tick()) or not queue.is_busy)
    assert [job.state for job in jobs] == [DONE, FAILED, CANCELLED]
    assert ended == jobs[:2] and jobs[0].ended <= jobs[1].started
    queue.remove(jobs[1].number)
    assert not jobs[1].folder.exists() and queue.find(jobs[1].number) is None
    queue.close()
    assert not jobs[0].folder.exists()


def test_closing_the_queue_ends_everything_and_clears_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palm_hands.palm_blender.job_queue.CLOSE_S", 0.3)
    queue = JobQueue()
    output = tmp_path / "Zoë.palmhand"
    scratch = scratch_beside(output)
    job = queue.add(Job("test", "deaf", fake("deaf"), folder_in(tmp_path), output=output, scratch=scratch))
    # as a killed engine leaves it, beside what is the user's or another Blender's
    (scratch / ".Zoë-abcd_123").mkdir()
    for name in (".Zoë-abcd_123", f"{SCRATCH}abcd_123"):
        (tmp_path / name).mkdir()
    wait_for(lambda: (queue.tick(), job.message)[1] == "deaf")
    queue.close()
    assert job.state == CANCELLED and not is_running(job.process.pid)
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".Zoë-abcd_123", f"{SCRATCH}abcd_123"]


def test_a_result_takes_a_name_that_is_free_when_it_is_done(tmp_path: Path) -> None:
    """Another Blender was quicker: neither hand is lost."""
    queue, output = JobQueue(), tmp_path / "hand.palmhand"
    scratch = scratch_beside(output)
    text = f'import pathlib; pathlib.Path({str(scratch / output.name)!r}).mkdir(); print(\'{{"event": "result"}}\')'
    job = queue.add(Job("test", "x", script(text), folder_in(tmp_path), output=output, scratch=scratch))
    output.mkdir()
    wait_for(queue.tick)
    assert (job.state, job.output.name) == (DONE, "hand-2.palmhand") and job.output.is_dir()
    assert not scratch.exists() and output.is_dir()
    empty = queue.add(
        Job("test", "x", fake("work", 1), folder_in(tmp_path), output=output, scratch=scratch_beside(output))
    )
    wait_for(queue.tick)
    assert empty.state == FAILED and "cannot write" in empty.message


def test_scratch_that_a_killed_blender_left_goes_when_it_is_empty_and_old(tmp_path: Path) -> None:
    for name in ("empty", "full", "young"):
        (tmp_path / f"{SCRATCH}{name}").mkdir()
    (tmp_path / f"{SCRATCH}full" / "x").mkdir()
    for name in ("empty", "full"):
        os.utime(tmp_path / f"{SCRATCH}{name}", (0, 0))
    made = scratch_beside(tmp_path / "hand.palmhand")
    assert {path.name for path in tmp_path.iterdir()} == {made.name, f"{SCRATCH}full", f"{SCRATCH}young"}


def test_results_that_wait_are_not_pushed_off_the_list(tmp_path: Path) -> None:
    queue = JobQueue()
    first = queue.add(Job("test", "x", [str(tmp_path / "none")], folder_in(tmp_path)))
    queue.tick()
    first.keeps = True
    for number in range(MOST_ENDED + 2):
        folder = tmp_path / f"later{number}"
        folder.mkdir()
        queue.add(Job("test", "x", [str(tmp_path / "none")], folder))
        queue.tick()
    assert first in queue.jobs and first.folder.exists() and len(queue.jobs) == MOST_ENDED + 1


def test_time_left_follows_progress() -> None:
    job = Job("test", "x", [], Path())
    job.started, job.fraction = time.monotonic() - 10, 0.25
    job.estimate()
    assert job.left_s == pytest.approx(30, abs=0.5)


def test_names_are_free_and_harmless(tmp_path: Path) -> None:
    (tmp_path / "hand.palmhand").mkdir()
    second = free_name(tmp_path, "hand", ".palmhand")
    assert second.name == "hand-2.palmhand"
    assert free_name(tmp_path, "hand", ".palmhand", [second]).name == "hand-3.palmhand"
    assert free_name(tmp_path, "../a:b ", ".palmhand").name == "_a_b.palmhand"
    assert free_name(tmp_path, "...", ".palmhand").name == "hand.palmhand".replace("hand.", "hand-2.")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_blender_leaves_no_engine(tmp_path: Path) -> None:
    """The program that holds the queue is killed outright while the real engine works."""
    code = f"""
import sys, time, pathlib
sys.path.insert(0, {str(ROOT)!r})
import build
build.load_package()
from palm_hands.palm_blender.engine_process import EngineProcess, engine_command
command = engine_command(sys.executable, ["check"])
process = EngineProcess(command, pathlib.Path({str(tmp_path)!r}))
while process.news().fraction is None:
    time.sleep(0.01)
print(process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    engine = int(parent.stdout.readline())
    assert is_running(engine)
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_running(engine), 30)


def folder_in(place: Path) -> Path:
    folder = place / f"job{len(list(place.glob('job*')))}"
    folder.mkdir()
    return folder
