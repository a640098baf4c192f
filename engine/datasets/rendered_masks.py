"""Masks for sets that have none: the outline of the posed hand model, as XHand uses InterHand2.6M.

Such a mask knows nothing of sleeves, rings, the other hand or an object in front, and ends where the model's wrist does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..avatar.texture_files import write_png8
from ..hand.mano import hand_forward
from ..hand.mirror import mirror_model
from ..hand.model import HandModel
from ..progress import Progress
from ..rendering.rasterize import face_buffer, project_vertices
from .hand_sequence import HandFrame, HandSequence


def rendered_mask(frame: HandFrame, model: HandModel) -> np.ndarray:
    """uint8 [H,W], 255 where the posed hand covers a pixel's centre. model: of the frame's side."""
    names = ("betas", "global_orient", "hand_pose", "transl")
    betas, *pose = (torch.as_tensor(getattr(frame, name), dtype=model.v_template.dtype) for name in names)
    with torch.no_grad():
        vertices = hand_forward(model, betas[: model.num_betas], *pose).vertices
        camera = torch.as_tensor(frame.world_to_camera, dtype=vertices.dtype)
        seen = vertices @ camera[:3, :3].T + camera[:3, 3]
        outline = model_outline(seen, model.faces, torch.as_tensor(frame.intrinsics), frame.height, frame.width)
    return outline.cpu().numpy().astype(np.uint8) * 255


def model_outline(vertices: Tensor, faces: Tensor, intrinsics: Tensor, height: int, width: int) -> Tensor:
    """[height,width] bool: pixels whose centres a surface covers; no gradient.

    vertices [V,3] metres in the camera's OpenCV axes; faces [F,3]; intrinsics [3,3] px.
    """
    screen = project_vertices(vertices, intrinsics)
    screen[:, 2] = torch.where(screen[:, 2] > 1e-6, 1 / screen[:, 2].clamp_min(1e-6), torch.zeros_like(screen[:, 2]))
    return face_buffer(screen, faces, height, width) >= 0


def write_rendered_masks(
    sequence: HandSequence, model: HandModel, folder: Path, progress: Progress = lambda *_, **__: None
) -> HandSequence:
    """The sequence with a rendered mask for every frame that has none, written as FOLDER/NAME/LABEL.png.

    model: of either side. Raises OutputError.
    """
    posed = model if model.side == sequence.handedness else mirror_model(model)
    frames = []
    for index, frame in enumerate(sequence.frames):
        progress(index / len(sequence), f"drawing masks: {index} of {len(sequence)}")
        if frame.mask is None:
            path = folder / sequence.name / f"{frame.label}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png8(path, rendered_mask(frame, posed))
            frame = replace(frame, mask=path)  # noqa: PLW2901
        frames.append(frame)
    note = "masks are the posed model's outline"
    return replace(sequence, frames=tuple(frames), notes=(*sequence.notes, note))
