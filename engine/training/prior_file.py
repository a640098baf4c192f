"""A prior on disk: the folder NAME.palmprior.

    prior.json            schema, configuration, hand model, subjects, code bases, what it was trained with, metrics
    weights.safetensors   the fields' parameters, the light, the code bases, pose corrections where there are any

Reading checks everything before anything is used: names, shapes, numbers, configuration, hand model.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import InputError, PriorError
from ..fields.codes import CodeBasis
from ..fields.config import CONFIGS, FieldsConfig, HashGridConfig
from ..fields.model import PalmFields
from ..files import atomic_file, atomic_folder, read_json, sha256_of, write_json
from ..hand.canonical import CanonicalBox
from ..hand.model import HandModel
from .tensor_file import broken_tensors, read_tensors, some, write_tensors

SCHEMA_VERSION = 1
PRIOR_FILE, WEIGHTS_FILE = "prior.json", "weights.safetensors"
_FIELDS, _BASIS, _CORRECTION, _LIGHT = "fields.", "basis.", "correction.", "light"
CODE_KINDS = ("shape", "appearance")
LARGEST_SIZE = 4096
"""Of what a configuration counts: widths, levels, vertices per axis of the coarsest grid."""
CORRECTIONS: dict[str, tuple[int, ...]] = {
    "pose_correct": (60, 45),
    "shape_correct": (1, 10),
    "global_orient_correct": (60, 3),
    "transl_correct": (60, 3),
}
"""Per subject, as published checkpoints carry them: added to poses (by frame index, of at most 60), betas and placement."""


class HandModelIdentity(NamedTuple):
    """Which hand model a prior's betas, poses and canonical space belong to."""

    name: str
    sha256: str | None
    """Of the template and the skinning weights; None where an imported prior does not say."""


@dataclass(frozen=True)
class Prior:
    config: FieldsConfig
    subjects: tuple[str, ...]
    weights: Mapping[str, Tensor]
    """PalmFields' state, by its own names."""
    hand_model: HandModelIdentity
    perceptual_term: str
    """What stood for the perceptual loss in training."""
    step: int
    light: Tensor | None = None
    """[K,7] spherical-Gaussian parameters of the light it was trained in."""
    bases: Mapping[str, CodeBasis] = field(default_factory=dict)
    """Principal axes of the codes, by CODE_KINDS."""
    corrections: Mapping[str, Tensor] = field(default_factory=dict)
    """[S,…] by CORRECTIONS."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def codes_on_bases(self) -> bool:
        """Whether the subjects' codes are coefficients on `bases` (a personalised model) instead of free."""
        return "shape_code.components" in self.weights

    def fields(self) -> PalmFields:
        """The trained fields, on the CPU in float32."""
        fields = _blank_fields(self.config, self.subjects, self.codes_on_bases, self.bases)
        fields.load_state_dict({name: value.float() for name, value in self.weights.items()})
        return fields


def hand_model_identity(model: HandModel) -> HandModelIdentity:
    """Of a hand model as it was loaded, before subdivision."""
    digest = hashlib.sha256()
    for values in (model.v_template, model.skinning_weights):
        digest.update(values.detach().cpu().float().contiguous().numpy().tobytes())
    return HandModelIdentity(model.name, digest.hexdigest())


def write_prior(path: Path | str, prior: Prior, half_tables: bool = False, force: bool = False) -> None:
    """Write PATH (NAME.palmprior).

    half_tables: store the hash tables in float16, at half the size. An existing folder is refused without `force`; with it
    the prior's two files in it are replaced, and what else lies there (a training's checkpoints, previews) stays.
    Raises OutputError; PriorError for weights that a reader would refuse.
    """
    path = Path(path)
    check_prior(prior, f"prior {path}")
    if path.is_dir() and force:
        _write_files(path, prior, half_tables)
        return
    with atomic_folder(path, force) as folder:
        _write_files(folder, prior, half_tables)


