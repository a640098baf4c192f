"""Avatar folders made from the open hand with painted textures: real files, written by the project's own writer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine.avatar.field_mesh import template_mesh
from engine.avatar.folder import Avatar, CaptureInfo, write_avatar
from engine.hand.cameras import pinhole_matrix
from engine.hand.mano import shape_hand
from engine.hand.model import HandModel, open_hand_model
from engine.hand.subdivide import subdivide_model

BETAS = np.array([0.8, -1.2, 0.5, 0.3, -0.7, 1.1, -0.4, 0.6, 0.2, -0.9])
PHOTO_SIZE = (320, 400)
"""Width and height; not square."""

CAPTURE = {
    "right": {"global_orient": [-1.35, 0.45, 0.25], "transl": [-0.09, 0.02, 0.5]},
    "left": {"global_orient": [-1.35, -0.45, -0.25], "transl": [0.09, 0.02, 0.5]},
}


def hand_model(side: str, levels: int = 1) -> HandModel:
    """The hand at an avatar's default density: the open hand, subdivided once."""
    return subdivide_model(open_hand_model(side), levels)


def with_dense_correctives(model: HandModel, amplitude: float = 0.002) -> HandModel:
    """The hand with smooth random correctives, so that a mistake in any one of the 135 shows in millimetres."""
    generator = torch.Generator().manual_seed(1)
    waves = torch.randn(3, 4, generator=generator) * 40
    smooth = torch.cos(model.v_template @ waves)
    mixing = torch.randn(4, 3, 135, generator=generator) / 2
    return dataclasses.replace(model, posedirs=amplitude * torch.einsum("vk,kcp->vcp", smooth, mixing))


def make_avatar(folder: Path, model: HandModel, betas: np.ndarray = BETAS) -> Avatar:
    """Write `folder` (.palmhand): shape `betas`, relaxed pose, a skin-coloured texture, light from the upper left."""
    side = model.side
    weights = torch.as_tensor(betas, dtype=torch.float32)
    mesh = template_mesh(model, weights, shape_hand(model, weights)[0])
    placed = {name: np.array(value) for name, value in CAPTURE[side].items()}
    bend = torch.tensor([0.35, 0.35, 0.2]).repeat(5)
    pose = (bend[:, None] * model.joint_axes[:, 0]).flatten().numpy().astype(float)
    capture = CaptureInfo(
        image="photo.png",
        image_size=PHOTO_SIZE,
        intrinsics=pinhole_matrix(700.0, *PHOTO_SIZE),
        world_to_camera=np.eye(4),
        hand_pose=pose,
        **placed,
    )
    avatar = Avatar(
        handedness=side, method="test", betas=np.asarray(betas), mesh=mesh, capture=capture, provenance={"seed": 0}
    )
    return write_avatar(folder, avatar, paint_images, force=True)


def paint_images(folder: Path, size: int = 512) -> None:
    """Textures of plausible skin: mottled albedo, shiny-to-dull roughness, a fine bump, a sky."""
    generator = np.random.default_rng(0)
    v, u = np.mgrid[0:size, 0:size] / size
    mottle = sum(np.sin(2 * np.pi * (a * u + b * v) + c) for a, b, c in generator.uniform(-9, 9, (12, 3))) / 12
    albedo = np.array([0.80, 0.60, 0.50]) + mottle[..., None] * np.array([0.05, 0.06, 0.05])
    Image.fromarray((albedo.clip(0, 1) * 255).astype(np.uint8)).save(folder / "albedo.png")
    Image.fromarray(((0.5 + 0.1 * mottle).clip(0, 1) * 255).astype(np.uint8)).save(folder / "roughness.png")
    slope = 0.08 * np.stack([np.sin(300 * u), np.sin(300 * v)], axis=-1)
    normal = np.concatenate([slope, np.ones((size, size, 1))], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    Image.fromarray(((normal * 0.5 + 0.5) * 255).round().astype(np.uint8)).save(folder / "normal.png")
    Image.fromarray(np.full((size, size), 255, np.uint8)).save(folder / "seen.png")
    write_environment(folder / "environment.exr", sky())
    picture = np.zeros((PHOTO_SIZE[1], PHOTO_SIZE[0], 3), np.uint8)
    picture[...] = (40, 60, 90)
    for name in ("photo.png", "preview.png"):
        Image.fromarray(picture).save(folder / name)
    Image.fromarray(picture[..., 0] * 0).save(folder / "mask.png")


def sky(height: int = 64) -> np.ndarray:
    """Linear equirectangular picture [h,2h,3]: dim all round, a bright soft patch up, left and behind the camera."""
    from_top, from_left = np.meshgrid(
        (np.arange(height) + 0.5) / height, (np.arange(2 * height) + 0.5) / (2 * height), indexing="ij"
    )
    polar, azimuth = np.pi * from_top, 2 * np.pi * (0.5 - from_left)
    direction = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1)
    towards = np.array([-0.55, -0.6, 0.58]) / np.linalg.norm([-0.55, -0.6, 0.58])
    return 0.35 + 9.0 * np.exp(12 * (direction @ towards - 1))[..., None] * np.array([1.0, 0.95, 0.9])


def write_environment(path: Path, pixels: np.ndarray) -> None:
    import OpenEXR

    channels = {"RGB": np.ascontiguousarray(pixels, dtype=np.float32)}
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, channels).write(str(path))
