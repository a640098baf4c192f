"""Which layout a folder has, and reading whatever it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from published_hands import hand_with_mean
from published_sets import make_freihand, make_hamer, make_hanco, make_harp, make_interhand, write_subject

from engine.datasets.check_command import FORMAT_NAMES
from engine.datasets.formats import FORMATS, format_of, read_sequences
from engine.datasets.palm import write_palm_set
from engine.errors import DatasetError


def make_own(root: Path) -> None:
    write_subject(root / "folders", "0000", own=True)
    write_palm_set(root, {"hand_model": "PALM Hands open hand", "exact_masks": True})


MAKERS = {
    "interhand": lambda root: make_interhand(root, numbers=(1,), cameras=("400262",)),
    "harp": lambda root: make_harp(root / "1", numbers=(1,), side_px=64),
    "freihand": lambda root: make_freihand(root, 1, 1),
    "hanco": lambda root: make_hanco(root, 1),
    "hamer": make_hamer,
    "palm": lambda root: write_subject(root / "folders", "0000"),
    "ours": make_own,
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_layout_is_known_and_read(tmp_path, name):
    MAKERS[name](tmp_path)
    assert format_of(tmp_path) == name
    model = hand_with_mean()
    sequences = list(read_sequences(tmp_path, model))
    assert sequences and all(len(sequence) for sequence in sequences)
    assert [s.name for s in read_sequences(tmp_path, model, name)] == [s.name for s in sequences]


def test_one_harp_sequence_is_not_taken_for_results_of_hamer(tmp_path):
    make_harp(tmp_path, numbers=(1,), side_px=64)
    assert format_of(tmp_path) == "harp"


def test_the_command_offers_the_layouts_that_there_are():
    assert set(FORMAT_NAMES) == {"auto", *FORMATS} and set(MAKERS) == set(FORMATS)


def test_folders_of_no_layout(tmp_path):
    with pytest.raises(
        DatasetError, match=r"has none of the known layouts .*: give the set's top folder, or --format$"
    ):
        format_of(tmp_path)
    with pytest.raises(DatasetError, match=r"has none of the known layouts .*: give the set's top folder$"):
        list(read_sequences(tmp_path, None))
    (tmp_path / "0000.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"holds packed files \(0000\.zip\): unpack them first"):
        format_of(tmp_path)
    for name in ("auto", "palm"):
        with pytest.raises(DatasetError, match="is not a folder: give the folder of a data set"):
            list(read_sequences(tmp_path / "nowhere", None, name))
    with pytest.raises(DatasetError, match="format 'ycb' is unknown: use auto, ours"):
        list(read_sequences(tmp_path, None, "ycb"))


def test_a_named_layout_that_the_folder_does_not_have(tmp_path):
    (tmp_path / "notes.json").write_text(json.dumps({}))
    with pytest.raises(DatasetError, match="holds no subject"):
        list(read_sequences(tmp_path, None, "palm"))
    missing = {
        "interhand": "has no pictures", "harp": "has no sequence", "freihand": r"has no training_K\.json",
        "hanco": "has no sequences", "hamer": "has no pictures", "ours": r"has no dataset\.json",
    }  # fmt: skip
    for name, message in missing.items():
        with pytest.raises(DatasetError, match=message):
            list(read_sequences(tmp_path, None, name))
