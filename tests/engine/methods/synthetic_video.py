"""A synthetic video with known shape, poses, skin and light."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from synthetic_photo import make_photo

from engine.capture.capture_file import Capture
from engine.hand.atlas import with_texture_charts
from engine.hand.mano import hand_forward
from engine.hand.model import HandModel
from engine.lighting.color import linear_to_srgb
from engine.lighting.lamp import shade
from engine.methods.harp_video_input import HandVideo
from engine.rendering.mesh import compose, mesh_topology, see, surface_values
from engine.rendering.surface import vertex_normals

SIZE = (150, 160)


class SyntheticVideo(NamedTuple):
    video: HandVideo
    model: HandModel
    keypoints: np.ndarray
    """[T,21,3] the true ones."""


def make_video(frames: int = 8, pose_error: float = 0.05) -> SyntheticVideo:
    """A hand that turns and closes a little; captured with errors of pose (radians), of one shape."""
    made = make_photo()
    generator = torch.Generator().manual_seed(3)
    model = with_texture_charts(made.model)
    width, height = SIZE
    intrinsics = torch.as_tensor(made.capture.K).float() / 2
    intrinsics[2, 2] = 1
    topology = mesh_topology(model.faces, model.uv, model.uv_faces)
    spots = 1 - 0.4 * torch.sin(model.v_template * 700).prod(1, keepdim=True).clamp_min(0)
    captures: list[Capture] = []
    pictures, keypoints = [], []
    for number in range(frames):
        way = number / max(frames - 1, 1)
        pose = torch.as_tensor(made.capture.hand_pose).float()
        pose[2::3] += 0.5 * way
        turn = torch.as_tensor(made.capture.global_orient).float() + 0.3 * way
        betas, transl = (torch.as_tensor(getattr(made.capture, name)).float() for name in ("betas", "transl"))
        posed = hand_forward(model, betas, turn, pose, transl)
        view = see(posed.vertices, topology, intrinsics, height, width)
        normals = vertex_normals(posed.vertices, model.faces)
        colors = torch.tensor(made.albedo) * spots * shade(made.light, normals)
        picture = compose(view, topology, linear_to_srgb(surface_values(view, colors, model.faces)), 0.5)
        pictures.append(((picture.color * 255 + 0.5).clamp(0, 255).byte().numpy(), (picture.coverage > 0.5).numpy()))
        keypoints.append(posed.keypoints.double().numpy())
        seen = posed.keypoints @ intrinsics.T
        captures.append(
            dataclasses.replace(
                made.capture,
                image=f"{number:04d}.png",
                image_size=SIZE,
                K=intrinsics.double().numpy(),
                global_orient=turn.double().numpy(),
                hand_pose=(pose + pose_error * torch.randn(45, generator=generator)).double().numpy(),
                joints_3d=posed.keypoints.double().numpy(),
                keypoints_2d=(seen[:, :2] / seen[:, 2:3]).double().numpy(),
                frame=number,
            )
        )

    def decoded() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield from pictures

    return SyntheticVideo(HandVideo(captures, decoded, 25.0, ()), model, np.stack(keypoints))
