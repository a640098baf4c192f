"""The command line: help without heavy imports, error lines, exit codes, JSON lines, cancellation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def engine(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False, **options)


def test_help_imports_nothing_heavy():
    code = "import sys, engine.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print(sorted(set(sys.modules) & {'torch', 'cv2', 'mediapipe', 'bpy', 'warp', 'scipy'}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip().endswith("[]")
    assert "personalize" in result.stdout


@pytest.mark.parametrize("verb", ["capture", "personalize"])
def test_missing_photo_is_one_line_and_exit_2(tmp_path, verb):
    output = tmp_path / ("a.json" if verb == "capture" else "a.palmhand")
    result = engine(verb, tmp_path / "none.jpg", "-o", output)
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "none.jpg" in lines[0]
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_errors_are_json_for_the_add_on(tmp_path):
    result = engine("personalize", tmp_path / "none.jpg", "-o", tmp_path / "a.palmhand", "--progress", "json")
    assert result.returncode == 2
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["event"] == "error"
    assert "none.jpg" in events[-1]["message"]


def test_verbose_tells_what_is_decided_here_and_not_what_libraries_do(tmp_path):
    code = "import logging, sys, engine.cli as c; c.main(sys.argv[1:])\n"
    code += "print([logging.getLogger(name).isEnabledFor(logging.DEBUG) for name in ('engine.methods.xhand', 'PIL')])"
    words = ["personalize", str(tmp_path / "none.jpg"), "-o", str(tmp_path / "a.palmhand"), "-v"]
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == "[True, False]"


def test_no_verb_is_a_usage_error():
    assert engine().returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_leaves_nothing(tmp_path, samples, number):
    command = [sys.executable, "-m", "engine", "personalize", str(samples / "two_hands_dorsal.jpg")]
    command += ["-o", str(tmp_path / "a.palmhand"), "--method", "harp", "--progress", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert first["event"] == "progress"
        process.send_signal(number)
        started = time.monotonic()
        last = [json.loads(line) for line in process.stdout][-1]
    assert process.returncode == 130
    assert last["event"] == "cancelled"
    assert time.monotonic() - started < 60
    assert os.listdir(tmp_path) == []
