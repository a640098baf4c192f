"""Reading and checking the arrays of a hand model file. NumPy only.

Fields are MANO's: v_template [V,3], shapedirs [V,3,B], posedirs [V,3,135], J_regressor [16,V], weights [V,16], f [F,3],
kintree_table [2,16], hands_mean [45]; ours are optional (see `HandModel`).
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HandModelError, InputError
from ..outside import numbers
from .joints import MANO_PARENTS
from .safe_pickle import UnsafePickleError, load_pickle

REQUIRED = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")


def read_model_file(path: Path) -> dict[str, np.ndarray]:
    """Checked arrays of a model file, by MANO's names.

    Raises HandModelError naming the file, the field and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise HandModelError(f"hand model {path} does not exist: give the path of a MANO .pkl or .npz file")
    try:
        raw = _read_npz(path) if path.suffix.lower() == ".npz" else _read_pickle(path)
    except UnsafePickleError as error:
        raise HandModelError(f"hand model {path} is refused: {error}; give an original MANO file") from error
    except (InputError, OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise HandModelError(f"hand model {path} cannot be read ({error}): give a MANO .pkl or .npz file") from error
    try:
        return _checked(raw, path)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise HandModelError(f"hand model {path} is malformed ({error}): give an original MANO file") from error


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_pickle(path: Path) -> dict[str, Any]:
    value = load_pickle(path)
    if not isinstance(value, dict):
        raise HandModelError(f"hand model {path} holds {type(value).__name__}, not MANO's fields: give a MANO file")
    return value


def _dense(value: Any) -> np.ndarray:
    return np.asarray(value.toarray() if hasattr(value, "toarray") else value)


def _checked(raw: dict[str, Any], path: Path) -> dict[str, np.ndarray]:
    missing = [name for name in REQUIRED if name not in raw]
    if missing:
        raise HandModelError(f"hand model {path} lacks {', '.join(missing)}: give a file with all of MANO's fields")
    fields = {name: _dense(value) for name, value in raw.items() if not isinstance(value, (str, bytes, dict, list))}
    fields |= {name: np.asarray(value) for name, value in raw.items() if isinstance(value, (str, list))}
    for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights"):
        fields[name] = numbers(fields[name], f"hand model {path}: {name}", HandModelError)

    count = len(fields["v_template"])
    shapes: dict[str, tuple[int | None, ...]] = {
        "v_template": (count, 3),
        "shapedirs": (count, 3, None),
        "posedirs": (count, 3, 135),
        "J_regressor": (16, count),
        "weights": (count, 16),
        "f": (None, 3),
        "kintree_table": (2, 16),
        "hands_mean": (45,),
        "vt": (None, 2),
        "ft": (len(fields["f"]), 3),
        "tip_vertices": (5,),
        "joint_axes": (15, 3, 3),
        "joint_limits": (15, 3, 2),
        "cap_faces": (len(fields["f"]),),
        "nail_vertices": (count,),
        "palm_weight": (count,),
        "forearm_weight": (count,),
        "elbow_regressor": (count,),
    }
    for name, expected in shapes.items():
        if name in fields:
            _check_shape(fields[name], expected, name, path)
    _check_indices(fields, "f", count, path)
    if ("vt" in fields) != ("ft" in fields):
        raise HandModelError(f"hand model {path} has only one of vt and ft: give texture coordinates with their faces")
    if "vt" in fields:
        _check_indices(fields, "ft", len(fields["vt"]), path)
    if "tip_vertices" in fields:
        _check_indices(fields, "tip_vertices", count, path)
    if ("forearm_weight" in fields) != ("elbow_regressor" in fields):
        raise HandModelError(f"hand model {path} has only one of forearm_weight and elbow_regressor: give both or none")
    if "forearm_weight" in fields:
        _check_forearm(fields, path)
    parents = fields["kintree_table"][0].astype(np.int64).copy()
    parents[0] = -1
    if tuple(parents) != MANO_PARENTS:
        raise HandModelError(f"hand model {path}: kintree_table is not MANO's joint tree; give a MANO hand, not a body")
    if not np.allclose(fields["weights"].sum(1), 1.0, atol=1e-3):
        raise HandModelError(f"hand model {path}: the rows of weights do not sum to 1; the file is damaged")
    return fields


def _check_forearm(fields: dict[str, np.ndarray], path: Path) -> None:
    for name in ("forearm_weight", "elbow_regressor"):
        fields[name] = numbers(fields[name], f"hand model {path}: {name}", HandModelError)
    share, whole = fields["forearm_weight"], fields["weights"][:, 0]
    if share.min() < 0 or (share > whole + 1e-4).any() or abs(fields["elbow_regressor"].sum() - 1) > 1e-3:
        raise HandModelError(
            f"hand model {path}: forearm_weight is no part of the wrist's weights, or elbow_regressor does not sum to 1;"
            " the file is damaged"
        )


def _check_shape(array: np.ndarray, expected: tuple[int | None, ...], name: str, path: Path) -> None:
    fits = array.ndim == len(expected) and all(e is None or e == a for e, a in zip(expected, array.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        raise HandModelError(f"hand model {path}: {name} has shape {array.shape}, not ({wanted}); give a MANO hand")


def _check_indices(fields: dict[str, np.ndarray], name: str, count: int, path: Path) -> None:
    indices = fields[name]
    if indices.dtype.kind not in "iu":
        raise HandModelError(f"hand model {path}: {name} holds no whole numbers; the file is damaged")
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise HandModelError(f"hand model {path}: {name} points outside the mesh; the file is damaged")
