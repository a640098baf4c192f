"""A learned hand in its avatar folder.

    NAME.palmhand/xhand.npz     networks, codes, means, light, range of poses, how the mesh was refined
                  hand.npz      the hand model that it was refined from, with MANO's field names
                  avatar.json   "xhand" in provenance, for readers who only look

Both are read as files from strangers: no pickles, every array's shape and every number checked.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import AvatarError, HandModelError
from ..fields.feature_embedding import EmbeddingConfig
from ..fields.neural_renderer import RendererConfig
from ..files import atomic_file
from ..hand.joints import MANO_PARENTS
from ..hand.loop_model import FIELD_OF_FILE, loop_model
from ..hand.model import HandModel, load_hand_model
from ..hand.refine import Refinement, refined
from ..outside import numbers
from .pose_range import PoseRange
from .xhand_model import XHandModel, XHandNetworks
from .xhand_template import XHandTemplate

SCHEMA_VERSION = 2
XHAND_FILE, HAND_FILE = "xhand.npz", "hand.npz"
MOST_VERTICES = 2_000_000
LARGEST_WIDTH, LARGEST_DEPTH, MOST_LEVELS, MOST_CAMERAS, MOST_DIRECTIONS = 4096, 64, 4, 4096, 4096
_PARAMETER = "parameter."
WORLD_TO_CAMERA = "world_to_camera"
"""In the avatar's provenance: [4,4] from the training's axes, in which this hand and its light are, to the photo's camera's."""
OTHER_FIELDS = {
    "hands_mean": "hands_mean",
    "tip_vertices": "tip_vertices",
    "joint_axes": "joint_axes",
    "joint_limits": "joint_limits",
}


def has_xhand(folder: Path | str) -> bool:
    """Whether an avatar folder holds a learned hand."""
    return (Path(folder) / XHAND_FILE).is_file()


def save_xhand(folder: Path | str, model: XHandModel) -> None:
    """Write the learned hand into an existing folder. Raises OutputError."""
    folder, how = Path(folder), model.source.how
    description = {
        "schema_version": SCHEMA_VERSION,
        "networks": dataclasses.asdict(model.networks),
        "cameras": list(model.cameras),
        "loop_levels": model.source.loop_levels,
        "side": model.template.side,
    }
    arrays: dict[str, Any] = {
        "description": np.array(json.dumps(description)),
        "betas": model.betas,
        **{f"range_{name}": value for name, value in model.pose_range._asdict().items()},
        "faces": how.faces,
        "uv_faces": how.uv_faces,
        "parents": how.parents,
        "edge_counts": np.array([len(ends) for ends in how.edges], np.int64),
        "edges": torch.cat([*how.edges, how.faces.new_zeros(0, 2)]),
        "uv_edge_counts": np.array([len(ends) for ends in how.uv_edges], np.int64),
        "uv_edges": torch.cat([*how.uv_edges, how.faces.new_zeros(0, 2)]),
        **{_PARAMETER + name: value for name, value in model.state_dict().items()},
    }
    with atomic_file(folder / XHAND_FILE) as path:
        np.savez_compressed(path, **{name: _plain(value) for name, value in arrays.items()})
    with atomic_file(folder / HAND_FILE) as path:
        np.savez_compressed(path, **hand_fields(model.source.coarse))


def hand_fields(model: HandModel) -> dict[str, Any]:
    """A hand model under MANO's names, as `load_hand_model` reads it."""
    parents = np.array([MANO_PARENTS, range(16)], np.int64)
    values = {name: getattr(model, ours) for name, ours in (FIELD_OF_FILE | OTHER_FIELDS).items()}
    present = {name: _plain(value) for name, value in values.items() if value is not None}
    return {**present, "kintree_table": parents, "side": np.array(model.side), "name": np.array(model.name)}


def load_xhand(folder: Path | str) -> XHandModel:
    """The learned hand of an avatar folder, on the CPU, ready to be evaluated.

    Raises AvatarError: which file, what is wrong, what to do.
    """
    path = Path(folder) / XHAND_FILE
    if not path.is_file():
        raise AvatarError(f"{folder} holds no {XHAND_FILE}: give an avatar made with --method xhand")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        description = json.loads(str(arrays["description"]))
        return _model(arrays, description, path)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError, AttributeError) as error:
        raise AvatarError(f"{path} is damaged ({error}): copy the folder again, or make the avatar again") from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError, HandModelError, RuntimeError) as error:
        raise AvatarError(f"{path} cannot be read ({error}): copy the whole folder again") from error


