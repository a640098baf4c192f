"""Published PALM checkpoints to the project's priors and back, parameter by parameter.

What a checkpoint holds twice (the material's aliases) or what follows from the rest (the occupancy grid, the box, the mask of
the harmonics, an empty tensor) is checked or left out, and made anew on the way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import PriorError
from ..fields.bands import bands_at
from ..fields.codes import CodeBasis
from ..fields.config import OFFICIAL
from .prior_file import CODE_KINDS, CORRECTIONS, HandModelIdentity, Prior, check_names_and_shapes, field_shapes
from .tensor_file import broken_tensors, some

HAND_MODEL = HandModelIdentity("MANO right", None)
PERCEPTUAL_TERM = "LPIPS-VGG, as published"
LIGHT_LOBES = 64
SCENE_BOX = (-0.15, -0.15, -0.15, 0.15, 0.15, 0.15)
_LIGHT, _MASK, _BOX, _EMPTY = (
    "emitter.lgtSGs",
    "radiance.sh_mask",
    "scene_aabb",
    "radiance.dir_encoding.encoding.params",
)
_DERIVED = ("occupancy_grid.", "emitter.base")
_MATERIAL = "material.network"


def _parameter_names() -> dict[str, str]:
    """{official name: the project's} of what no subject owns."""
    names = {
        "geometry.encoding.encoding.encoding.params": "geometry.encoding.table",
        "density.beta": "density.beta",
        "radiance.xyz_encoding.encoding.encoding.params": "radiance.encoding.table",
        "pose_encoder.lin1.weight": "pose_encoder.lin1.weight",
        "pose_encoder.lin1.bias": "pose_encoder.lin1.bias",
    }
    for linear in ("lin0", "lin1"):
        names |= {
            f"geometry.network.{linear}.{part}": f"geometry.{linear}.{part}"
            for part in ("weight_v", "weight_g", "bias")
        }
    for layer in range(3):
        for part in ("weight", "bias"):
            names[f"radiance.network.layers.{2 * layer}.{part}"] = f"radiance.layers.{layer}.{part}"
            names[f"{_MATERIAL}.layers.{layer}.{part}"] = f"material.layers.{layer}.{part}"
        names[f"{_MATERIAL}.lipshitz_bound_per_layer.{layer}"] = f"material.layers.{layer}.bound"
    return names


PARAMETERS = _parameter_names()
ALIASES = {
    f"{_MATERIAL}.{alias}_per_layer.{layer}": f"{_MATERIAL}.layers.{layer}.{part}"
    for layer in range(3)
    for alias, part in (("weights", "weight"), ("biases", "bias"))
}


def subjects_of(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The subjects whose codes a checkpoint holds, in order."""
    prefix = "shape_code.codec."
    return tuple(sorted(name.removeprefix(prefix) for name in state if name.startswith(prefix)))


def official_shapes(subjects: tuple[str, ...], code_width: int) -> dict[str, tuple[int, ...]]:
    """{official name: shape} of a checkpoint, without what is derived.

    code_width: 32 for priors, the number of PCA components for personalised models.
    """
    own = field_shapes(OFFICIAL, 1, None)
    shapes = {official: own[ours] for official, ours in PARAMETERS.items()}
    shapes |= {alias: shapes[name] for alias, name in ALIASES.items()}
    shapes[_LIGHT] = (LIGHT_LOBES, 7)
    for subject in subjects:
        shapes |= {f"{kind}_code.codec.{subject}": (1, code_width) for kind in CODE_KINDS}
        shapes |= {f"pose_correction.{name}.{subject}": shape for name, shape in CORRECTIONS.items()}
    return shapes


def prior_from_official(
    state: Mapping[str, Tensor],
    bases: Mapping[str, CodeBasis],
    step: int,
    what: str,
    provenance: Mapping[str, Any] | None = None,
) -> Prior:
    """The prior in a checkpoint's parameters (official names, without `model.`).

    bases: by "shape" and "appearance"; none is possible for a prior, whose codes are free. `what` starts the errors. Raises
    PriorError that names what is missing, renamed, misshaped, NaN or inconsistent. The tensors are taken over, not copied.
    """
    kept = {name: value for name, value in state.items() if not name.startswith(_DERIVED)}
    subjects = subjects_of(kept)
    if not subjects:
        raise PriorError(f"{what} lacks shape_code.codec: it is no PALM prior or personalised model")
    first = kept[f"shape_code.codec.{subjects[0]}"]
    if first.dim() != 2:
        raise PriorError(
            f"{what}: shape_code.codec.{subjects[0]} has shape {tuple(first.shape)}, not (1, numbers); get it again"
        )
    code_width = int(first.shape[1])
    free = code_width == OFFICIAL.code_width
    if not free and {kind: len(basis.components) for kind, basis in bases.items()} != dict.fromkeys(
        CODE_KINDS, code_width
    ):
        raise PriorError(
            f"{what} is a personalised model with codes of {code_width} numbers: give the two PCA bases"
            f" (of {code_width} components) of the prior it came from"
        )
    expected = official_shapes(subjects, code_width)
    if "emitter.base" in state:  # saved while relighting: the light then is a picture
        expected.pop(_LIGHT)
    optional = {_MASK: (1, 16), _BOX: (6,), _EMPTY: (0,)}
    expected |= {name: shape for name, shape in optional.items() if name in kept}
    check_names_and_shapes({name: tuple(value.shape) for name, value in kept.items()}, expected, what)
    wrong = [f"{name} ({value.dtype})" for name, value in kept.items() if value.dtype != torch.float32]
    if wrong:
        raise PriorError(f"{what} holds {some(wrong)} where float32 is expected: get it again")
    broken = broken_tensors(kept)
    if broken:
        raise PriorError(f"{what} holds NaN or infinite numbers in {some(broken)}: get it again")
    for alias, name in ALIASES.items():
        if not torch.equal(kept[alias], kept[name]):
            raise PriorError(f"{what}: {alias} and {name} should be the same and are not; get it again")
    if _BOX in kept and not torch.allclose(kept[_BOX], torch.tensor(SCENE_BOX)):
        raise PriorError(f"{what}: {_BOX} is {kept[_BOX].tolist()}, not ±0.15 m; it is of another configuration")

    weights = {ours: kept[official] for official, ours in PARAMETERS.items()}
    for kind in CODE_KINDS:
        weights[f"{kind}_code.codes"] = torch.cat([kept[f"{kind}_code.codec.{subject}"] for subject in subjects])
        if not free:
            weights |= {f"{kind}_code.{name}": value for name, value in bases[kind]._asdict().items()}
    corrections = {
        name: torch.stack([kept[f"pose_correction.{name}.{subject}"] for subject in subjects]) for name in CORRECTIONS
    }
    return Prior(
        config=OFFICIAL,
        subjects=subjects,
        weights=weights,
        hand_model=HAND_MODEL,
        perceptual_term=PERCEPTUAL_TERM,
        step=step,
        light=kept.get(_LIGHT),
        bases=dict(bases),
        corrections=corrections,
        provenance=dict(provenance or {}),
    )


def official_from_prior(prior: Prior) -> dict[str, Tensor]:
    """A checkpoint's parameters (with the prefix `model.`), the inverse of `prior_from_official`.

    Corrections that the prior lacks are zeros, as published priors have them. Raises PriorError for a prior of another
    configuration. The occupancy grid is not written: published loaders drop it.
    """
    if prior.config != OFFICIAL:
        raise PriorError(
            f"a prior of the configuration {prior.config.name!r} has no official form: train one with official"
        )
    state = {official: prior.weights[ours] for official, ours in PARAMETERS.items()}
    state |= {alias: state[name] for alias, name in ALIASES.items()}
    if prior.light is not None:
        state[_LIGHT] = prior.light
    state[_BOX] = torch.tensor(SCENE_BOX)
    state[_MASK] = bands_at(prior.step, OFFICIAL).sh[None]
    state[_EMPTY] = torch.zeros(0)
    for index, subject in enumerate(prior.subjects):
        for kind in CODE_KINDS:
            state[f"{kind}_code.codec.{subject}"] = prior.weights[f"{kind}_code.codes"][index : index + 1]
        for name, shape in CORRECTIONS.items():
            values = prior.corrections.get(name)
            state[f"pose_correction.{name}.{subject}"] = torch.zeros(shape) if values is None else values[index]
    return {f"model.{name}": value for name, value in state.items()}
