"""A small sequence of several cameras with exact masks, drawn by the engine's rasteriser: a hand that bends while it turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engine.avatar.texture_files import write_png8
from engine.datasets.hand_sequence import HandFrame, HandSequence
from engine.datasets.rendered_masks import rendered_mask
from engine.datasets.toy_scene import UPRIGHT, toy_cameras
from engine.hand.mano import hand_forward
from engine.hand.mirror import mirror_axis_angle
from engine.hand.model import open_hand_model
from engine.hand.rotations import axis_angle_to_matrix, matrix_to_axis_angle

SKIN = (190, 140, 120)


def make_sequence(
    folder: Path, moments: int = 6, cameras: int = 4, side: str = "right", size_px: int = 96
) -> HandSequence:
    """FOLDER/images and FOLDER/masks, and the sequence that names them."""
    model = open_hand_model(side)
    along = torch.linspace(0, 1, moments)[:, None]
    flexion = torch.zeros(15, 3)
    flexion[:12, 2] = torch.linspace(1.3, 0.5, 12)
    hand_pose = along * flexion.reshape(1, 45)
    turns = axis_angle_to_matrix(torch.cat([0.2 * along, 0.9 * along, -0.4 * along], dim=1))
    orient = matrix_to_axis_angle(turns @ torch.tensor(UPRIGHT))
    if side == "left":
        hand_pose, orient = mirror_axis_angle(hand_pose), mirror_axis_angle(orient)
    betas = torch.zeros(moments, 10)
    vertices = hand_forward(model, betas, orient, hand_pose).vertices
    transl = -(vertices.amin(1) + vertices.amax(1)) / 2
    posed = hand_forward(model, betas, orient, hand_pose, transl)
    seen_from = toy_cameras(posed.vertices.reshape(-1, 3).numpy(), cameras, size_px)
    frames = []
    for moment in range(moments):
        for name, camera in seen_from.items():
            frame = HandFrame(
                label=f"{name}/{moment + 1}",
                number=moment + 1,
                camera=name,
                image=folder / "images" / name / f"{moment + 1}.png",
                mask=folder / "masks" / name / f"{moment + 1}.png",
                intrinsics=camera.intrinsics,
                world_to_camera=camera.world_to_camera,
                height=camera.height,
                width=camera.width,
                betas=np.zeros(10),
                global_orient=orient[moment].double().numpy(),
                hand_pose=hand_pose[moment].double().numpy(),
                transl=transl[moment].double().numpy(),
                keypoints_3d=posed.keypoints[moment].double().numpy(),
            )
            mask = rendered_mask(frame, model)
            for path, pixels in ((frame.image, (mask[..., None] > 0) * np.uint8(SKIN)), (frame.mask, mask)):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_png8(path, pixels)
            frames.append(frame)
    return HandSequence("small", tuple(frames), side, "open")