def _write_files(folder: Path, prior: Prior, half_tables: bool) -> None:
    tensors = {_FIELDS + name: _stored(name, value, half_tables) for name, value in prior.weights.items()}
    if prior.light is not None:
        tensors[_LIGHT] = prior.light
    for kind, basis in prior.bases.items():
        tensors |= {f"{_BASIS}{kind}.{name}": value for name, value in basis._asdict().items()}
    tensors |= {_CORRECTION + name: value for name, value in prior.corrections.items()}
    with atomic_file(folder / WEIGHTS_FILE) as temporary:
        write_tensors(temporary, tensors)
        digest = sha256_of(temporary)
    description = {
        "schema_version": SCHEMA_VERSION,
        "config": asdict(prior.config),
        "subjects": list(prior.subjects),
        "hand_model": prior.hand_model._asdict(),
        "perceptual_term": prior.perceptual_term,
        "step": prior.step,
        "weights_sha256": digest,
        "provenance": dict(prior.provenance),
        "metrics": dict(prior.metrics),
    }
    write_json(folder / PRIOR_FILE, description)


def _stored(name: str, value: Tensor, half_tables: bool) -> Tensor:
    return value.half() if half_tables and name.endswith(".table") else value


def read_prior(path: Path | str, hand_model: HandModel | None = None, config: FieldsConfig | None = None) -> Prior:
    """Read and check a prior.

    hand_model (not subdivided), config: what it must have been made for. Weights come back in float32. Raises PriorError
    that names the file and what is missing, renamed, misshaped, NaN, or of another hand model or configuration.
    """
    path = Path(path)
    if not path.is_dir():
        raise PriorError(f"{path} is not a folder: give the path of a NAME.palmprior prior")
    for name in (PRIOR_FILE, WEIGHTS_FILE):
        if not (path / name).is_file():
            raise PriorError(f"prior {path} lacks {name}: copy the whole folder again")
    try:
        values = read_json(path / PRIOR_FILE, "description of a prior")
    except InputError as error:
        raise PriorError(str(error)) from error
    description = _description(values, path)
    if config is not None and description.config != config:
        raise PriorError(_config_message(path, description.config, config))
    if sha256_of(path / WEIGHTS_FILE) != values.get("weights_sha256"):
        raise PriorError(
            f"{path / WEIGHTS_FILE} is not the file that {PRIOR_FILE} describes: copy the whole folder again"
        )
    prior = _with_tensors(description, read_tensors(path / WEIGHTS_FILE, PriorError), path)
    check_prior(prior, f"prior {path}")
    if hand_model is not None:
        check_hand_model(prior, hand_model, f"prior {path}")
    return prior


def _description(values: Mapping[str, Any], path: Path) -> Prior:
    """What prior.json says, without weights."""
    version = values.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise PriorError(f"prior {path} has no schema_version: copy it again, or train it again")
    if version > SCHEMA_VERSION:
        raise PriorError(
            f"prior {path} has schema {version}, newer than this version reads ({SCHEMA_VERSION}): update PALM Hands"
        )
    subjects, model, step = values.get("subjects"), values.get("hand_model"), values.get("step")
    if (
        not isinstance(subjects, list)
        or not _are_names(subjects)
        or not isinstance(model, dict)
        or not isinstance(step, int)
    ):
        raise PriorError(
            f"prior {path}: {PRIOR_FILE} lacks subjects, hand_model or step; copy it again, or train it again"
        )
    name, digest = model.get("name"), model.get("sha256")
    if not isinstance(name, str) or not isinstance(digest, str | None):
        raise PriorError(f"prior {path}: hand_model has no name and sha256; copy it again, or train it again")
    sections = [values.get(section, {}) for section in ("provenance", "metrics")]
    if not all(isinstance(section, dict) for section in sections):
        raise PriorError(f"prior {path}: provenance or metrics is no object; copy it again, or train it again")
    return Prior(
        config=_config(values.get("config"), path),
        subjects=tuple(subjects),
        weights={},
        hand_model=HandModelIdentity(name, digest),
        perceptual_term=str(values.get("perceptual_term", "")),
        step=step,
        provenance=sections[0],
        metrics=sections[1],
    )


