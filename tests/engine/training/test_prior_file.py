"""Priors on disk: what is written is read back, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from priors import GRID, SMALL, small_prior
from safetensors.torch import load_file, save_file

from engine.errors import OutputError, PriorError
from engine.fields.config import OFFICIAL, OPEN
from engine.fields.model import PalmFields
from engine.files import sha256_of
from engine.hand.model import open_hand_model
from engine.training.prior_file import Prior, hand_model_identity, read_prior, write_prior


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_prior(tmp_path / "a.palmprior", small_prior())
    return tmp_path / "a.palmprior"


def edit_json(folder: Path, **changes) -> None:
    values = json.loads((folder / "prior.json").read_text())
    values.update(changes)
    (folder / "prior.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))


def edit_weights(folder: Path, change) -> None:
    save_file(change(load_file(folder / "weights.safetensors")), folder / "weights.safetensors")
    edit_json(folder, weights_sha256=sha256_of(folder / "weights.safetensors"))


def test_prior_is_read_back(folder):
    written, prior = small_prior(), read_prior(folder, open_hand_model(), SMALL)
    assert prior.config == SMALL and prior.subjects == written.subjects and prior.step == 1200
    assert prior.hand_model == written.hand_model and prior.perceptual_term == "laplacian pyramid"
    assert prior.metrics == {"psnr_db": 29.5} and prior.provenance == {"seed": 42}
    assert all(torch.equal(prior.weights[name], value) for name, value in written.weights.items())
    assert torch.equal(prior.light, written.light)
    for kind in ("shape", "appearance"):
        assert all(torch.equal(a, b) for a, b in zip(prior.bases[kind], written.bases[kind], strict=True))
    fields = prior.fields()
    assert isinstance(fields, PalmFields) and fields.subjects == ("0000", "0003")
    assert all(torch.equal(value, written.weights[name]) for name, value in fields.state_dict().items())


def test_reading_does_not_touch_the_random_state(folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    read_prior(folder).fields()
    assert torch.equal(torch.rand(3), expected)


def test_half_tables_are_half_the_size(tmp_path):
    written = Prior(OPEN, ("a", "b"), PalmFields(OPEN, ("a", "b")).state_dict(), small_prior().hand_model, "", 0)
    write_prior(tmp_path / "half.palmprior", written, half_tables=True)
    assert (tmp_path / "half.palmprior" / "weights.safetensors").stat().st_size <= 8e6
    prior = read_prior(tmp_path / "half.palmprior")
    for name, value in written.weights.items():
        assert prior.weights[name].dtype == torch.float32
        torch.testing.assert_close(prior.weights[name], value.half().float() if name.endswith("table") else value)


def test_existing_priors_are_kept_unless_forced(folder):
    (folder / "checkpoints").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        write_prior(folder, small_prior())
    write_prior(folder, dataclasses.replace(small_prior(), step=7), force=True)
    assert read_prior(folder).step == 7 and (folder / "checkpoints").is_dir()
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "prior.json", "weights.safetensors"]


def test_weights_that_no_reader_takes_are_not_written(tmp_path):
    prior = small_prior()
    broken = dataclasses.replace(prior, light=torch.full((64, 7), torch.nan))
    with pytest.raises(PriorError, match=r"b\.palmprior holds NaN or infinite numbers in light"):
        write_prior(tmp_path / "b.palmprior", broken)
    assert not (tmp_path / "b.palmprior").exists()


def without(name: str, renamed: str | None = None):
    def change(weights):
        value = weights.pop(name)
        return weights | ({renamed: value} if renamed else {})

    return change


def filled(name: str, value: torch.Tensor):
    return lambda weights: weights | {name: value}


BAD_WEIGHTS = {
    "missing": (
        without("fields.density.beta"),
        "prior {p} lacks density.beta: it is incomplete, or of another program; get it again",
    ),
    "renamed": (
        without("fields.geometry.lin0.bias", "fields.geometry.first.bias"),
        "prior {p} lacks geometry.lin0.bias (it has geometry.first.bias instead): it is incomplete, or of another program;"
        " get it again",
    ),
    "unknown": (
        filled("fields.extra", torch.zeros(1)),
        "prior {p} has unknown parameters extra: it is of another program or version; get it again",
    ),
    "stray": (
        filled("moments", torch.zeros(1)),
        "prior {p} has unknown weights moments: copy it again, or update PALM Hands",
    ),
    "misshaped": (
        filled("fields.radiance.encoding.table", torch.zeros(64)),
        "prior {p}: radiance.encoding.table has shape (64,), not (6144,); it is of another configuration",
    ),
    "NaN": (
        filled("fields.material.layers.1.bias", torch.full((64,), torch.inf)),
        "prior {p} holds NaN or infinite numbers in material.layers.1.bias: copy it again, or train it again",
    ),
    "NaN basis": (
        filled("basis.shape.components", torch.full((2, 32), torch.nan)),
        "prior {p} holds NaN or infinite numbers in shape basis: copy it again, or train it again",
    ),
    "complex": (
        filled("light", torch.zeros(64, 7, dtype=torch.complex64)),
        "prior {p} holds light in a form that is no decimal numbers: copy it again",
    ),
    "whole numbers": (
        filled("fields.pose_encoder.lin1.bias", torch.zeros(32, dtype=torch.int32)),
        "prior {p} holds pose_encoder.lin1.bias in a form that is no decimal numbers: copy it again",
    ),
    "half a basis": (
        without("basis.shape.mean"),
        "prior {p} has an incomplete code basis (shape.components): copy it again",
    ),
    "narrow basis": (
        filled("basis.shape.components", torch.zeros(2, 31)),
        "prior {p}: the shape basis has shape (2, 31), not (components, 32); copy it again",
    ),
    "light": (
        filled("light", torch.zeros(64, 6)),
        "prior {p}: the light has shape (64, 6), not (lobes, 7); copy it again",
    ),
    "correction": (
        filled("correction.pose_correct", torch.zeros(1, 60, 45)),
        "prior {p}: the correction pose_correct has shape (1, 60, 45), not (2, 60, 45); copy it again",
    ),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights_are_named(folder, name):
    change, message = BAD_WEIGHTS[name]
    edit_weights(folder, change)
    with pytest.raises(PriorError) as error:
        read_prior(folder)
    assert str(error.value) == message.format(p=folder)


BAD_DESCRIPTIONS = {
    "newer": ({"schema_version": 2}, "prior {p} has schema 2, newer than this version reads (1): update PALM Hands"),
    "no schema": ({"schema_version": None}, "prior {p} has no schema_version: copy it again, or train it again"),
    "no subjects": (
        {"subjects": []},
        "prior {p}: prior.json lacks subjects, hand_model or step; copy it again, or train it again",
    ),
    "no hand model": (
        {"hand_model": {"name": 3}},
        "prior {p}: hand_model has no name and sha256; copy it again, or train it again",
    ),
    "other subjects": (
        {"subjects": ["0000"]},
        "prior {p}: shape_code.codes has shape (2, 32), not (1, 32); it is of another configuration",
    ),
    "twice the same": (
        {"subjects": ["0000", "0000"]},
        "prior {p} names no subjects, or one of them twice: train it again",
    ),
    "other weights": (
        {"weights_sha256": "0"},
        "{p}/weights.safetensors is not the file that prior.json describes: copy the whole folder again",
    ),
}


@pytest.mark.parametrize("name", BAD_DESCRIPTIONS)
def test_bad_descriptions_are_named(folder, name):
    changes, message = BAD_DESCRIPTIONS[name]
    edit_json(folder, **changes)
    with pytest.raises(PriorError) as error:
        read_prior(folder)
    assert str(error.value) == message.format(p=folder)


@pytest.mark.parametrize("change", [{"levels": 0}, {"levels": "three"}, {"unknown": 1}])
def test_bad_configurations_are_named(folder, change):
    config = dataclasses.asdict(SMALL)
    config["geometry_grid"] |= change
    edit_json(folder, config=config)
    with pytest.raises(PriorError, match="its configuration cannot be read"):
        read_prior(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"code_width": "32"},
        {"code_width": [32]},
        {"code_width": -1},
        {"code_width": 10**9},
        {"hidden_width": True},
        {"initial_density_width": float("nan")},
        {"name": 3},
        {"box": {"centre": [0, 0, float("nan")], "half_size": 0.1}},
        {"box": {"centre": [0, 0, 0], "half_size": 0}},
    ],
    ids=str,
)
def test_sizes_that_no_fields_can_have_are_refused(folder, change):
    edit_json(folder, config=dataclasses.asdict(SMALL) | change)
    with pytest.raises(PriorError, match="its configuration cannot be read"):
        read_prior(folder)


def test_other_configurations_are_refused(folder):
    with pytest.raises(PriorError) as error:
        read_prior(folder, config=OFFICIAL)
    assert str(error.value) == (f"prior {folder} has the configuration 'small', not 'official': choose --config small")
    finer = dataclasses.replace(SMALL, geometry_grid=dataclasses.replace(GRID, levels=4))
    with pytest.raises(PriorError) as error:
        read_prior(folder, config=finer)
    assert str(error.value) == (
        f"prior {folder} has another 'small' configuration (geometry_grid differ): train it again, or update PALM Hands"
    )


def test_other_hand_models_are_refused(folder):
    model = open_hand_model()
    other = dataclasses.replace(model, v_template=model.v_template + 1e-4, name="another hand")
    with pytest.raises(PriorError) as error:
        read_prior(folder, other)
    assert str(error.value) == (
        f"prior {folder} was made with the hand model 'PALM Hands open hand', not 'another hand':"
        " give that model, or a prior of this one"
    )
    assert hand_model_identity(model).sha256 == hand_model_identity(model.to(dtype=torch.float64)).sha256


def test_missing_and_damaged_files(folder, tmp_path):
    with pytest.raises(PriorError, match=r"is not a folder: give the path of a NAME\.palmprior"):
        read_prior(tmp_path / "none.palmprior")
    weights = folder / "weights.safetensors"
    whole = weights.read_bytes()
    for content in (whole[:100], whole[: len(whole) // 2], b"", b"\xff" * 64):
        weights.write_bytes(content)
        edit_json(folder, weights_sha256=sha256_of(weights))
        with pytest.raises(PriorError, match=r"weights\.safetensors cannot be read"):
            read_prior(folder)
    (folder / "prior.json").write_text("{")
    with pytest.raises(PriorError, match="is not valid JSON"):
        read_prior(folder)
    weights.unlink()
    with pytest.raises(PriorError, match=r"lacks weights\.safetensors: copy the whole folder again"):
        read_prior(folder)
