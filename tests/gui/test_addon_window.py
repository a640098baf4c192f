"""The add-on in a real Blender window: installed from the zip, looked at, used, taken out."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def window(open_window, installed):
    return open_window(installed)


def test_the_sidebar_has_the_tab(window):
    assert window.run("window_jobs.open_sidebar") == "PALM"
    window.photograph("1-empty")


def test_import_is_undone_and_redone_by_keys(window, avatar):
    before = window.run("window_jobs.objects")
    assert window.run("window_jobs.call", operator="palm.import_avatar", filepath=avatar / "avatar.json") == [
        "FINISHED"
    ]
    after = window.run("window_jobs.objects")
    assert len(after) == len(before) + 2
    window.photograph("2-imported")
    window.run("window_jobs.undo")
    assert window.run("window_jobs.objects") == before
    window.run("window_jobs.redo")
    assert window.run("window_jobs.objects") == after
