"""The parametric hand model: MANO's fields in one frozen dataclass, loaded from .npz or a licensed MANO pickle."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import HandModelError
from .joints import MANO_PARENTS
from .model_file import read_model_file
from .normals import vertex_normals

log = logging.getLogger(__name__)

OPEN_HAND = Path(__file__).parents[2] / "assets" / "hand" / "open_hand_right.npz"
OPEN_FOREARM = OPEN_HAND.with_name("open_forearm_right.npz")
TEMPLATES = {"hand": OPEN_HAND, "forearm": OPEN_FOREARM}
"""The open hand alone, and the same hand with its forearm."""
MANO_TIP_VERTICES = (745, 317, 444, 556, 673)
"""Fingertips of MANO's 778-vertex mesh, thumb to little finger, as HARP and smplx choose them."""


@dataclass(frozen=True)
class HandModel:
    """A hand that is driven by MANO's parameters. V vertices, F triangles; metres; tensors share device and dtype."""

    v_template: Tensor
    """[V,3] rest vertices at betas = 0."""
    shapedirs: Tensor
    """[V,3,B] metres per unit beta."""
    posedirs: Tensor
    """[V,3,135] metres per entry of R_j - I, joints 1..15, row-major."""
    joint_regressor: Tensor
    """[16,V], rows sum to 1."""
    skinning_weights: Tensor
    """[V,16], rows sum to 1."""
    faces: Tensor
    """[F,3] int64, counter-clockwise from outside."""
    hands_mean: Tensor
    """[45] mean pose in axis-angle; only importers of mean-relative poses use it."""
    tip_vertices: Tensor
    """[5] int64, thumb to little finger."""
    joint_axes: Tensor
    """[15,3,3] unit flexion, abduction and twist axes (rows) in the rest frame."""
    joint_limits: Tensor
    """[15,3,2] radians, least and greatest component of the axis-angle vector along those axes."""
    uv: Tensor
    """[T,2] in [0,1], V upward; empty when the file has none."""
    uv_faces: Tensor
    """[F,3] int64 into uv."""
    cap_faces: Tensor
    """[F] bool, the lid of the wrist."""
    nail_vertices: Tensor
    """[V] bool."""
    palm_weight: Tensor
    """[V] 1 on palmar skin, 0 on the back."""
    side: str
    """"right" or "left"."""
    name: str
    forearm_weight: Tensor | None = None
    """[V] the part of the wrist's skinning weight that stays with the forearm when the wrist bends (`forearm.py`); None for a
    hand that ends at the wrist."""
    elbow_regressor: Tensor | None = None
    """[V], sums to 1: the elbow in the rest pose."""

    @property
    def parents(self) -> tuple[int, ...]:
        return MANO_PARENTS

    @property
    def num_betas(self) -> int:
        return self.shapedirs.shape[-1]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> HandModel:
        """The same model elsewhere or in another floating-point precision."""
        changed: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changed[field.name] = value.to(device=device, dtype=dtype if value.is_floating_point() else None)
        return dataclasses.replace(self, **changed)


def open_hand_model(side: str = "right", dtype: torch.dtype = torch.float32, template: str = "hand") -> HandModel:
    """The bundled open hand; the left one is its mirror image in X. template: one of TEMPLATES.

    With the forearm the hand's skin has the same vertices first, and the forearm is stiff unless it is bent on purpose.
    """
    from .mirror import mirror_model

    if side not in ("right", "left"):
        raise HandModelError(f"hand side {side!r} is neither 'right' nor 'left'")
    if template not in TEMPLATES:
        raise HandModelError(f"hand template {template!r} is unknown: choose one of {', '.join(TEMPLATES)}")
    model = load_hand_model(TEMPLATES[template], dtype=dtype)
    return model if model.side == side else mirror_model(model)


def load_hand_model(path: Path | str, dtype: torch.dtype = torch.float32) -> HandModel:
    """A hand model from `.npz` with MANO's field names, or from a licensed MANO_RIGHT.pkl / MANO_LEFT.pkl.

    Any vertex count. Raises HandModelError naming the file and the field that is missing or misshaped.
    """
    path = Path(path)
    return hand_model_from_fields(read_model_file(path), str(path), dtype)


