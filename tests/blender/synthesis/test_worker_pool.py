"""The parts of a run: who does what next, lost workers, the progress line, the folder, the command line's words."""

from __future__ import annotations

import argparse
import io
import os
import queue
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from package_modules import module

board_module = module("palm_blender.synthesis.task_board")
pool = module("palm_blender.synthesis.pool")
processes = module("palm_blender.synthesis.worker_process")
progress = module("palm_blender.synthesis.progress_line")
controller = module("palm_blender.synthesis.controller")
commands = module("palm_blender.synthesis.dataset_commands")
environments = module("palm_blender.synthesis.environments")
recipes = module("palm_blender.synthesis.recipe")
ray_pool = module("palm_blender.synthesis.ray_pool")
errors = module("engine.errors")
ShotId = module("palm_blender.synthesis.shots").ShotId


def shots(unit: int, count: int) -> list:
    return [ShotId(f"folders/{unit:04d}", frame, "MCU_01") for frame in range(count)]


def tasks(*counts: int, size: int = 2) -> list:
    return [task for unit, count in enumerate(counts) for task in board_module.tasks_of(unit, shots(unit, count), size)]


def test_tasks_hold_every_shot_once():
    made = board_module.tasks_of(3, shots(3, 5), 2)
    assert [len(task.shots) for task in made] == [2, 2, 1]
    assert [shot for task in made for shot in task.shots] == shots(3, 5)
    assert [len(task.shots) for task in board_module.tasks_of(3, [], 2)] == [0]


def test_a_worker_stays_with_its_hand():
    board = board_module.TaskBoard(tasks(4, 4, 2))
    first, second = board.take(None), board.take(None)
    assert (first.unit, second.unit) == (0, 1)
    assert board.take(0).unit == 0
    assert board.take(0).unit == 2
    # only units that others work at are left
    assert board.take(2).unit == 1


def test_board_waits_for_what_may_come_back():
    board = board_module.TaskBoard(tasks(2))
    task = board.take(None)
    assert not board.done
    board.give_back(task._replace(shots=task.shots[1:]))
    again = board.take(None)
    assert again.shots == task.shots[1:]
    board.finish(again)
    assert board.done
    assert board.take(None) is None


def slot_of(scratch: Path, program: str):
    """A slot whose workers are a program of the test's."""
    return pool.LocalSlot({}, scratch / "slot", 200, 20.0, [sys.executable, "-c", program])


ANSWER = """
import sys, json
for line in sys.stdin:
    request = json.loads(line)
    for shot in request.get("shots", [])[:{good}]:
        print("@palm " + json.dumps({{"event": "shot", "shot": shot, "take": 0, "write": 0}}), flush=True)
    if request["do"] == "photograph":
        print("chatter", flush=True)
        sys.exit("out of luck")
    print("@palm " + json.dumps({{"event": "ready"}}), flush=True)
    print("@palm " + json.dumps({{"event": "done"}}), flush=True)
"""


def test_a_picture_that_kills_every_worker_ends_the_run(tmp_path):
    """In one line, which says where and repeats the worker's last words."""
    slot = slot_of(tmp_path, ANSWER.format(good=0))
    happened = list_until_failure(pool.work([slot], tasks(2), queue.SimpleQueue()))
    assert [event.kind for event in happened] == ["ready", "lost", "ready", "lost", "ready", "failed"]
    message = str(happened[-1].facts["error"])
    assert "3 workers were lost at folders/0000, frame 1, MCU_01" in message
    assert "ended with status 1; its last words: out of luck" in message


def test_workers_that_die_after_each_picture_still_end_it(tmp_path):
    slot = slot_of(tmp_path, ANSWER.format(good=1))
    happened = []
    for event in pool.work([slot], tasks(5, size=8), queue.SimpleQueue()):
        happened.append(event)
        if sum(event.kind == "shot" for event in happened) == 5 and event.kind == "failed":
            break
    taken = [event.facts["shot"][1] for event in happened if event.kind == "shot"]
    assert taken == [0, 1, 2, 3, 4]


def list_until_failure(events) -> list:
    happened = []
    for event in events:
        happened.append(event)
        if event.kind == "failed":
            break
    events.close()
    return happened


def test_blender_that_cannot_start(tmp_path):
    slot = slot_of(tmp_path, "raise SystemExit('no such library')")
    (event,) = list_until_failure(pool.work([slot], tasks(2), queue.SimpleQueue()))
    assert "Blender cannot be started as a worker" in str(event.facts["error"])
    assert "no such library" in str(event.facts["error"])


