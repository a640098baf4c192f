"""Texture charts for hand models that bring none, as MANO's own files do."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from .model import HandModel


def with_texture_charts(model: HandModel) -> HandModel:
    """The model itself if it has UVs, else with charts that xatlas cuts and packs into the unit square.

    The charts follow from the rest mesh alone, so the same model always gets the same ones.
    """
    if len(model.uv):
        return model
    import xatlas

    vertices = np.ascontiguousarray(model.v_template.detach().cpu().numpy(), dtype=np.float32)
    faces = np.ascontiguousarray(model.faces.cpu().numpy(), dtype=np.uint32)
    _, corners, uv = xatlas.parametrize(vertices, faces)
    device, dtype = model.v_template.device, model.v_template.dtype
    return dataclasses.replace(
        model,
        uv=torch.as_tensor(uv, device=device, dtype=dtype),
        uv_faces=torch.as_tensor(corners.astype(np.int64), device=device),
    )
