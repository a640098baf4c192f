"""What a shot should give, computed by the engine's own geometry and rasteriser: no Blender, no light."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch

from engine.hand.cameras import project
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.rendering.mesh import mesh_topology, see, surface_values
from engine.rendering.rasterize import to_image
from engine.rendering.surface import vertex_normals


def frame_pixels(shots: ModuleType, unit: Any, shot: Any) -> Any:
    """A `FramePixels` of a shot: a headlight's shading for the picture, position in the hand for the skin's colour."""
    model = open_hand_model(dtype=torch.float64)
    folder = unit.folders[shot.folder]
    camera, pose = folder.cameras[shot.camera], folder.poses[shot.frame]
    orient, hand, transl = (torch.as_tensor(np.array(part)) for part in pose)
    out = hand_forward(model, torch.as_tensor(unit.betas), orient, hand, transl)
    extrinsics = torch.as_tensor(camera.world_to_camera)
    vertices = (out.vertices @ extrinsics[:3, :3].T + extrinsics[:3, 3]).float()
    topology = mesh_topology(model.faces, model.uv.float(), model.uv_faces)
    view = see(vertices, topology, torch.as_tensor(camera.intrinsics).float(), camera.height, camera.width)
    normals = torch.nn.functional.normalize(
        surface_values(view, vertex_normals(vertices, model.faces), model.faces), dim=-1
    )
    colour = surface_values(view, 0.3 + 2 * model.v_template.float().abs(), model.faces).clamp(0, 1)
    shading = colour * normals[:, 2:].neg().clamp(0, 1)

    def image(values: torch.Tensor) -> np.ndarray:
        return to_image(view.fragments, values, 0.0).numpy().astype(np.float32)

    depth = image(view.fragments.depth[:, None])[..., 0]
    radiance = image(shading)
    return shots.FramePixels(
        image=(np.clip(radiance, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8),
        radiance=radiance,
        mask=depth > 0,
        depth=depth,
        normals=image(normals),
        albedo=image(colour),
        roughness=np.where(depth > 0, 0.5, 0).astype(np.float32),
        keypoints=out.keypoints.numpy(),
    )


def outside_px(unit: Any, shot: Any) -> float:
    """How far the hand reaches out of a shot's picture, in pixels; negative where a margin is left."""
    model = open_hand_model(dtype=torch.float64)
    folder = unit.folders[shot.folder]
    camera, pose = folder.cameras[shot.camera], folder.poses[shot.frame]
    orient, hand, transl = (torch.as_tensor(np.array(part)) for part in pose)
    vertices = hand_forward(model, torch.as_tensor(unit.betas), orient, hand, transl).vertices.numpy()
    assert (vertices @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3]).min() > 0.1
    pixels = project(vertices, camera.intrinsics, camera.world_to_camera)
    return float(max(-pixels.min(), (pixels - (camera.width, camera.height)).max()))
