"""The self-test: what works here, and what a part that fails says."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.evaluation.check_command import add_arguments, run
from engine.progress import silent


def check(*arguments: object) -> dict:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(list(map(str, arguments))), silent)


def test_what_works_and_what_does_not_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "MANO_RIGHT.npz").write_bytes(b"no archive")
    found = check("--prior", tmp_path / "none.palmprior", "--hand-model", tmp_path / "MANO_RIGHT.npz")
    checks = {item["name"]: item for item in found["checks"]}
    for name in ("packages", "device", "hand model", "kernels"):
        assert checks[name]["ok"], checks[name]["text"]
    assert "vertices" in checks["hand model"]["text"]
    for name in ("prior", "MANO"):
        assert not checks[name]["ok"] and str(tmp_path) in checks[name]["text"]
        assert len(checks[name]["text"].splitlines()) == 1
    # a hand model that was given must be usable; a prior is for one method only
    assert not found["ready"] and checks["MANO"]["needed"] and not checks["prior"]["needed"]


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    found = check("--device", "cuda:77")
    assert not found["ready"]
    assert "use cpu" in next(item["text"] for item in found["checks"] if item["name"] == "device")
