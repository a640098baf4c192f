"""Published checkpoints: a generated file of exactly the official names and shapes goes in and comes out unchanged."""

from __future__ import annotations

import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from priors import small_prior

from engine.cli import main
from engine.errors import PriorError
from engine.fields.config import OFFICIAL
from engine.training.official import (
    ALIASES,
    PARAMETERS,
    SCENE_BOX,
    official_from_prior,
    official_shapes,
    prior_from_official,
    subjects_of,
)
from engine.training.official_files import experiment_of, read_checkpoint, read_pca
from engine.training.prior_file import read_prior

TABLE = (29377136,)
# written down by hand: what the published program saves
OFFICIAL_SHAPES = {
    "scene_aabb": (6,),
    "geometry.encoding.encoding.encoding.params": TABLE,
    "geometry.network.lin0.weight_v": (64, 131),
    "geometry.network.lin0.weight_g": (64, 1),
    "geometry.network.lin0.bias": (64,),
    "geometry.network.lin1.weight_v": (13, 64),
    "geometry.network.lin1.weight_g": (13, 1),
    "geometry.network.lin1.bias": (13,),
    "density.beta": (),
    "radiance.sh_mask": (1, 16),
    "radiance.xyz_encoding.encoding.encoding.params": TABLE,
    "radiance.dir_encoding.encoding.params": (0,),
    "radiance.network.layers.0.weight": (64, 163),
    "radiance.network.layers.0.bias": (64,),
    "radiance.network.layers.2.weight": (64, 64),
    "radiance.network.layers.2.bias": (64,),
    "radiance.network.layers.4.weight": (3, 64),
    "radiance.network.layers.4.bias": (3,),
    "pose_encoder.lin1.weight": (32, 48),
    "pose_encoder.lin1.bias": (32,),
    "material.network.layers.0.weight": (64, 144),
    "material.network.layers.0.bias": (64,),
    "material.network.layers.1.weight": (64, 64),
    "material.network.layers.1.bias": (64,),
    "material.network.layers.2.weight": (5, 64),
    "material.network.layers.2.bias": (5,),
    "material.network.lipshitz_bound_per_layer.0": (1,),
    "material.network.lipshitz_bound_per_layer.1": (1,),
    "material.network.lipshitz_bound_per_layer.2": (1,),
    "emitter.lgtSGs": (64, 7),
}


def official_state(
    subjects: list[str], code_width: int, known: dict[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """A state_dict without derived state, of random numbers; tensors of the same shape are taken from `known`."""
    known = known or {}
    generator = torch.Generator().manual_seed(0)
    shapes = dict(OFFICIAL_SHAPES)
    for subject in subjects:
        shapes |= {
            f"pose_correction.pose_correct.{subject}": (60, 45),
            f"pose_correction.shape_correct.{subject}": (1, 10),
            f"pose_correction.global_orient_correct.{subject}": (60, 3),
            f"pose_correction.transl_correct.{subject}": (60, 3),
            f"shape_code.codec.{subject}": (1, code_width),
            f"appearance_code.codec.{subject}": (1, code_width),
        }
    state = {}
    for name, shape in shapes.items():
        same = known.get(f"model.{name}")
        fits = same is not None and same.shape == shape
        state[f"model.{name}"] = same if fits else torch.rand(shape, generator=generator) - 0.5
    for layer in range(3):
        for alias, part in (("weights", "weight"), ("biases", "bias")):
            name = f"model.material.network.layers.{layer}.{part}"
            state[f"model.material.network.{alias}_per_layer.{layer}"] = state[name]
    state["model.scene_aabb"] = torch.tensor(SCENE_BOX)
    state["model.radiance.sh_mask"] = torch.ones(1, 16)
    return state


def save_checkpoint_file(path: Path, state: dict[str, torch.Tensor], **more: object) -> Path:
    occupancy = {
        "model.occupancy_grid.resolution": torch.full((3,), 64, dtype=torch.int32),
        "model.occupancy_grid.aabbs": torch.tensor([SCENE_BOX]),
        "model.occupancy_grid.occs": torch.zeros(262144),
        "model.occupancy_grid.binaries": torch.zeros(1, 64, 64, 64, dtype=torch.bool),
    }
    lightning = {
        "epoch": 0,
        "global_step": 24000,
        "pytorch-lightning_version": "1.9.5",
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"dirpath": "exp/x/ckpt", "best_model_score": None}},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.99)}]}],
        "lr_schedulers": [{"last_epoch": 24000, "_last_lr": [0.001]}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**lightning, "state_dict": {**state, **occupancy}, **more}, path)
    return path


def save_pca(path: Path, seed: int) -> Path:
    rows = np.linalg.qr(np.random.default_rng(seed).normal(size=(32, 5)))[0].T.astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, rows)
    return path


