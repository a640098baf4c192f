"""Subjects named on a command line."""

from __future__ import annotations

import pytest

from engine.errors import InputError
from engine.training.subject_names import subjects_named

KNOWN = ("0000", "0001", "0002", "0010", "anna-1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("0001", {"0001"}),
        ("0001-0009", {"0001", "0002"}),
        ("0000-0001, 0010", {"0000", "0001", "0010"}),
        ("anna-1", {"anna-1"}),
    ],
)
def test_names_and_ranges(text, expected):
    assert subjects_named(text, KNOWN) == expected


@pytest.mark.parametrize("text", ["9999", "0003-0009", "0001,ben"])
def test_names_that_mean_nobody_are_refused(text):
    with pytest.raises(InputError, match=r"the set has no subject .*: name its folders, such as 0000"):
        subjects_named(text, KNOWN)
