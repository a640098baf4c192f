"""The prior that ships: found by name, whole where it is, and one line where it is not. Nothing here passes on a broken one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from palm_tiny import CONFIG, tiny_prior
from PIL import Image
from synthetic_photo import make_photo

from engine.avatar.folder import read_avatar
from engine.capture.capture_file import write_capture
from engine.cli import main
from engine.errors import InputError, PriorError
from engine.files import sha256_of
from engine.hand.model import open_hand_model
from engine.methods.open_prior import SHIPPED, prior_folder
from engine.methods.palm_hands import check_prior_fits
from engine.training.prior_file import WEIGHTS_FILE, read_prior, write_prior

LARGEST_MB = 12
SHIPS = SHIPPED.parent.exists()
"""Whether anything is there: from then on all of it must be, and be sound."""


@pytest.fixture
def capture_file(tmp_path):
    made = make_photo()
    Image.fromarray(made.image).save(tmp_path / "photo.png")
    capture = replace(made.capture, image="photo.png", image_sha256=sha256_of(tmp_path / "photo.png"))
    write_capture(tmp_path / "capture.json", capture, made.mask)
    return tmp_path / "capture.json"


@pytest.mark.parametrize("name", [None, "open"])
def test_open_is_what_ships(name, tmp_path):
    shipped = tmp_path / "prior" / "open.palmprior"
    with pytest.raises(InputError, match=r"does not exist; .* --prior .*MODEL_CARD.md.* --method harp"):
        prior_folder(name, shipped)
    shipped.parent.mkdir()
    # half a prior is not an absent one
    with pytest.raises(PriorError, match="not a folder"):
        read_prior(prior_folder(name, shipped))
    write_prior(shipped, tiny_prior())
    assert read_prior(prior_folder(name, shipped)).subjects == tiny_prior().subjects


def test_any_other_name_is_a_path(tmp_path):
    assert prior_folder(str(tmp_path / "my.palmprior")) == tmp_path / "my.palmprior"


@pytest.mark.skipif(not SHIPS, reason=f"THE OPEN PRIOR IS MISSING: {SHIPPED.parent} does not exist")
def test_what_ships_is_whole_and_small():
    prior = read_prior(SHIPPED, open_hand_model())
    check_prior_fits(prior, open_hand_model())
    assert prior.config.name == "open" and prior.light is not None
    assert (SHIPPED.parent / "MODEL_CARD.md").stat().st_size > 1000
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) <= LARGEST_MB * 1e6


def test_without_options_the_shipped_prior_is_fitted(capture_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("engine.methods.palm_command.palm_quality", lambda name: CONFIG)
    output = tmp_path / "hand.palmhand"
    command = ["personalize", str(capture_file), "-o", str(output), "--texture-size", "128", "--progress", "none"]
    status, message = main(command), capsys.readouterr().err
    if not SHIPS:
        assert status == 2 and message.count("\n") == 1 and "the open prior is missing" in message
        assert not output.exists()
        return
    assert status == 0, message
    avatar = read_avatar(output)
    assert avatar.method == "palm"
    assert avatar.provenance["prior"]["sha256"] == sha256_of(SHIPPED / WEIGHTS_FILE)
    assert avatar.metrics["silhouette_iou"] > 0.75
