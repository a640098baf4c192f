"""Reports that were written by hand or cut off are refused in one line, wherever they are damaged."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.evaluation.protocols import HARP_RELIT
from engine.evaluation.report import report_of
from engine.evaluation.report_check import checked_report
from engine.evaluation.unit import UnitResult

SCORES = {"psnr_db": 30.0, "iou": 0.9}


@pytest.fixture
def report():
    def unit(method, **more):
        shown = UnitResult(
            "a", method, SCORES, {"1": SCORES}, {}, 2.0, {"seen": SCORES}, {"1": "1.png", "seen": "seen.png"}
        )
        return shown._replace(**more)

    none = {name: {} for name in ("seen", "frames", "light", "seen_frames", "pictures")}
    results = [unit("palm"), unit("harp"), unit("mean", failed="no hand", making_s=None, **none)]
    made = report_of(results, ["palm", "harp", "mean"], {"dataset": "set"}, ["a note"], HARP_RELIT)
    return json.loads(json.dumps(made))


def test_a_whole_report_is_taken(report):
    assert checked_report(copy.deepcopy(report), Path("report.json")) == report


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("schema_version",), 1, "another version"),
        (("settings",), None, "settings"),
        (("settings",), [], "settings"),
        (("notes",), [1], "notes"),
        (("methods", "palm"), 1, "'palm'"),
        (("methods", "palm"), {}, "'palm'"),
        (("methods", "palm", "unseen", "psnr_db"), "30", "'palm'"),
        (("methods", "harp", "making_s"), "long", "'harp'"),
        (("units", 0), [], "unit 1"),
        (("units", 0, "method"), "guess", "unit 1"),
        (("units", 1, "pictures"), {"1": "1.png"}, "unit 2"),
        (("units", 1, "pictures", "1"), 5, "unit 2"),
        (("units", 1, "frames", "1"), {"iou": 0.5}, "unit 2"),
        (("units", 1, "frames", "1", "iou"), None, "unit 2"),
        (("units", 1, "frames", "1", "iou"), float("nan"), "unit 2"),
        (("units", 1, "frames", "1", "iou"), True, "unit 2"),
        (("units", 1, "frames"), {}, "unit 2"),
        (("units", 1, "frames"), {"seen": SCORES}, "pictures are not those of others"),
        (("units", 1, "light"), 1, "unit 2"),
        (("units", 2, "failed"), 1, "unit 3"),
        (("units", 2, "failed"), None, "unit 3"),
    ],
)
def test_damage_is_named_in_one_line(report, place, value, says):
    *above, last = place
    part = report
    for name in above:
        part = part[name]
    part[last] = value
    with pytest.raises(InputError) as raised:
        checked_report(report, Path("report.json"))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
