"""tools/contact_sheet.py as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOOL = Path(__file__).resolve().parents[3] / "tools/contact_sheet.py"


@pytest.fixture
def small_set(tmp_path) -> Path:
    """Three pictures of 30x20 and a fourth that is higher than wide."""
    for number, size in enumerate(((20, 30), (20, 30), (20, 30), (40, 20)), 1):
        path = tmp_path / f"set/folders/0000/images/MCU_01/{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), 50 * number, np.uint8)).save(path)
    return tmp_path / "set"


def sheet(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )


def test_pictures_lie_side_by_side(small_set, tmp_path):
    out = tmp_path / "sheet.png"
    (small_set / "folders/0000/images/MCU_01/.000005-x1y2.png").write_bytes(b"still being written")
    said = sheet(small_set, "-o", out, "--tile", 20)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"4 pictures on {out}\n"
    with Image.open(out) as image:
        shades = set(np.unique(np.asarray(image)))
    assert {50, 100, 150, 200} <= shades


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--count", 0), "--count 0"),
        (("--count", -1), "--count -1"),
        (("--tile", 0), "--tile 0"),
        (("--kinds", "depth"), "000001.png is missing: choose other --kinds"),
        (("-o", "sheet.jpg"), "must end in .png"),
    ],
)
def test_what_cannot_be_a_sheet(small_set, tmp_path, words, message):
    said = sheet(small_set, "-o", tmp_path / "sheet.png", *words)
    assert said.returncode == 2
    (line,) = said.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "sheet.png").exists()
