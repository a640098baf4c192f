"""The page of a report: whole, closed to the network, deaf to hostile names, and alive in a browser where there is one."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from browser import Browser, find_browser
from PIL import Image

from engine.errors import InputError
from engine.evaluation.page import page_text, script_json
from engine.evaluation.page_data import page_data, turntable_path
from engine.evaluation.page_images import encoded, fitting, read_pair, window_of
from engine.evaluation.page_texts import last_name, setting_rows, without_folders
from engine.evaluation.pages import write_pages
from engine.evaluation.protocols import HARP_RELIT
from engine.evaluation.report import report_of
from engine.evaluation.unit import TRUE, UnitResult, write_pair
from engine.files import write_json
from engine.progress import silent

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">{{data}}\u2028"
FOLDER = re.sub(r"[^A-Za-z0-9_.-]", "_", HOSTILE)[:80]
LABELS = ("seen", "0003", "0007")


def picture(value: float) -> torch.Tensor:
    """A disc of one grey in a corner of black."""
    y, x = torch.meshgrid(torch.arange(48), torch.arange(40), indexing="ij")
    return (((x - 14) ** 2 + (y - 20) ** 2 < 100).float() * value)[..., None].expand(48, 40, 3)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two sequences, one with a hostile name, by two methods of which one failed on the second."""
    out = tmp_path_factory.mktemp("report")
    results = []
    for name, folder in (("relit_00", "relit_00"), (HOSTILE, FOLDER)):
        for who, value in ((TRUE, 0.5), ("palm", 0.55), ("harp", 0.9)):
            place = out / "pictures" / folder / who
            place.mkdir(parents=True, exist_ok=True)
            for label in LABELS:
                write_pair(place / f"{label}.png", picture(value), picture(0.4))
        for method, psnr in (("palm", 30.0), ("harp", 20.0)):
            scores = {"psnr_db": psnr, "ssim": 0.9, "ssim_range2": 0.95, "iou": 0.5, "delta_e": 3.0}
            frames = dict.fromkeys(LABELS[1:], scores)
            files = {label: f"{label}.png" for label in LABELS}
            made = UnitResult(name, method, scores, frames, {"brightness": 1.1}, 3.0, {"seen": scores}, files)
            failed = UnitResult(name, method, {}, {}, {}, None, {}, {}, f"no hand in {HOSTILE}")
            results.append(failed if (name, method) == (HOSTILE, "harp") else made)
    strip = turntable_path(out, "relit_00", "palm")
    strip.parent.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 64, 4), dtype=np.uint8)).save(strip)
    write_json(strip.with_suffix(".json"), {"views": 4})
    made = report_of(results, ["palm", "harp"], {"dataset": HOSTILE, "size": 48}, [HOSTILE], HARP_RELIT)
    write_json(out / "report.json", made)
    return out, made


@pytest.fixture(scope="module")
def page(report):
    out, made = report
    return write_pages(out, made, silent).page


def test_the_page_holds_everything_and_asks_for_nothing(page, report):
    text = page.read_text(encoding="utf-8")
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    data = json.loads(held[1])
    assert [entry["name"] for entry in data["sequences"]] == ["relit_00", HOSTILE]
    assert data["notes"] == report[1]["notes"]
    assert data["columns"][0]["best"] == ["palm"]
    assert data["sequences"][0]["turntables"]["palm"]["views"] == 4
    views = data["sequences"][0]["views"]
    assert [(view["label"], view["albedo"]) for view in views] == [
        *(("seen", False), ("seen", True), ("0003", False), ("0007", False))
    ]
    assert all(set(view["images"]) == {TRUE, "palm", "harp"} for view in views)
    assert {key for view in views for key in view["images"].values()} <= set(data["images"])
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)=\"?https?:", text)
    assert (page.parent / "sheets" / "relit_00.png").is_file()


def test_folders_of_the_machine_stay_out_of_the_page():
    settings = {
        "dataset": "/home/a b/sets/relit",
        "masks": "C:\\sets\\masks",
        "prior": "open",
        "size": 64,
        "seed": None,
    }
    rows = [["dataset", "relit"], ["masks", "masks"], ["prior", "open"], ["size", "64"], ["seed", "–"]]
    assert setting_rows(settings) == rows
    assert (
        without_folders("left out: /home/a b/sets/relit/one.png is open", settings) == "left out: relit/one.png is open"
    )
    assert without_folders("sets", {"dataset": "sets"}) == "sets"
    assert last_name("/") == "/"


def test_hostile_texts_stay_texts():
    text = page_text({"name": HOSTILE}, HARP_RELIT, HOSTILE)
    assert "<script>document" not in text
    assert "<img" not in text
    assert text.count("{{data}}") == 3  # the title twice and the data once: as texts
    assert json.loads(script_json([HOSTILE, "\ud800"])) == [HOSTILE, "?"]
    with pytest.raises(ValueError, match="JSON"):
        script_json(float("nan"))


