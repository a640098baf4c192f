"""What an avatar learned of its pose beyond MANO's correctives: optional files of the avatar folder.

    correctives.npz               terms [C,12] (`pose_terms.terms_to_rows`), basis [C,V,3] metres per unit of each term
    pose_maps.json                for each map its weight, a sum of terms, and what its pictures' full range means
    pose_maps/normal_K.png        tangent-space difference of the normals, 0.5 + d / (2 range), in x and y
    pose_maps/albedo_K.png        difference of the linear albedo, encoded alike

A pose adds Σ weight_k difference_k to normal.png and albedo.png, which are what the mean pose looks like: readers that know
nothing of these files show that.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AvatarError
from ..files import read_json
from ..outside import numbers
from .image_headers import is_whole_image
from .pose_terms import Hinge, Term, evaluate_terms, fault_in, terms_from_rows, terms_to_rows

CORRECTIVES, POSE_MAPS = "correctives.npz", "pose_maps.json"
MOST_COLUMNS = 256
MOST_MAPS = 12
"""The pictures of more would not fit into the texture slots that real-time renderers have."""
MOST_FACTORS_OF_A_WEIGHT = 4
"""A weight becomes one expression, and Blender's are 256 characters long."""
GREATEST_GAIN = 1e4


@dataclass(frozen=True)
class ExtraCorrectives:
    """Pose correctives beyond MANO's 135 columns."""

    terms: tuple[Term, ...]
    basis: np.ndarray
    """[C,V,3] metres per unit of each term."""

    def offsets(self, hand_pose: np.ndarray) -> np.ndarray:
        """[*,V,3] metres in the rest frame at poses [*,45]."""
        return np.tensordot(evaluate_terms(self.terms, hand_pose), self.basis, 1)


@dataclass(frozen=True)
class PoseWeight:
    """constant + Σ gain · term, kept within [low, high], the range in which it was learned."""

    constant: float
    low: float
    high: float
    gains: tuple[float, ...]
    terms: tuple[Term, ...]

    def __call__(self, hand_pose: np.ndarray) -> np.ndarray:
        """[*] at poses [*,45]."""
        value = self.constant + evaluate_terms(self.terms, hand_pose) @ np.asarray(self.gains, dtype=float)
        return np.clip(value, self.low, self.high)


@dataclass(frozen=True)
class PoseMap:
    """A pair of maps whose share follows the pose."""

    weight: PoseWeight
    normal_range: float
    """Difference of the unit normals' x and y that the picture's white stands for, at weight 1; 0: no normal map."""
    albedo_range: float
    """The same of the linear albedo."""

    def pictures(self, index: int) -> dict[str, float]:
        """Names of its pictures in the avatar folder with their ranges."""
        ranges = {
            f"pose_maps/normal_{index}.png": self.normal_range,
            f"pose_maps/albedo_{index}.png": self.albedo_range,
        }
        return {name: reach for name, reach in ranges.items() if reach > 0}


def write_pose_extras(folder: Path, extras: ExtraCorrectives | None, maps: tuple[PoseMap, ...]) -> None:
    """Write the files but for the pictures. Raises AvatarError for what `read_pose_extras` would refuse."""
    if extras is not None:
        _check_terms(extras.terms, "correctives")
        terms, basis = terms_to_rows(extras.terms).astype(np.float64), np.asarray(extras.basis, dtype=np.float32)
        np.savez_compressed(folder / CORRECTIVES, terms=terms, basis=basis)
    if maps:
        values = {"maps": [_map_to_json(one) for one in maps]}
        (folder / POSE_MAPS).write_text(json.dumps(values, indent=1, allow_nan=False), encoding="utf-8")


def read_correctives(folder: Path, vertices: int) -> ExtraCorrectives | None:
    """The folder's extra correctives, None where it has none. Raises AvatarError."""
    path = folder / CORRECTIVES
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not {"terms", "basis"} <= set(archive.files):
                raise AvatarError(f"{path} lacks terms or basis: make the avatar again")
            terms, basis = archive["terms"], archive["basis"]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise AvatarError(f"{path} is damaged ({error}): copy it again, or make the avatar again") from error
    count = len(terms) if terms.ndim else 0
    rows = numbers(terms, f"{path}: terms", AvatarError, (count, 12))
    if not 0 < count <= MOST_COLUMNS:
        raise AvatarError(f"{path} has {count} columns, not 1 to {MOST_COLUMNS}: make the avatar again")
    if basis.shape != (count, vertices, 3) or basis.dtype.kind != "f" or not np.isfinite(basis).all():
        raise AvatarError(f"{path}: basis is not {count}×{vertices}×3 finite numbers; make the avatar again")
    return ExtraCorrectives(_terms_of(rows, str(path)), basis)


