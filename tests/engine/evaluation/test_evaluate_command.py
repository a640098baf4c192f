"""`python -m engine evaluate`."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from engine.cli import main


def arguments(relit_set, out, *more):
    return ["evaluate", "--dataset", str(relit_set), "-o", str(out), "--progress", "none", "--size", "64", *more]


def test_report_table_and_sheet(relit_set, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(arguments(relit_set, out, "--methods", "truth", "--frames", "2")) == 0
    shown = capsys.readouterr().out
    assert "PSNR" in shown
    assert "LPIPS is missing" in shown
    report = json.loads((out / "report.json").read_text())
    summary = report["methods"]["truth"]
    assert (summary["sequences"], summary["pictures"]) == (1, 2)
    assert summary["unseen"]["psnr_db"] > 26
    assert summary["median"]["delta_e"] < 1
    with Image.open(out / "sheets" / "relit_00.png") as sheet:
        # the seen one, its albedo, two frames, the last one's albedo; truth and one method, each with its caption
        assert sheet.size == (5 * 64, 2 * (64 + 22))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--methods", "truth,guess"], "guess"),
        (["--methods", ","], "is empty"),
        (["--methods", "truth,truth"], "twice"),
        (["--methods", "palm-no-normals"], "--prior-no-normals"),
        (["--methods", "truth", "--frames", "0"], "--frames 0"),
        (["--methods", "truth", "--size", "8"], "--size 8"),
        (["--methods", "truth", "--lpips", "x.pth"], "--vgg16"),
        (["--methods", "mean", "--prior", "nowhere.palmprior"], "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(relit_set, tmp_path, capsys, more, message):
    assert main(arguments(relit_set, tmp_path / "report", *more)) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said


def test_a_report_that_cannot_be_written(relit_set, tmp_path, capsys):
    (tmp_path / "report").write_text("a file")
    assert main(arguments(relit_set, tmp_path / "report", "--methods", "truth")) == 2
    assert "report" in capsys.readouterr().err
