"""Small avatar folders: the open hand in plain skin before a grey sky, and the same with an XHand that was never trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engine.avatar.field_mesh import template_mesh
from engine.avatar.folder import Avatar, CaptureInfo, write_avatar
from engine.avatar.pose_extras import PoseMap
from engine.avatar.texture_files import write_environment, write_png8
from engine.fields.feature_embedding import EmbeddingConfig
from engine.fields.neural_renderer import RendererConfig
from engine.hand.cameras import pinhole_matrix
from engine.hand.mano import shape_hand
from engine.hand.model import open_hand_model
from engine.hand.random_poses import random_hand_poses
from engine.methods.pose_range import pose_range
from engine.methods.xhand_file import save_xhand
from engine.methods.xhand_model import XHandModel, XHandNetworks
from engine.methods.xhand_template import build_template

ALBEDO = (205, 150, 130)
"""8-bit sRGB."""
SIZE_PX = 64
UPRIGHT = {"right": (-1.2092, -1.2092, 1.2092), "left": (-1.2092, 1.2092, -1.2092)}


def write_small_avatar(
    folder: Path,
    side: str = "right",
    learned: XHandModel | None = None,
    pose_maps: tuple[PoseMap, ...] = (),
    **provenance,
) -> Avatar:
    """Write `folder` (.palmhand); learned: the XHand in it; pose_maps: their pictures are random and half as large."""
    model = open_hand_model(side)
    betas = torch.zeros(10)
    mesh = template_mesh(model, betas, shape_hand(model, betas)[0])
    capture = CaptureInfo(
        image="photo.png",
        image_size=(SIZE_PX, SIZE_PX),
        intrinsics=pinhole_matrix(100.0, SIZE_PX, SIZE_PX),
        world_to_camera=np.eye(4),
        global_orient=np.array(UPRIGHT[side]),
        hand_pose=np.zeros(45),
        transl=np.array([0.0, 0.0, 0.5]),
    )

    def paint(temporary: Path) -> None:
        flat = np.full((SIZE_PX, SIZE_PX, 3), (128, 128, 255), np.uint8)
        write_png8(temporary / "albedo.png", np.full_like(flat, ALBEDO))
        write_png8(temporary / "normal.png", flat)
        write_png8(temporary / "roughness.png", flat[..., 0])
        write_png8(temporary / "preview.png", flat)
        write_environment(temporary / "environment.exr", np.ones((16, 32, 3), np.float32))
        (temporary / "pose_maps").mkdir()
        for index, one in enumerate(pose_maps):
            for name in one.pictures(index):
                noise = np.random.default_rng(index).integers(0, 256, (SIZE_PX // 2, SIZE_PX // 2, 3))
                write_png8(temporary / name, noise.astype(np.uint8))
        if learned is not None:
            save_xhand(temporary, learned)

    avatar = Avatar(side, "test", betas.numpy(), mesh, capture, pose_maps=pose_maps, provenance=provenance)
    return write_avatar(folder, avatar, paint, force=True)


def untrained_xhand(
    side: str = "right", vertices: int = 2_500, loop_levels: int = 0, local: bool = True, **networks
) -> XHandModel:
    """A hand whose features follow the pose, whatever they mean."""
    coarse = open_hand_model(side)
    poses = random_hand_poses(coarse, 8, torch.Generator().manual_seed(1))
    small = EmbeddingConfig(2, 8, local=local)
    torch.manual_seed(0)
    wanted = {"displacement": small, "skinning": small, "albedo": small, "renderer": RendererConfig(2, 8, latent=4)}
    model = XHandModel(
        build_template(coarse, vertices, loop_levels),
        0.3 * torch.ones(10),
        pose_range(poses),
        XHandNetworks(**{**wanted, **networks}),
    )
    with torch.no_grad():
        for part in (model.displacement, model.skinning, model.albedo, model.renderer):
            part.out.weight.normal_(0, 0.05)
        model.light[:, 1:4] = 0.4
    return model.eval()
