"""Writing whole or not at all."""

from __future__ import annotations

import os

import numpy as np
import pytest

from engine.errors import InputError, OutputError, PalmError
from engine.files import atomic_file, atomic_folder, check_output, read_json, sha256_of, write_json


def test_error_messages_are_one_line():
    assert str(PalmError("two\n  lines")) == "two lines"


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "a.txt") as path:
        path.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "a.palmhand") as path:
        (path / "x").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_what_was_there(tmp_path):
    folder = tmp_path / "a.palmhand"
    folder.mkdir()
    (folder / "old").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(folder, force=True) as path:
        (path / "new").write_text("half")
        raise RuntimeError
    assert [p.name for p in folder.iterdir()] == ["old"]
    with atomic_folder(folder, force=True) as path:
        (path / "new").write_text("whole")
    assert [p.name for p in folder.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.palmhand"]


def test_existing_output_needs_force(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(OutputError, match="--force"):
        check_output(path)
    with pytest.raises(OutputError, match="--force"), atomic_folder(path):
        pass
    assert check_output(path, force=True) == path


def test_output_folder_must_exist(tmp_path):
    with pytest.raises(OutputError, match="is not a folder"):
        check_output(tmp_path / "none" / "a.json")


@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="needs a file system that refuses to write: /proc")
def test_unwritable_folder():
    from pathlib import Path

    with pytest.raises(OutputError, match="cannot write"):
        check_output(Path("/proc/a.json"))
    with pytest.raises(OutputError, match="cannot write"), atomic_file(Path("/proc/a.json")):
        pass


def test_json_round_trip(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": np.arange(3), "b": np.float32(0.5)})
    assert read_json(path) == {"a": [0, 1, 2], "b": 0.5}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert read_json(path)["b"] == 0.5


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_bad_json(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"a\.json"):
        read_json(path)


def test_digest(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