def _model(arrays: dict[str, np.ndarray], description: dict[str, Any], path: Path) -> XHandModel:
    version = description["schema_version"]
    if not isinstance(version, int) or version < 1:
        raise ValueError("it has no schema_version")
    if version > SCHEMA_VERSION:
        raise AvatarError(f"{path} has schema {version}, newer than this version reads: update PALM Hands")
    coarse = load_hand_model(path.parent / HAND_FILE)
    if coarse.side != description["side"]:
        raise ValueError(f"it is of a {description['side']} hand, {HAND_FILE} of a {coarse.side} one")
    source = _source(arrays, coarse, int(description["loop_levels"]))

    def some(name: str, shape: tuple[int, ...]) -> Tensor:
        return torch.as_tensor(numbers(arrays[name], f"{path}: {name}", AvatarError, shape)).to(coarse.v_template)

    betas = some("betas", (min(coarse.num_betas, len(arrays["betas"])),))
    seen = PoseRange(*(some(f"range_{name}", (45,)) for name in PoseRange._fields))
    cameras = tuple(str(name) for name in description["cameras"])
    if not 1 <= len(cameras) <= MOST_CAMERAS:
        raise ValueError(f"it names {len(cameras)} cameras")
    state = {name.removeprefix(_PARAMETER): value for name, value in arrays.items() if name.startswith(_PARAMETER)}
    with torch.random.fork_rng(devices=[]):  # reading a file is no draw
        model = XHandModel(source, betas, seen, networks_from(description["networks"]), cameras)
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if missing := sorted(wanted.keys() ^ state.keys()):
        raise ValueError(f"{', '.join(missing[:3])} are missing or too many")
    checked = {
        name: torch.as_tensor(numbers(state[name], f"{path}: {name}", AvatarError, shape)).to(coarse.v_template)
        for name, shape in wanted.items()
    }
    model.load_state_dict(checked)
    return model.eval()


def networks_from(values: dict[str, Any]) -> XHandNetworks:
    """Sizes from a file, held in bounds. Raises TypeError, ValueError or KeyError."""
    parts: dict[str, Any] = {
        name: EmbeddingConfig(**values[name]) for name in ("displacement", "skinning", "albedo")
    } | {"renderer": RendererConfig(**values["renderer"])}
    for name, part in parts.items():
        for size in ("width", "latent", *(("features",) if name != "renderer" else ("octaves",))):
            _bounded(getattr(part, size), 1, LARGEST_WIDTH, f"{name} {size}")
        _bounded(part.depth, 2, LARGEST_DEPTH, f"{name} depth")
    scale = float(values["displacement_scale_m"])
    if not 0 < scale < 1:
        raise ValueError(f"displacement_scale_m is {scale}")
    sky = values.get("sky", 0)  # files of the first schema have none
    _bounded(sky, 0, MOST_DIRECTIONS, "sky")
    return XHandNetworks(**parts, pose_dependent=bool(values["pose_dependent"]), sky=sky, displacement_scale_m=scale)


def _source(arrays: dict[str, np.ndarray], coarse: HandModel, loop_levels: int) -> XHandTemplate:
    _bounded(loop_levels, 0, MOST_LEVELS, "loop_levels")
    rounded = loop_model(coarse, loop_levels)
    edges, count = _passes(arrays, "edge_counts", "edges", len(rounded.v_template))
    uv_edges, uv_count = _passes(arrays, "uv_edge_counts", "uv_edges", len(rounded.uv))
    faces = _indices(arrays["faces"], (None, 3), count, "faces")
    uv_faces = _indices(arrays["uv_faces"], (len(faces), 3), uv_count, "uv_faces")
    parents = _indices(arrays["parents"], (len(faces),), len(rounded.faces), "parents")
    how = Refinement(edges, uv_edges, faces, uv_faces, parents)
    return XHandTemplate(coarse, loop_levels, how, refined(rounded, how))


def _passes(
    arrays: dict[str, np.ndarray], counts_name: str, edges_name: str, count: int
) -> tuple[tuple[Tensor, ...], int]:
    """The passes' edges, each of vertices that were there before it, and how many vertices there are in the end."""
    counts = [int(number) for number in np.atleast_1d(arrays[counts_name])]
    total = len(arrays[edges_name])
    if min(counts, default=0) < 0 or sum(counts) != total or count + total > MOST_VERTICES:
        raise ValueError(f"{counts_name} does not fit {edges_name}")
    passes, start = [], 0
    for number in counts:
        ends = arrays[edges_name][start : start + number]
        passes.append(_indices(ends, (number, 2), count, edges_name))
        count, start = count + number, start + number
    return tuple(passes), count


def _indices(values: np.ndarray, shape: tuple[int | None, ...], count: int, name: str) -> Tensor:
    fits = values.ndim == len(shape) and all(w is None or w == s for w, s in zip(shape, values.shape, strict=True))
    if values.dtype.kind not in "iu" or not fits or len(values) > 4 * MOST_VERTICES:
        raise ValueError(f"{name} has the wrong shape or kind")
    if values.size and (values.min() < 0 or values.max() >= count):
        raise ValueError(f"{name} points outside the mesh")
    return torch.as_tensor(values.astype(np.int64))


def _bounded(value: Any, low: int, high: int, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}, not between {low} and {high}")


def _plain(value: Any) -> np.ndarray:
    """As small as it can be kept: floats in 32 bits, whole numbers too."""
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return array.astype(np.int32) if array.dtype.kind in "iu" else array
