"""From a canonical surface to the avatar's mesh: skinning, pose correctives and shape basis of the hand model carried over."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..errors import AvatarError
from ..hand.mano import shape_hand
from ..hand.model import HandModel
from ..hand.normals import vertex_normals
from .folder import AvatarMesh

NORMAL_LENGTH_M = 0.008
"""How much a turned normal counts against distance in the search for a surface's own skin: between fingers, that is not the
nearest."""


def template_mesh(model: HandModel, betas: Tensor, vertices: Tensor) -> AvatarMesh:
    """The avatar's mesh when the surface has the model's own vertices, moved.

    vertices [V,3] canonical metres, zero pose, of a person with these betas [≤10]; the model has UVs.
    """
    _, joints = shape_hand(model, betas)
    return AvatarMesh(
        vertices=_numpy(vertices),
        faces=_numpy(model.faces),
        uv=_numpy(model.uv[model.uv_faces]),
        skinning_weights=_numpy(model.skinning_weights),
        joints=_numpy(joints),
        pose_basis=_numpy(model.posedirs.permute(2, 0, 1)),
        shape_basis=ten_shapes(_numpy(model.shapedirs.permute(2, 0, 1))),
        joint_shape_basis=ten_shapes(joint_shapes(model)),
        cap_faces=_numpy(model.cap_faces),
    )


def carried_mesh(model: HandModel, betas: Tensor, vertices: Tensor, faces: Tensor) -> AvatarMesh:
    """The avatar's mesh for any canonical surface, as marching cubes gives: each vertex takes what the model has nearest to it.

    vertices [V,3] metres, zero pose; faces [F,3]; the surface gets charts of its own from xatlas. Nearest means in position and
    normal, so that a fold between fingers does not mix them; between the model's vertices, values are interpolated over the
    four nearest by inverse distance: give a subdivided model. Raises AvatarError for an empty surface.
    """
    if not len(vertices) or not len(faces):
        raise AvatarError("an empty surface cannot become an avatar: train or personalise the field further")
    rest, joints = shape_hand(model, betas)
    index, share = _nearest_skin(_numpy(rest), _numpy(model.faces), _numpy(vertices), _numpy(faces))

    def carry(values: np.ndarray) -> np.ndarray:
        """[V',C] of the model's vertices → [V,C]."""
        return sum(share[:, k : k + 1] * values[index[:, k]] for k in range(index.shape[1]))

    count = len(vertices)
    weights = carry(_numpy(model.skinning_weights))
    cap = np.zeros(len(model.v_template))
    cap[np.unique(_numpy(model.faces)[_numpy(model.cap_faces)])] = 1
    return AvatarMesh(
        vertices=_numpy(vertices),
        faces=_numpy(faces),
        uv=_chart(_numpy(vertices), _numpy(faces)),
        skinning_weights=weights / weights.sum(1, keepdims=True),
        joints=_numpy(joints),
        pose_basis=_back(carry(_numpy(model.posedirs).reshape(len(rest), -1)), count),
        shape_basis=ten_shapes(_back(carry(_numpy(model.shapedirs).reshape(len(rest), -1)), count)),
        joint_shape_basis=ten_shapes(joint_shapes(model)),
        cap_faces=carry(cap[:, None])[_numpy(faces), 0].min(1) > 0.9,
    )


def _nearest_skin(
    rest: np.ndarray, rest_faces: np.ndarray, vertices: np.ndarray, faces: np.ndarray, neighbours: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Indices [V,4] into the model's vertices and their shares [V,4], which sum to 1."""
    own = np.concatenate([rest, NORMAL_LENGTH_M * vertex_normals(rest, rest_faces)], axis=1)
    asked = np.concatenate([vertices, NORMAL_LENGTH_M * vertex_normals(vertices, faces)], axis=1)
    distance, index = cKDTree(own).query(asked, neighbours, workers=-1)
    closeness = 1 / np.maximum(distance, 1e-5) ** 2
    return index, closeness / closeness.sum(1, keepdims=True)


def _chart(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F,3,2] UVs per corner in the unit square, charts cut and packed by xatlas."""
    import xatlas

    corners, uv = xatlas.parametrize(
        np.ascontiguousarray(vertices, dtype=np.float32), np.ascontiguousarray(faces, dtype=np.uint32)
    )[1:]
    return uv[corners.astype(np.int64)]


def _back(flat: np.ndarray, count: int) -> np.ndarray:
    """[V,3*K] → [K,V,3]."""
    return np.ascontiguousarray(flat.reshape(count, 3, -1).transpose(2, 0, 1))


def joint_shapes(model: HandModel) -> np.ndarray:
    """[B,16,3] metres: what the model's shape basis does to its joints."""
    return _numpy(torch.einsum("jv,vcb->bjc", model.joint_regressor, model.shapedirs))


def ten_shapes(basis: np.ndarray) -> np.ndarray:
    """A shape basis [B,*,3] of exactly ten directions, the missing ones zero."""
    return np.concatenate([basis[:10], np.zeros((max(0, 10 - len(basis)), *basis.shape[1:]), basis.dtype)])


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