def _are_names(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(name, str) for name in values)


def _config(values: Any, path: Path) -> FieldsConfig:
    try:
        grids = {name: HashGridConfig(**values[name]) for name in ("geometry_grid", "radiance_grid")}
        box = values["box"]
        centre = tuple(float(value) for value in box["centre"])
        if len(centre) != 3:
            raise ValueError("a box's centre has three numbers")
        config = FieldsConfig(**{**values, **grids, "box": CanonicalBox(centre, float(box["half_size"]))})
        _check_sizes(config)
        return config
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise PriorError(f"prior {path}: its configuration cannot be read ({error}); copy it again") from error


def _check_sizes(config: FieldsConfig) -> None:
    """Raise ValueError for numbers with which no fields can be made."""
    values = asdict(config)
    box = values.pop("box")
    named = {**values.pop("geometry_grid"), **values.pop("radiance_grid"), **values}
    for name, value in named.items():
        fraction = name in ("per_level_scale", "initial_density_width")
        whole = isinstance(value, int) and not isinstance(value, bool)
        if name != "name" and not (isinstance(value, float) or whole if fraction else whole and value <= LARGEST_SIZE):
            raise ValueError(f"{name} is {str(value)[:40]!r}")
        if name != "name" and not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}")
    if not isinstance(config.name, str) or not all(map(math.isfinite, (*box["centre"], box["half_size"]))):
        raise ValueError("its name or box is not as it should be")
    if box["half_size"] <= 0:
        raise ValueError("its box is empty")


def _config_message(path: Path, found: FieldsConfig, wanted: FieldsConfig) -> str:
    if found.name != wanted.name:
        return f"prior {path} has the configuration {found.name!r}, not {wanted.name!r}: choose --config {found.name}"
    ours, theirs = asdict(wanted), asdict(found)
    different = some([name for name in ours if ours[name] != theirs[name]])
    return f"prior {path} has another {found.name!r} configuration ({different} differ): train it again, or update PALM Hands"


def _with_tensors(description: Prior, tensors: Mapping[str, Tensor], path: Path) -> Prior:
    """The description with what the weights' file holds; PriorError for names that belong nowhere."""
    known = (_FIELDS, _BASIS, _CORRECTION)
    stray = [name for name in tensors if not name.startswith(known) and name != _LIGHT]
    if stray:
        raise PriorError(f"prior {path} has unknown weights {some(stray)}: copy it again, or update PALM Hands")

    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    weights = {name: value.float() if value.is_floating_point() else value for name, value in under(_FIELDS).items()}
    parts = under(_BASIS)
    bases = {}
    for kind in CODE_KINDS:
        if f"{kind}.mean" in parts and f"{kind}.components" in parts:
            bases[kind] = CodeBasis(parts.pop(f"{kind}.mean"), parts.pop(f"{kind}.components"))
    if parts:
        raise PriorError(f"prior {path} has an incomplete code basis ({some(list(parts))}): copy it again")
    return replace(description, weights=weights, bases=bases, light=tensors.get(_LIGHT), corrections=under(_CORRECTION))


