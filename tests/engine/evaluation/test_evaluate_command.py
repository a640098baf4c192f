"""`python -m engine evaluate`."""

from __future__ import annotations

import argparse
import json

import pytest
from PIL import Image

from engine.cli import main
from engine.evaluation.command import ABLATIONS, DEFAULT_METHODS, add_arguments
from engine.evaluation.personalisers import METHODS
from engine.evaluation.protocols import PROTOCOLS


def arguments(relit_set, out, *more):
    return ["evaluate", "--dataset", str(relit_set), "-o", str(out), "--progress", "none", "--size", "64", *more]


def test_report_table_and_sheet(relit_set, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(arguments(relit_set, out, "--methods", "truth", "--frames", "2")) == 0
    shown = capsys.readouterr().out
    assert "PSNR" in shown
    assert "LPIPS is missing" in shown
    assert "MS-SSIM is missing of pictures under 176 pixels" in shown
    report = json.loads((out / "report.json").read_text())
    summary = report["methods"]["truth"]
    assert (summary["sequences"], summary["pictures"]) == (1, 2)
    assert summary["unseen"]["psnr_db"] > 26
    assert summary["median"]["delta_e"] < 1
    assert (report["settings"]["size"], "output" in report["settings"]) == (64, False)
    assert "of pictures whose longer side" in (out / "report.html").read_text()
    assert str(relit_set) not in (out / "report.html").read_text()
    with Image.open(out / "sheets" / "relit_00.png") as sheet:
        # the seen one, its albedo, two frames, the last one's albedo; truth and one method, each with its caption
        assert sheet.size == (5 * 64, 2 * (64 + 22))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--methods", "truth", "--lpips-alex", "x.pth"], "--alexnet"),
        (["--methods", "truth", "--masks", "nowhere"], "--masks nowhere"),
        (["--methods", "truth", "--protocol", "palm-interhand"], "--protocol harp-relit"),
        (["--methods", "truth", "--test-light", "fitted"], "true light is known"),
        (["--methods", "truth", "--test-pose", "refined"], "for harp-video"),
        (["--methods", "harp-video"], "one picture to train on"),
        (["--methods", "truth", "--hand-model", "nowhere.pkl"], "nowhere.pkl"),
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


def test_what_fails_on_one_hand_is_said_and_the_rest_goes_on(relit_set, tmp_path, capsys):
    assert main(arguments(relit_set, tmp_path / "report", "--methods", "truth,harp-video", "--frames", "1")) == 0
    assert "relit_00, harp-video: relit_00 has one picture" in capsys.readouterr().out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["methods"]["harp-video"]["failed"] == 1
    assert report["methods"]["harp-video"]["unseen"] == {}
    assert "has one picture to train on" in (tmp_path / "report" / "report.html").read_text()


def test_the_page_is_made_anew_from_the_report_alone(relit_set, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(arguments(relit_set, out, "--methods", "truth", "--frames", "1")) == 0
    said = capsys.readouterr().out
    page = (out / "report.html").read_text()
    assert '"turntables":{"truth"' in page
    (out / "report.html").unlink()
    again = ["evaluate", "--report-only", "-o", str(out), "--progress", "none"]
    assert main(again) == 0
    assert capsys.readouterr().out == said
    assert (out / "report.html").read_text() == page
    for text, message in (("{", "not valid JSON"), ('{"schema_version": 1}', "another version"),
                          ('{"schema_version": 2, "units": [{}], "methods": {}, "notes": []}', "damaged")):  # fmt: skip
        (out / "report.json").write_text(text)
        assert main(again) == 2
        assert message in capsys.readouterr().err
    (out / "report.json").unlink()
    assert main(again) == 2
    assert "report.json does not exist" in capsys.readouterr().err


def test_the_help_names_every_method_and_protocol(monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # no line is broken at a hyphen
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    told = {name for names in DEFAULT_METHODS.values() for name in names.split(",")} | set(ABLATIONS)
    assert told == set(METHODS)
    assert set(DEFAULT_METHODS) == set(PROTOCOLS)
    shown = " ".join(parser.format_help().split())
    assert f"{DEFAULT_METHODS['harp-video']} for harp-video" in shown
    assert "448 for harp-video" in shown


def test_a_set_has_to_be_given(tmp_path, capsys):
    assert main(["evaluate", "-o", str(tmp_path / "report"), "--progress", "none"]) == 2
    assert "--dataset is missing" in capsys.readouterr().err


def test_a_report_that_cannot_be_written(relit_set, tmp_path, capsys):
    (tmp_path / "report").write_text("a file")
    assert main(arguments(relit_set, tmp_path / "report", "--methods", "truth")) == 2
    assert "report" in capsys.readouterr().err