def read_pose_maps(folder: Path) -> tuple[PoseMap, ...]:
    """The folder's pose-driven maps, none where it has none; their pictures are whole. Raises AvatarError."""
    path = folder / POSE_MAPS
    if not path.is_file():
        return ()
    listed = read_json(path, "list of pose maps").get("maps")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_MAPS:
        raise AvatarError(f"{path} does not list 1 to {MOST_MAPS} maps: make the avatar again")
    maps = tuple(_map_from_json(value, f"{path}: map {index}") for index, value in enumerate(listed))
    for index, one in enumerate(maps):
        for name in one.pictures(index):
            if not (folder / name).is_file():
                raise AvatarError(f"avatar {folder} lacks {name}: copy the whole folder, or make the avatar again")
            if not is_whole_image(folder / name):
                raise AvatarError(f"{folder / name} is damaged: copy it again, or make the avatar again")
    return maps


def weight_to_json(weight: PoseWeight) -> dict[str, Any]:
    """A weight as plain values."""
    values = {name: getattr(weight, name) for name in ("constant", "low", "high")}
    pairs = zip(weight.gains, weight.terms, strict=True)
    return {**values, "terms": [{"gain": gain, "factors": [_factor(h) for h in term]} for gain, term in pairs]}


def weight_from_json(value: Any, what: str) -> PoseWeight:
    """The inverse, checked. what: names the file and the place, and starts the message of AvatarError."""
    value, listed = _object(value, what), _object(value, what).get("terms")
    if not isinstance(listed, list):
        raise AvatarError(f"{what} has no list of terms: make the avatar again")
    terms, gains = [], []
    for entry in listed[: MOST_FACTORS_OF_A_WEIGHT + 1]:
        factors = _object(entry, what).get("factors")
        if not isinstance(factors, list):
            raise AvatarError(f"{what} has a term without factors: make the avatar again")
        gains.append(_number(entry, "gain", what))
        terms.append(tuple(_hinge(factor, what) for factor in factors[:MOST_FACTORS_OF_A_WEIGHT]))
    if sum(map(len, terms)) > MOST_FACTORS_OF_A_WEIGHT:
        raise AvatarError(f"{what} has more than {MOST_FACTORS_OF_A_WEIGHT} factors: make the avatar again")
    _check_terms(tuple(terms), what)
    constant, low, high = (_number(value, name, what) for name in ("constant", "low", "high"))
    if low > high:
        raise AvatarError(f"{what}: its weight has no range; make the avatar again")
    return PoseWeight(constant, low, high, tuple(gains), tuple(terms))


def mirrored_weight(weight: PoseWeight) -> PoseWeight:
    """The same weight at mirrored poses of the other hand."""
    from .pose_terms import mirrored_term

    return dataclasses.replace(weight, terms=tuple(map(mirrored_term, weight.terms)))


def _map_to_json(one: PoseMap) -> dict[str, Any]:
    ranges = {"normal_range": one.normal_range, "albedo_range": one.albedo_range}
    # what was written must be readable
    weight_from_json(weight_to_json(one.weight), "a pose map's weight")
    return {**weight_to_json(one.weight), **ranges}


def _map_from_json(value: Any, what: str) -> PoseMap:
    weight = weight_from_json(value, what)
    normal, albedo = (_number(value, name, what) for name in ("normal_range", "albedo_range"))
    if not (0 <= normal <= 2 and 0 <= albedo <= 2 and normal + albedo > 0):
        raise AvatarError(
            f"{what} has ranges {normal:g} and {albedo:g}, not 0 to 2 and one above 0; make the avatar again"
        )
    return PoseMap(weight, normal, albedo)


def _factor(hinge: Hinge) -> dict[str, Any]:
    return {"joint": hinge.joint, "axis": list(hinge.axis), "w": hinge.w_power, "h": hinge.h_power}


def _hinge(value: Any, what: str) -> Hinge:
    axis = numbers(_object(value, what).get("axis"), f"{what}: axis", AvatarError, (3,))
    joint, w_power, h_power = (_number(value, name, what) for name in ("joint", "w", "h"))
    if not all(number == round(number) for number in (joint, w_power, h_power)):
        raise AvatarError(f"{what}: joints and powers are not whole numbers; make the avatar again")
    return Hinge(int(joint), (float(axis[0]), float(axis[1]), float(axis[2])), int(w_power), int(h_power))


def _number(value: Mapping[str, Any], name: str, what: str) -> float:
    number = float(numbers(value.get(name), f"{what}: {name}", AvatarError, ()))
    if abs(number) > GREATEST_GAIN:
        raise AvatarError(f"{what}: {name} {number:g} is impossible; make the avatar again")
    return number


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise AvatarError(f"{what} is no object: make the avatar again")
    return value


def _terms_of(rows: np.ndarray, what: str) -> tuple[Term, ...]:
    try:
        terms = terms_from_rows(rows)
    except ValueError as error:
        raise AvatarError(f"{what}: {error}; make the avatar again") from error
    _check_terms(terms, what)
    return terms


def _check_terms(terms: tuple[Term, ...], what: str) -> None:
    for number, term in enumerate(terms):
        fault = fault_in(term)
        if fault is not None:
            raise AvatarError(f"{what}: term {number} {fault}; make the avatar again")