@pytest.fixture(scope="module")
def subjects() -> list[str]:
    return [f"{index:04d}" for index in range(263)]


@pytest.fixture(scope="module")
def state(subjects) -> dict[str, torch.Tensor]:
    return official_state(subjects, 32)


@pytest.fixture(scope="module")
def bare(state) -> dict[str, torch.Tensor]:
    return {name.removeprefix("model."): value for name, value in state.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, state) -> Path:
    """As released: the checkpoint in its folders, and the bases."""
    folder = tmp_path_factory.mktemp("official")
    save_checkpoint_file(folder / "exp/0301-1442-124/ckpt/0/epoch=0-step=24000.ckpt", state)
    for seed, kind in enumerate(("shape", "appearance")):
        save_pca(folder / f"pca_basis/0301-1442-124/epoch=0-step=24000.{kind}.pca.npy", seed)
    return folder


def pca_arguments(folder: Path) -> list[str]:
    base = folder / "pca_basis/0301-1442-124"
    return [
        part
        for kind in ("shape", "appearance")
        for part in (f"--{kind}-pca", str(next(base.glob(f"*.{kind}.pca.npy"))))
    ]


def test_expected_shapes_are_the_published_ones(subjects, state):
    derived = ("scene_aabb", "radiance.sh_mask", "radiance.dir_encoding.encoding.params")
    expected = {name.removeprefix("model."): tuple(value.shape) for name, value in state.items()}
    assert official_shapes(tuple(subjects), 32) == {n: s for n, s in expected.items() if n not in derived}
    total = sum(v.numel() for n, v in state.items() if n.removeprefix("model.") not in (*ALIASES, *derived))
    assert round(total / 1e6, 1) == 59.6


def test_import_and_export_lose_nothing(folder, state, tmp_path, capsys):
    """Checkpoint in a zip → prior folder → checkpoint: every number the same."""
    archive = tmp_path / "0301-1442-124.zip"
    checkpoint = next(folder.glob("exp/**/*.ckpt"))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        writer.write(checkpoint, checkpoint.relative_to(folder))
    output = tmp_path / "official.palmprior"
    assert main(["import-prior", str(archive), *pca_arguments(folder), "-o", str(output), "--progress", "none"]) == 0
    prior = read_prior(output, config=OFFICIAL)
    assert len(prior.subjects) == 263 and prior.step == 24000 and not prior.codes_on_bases
    assert prior.hand_model.name == "MANO right" and "LPIPS" in prior.perceptual_term
    assert prior.provenance["checkpoint"] == str(checkpoint.relative_to(folder))
    assert prior.bases["shape"].components.shape == (5, 32) and not prior.bases["shape"].mean.any()
    returned = official_from_prior(prior)
    assert set(returned) == set(state)
    for name, value in state.items():
        assert returned[name].dtype == value.dtype and torch.equal(returned[name], value), name
    fields = prior.fields()
    assert torch.equal(fields.shape_code(torch.tensor([262]))[0], state["model.shape_code.codec.0262"][0])
    assert torch.equal(fields.material.layers[2].bound, state["model.material.network.lipshitz_bound_per_layer.2"])


def test_personalised_checkpoint_needs_its_bases(folder, state):
    state = official_state(["_train"], 5, state)
    bare = {name.removeprefix("model."): value for name, value in state.items()}
    with pytest.raises(PriorError) as error:
        prior_from_official(bare, {}, 5100, "checkpoint it005100.ckpt")
    assert str(error.value) == (
        "checkpoint it005100.ckpt is a personalised model with codes of 5 numbers: give the two PCA bases"
        " (of 5 components) of the prior it came from"
    )
    bases = {kind: read_pca(next(folder.glob(f"**/*.{kind}.pca.npy")), kind, 32) for kind in ("shape", "appearance")}
    prior = prior_from_official(bare, bases, 24000, "checkpoint")
    code = prior.fields().shape_code(torch.tensor([0]))
    torch.testing.assert_close(code, bare["shape_code.codec._train"] @ bases["shape"].components)
    returned = official_from_prior(prior)
    assert set(returned) == set(state) and all(torch.equal(returned[name], state[name]) for name in state)