def test_pictures_are_cut_to_what_they_show(tmp_path):
    write_pair(tmp_path / "pair.png", picture(0.5), None)
    pair = read_pair(tmp_path / "pair.png")
    window = window_of([pair.picture])
    # a disc of radius just under 10 around (14, 20), and a margin of 5 pixels that the picture's edge cuts
    assert window == (20 - 9 - 5, 0, 2 * 9 + 1 + 10, 14 + 9 + 1 + 5)
    assert window.of(pair.picture).shape == (window.height, window.width, 3)
    assert window_of([np.zeros((4, 6, 3), np.uint8)]) == (0, 0, 4, 6)
    with pytest.raises(InputError, match="40×48 and 6×4"):
        window_of([pair.picture, np.zeros((4, 6, 3), np.uint8)])
    Image.new("L", (7, 4)).save(tmp_path / "odd.png")
    with pytest.raises(InputError, match="no picture beside its albedo"):
        read_pair(tmp_path / "odd.png")


def test_a_budget_is_kept_by_quality_where_it_can_be():
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    sizes = {quality: len(encoded(noise, quality)) for quality in (82, 32)}

    def one(_, quality):
        return encoded(noise, quality)

    assert sum(map(len, fitting(5, one, 5 * sizes[82]))) == 5 * sizes[82]
    assert sizes[32] * 5 <= sum(map(len, fitting(5, one, 5 * sizes[82] - 1))) < 5 * sizes[82]
    assert len(fitting(5, one, 1)) == 5
    assert fitting(0, one) == []


def test_a_missing_picture_is_named(report, tmp_path):
    with pytest.raises(InputError, match=r"seen\.png"):
        page_data(tmp_path, report[1], HARP_RELIT)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium here: the page is not looked at in a browser")
    with Browser(program, tmp_path_factory.mktemp("profile")) as found:
        yield found


def test_in_a_browser_everything_moves(browser, page):
    browser.open(page)
    browser.wait("document.querySelectorAll('.compare .shown:not(canvas)').length === 2")
    assert browser.tell("document.title").startswith("harp-relit")  # nobody took it
    # a method's name, its head's button and back
    first = "document.querySelector('#tables tbody th').firstChild.textContent"
    assert browser.tell(first) == "palm"
    browser.tell(
        "document.querySelector('#tables thead button').click(), document.querySelector('#tables thead button').click()"
    )
    assert browser.tell(first) == "harp"
    assert browser.tell("document.querySelector('#tables td.best').textContent") == "30.00"
    # keys move all sliders of a sequence
    place = "getComputedStyle(document.querySelectorAll('.compare .stage')[1]).getPropertyValue('--x')"
    assert browser.tell(place) == "50%"
    browser.tell("document.querySelector('.compare input').focus()")
    browser.press("ArrowRight")
    assert browser.tell(place) == "51%"
    # and so does the pointer
    browser.tell("document.querySelector('.compare').scrollIntoView({behavior: 'instant', block: 'center'})")
    box = "(r => [r.left, r.top, r.width, r.height])(document.querySelector('.compare .stage').getBoundingClientRect())"
    left, top, width, height = browser.tell(box)
    browser.drag((left + 0.5 * width, top + height / 2), (left + 0.85 * width, top + height / 2))
    assert 75 < float(browser.tell(place).rstrip("%")) < 95
    # errors: of 0.5 against 0.55 and 0.9
    browser.tell("document.getElementById('heat').click()")
    middle = "(c => [...c.getContext('2d').getImageData(14, 15, 1, 1).data])(document.querySelectorAll('canvas')[{}])"
    browser.wait(
        "[...document.querySelectorAll('canvas')].every(c => !c.hidden && c.width < 300 && c.getAttribute('aria-label'))"
    )
    small, large = browser.tell(middle.format(0)), browser.tell(middle.format(1))
    assert sum(large[:3]) > sum(small[:3]) + 100
    # the turntable's last view
    browser.tell("document.querySelector('.turns input').focus()")
    browser.press("End")
    assert browser.tell("document.querySelector('.turn').style.backgroundPositionX") == "100%"
    # the hostile sequence says what failed
    browser.tell("document.querySelectorAll('details.seq')[1].open = true")
    browser.wait("document.querySelector('.body .note') !== null")
    assert HOSTILE in browser.tell("document.querySelector('.body .note').textContent")
    assert browser.problems == []
    assert all(url.startswith(("file:", "data:")) for url in browser.requests)


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1600, False)])
def test_narrow_and_wide_light_and_dark(browser, page, width, dark):
    browser.open(page, width, 800, dark)
    browser.wait("document.querySelectorAll('.compare img').length > 0")
    assert browser.tell("document.documentElement.scrollWidth") == width  # tables scroll by themselves
    red = browser.tell("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (red < 60) == dark
    # no picture without a text, no control without a name
    assert browser.tell("[...document.images].every(i => i.hasAttribute('alt'))")
    named = "[...document.querySelectorAll('input,select')].every(i => i.getAttribute('aria-label') || i.labels.length)"
    assert browser.tell(named)
    assert browser.problems == []
