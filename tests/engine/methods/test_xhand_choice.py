"""Which part of a folder XHand learns from, and what of it is missing."""

from __future__ import annotations

import argparse
import shutil

import pytest
from synthetic_sequence import write_set

from engine.errors import DatasetError, InputError
from engine.methods.command import add_arguments
from engine.methods.xhand import HeldOut
from engine.methods.xhand_choice import PROBLEMS_TOLD, chosen_sequence, held_out, numbers_in, parts_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    write_set(root, moments=7, views=3)
    return root


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["set", "-o", "a.palmhand", *words])


@pytest.fixture
def damaged(folder, tmp_path):
    """A copy in which a picture is gone."""
    root = tmp_path / "damaged"
    shutil.copytree(folder, root)
    next((root / "folders" / "toy" / "images" / "cam1").glob("*3.png")).unlink()
    return root


def test_a_missing_picture_costs_itself_alone_and_is_named(folder, damaged):
    whole, problems = chosen_sequence(arguments(), folder)
    assert len(whole) == 21 and problems == ()
    rest, problems = chosen_sequence(arguments(), damaged)
    assert len(rest) == 20 and whole.name == rest.name
    assert "cam1" in problems[0] and "000003" in problems[0] and problems[0].endswith("(left out)")


def test_many_problems_are_counted(damaged):
    for path in (damaged / "folders" / "toy" / "images" / "cam2").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    rest, problems = chosen_sequence(arguments(), damaged)
    assert set(rest.cameras) == {"cam0", "cam1"}
    assert len(problems) == PROBLEMS_TOLD + 1 and "check-data names them" in problems[-1]


def test_a_set_of_which_nothing_is_left_says_why(damaged):
    (damaged / "folders" / "toy" / "poses.npy").write_bytes(b"no numbers")
    with pytest.raises(DatasetError, match=r"nothing in .* can be used .*poses\.npy"):
        chosen_sequence(arguments(), damaged)


def test_one_of_several_sequences_has_to_be_chosen(tmp_path):
    write_set(tmp_path, moments=1, views=1, names=("one", "two"))
    with pytest.raises(InputError, match=r"several sequences \(one, two\): choose one with --sequence"):
        chosen_sequence(arguments(), tmp_path)
    assert chosen_sequence(arguments("--sequence", "two"), tmp_path)[0].name == "two"
    with pytest.raises(InputError, match="no sequence other: it has one, two"):
        chosen_sequence(arguments("--sequence", "other"), tmp_path)


@pytest.mark.parametrize(
    "words, message",
    [
        (("--hold-out-cameras", "cam9"), "no camera cam9"),
        (("--hold-out-frames", "3-"), "no list of numbers"),
        (("--hold-out-frames", "8"), "no moment 8"),
        (("--hold-out-frames", "1-7"), "is left to learn from"),
        (("--hold-out", "1"), "leaves nothing"),
        (("--hold-out", "40"), "holds out none of 7 moments"),
    ],
)
def test_what_cannot_be_held_out_is_refused(folder, words, message):
    with pytest.raises(InputError, match=message):
        held_out(arguments(*words), chosen_sequence(arguments(), folder)[0])


def test_parts_are_those_of_the_options(folder):
    sequence, _ = chosen_sequence(arguments(), folder)
    held = held_out(arguments("--hold-out", "3", "--hold-out-frames", "7", "--hold-out-cameras", "cam1"), sequence)
    assert held == HeldOut(("cam1",), (7, 2, 5))
    parts = parts_of(sequence, held, None)
    assert parts.train.cameras == ("cam0", "cam2") and parts.train.numbers == (1, 3, 4, 6)
    assert parts.novel_both.cameras == ("cam1",) and parts.novel_both.numbers == (2, 5, 7)
    assert parts_of(sequence, held, 1).train.cameras == ("cam0",)
    # what was left out since is missed by nobody
    assert parts_of(sequence, HeldOut(("gone", "cam1"), (99,)), 9).train.cameras == ("cam0", "cam2")
    with pytest.raises(InputError, match="--views 0 leaves no camera"):
        parts_of(sequence, held, 0)


def test_lists_of_numbers():
    assert numbers_in(" 3, 7,20-22,21") == (3, 7, 20, 21, 22)
    assert numbers_in("") == ()
    for text in ("a", "5-2", "1-2-3", "-4"):
        with pytest.raises(InputError, match="list of numbers"):
            numbers_in(text)