def changed(name: str, value: torch.Tensor | None = None, renamed: str | None = None):
    def change(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        state = dict(state)
        old = state.pop(name)
        if renamed:
            state[renamed] = old
        elif value is not None:
            state[name] = value
        return state

    return change


BAD_STATES = {
    "missing": (
        changed("density.beta"),
        "checkpoint x lacks density.beta: it is incomplete, or of another program; get it again",
    ),
    "renamed": (
        changed("pose_encoder.lin1.bias", renamed="pose_encoder.fc.bias"),
        "checkpoint x lacks pose_encoder.lin1.bias (it has pose_encoder.fc.bias instead): it is incomplete, "
        "or of another program; get it again",
    ),
    "unknown": (
        lambda state: {**state, "deformer.grid": torch.zeros(2)},
        "checkpoint x has unknown parameters deformer.grid: it is of another program or version; get it again",
    ),
    "misshaped": (
        changed("geometry.network.lin0.weight_v", torch.zeros(64, 99)),
        "checkpoint x: geometry.network.lin0.weight_v has shape (64, 99), not (64, 131); it is of another configuration",
    ),
    "NaN": (
        changed("emitter.lgtSGs", torch.full((64, 7), torch.nan)),
        "checkpoint x holds NaN or infinite numbers in emitter.lgtSGs: get it again",
    ),
    "half": (
        changed("density.beta", torch.tensor(0.1).half()),
        "checkpoint x holds density.beta (torch.float16) where float32 is expected: get it again",
    ),
    "alias": (
        changed("material.network.biases_per_layer.1", torch.zeros(64)),
        "checkpoint x: material.network.biases_per_layer.1 and material.network.layers.1.bias should be the same and are"
        " not; get it again",
    ),
    "box": (
        changed("scene_aabb", torch.zeros(6)),
        "checkpoint x: scene_aabb is [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], not ±0.15 m; it is of another configuration",
    ),
    "a subject without an appearance": (
        changed("appearance_code.codec.0007"),
        "checkpoint x lacks appearance_code.codec.0007: it is incomplete, or of another program; get it again",
    ),
    "a code that is one number": (
        lambda state: {"shape_code.codec.0000": torch.zeros(())},
        "checkpoint x: shape_code.codec.0000 has shape (), not (1, numbers); get it again",
    ),
    "no codes": (
        lambda state: {"density.beta": state["density.beta"]},
        "checkpoint x lacks shape_code.codec: it is no PALM prior or personalised model",
    ),
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_bad_parameters_are_named(bare, name):
    change, message = BAD_STATES[name]
    with pytest.raises(PriorError) as error:
        prior_from_official(change(bare), {}, 24000, "checkpoint x")
    assert str(error.value) == message


def test_relighting_checkpoint_has_no_lobes(bare):
    state = changed("emitter.lgtSGs", renamed="emitter.base")(bare)
    assert prior_from_official(state, {}, 24000, "checkpoint x").light is None


def test_other_configurations_have_no_official_form():
    with pytest.raises(PriorError, match="has no official form"):
        official_from_prior(small_prior())


class Evil:
    def __reduce__(self):
        return (print, ("run",))


class Callback:
    """Stands for a class of the training framework that lies in the file."""


Callback.__module__ = "pytorch_lightning"


def test_foreign_objects_are_ignored_and_hostile_ones_refused(tmp_path, monkeypatch, capsys):
    module = types.ModuleType(Callback.__module__)
    module.Callback = Callback
    monkeypatch.setitem(sys.modules, Callback.__module__, module)
    small = {"model.density.beta": torch.tensor(0.1)}
    path = save_checkpoint_file(tmp_path / "a.ckpt", small, callbacks={"one": Callback()})
    monkeypatch.delitem(sys.modules, Callback.__module__)
    assert read_checkpoint(path).state["density.beta"] == 0.1
    path = save_checkpoint_file(tmp_path / "b.ckpt", small, callbacks={"one": Evil()})
    with pytest.raises(PriorError, match=r"is refused: it asks for .*print, which is not plain data"):
        read_checkpoint(path)
    assert "run" not in capsys.readouterr().out


def test_unreadable_checkpoints(tmp_path):
    with pytest.raises(PriorError, match=r"does not exist: give a \.ckpt, or the \.zip it came in"):
        read_checkpoint(tmp_path / "no.ckpt")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    with pytest.raises(PriorError, match=r"text\.ckpt (is no checkpoint|is refused or damaged)"):
        read_checkpoint(tmp_path / "text.ckpt")
    path = save_checkpoint_file(tmp_path / "cut.ckpt", {"model.density.beta": torch.tensor(0.1)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(PriorError, match=r"cut\.ckpt (is no checkpoint|is refused or damaged)"):
        read_checkpoint(path)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as writer:
        writer.writestr("readme.txt", "nothing")
    with pytest.raises(PriorError, match=r"empty\.zip holds no \.ckpt"):
        read_checkpoint(tmp_path / "empty.zip")
    torch.save({"epoch": 1}, tmp_path / "none.ckpt")
    with pytest.raises(PriorError, match=r"holds no weights \(state_dict\)"):
        read_checkpoint(tmp_path / "none.ckpt")


def test_the_checkpoint_of_most_steps_is_taken(tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as writer:
        for step in (300, 5100, 4800):
            path = save_checkpoint_file(tmp_path / "one.ckpt", {"model.density.beta": torch.tensor(float(step))})
            writer.write(path, f"exp/x/ckpt/it{step:06d}.ckpt")
    checkpoint = read_checkpoint(tmp_path / "two.zip")
    assert checkpoint.state["density.beta"] == 5100 and checkpoint.file.endswith("it005100.ckpt")


BAD_BASES = {
    "shape": (np.eye(5, 31), "has shape (5, 31), not (components, 32): download it again"),
    "NaN": (np.full((5, 32), np.nan), "holds NaN or infinite numbers: download it again"),
    "skewed": (np.ones((5, 32)), "has rows that are not orthonormal: it is no PCA basis"),
}


@pytest.mark.parametrize("name", BAD_BASES)
def test_bad_bases_are_named(tmp_path, name):
    rows, message = BAD_BASES[name]
    np.save(tmp_path / "x.shape.pca.npy", rows)
    with pytest.raises(PriorError) as error:
        read_pca(tmp_path / "x.shape.pca.npy", "shape", 32)
    assert str(error.value) == f"shape basis {tmp_path / 'x.shape.pca.npy'} {message}"


def test_swapped_missing_and_pickled_bases(tmp_path):
    with pytest.raises(PriorError, match="is named as the appearance basis: give the shape basis with --shape-pca"):
        read_pca(tmp_path / "e.appearance.pca.npy", "shape", 32)
    with pytest.raises(PriorError, match=r"cannot read shape basis .* \(No such file or directory\): check the path"):
        read_pca(tmp_path / "e.shape.pca.npy", "shape", 32)
    np.save(tmp_path / "o.npy", np.array({"a": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(PriorError, match=r"is no \.npy of numbers"):
        read_pca(tmp_path / "o.npy", "shape", 32)


def test_without_bases_the_priors_own_axes_are_worked_out(folder, tmp_path, bare):
    checkpoint, output = str(next(folder.glob("exp/**/*.ckpt"))), tmp_path / "half.palmprior"
    assert main(["import-prior", checkpoint, "--half", "-o", str(output), "--progress", "none"]) == 0
    assert (output / "weights.safetensors").stat().st_size < 122e6
    prior = read_prior(output, config=OFFICIAL)
    codes = torch.cat([bare[f"appearance_code.codec.{subject}"] for subject in prior.subjects])
    basis = prior.bases["appearance"]
    torch.testing.assert_close(basis.mean, codes.mean(0))
    torch.testing.assert_close(basis.components @ basis.components.T, torch.eye(5), atol=1e-5, rtol=0)


def test_bases_of_another_prior_are_refused(folder, tmp_path, capsys):
    moved = tmp_path / "pca_basis/0311-0806-124"
    for seed, kind in enumerate(("shape", "appearance")):
        save_pca(moved / f"x.{kind}.pca.npy", seed)
    arguments = ["--shape-pca", str(moved / "x.shape.pca.npy"), "--appearance-pca", str(moved / "x.appearance.pca.npy")]
    checkpoint = str(next(folder.glob("exp/**/*.ckpt")))
    assert (
        main(["import-prior", checkpoint, *arguments, "-o", str(tmp_path / "x.palmprior"), "--progress", "none"]) == 2
    )
    assert "belongs to the prior 0311-0806-124, the checkpoint to 0301-1442-124" in capsys.readouterr().err
    assert not (tmp_path / "x.palmprior").exists()
    assert experiment_of("exp/0301-1442-124/ckpt/x.ckpt") == "0301-1442-124" and experiment_of("a/b.ckpt") is None


def test_command_refuses_half_a_pair_and_other_names(folder, tmp_path, capsys):
    checkpoint = str(next(folder.glob("exp/**/*.ckpt")))
    assert main(["import-prior", checkpoint, "-o", str(tmp_path / "x.prior"), "--progress", "none"]) == 2
    assert "should end in .palmprior" in capsys.readouterr().err
    half = [*pca_arguments(folder)[:2], "-o", str(tmp_path / "x.palmprior"), "--progress", "none"]
    assert main(["import-prior", checkpoint, *half]) == 2
    assert "--appearance-pca is missing: give both bases, or neither" in capsys.readouterr().err


def test_names_map_one_to_one():
    assert len(set(PARAMETERS.values())) == len(PARAMETERS)
    assert subjects_of({"shape_code.codec.0001": torch.zeros(1), "shape_code.codec.0000": torch.zeros(1)}) == (
        "0000",
        "0001",
    )