@pytest.mark.skipif(os.name != "posix", reason="stops the process by a signal")
def test_worker_that_hangs_is_lost(tmp_path):
    """A real one, stopped."""
    recipe = recipes.Recipe("cohort", 0, 1, 1, 1, 32, 32, 1, texture=64)
    controller.prepare_folder(tmp_path / "set", recipe, False, (1, 1))
    worker = processes.WorkerProcess(tmp_path / "worker", 120.0)
    try:
        opening = {"do": "open", "out": str(tmp_path / "set"), "device": "cpu", "threads": 1}
        (facts,) = worker.ask(opening)
        assert facts["blender"].startswith("4.5")
        os.kill(facts["pid"], signal.SIGSTOP)
        worker.timeout_s = 0.5
        with pytest.raises(processes.WorkerLost, match=r"silent for 0\.5 s"):
            list(worker.ask(opening))
        with pytest.raises(ProcessLookupError):
            os.kill(facts["pid"], 0)
    finally:
        worker.close()


def test_worker_whose_controller_dies_in_mid_request_ends(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [*processes.worker_command(), str(scratch)]
    done = subprocess.run(command, input=b'{"do": "open", "ou', timeout=60, capture_output=True, check=False)
    assert done.returncode == 0
    assert not scratch.exists()


def test_progress_text():
    assert progress.progress_text(120, 1841, 0.94) == "frame 120 of 1841 · 0.9 s a frame · 27 min left"
    assert progress.progress_text(3, 3, 0.04) == "frame 3 of 3 · 0.04 s a frame"
    assert [progress.duration(s) for s in (0.2, 99, 101, 3600, 7200, 500_000)] == [
        "1 s", "99 s", "2 min", "60 min", "2.0 h", "5.8 days",
    ]  # fmt: skip


def test_progress_in_a_log_is_sparse():
    stream = io.StringIO()
    line = progress.ProgressLine(stream, 100)
    for _ in range(100):
        line.advance()
    first, last = stream.getvalue().splitlines()
    assert first.startswith("frame 1 of 100 · ")
    assert last.startswith("frame 100 of 100 · ")
    assert "left" not in last


def test_progress_begins_before_the_first_picture(tmp_path):
    """Which may take minutes; and once, however many different machines take part."""
    stream, record = io.StringIO(), controller.RunRecord((1, 1))
    line = progress.ProgressLine(stream, 8, done=2)
    for kind, facts in (("ready", {"device": "CPU"}), ("shot", {"take": 1, "write": 1}), ("ready", {"device": "GPU"})):
        controller._follow(pool.Event(kind, 0, facts), record, line, lambda label, value: None, tmp_path)
    first, second = stream.getvalue().splitlines()
    assert first == "frame 2 of 8"
    assert second.startswith("frame 3 of 8 · ")
    progress.ProgressLine(stream, 8, done=8).begin()
    assert len(stream.getvalue().splitlines()) == 2


def prepared(out: Path, resume: bool = False, shard: tuple[int, int] = (1, 1), **changes: object) -> None:
    recipe = replace(recipes.Recipe("cohort", 0, 1, 1, 1, 64, 64, 1), **changes)
    controller.prepare_folder(out, recipe, resume, shard)


def test_folders_that_are_taken(tmp_path):
    prepared(tmp_path / "a/set")
    prepared(tmp_path / "a/set", seed=1)  # nothing was rendered yet
    (tmp_path / "a/set/folders").mkdir()
    prepared(tmp_path / "a/set", resume=True, seed=1)
    prepared(tmp_path / "a/set", shard=(2, 3), seed=1)
    with pytest.raises(errors.OutputError, match="add --resume"):
        prepared(tmp_path / "a/set", seed=1)
    other = r"another data set \(seed 1, not 2\): choose another --out"
    with pytest.raises(errors.OutputError, match=f"{other}, or delete this one, which has no picture yet$"):
        prepared(tmp_path / "a/set", resume=True, seed=2)
    picture = tmp_path / "a/set/folders/0000/images/MCU_01/000001.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"")
    with pytest.raises(errors.OutputError, match=f"{other}$"):
        prepared(tmp_path / "a/set", resume=True, seed=2)
    with pytest.raises(errors.OutputError, match="is no data set"):
        prepared(tmp_path / "a")
    (tmp_path / "file").write_text("")
    for name in ("file", "file/below"):
        with pytest.raises(errors.OutputError, match=r"is no data set|cannot make"):
            prepared(tmp_path / name)


def test_sources_that_changed_meanwhile(tmp_path):
    """A set that goes on with other poses or from another choice of lights would be neither the one nor the other."""
    out, poses, lights = tmp_path / "set", tmp_path / "wave.npz", tmp_path / "lights"
    lights.mkdir()
    (lights / "a.exr").write_bytes(b"a")
    poses.write_bytes(b"first")
    recipe = {"poses": str(poses), "environments": (str(lights), "rig")}
    prepared(out, **recipe)
    poses.write_bytes(b"again")
    prepared(out, **recipe)  # nothing was rendered yet
    (out / "folders").mkdir()
    prepared(out, resume=True, **recipe)
    poses.write_bytes(b"other")
    with pytest.raises(errors.OutputError, match=r"pose file .*wave\.npz has changed"):
        prepared(out, resume=True, **recipe)
    poses.write_bytes(b"again")
    (lights / "b.exr").write_bytes(b"b")
    with pytest.raises(errors.OutputError, match=r"what .*lights rig holds has changed"):
        prepared(out, shard=(1, 2), **recipe)


def test_an_avatar_that_changed_meanwhile(tmp_path):
    out, avatar = tmp_path / "set", tmp_path / "hand.palmhand"
    avatar.mkdir()
    (avatar / "mesh.npz").write_bytes(b"mesh")
    changes = {"kind": "animate", "avatar": str(avatar)}
    prepared(out, **changes)
    (out / "folders").mkdir()
    (avatar / "preview.png").write_bytes(b"any")
    prepared(out, resume=True, **changes)
    (avatar / "mesh.npz").write_bytes(b"finer")
    with pytest.raises(errors.OutputError, match=r"avatar .*hand\.palmhand has changed"):
        prepared(out, resume=True, **changes)


def test_parts_that_begin_at_once(tmp_path):
    """One meets the folder while another writes the recipe, under a hidden name."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set/.recipe-x1y2.json").write_text("{")
    prepared(tmp_path / "set", shard=(2, 3))
    assert (tmp_path / "set/recipe.json").is_file()


def arguments(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    commands.add_verbs(parser.add_subparsers(dest="verb"))
    return parser.parse_args([str(word) for word in words])


def test_recipe_of_a_command_line(tmp_path):
    light = tmp_path / "light.exr"
    light.write_bytes(b"")
    recipe = commands.recipe_of(
        arguments("cohort", "--out", "x", "--env", "rig", light, "--poses", 3, "--device", "CPU")
    )
    assert (recipe.units, recipe.frames, recipe.cameras) == (10, 3, 7)
    assert (recipe.width, recipe.height) == (2448, 2048)
    assert recipe.environments == ("rig", str(light))
    recipe = commands.recipe_of(
        arguments("harp-relit", "--out", "x", "--train-env", "studio", "--eval-env", "city", "--size", 300)
    )
    assert (recipe.units, recipe.frames, recipe.width, recipe.height) == (12, 21, 300, 300)
    assert recipe.environments == ("studio", "city")


def test_names_of_lights_and_avatars(tmp_path, monkeypatch):
    """A known light is meant even where a folder has its name; an avatar's name never leads out of the data set."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studio").mkdir()
    assert [commands.placed(name) for name in ("studio", "./studio", "none.exr")] == [
        "studio", str(tmp_path / "studio"), "none.exr",
    ]  # fmt: skip
    (tmp_path / "poses.npz").write_bytes(b"")
    words = ("animate", "studio/..", "--poses", "poses.npz", "--size", 64, "--out", "x")
    recipe = commands.recipe_of(arguments(*words))
    assert recipe.avatar == str(tmp_path)
    assert recipe.environments == (str(tmp_path / "environment.exr"),)


def test_an_avatar_that_is_none_is_named_itself(tmp_path):
    """Not the environment that it lacks, and before anything is made."""
    (tmp_path / "poses.npz").write_bytes(b"")
    (tmp_path / "empty.palmhand").mkdir()
    for name, message in (("none", "none.palmhand is not a folder"), ("empty", "empty.palmhand lacks avatar.json")):
        words = ("animate", tmp_path / f"{name}.palmhand", "--poses", tmp_path / "poses.npz", "--size", 64)
        with pytest.raises(errors.AvatarError, match=re.escape(message)):
            commands.run(arguments(*words, "--out", tmp_path / "set"), io.StringIO(), lambda label, value: None)
    assert not (tmp_path / "set").exists()


def test_lights_of_one_name_are_refused(tmp_path):
    """Their copies would lie in each other's place, and no record could tell them apart."""
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "studio.exr").write_bytes(b"")
    files = [str(tmp_path / place / "studio.exr") for place in ("a", "b")]
    for lights in (files, ["studio", files[0]], [str(tmp_path)]):
        with pytest.raises(errors.InputError, match="have the same name"):
            words = ("cohort", "--out", tmp_path / "set", "--env", *lights)
            commands.run(arguments(*words), io.StringIO(), lambda label, value: None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--size", "0x9x"), "is no size"),
        (("--shard", "3/2"), "is no part"),
        (("--shard", "0/2"), "is no part"),
        (("--workers", -1), "--workers -1"),
        (("--workers", 0), "--workers 0"),
        (("--renew-after", 0), "--renew-after 0"),
        (("--timeout", "nan"), "--timeout nan"),
        (("--poses", "none.npz"), "does not exist"),
        (("--poses", "²"), "does not exist"),
        (("--seed", -1), "-1 seed"),
        (("--cameras", 8), "8 cameras"),
        (("--out", "film.mp4"), "film.mp4 cannot be written: give a folder's name"),
        (("--env", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_rendered(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.PalmError, match=message) as refusal:
        commands.run(arguments("cohort", "--out", "set", *words), io.StringIO(), lambda label, value: None)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "set/folders").exists()


def test_large_pictures_are_waited_for(monkeypatch):
    """A cohort's own size takes more than an hour a picture on two busy cores: 13 µs a sample were measured."""
    waited = []
    monkeypatch.setattr(commands, "_slot_maker", lambda args, ending: waited.append(args.timeout))
    monkeypatch.setattr(controller, "render_set", lambda *run: None)
    for words in ((), ("--size", 64, "--samples", 1), ("--timeout", 7)):
        commands.run(arguments("cohort", "--out", "set", *words), io.StringIO(), lambda label, value: None)
    large, small, asked = waited
    assert large > 1800 + 2 * 13e-6 * 2448 * 2048 * 64
    assert small == pytest.approx(1800, abs=1)
    assert asked == 7


def test_what_is_for_videos_only(tmp_path, monkeypatch):
    """A folder's pictures are never replaced and have no rate: an option that would do nothing is refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poses.npz").write_bytes(b"")
    for option in (("--fps", 10), ("--force",)):
        words = ("animate", "hand.palmhand", "--poses", "poses.npz", "--env", "rig", "--size", 64, "--out", "set")
        with pytest.raises(errors.InputError, match=f"{option[0]} is for a video: give set.mp4"):
            commands.run(arguments(*words, *option), io.StringIO(), lambda label, value: None)
    for name in ("film.mov", "sheet.png"):
        with pytest.raises(errors.OutputError, match=f"{name} cannot be written: give a folder's name, or one that"):
            commands.run(arguments(*words, "--out", name), io.StringIO(), lambda label, value: None)
    assert [path.name for path in tmp_path.iterdir()] == ["poses.npz"]


def test_light_that_is_no_picture(tmp_path):
    (tmp_path / "page.hdr").write_text("<html>not found</html>")
    (tmp_path / "sky.hdr").write_bytes(b"#?RADIANCE\n")
    environments.check_light_file(tmp_path / "sky.hdr")
    with pytest.raises(errors.InputError, match=r"page\.hdr is damaged: download or copy it again"):
        environments.check_light_file(tmp_path / "page.hdr")


@pytest.mark.parametrize("host", ["localhost", "[::1]", "no.such.host.invalid", "a" * 70])
def test_ray_cluster_that_is_not_there(host):
    """Ray would ask again for minutes."""
    pytest.importorskip("ray", reason="RAY IS NOT INSTALLED: nothing was checked")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"{host}:{free.getsockname()[1]}"
    with pytest.raises(errors.InputError, match="no Ray cluster answers at"), ray_pool.joined(address, "cpu", None):
        pass


def test_python_without_the_packages(tmp_path):
    """The system's own Python, where the user forgot the environment's."""
    build = Path(__file__).resolve().parents[3] / "build.py"
    command = [sys.executable, "-I", "-S", str(build), "cohort", "--out", str(tmp_path / "set")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 2
    (line,) = said.stderr.splitlines()
    assert line.startswith("error: numpy is missing: run `make setup`")