def check_prior(prior: Prior, what: str) -> None:
    """Raise PriorError, starting with `what`, for parameters that are missing, unknown, misshaped or NaN."""
    if len(set(prior.subjects)) != len(prior.subjects) or not prior.subjects:
        raise PriorError(f"{what} names no subjects, or one of them twice: train it again")
    if prior.codes_on_bases and set(prior.bases) != set(CODE_KINDS):
        raise PriorError(f"{what} has codes on principal axes but lacks the axes: copy it again")
    for kind, basis in prior.bases.items():
        shape = tuple(basis.components.shape)
        width = prior.config.code_width
        if kind not in CODE_KINDS or len(shape) != 2 or shape[1] != width or tuple(basis.mean.shape) != (width,):
            raise PriorError(f"{what}: the {kind} basis has shape {shape}, not (components, {width}); copy it again")
    sizes = tuple(len(prior.bases[kind].components) for kind in CODE_KINDS) if prior.codes_on_bases else None
    expected = field_shapes(prior.config, len(prior.subjects), sizes)
    check_names_and_shapes({name: tuple(value.shape) for name, value in prior.weights.items()}, expected, what)
    if prior.light is not None and (prior.light.dim() != 2 or prior.light.shape[1] != 7):
        raise PriorError(f"{what}: the light has shape {tuple(prior.light.shape)}, not (lobes, 7); copy it again")
    for name, value in prior.corrections.items():
        wanted = (len(prior.subjects), *CORRECTIONS.get(name, ()))
        if name not in CORRECTIONS or tuple(value.shape) != wanted:
            raise PriorError(
                f"{what}: the correction {name} has shape {tuple(value.shape)}, not {wanted}; copy it again"
            )
    everything = {**prior.weights, **prior.corrections} | ({} if prior.light is None else {"light": prior.light})
    for kind, basis in prior.bases.items():
        everything |= {f"{kind} basis": basis.components, f"{kind} basis's mean": basis.mean}
    other = [name for name, value in everything.items() if not value.is_floating_point()]
    if other:
        raise PriorError(f"{what} holds {some(other)} in a form that is no decimal numbers: copy it again")
    broken = broken_tensors(everything)
    if broken:
        raise PriorError(f"{what} holds NaN or infinite numbers in {some(broken)}: copy it again, or train it again")


def check_names_and_shapes(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], what: str
) -> None:
    """Raise PriorError, starting with `what`, for names missing or unknown, and for wrong shapes."""
    missing, unknown = (
        [name for name in expected if name not in found],
        [name for name in found if name not in expected],
    )
    if missing:
        also = f" (it has {some(unknown)} instead)" if unknown else ""
        raise PriorError(f"{what} lacks {some(missing)}{also}: it is incomplete, or of another program; get it again")
    if unknown:
        raise PriorError(
            f"{what} has unknown parameters {some(unknown)}: it is of another program or version; get it again"
        )
    for name, shape in expected.items():
        if found[name] != shape:
            raise PriorError(f"{what}: {name} has shape {found[name]}, not {shape}; it is of another configuration")


def check_hand_model(prior: Prior, model: HandModel, what: str) -> None:
    """Raise PriorError, starting with `what`, when the prior was made with another hand model."""
    identity = hand_model_identity(model)
    if prior.hand_model.sha256 is None:
        # an imported prior: all that is known is that it was made with MANO
        if len(model.v_template) == 778:
            return
    elif prior.hand_model.sha256 == identity.sha256:
        return
    raise PriorError(
        f"{what} was made with the hand model {prior.hand_model.name!r}, not {identity.name!r}: "
        "give that model, or a prior of this one"
    )


@functools.lru_cache(maxsize=8)
def field_shapes(config: FieldsConfig, subjects: int, axes: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
    """{parameter: shape} of PalmFields for some number of subjects. Not to be changed by callers.

    axes: numbers of principal axes of the shape and the appearance codes; None for free codes.
    """
    bases = (
        {}
        if axes is None
        else {
            kind: CodeBasis(torch.zeros(config.code_width), torch.zeros(count, config.code_width))
            for kind, count in zip(CODE_KINDS, axes, strict=True)
        }
    )
    blank = _blank_fields(config, tuple(map(str, range(subjects))), axes is not None, bases)
    return {name: tuple(value.shape) for name, value in blank.state_dict().items()}


def _blank_fields(
    config: FieldsConfig, subjects: tuple[str, ...], on_bases: bool, bases: Mapping[str, CodeBasis]
) -> PalmFields:
    """Fresh fields of a prior's form. torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        if on_bases:
            return PalmFields(config, subjects, bases["shape"], bases["appearance"])
        return PalmFields(config, subjects)


def known_config(name: str) -> FieldsConfig:
    """The configuration of a name. Raises PriorError."""
    if name not in CONFIGS:
        raise PriorError(f"there is no configuration {name!r}: choose {' or '.join(CONFIGS)}")
    return CONFIGS[name]
