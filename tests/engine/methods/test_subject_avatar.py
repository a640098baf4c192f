"""A prior's subject baked to an avatar folder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.avatar.folder import read_avatar
from engine.avatar.texture_files import read_png
from engine.cli import main
from engine.datasets.palm import PalmFrame
from engine.errors import PriorError
from engine.fields.bands import all_bands
from engine.fields.model import PalmFields
from engine.hand.mano import shape_hand
from engine.hand.model import open_hand_model
from engine.hand.signed_distance import signed_distance
from engine.lighting.sg_light import fibonacci_sg_light
from engine.methods.subject_avatar import subject_betas
from engine.progress import silent
from engine.training.config import training_config
from engine.training.pretrain import pretraining_pool, run_pretraining
from engine.training.prior_file import Prior, hand_model_identity, write_prior

BETAS = [0.8, -0.5] + 8 * [0.0]


@pytest.fixture(scope="module")
def prior() -> Prior:
    """Geometry fitted to one hand for a few seconds; radiance and material as they begin."""
    model = open_hand_model()
    config = training_config("open")
    short = replace(config.pretrain, steps=160, poses=1, random_poses=2, points_per_pose=8192, batch=2048, rate=1e-2)
    frame = PalmFrame(
        "anna", 0, "A", None, None, None, None, np.eye(3), np.eye(4), 8, 8,
        np.array(BETAS), np.zeros(3), np.zeros(45), np.zeros(3),
    )  # fmt: skip
    torch.manual_seed(0)
    fields = PalmFields(config.fields, ["anna"])
    pool = pretraining_pool([frame], ["anna"], model, short, 0, silent)
    run_pretraining(fields, pool, lambda share: all_bands(config.fields), short, 0, silent)
    return Prior(
        config=config.fields,
        subjects=("anna",),
        weights=fields.state_dict(),
        hand_model=hand_model_identity(model),
        perceptual_term="none",
        step=0,
        light=fibonacci_sg_light(8),
        provenance={"subject_betas": {"anna": BETAS}},
    )


@pytest.fixture(scope="module")
def prior_folder(prior, tmp_path_factory):
    path = tmp_path_factory.mktemp("prior") / "one.palmprior"
    write_prior(path, prior)
    return path


@pytest.mark.slow
def test_the_avatar_is_the_subjects_hand(prior_folder, tmp_path):
    output = tmp_path / "anna.palmhand"
    assert (
        main(["bake-subject", str(prior_folder), "-o", str(output), "--texture-size", "256", "--progress", "none"]) == 0
    )
    avatar = read_avatar(output)
    assert avatar.method == "palm-prior" and avatar.provenance["subject"] == "anna"
    np.testing.assert_allclose(avatar.betas, BETAS, atol=1e-6)
    assert avatar.metrics["vertices_on_surface"] > 0.8
    model = open_hand_model()
    rest, _ = shape_hand(model, torch.tensor(BETAS))
    skin = np.setdiff1d(np.arange(len(avatar.mesh.vertices)), avatar.mesh.faces[avatar.mesh.cap_faces])
    away = signed_distance(rest, model.faces, torch.as_tensor(avatar.mesh.vertices[skin]).float()).abs()
    assert float(away.mean()) < 1.5e-3
    assert read_png(output / "albedo.png").shape[:2] == (256, 256)
    assert read_png(output / "preview.png").shape[0] > 300


def test_an_unknown_subject_is_named(prior_folder, tmp_path, capsys):
    assert main(["bake-subject", str(prior_folder), "--subject", "bert", "-o", str(tmp_path / "b.palmhand")]) == 2
    assert "the prior has no subject 'bert': choose one of anna" in capsys.readouterr().err
    assert not (tmp_path / "b.palmhand").exists()


def test_mistakes_are_explained(prior_folder, tmp_path, capsys):
    for arguments, message in (
        ([str(prior_folder), "-o", str(tmp_path / "hand")], "should end in .palmhand"),
        (
            [str(prior_folder), "-o", str(tmp_path / "a.palmhand"), "--texture-size", "5"],
            "--texture-size 5 is not between",
        ),
        ([str(tmp_path / "none.palmprior"), "-o", str(tmp_path / "a.palmhand")], "none.palmprior"),
    ):
        assert main(["bake-subject", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_a_prior_without_hand_shapes_says_so(prior):
    with pytest.raises(PriorError, match="does not say the hand shape of subject 'anna'"):
        subject_betas(replace(prior, provenance={}), "anna")


@pytest.mark.parametrize("stored", [10 * ["x"], 10 * [[1.0]], 9 * [0.0], 10 * [float("nan")], None], ids=str)
def test_hand_shapes_that_are_none_are_refused(prior, stored):
    with pytest.raises(PriorError, match=r"the hand shape of subject 'anna' in prior\.json (holds|has)"):
        subject_betas(replace(prior, provenance={"subject_betas": {"anna": stored}}), "anna")
