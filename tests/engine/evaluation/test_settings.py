"""What tells one making of an avatar from another."""

from __future__ import annotations

import dataclasses
import json

import pytest

from engine.datasets.hand_sequence import HandFrame
from engine.errors import InputError
from engine.evaluation.personalisers import METHODS, identity_of
from engine.evaluation.relit_set import read_relit_set
from engine.evaluation.settings import MakingConfig, differences, identity_of_fit, palm_settings
from engine.evaluation.shots import JudgedSequence
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


def test_a_corrected_mask_and_a_corrected_pose_are_seen(sequence, config, tmp_path):
    before = identity_of("palm", sequence, config)
    photo, mask = sequence.photo, tmp_path / "mask.png"
    mask.write_bytes(photo.mask.read_bytes() + b"\0")
    for change, says in (
        ({"mask": mask}, "photo.mask"),
        ({"hand_pose": photo.hand_pose + 1e-3}, "photo.hand_pose"),
        ({"transl": photo.transl + 1e-3}, "photo.transl"),
        ({"intrinsics": photo.intrinsics * 1.01}, "photo.intrinsics"),
        ({"betas": photo.betas + 1e-9}, ""),
    ):
        corrected = dataclasses.replace(photo, **change)
        seen = dataclasses.replace(sequence.seen, frame=corrected)
        assert differences(before, identity_of("palm", dataclasses.replace(sequence, seen=seen), config)) == says


def test_a_training_pictures_mask_is_seen(sequence, config):
    frames = (HandFrame("a", 0, "0", *_files(sequence), *_numbers(sequence.photo)),)
    one = JudgedSequence("a", frames[0], frames, frames)
    other = dataclasses.replace(one, training=(dataclasses.replace(frames[0], mask=frames[0].image),))
    both = [identity_of("harp-video", each, config) for each in (one, other)]
    assert differences(*both) == "training"


def test_other_weights_of_the_same_name_are_seen(sequence, config, tmp_path):
    weights = tmp_path / "vgg16.pth"
    weights.write_bytes(b"one")
    config = dataclasses.replace(config, vgg16=weights)
    before = identity_of("harp", sequence, config)
    weights.write_bytes(b"others")
    assert differences(before, identity_of("harp", sequence, config)) == "vgg16_sha256"
    weights.unlink()
    with pytest.raises(InputError, match=r"vgg16\.pth cannot be read"):
        identity_of("harp", sequence, config)


def _files(sequence):
    return sequence.photo.image, sequence.photo.mask


def _numbers(frame):
    names = ("intrinsics", "world_to_camera", "height", "width", "betas", "global_orient", "hand_pose", "transl")
    return [getattr(frame, name) for name in names]