def hand_model_from_fields(
    fields: Mapping[str, np.ndarray], source: str, dtype: torch.dtype = torch.float32
) -> HandModel:
    """Checked arrays (`read_model_file`) → HandModel, with MANO's customary values where a file has none of ours."""
    vertices, faces = fields["v_template"], fields["f"]
    side = str(fields["side"]) if "side" in fields else _side_of(source, fields)

    def real(name: str, default: Any) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(fields.get(name, default)), dtype=dtype)

    def whole(name: str, default: Any, kind: torch.dtype = torch.int64) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(fields.get(name, default)).astype(np.int64)).to(kind)

    shapedirs = fields["shapedirs"]
    return HandModel(
        v_template=real("v_template", None),
        shapedirs=torch.as_tensor(np.ascontiguousarray(_patch_left_shape(shapedirs, side, fields)), dtype=dtype),
        posedirs=real("posedirs", None),
        joint_regressor=real("J_regressor", None),
        skinning_weights=real("weights", None),
        faces=whole("f", None),
        hands_mean=real("hands_mean", np.zeros(45)),
        tip_vertices=whole("tip_vertices", MANO_TIP_VERTICES if len(vertices) == 778 else _tips(fields)),
        joint_axes=real("joint_axes", _default_axes(side)),
        joint_limits=real("joint_limits", _default_limits()),
        uv=real("vt", np.zeros((0, 2))),
        uv_faces=whole("ft", np.zeros((len(faces), 3))),
        cap_faces=whole("cap_faces", np.zeros(len(faces)), torch.bool),
        nail_vertices=whole("nail_vertices", np.zeros(len(vertices)), torch.bool),
        palm_weight=real("palm_weight", _palm_from_normals(vertices, faces)),
        side=side,
        name=str(fields.get("name", Path(source).stem)),
        forearm_weight=real("forearm_weight", None) if "forearm_weight" in fields else None,
        elbow_regressor=real("elbow_regressor", None) if "elbow_regressor" in fields else None,
    )


def _side_of(source: str, fields: Mapping[str, np.ndarray]) -> str:
    """From the geometry: fingers point along -X in MANO's right hand, along +X in its left."""
    joints = fields["J_regressor"] @ fields["v_template"]
    side = "right" if joints[4, 0] < joints[0, 0] else "left"
    log.info("%s does not name its side; its fingers say %s", source, side)
    return side


def _patch_left_shape(shapedirs: np.ndarray, side: str, fields: Mapping[str, np.ndarray]) -> np.ndarray:
    """The released MANO_LEFT.pkl has the sign of x wrong in its first shape direction (smplx issue 48)."""
    if side == "left" and "side" not in fields and len(fields["v_template"]) == 778:
        shapedirs = shapedirs.copy()
        shapedirs[:, 0, :] *= -1
    return shapedirs


def _tips(fields: Mapping[str, np.ndarray]) -> np.ndarray:
    """The vertex of each finger's last joint that lies farthest from it, thumb to little finger."""
    joints = fields["J_regressor"] @ fields["v_template"]
    owners = fields["weights"].argmax(1)
    tips = []
    for joint in (15, 3, 6, 12, 9):
        distance = np.linalg.norm(fields["v_template"] - joints[joint], axis=1)
        tips.append(np.where(owners == joint, distance, -1.0).argmax())
    return np.array(tips)


def _default_axes(side: str) -> np.ndarray:
    """Flexion about +Z, abduction about +Y, twist about X; mirrored for the left hand (see mirror.py)."""
    axes = np.tile(np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]]), (15, 1, 1))
    return axes if side == "right" else axes * np.array([1.0, -1.0, -1.0])


def _default_limits() -> np.ndarray:
    """Wide limits for models without their own: fingers flex 100°, stretch 25°; thumbs turn 60° every way."""
    limits = np.tile(np.radians([[-25.0, 100.0], [-20.0, 20.0], [-10.0, 10.0]]), (15, 1, 1))
    limits[[1, 2, 4, 5, 7, 8, 10, 11], 1:] = np.radians([-5.0, 5.0])
    limits[12:] = np.radians([-60.0, 60.0])
    return limits


def _palm_from_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Vertices whose normal points along -Y face the palm's way."""
    return np.clip(0.5 - vertex_normals(vertices, faces)[:, 1], 0.0, 1.0)
