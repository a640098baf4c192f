"""A hand model refined by Loop's scheme (`loop_refinement`): the smooth hand that renderings of data sets show."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .loop_refinement import refined_fields
from .model import HandModel

FIELD_OF_FILE = {
    "v_template": "v_template",
    "shapedirs": "shapedirs",
    "posedirs": "posedirs",
    "weights": "skinning_weights",
    "J_regressor": "joint_regressor",
    "f": "faces",
    "palm_weight": "palm_weight",
    "nail_vertices": "nail_vertices",
    "cap_faces": "cap_faces",
    "vt": "uv",
    "ft": "uv_faces",
    "forearm_weight": "forearm_weight",
    "elbow_regressor": "elbow_regressor",
}
"""What refinement changes: its name in a model file, and in a HandModel."""


def loop_model(model: HandModel, levels: int = 1) -> HandModel:
    """The hand with 4^levels as many triangles and rounded facets; joints and its first vertices stay. levels ≥ 0."""
    names = {file: ours for file, ours in FIELD_OF_FILE.items() if getattr(model, ours) is not None}
    if not len(model.uv):
        names = {file: ours for file, ours in names.items() if file not in ("vt", "ft")}
    arrays = {file: getattr(model, ours).cpu().numpy() for file, ours in names.items()}
    arrays = {
        file: values.astype(np.float64) if values.dtype.kind == "f" else values for file, values in arrays.items()
    }
    refined = refined_fields(arrays, levels)
    changed: dict[str, Any] = {ours: _like(getattr(model, ours), refined[file]) for file, ours in names.items()}
    return dataclasses.replace(model, **changed)


def _like(old: Tensor, new: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(new)).to(old)
