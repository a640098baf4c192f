"""What tells one making of an avatar from another."""

from __future__ import annotations

import dataclasses
import json

import pytest

from engine.evaluation.personalisers import METHODS, identity_of
from engine.evaluation.relit_set import read_relit_set
from engine.evaluation.settings import MakingConfig, differences, identity_of_fit, palm_settings
from engine.hand.model import open_hand_model
from engine.methods.palm_config import palm_quality
from engine.training.prior_file import PRIOR_FILE, WEIGHTS_FILE


@pytest.fixture
def config(tmp_path):
    for name in (PRIOR_FILE, WEIGHTS_FILE):
        (tmp_path / name).write_bytes(name.encode())
    return MakingConfig(prior=tmp_path, prior_no_normals=tmp_path, quality="draft")


@pytest.fixture
def sequence(relit_set):
    return read_relit_set(relit_set, open_hand_model("right"))[0]


def test_every_method_has_an_identity_of_its_own_as_json(sequence, config):
    made = [identity_of(name, sequence, config) for name, method in METHODS.items() if method.make is not None]
    assert [json.loads(json.dumps(one)) for one in made] == made
    assert len({json.dumps(one, sort_keys=True) for one in made}) == len(made)
    assert made[0]["settings"]["personalise"]["steps"] == palm_quality("draft").steps


@pytest.mark.parametrize(
    ("method", "change", "says"),
    [
        ("palm", {"seed": 4}, "seed, settings.personalise.seed"),
        ("harp", {"seed": 4}, "seed, settings.seed"),
        ("palm-codes", {"capture": "detected"}, "capture, settings.outline"),
        ("mean", {"capture": "detected"}, "capture"),
    ],
)
def test_what_is_changed_is_named(sequence, config, method, change, says):
    before, after = (identity_of(method, sequence, one) for one in (config, dataclasses.replace(config, **change)))
    assert differences(before, before) == ""
    assert differences(before, after) == says


def test_a_changed_prior_and_a_changed_setting_are_seen(sequence, config, monkeypatch):
    before = identity_of("palm", sequence, config)
    (config.prior / PRIOR_FILE).write_bytes(b"{}")
    assert differences(before, identity_of("palm", sequence, config)) == "prior_description_sha256"
    (config.prior / WEIGHTS_FILE).write_bytes(b"")
    assert "prior_sha256" in differences(before, identity_of("palm", sequence, config))
    slower = lambda name: dataclasses.replace(palm_quality(name), belief=0.5)  # noqa: E731
    monkeypatch.setattr("engine.evaluation.settings.palm_quality", slower)
    assert "settings.personalise.belief" in differences(before, identity_of("palm", sequence, config))


def test_avatars_with_and_without_detail_share_their_fit_and_no_other_do(sequence, config):
    fits = {name: identity_of_fit(identity_of(name, sequence, config)) for name in METHODS if name.startswith("palm")}
    assert fits["palm"] == fits["palm-codes"]
    kinds = [fits[name] for name in ("palm", "palm-raw", "palm-published", "palm-no-light")]
    assert all(one != other for number, one in enumerate(kinds) for other in kinds[number + 1 :])


def test_only_captures_that_are_found_are_refined():
    found = MakingConfig(capture="detected")
    assert palm_settings(MakingConfig(), "codes").outline is None
    assert palm_settings(found, "codes").outline is not None
    assert palm_settings(found, "mean").outline is None
