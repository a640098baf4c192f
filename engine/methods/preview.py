"""Pictures for people: the preview sheet of an avatar folder and a turntable sheet."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar
from ..avatar.texture_files import read_png
from ..lighting.lamp import LampLight
from ..rendering.crop import Crop, crop_around
from .rerender import LoadedAvatar, Pose, capture_pose, pose_avatar, render_avatar

PANEL_PX = 448
BACKDROP = 0.13
"""sRGB value behind relit hands."""
FLAT_HAND = np.zeros(45)


def studio_light(towards: tuple[float, float, float] = (-0.5, -0.7, -0.6), warmth: float = 0.0) -> LampLight:
    """A key lamp with fill, in camera axes. warmth > 0 makes the lamp redder and the fill bluer."""
    lamp = torch.tensor([0.72 * (1 + warmth), 0.72, 0.72 * (1 - warmth)])
    fill = torch.tensor([0.30 * (1 - 0.6 * warmth), 0.30, 0.30 * (1 + 0.6 * warmth)])
    return LampLight(fill, lamp, torch.tensor(towards))


def preview_sheet(avatar: Avatar, loaded: LoadedAvatar, photo: Tensor, rerender: Tensor | None = None) -> np.ndarray:
    """[h,w,3] uint8: photo, overlay, re-render; albedo, relit, relit from the side that the photo does not show.

    photo [H,W,3] sRGB in [0,1], as stored in the folder; rerender [h,w,3] sRGB of `photo_crop`, at any size, for lights that
    the lamp of `loaded` does not sum up.
    """
    assert avatar.folder is not None
    vertices = pose_avatar(loaded, capture_pose(avatar)).vertices
    crop, intrinsics = photo_crop(avatar, vertices)
    cropped = _crop_picture(photo, crop)
    size = (crop.width, crop.height)
    if rerender is None:
        rerender = render_avatar(loaded, vertices, intrinsics, size, background=cropped).color
    bare = render_avatar(loaded, vertices, intrinsics, size, studio_light(), textures=False)
    tint = torch.tensor([0.35, 0.75, 1.0]) * bare.color
    overlay = cropped + 0.6 * bare.coverage[..., None] * (tint - cropped)
    albedo = torch.as_tensor(read_png(avatar.folder / "albedo.png"))
    front = render_avatar(loaded, vertices, intrinsics, size, studio_light(warmth=0.12), BACKDROP)
    turned = turn(vertices, math.pi)
    behind_camera = frame_vertices(turned, PANEL_PX)
    back = render_avatar(loaded, turned, behind_camera, (PANEL_PX, PANEL_PX), studio_light((0.5, -0.7, -0.7)), BACKDROP)
    panels = [cropped, overlay, rerender, albedo, front.color, back.color]
    labels = ["photo", "fitted shape", "re-render", "albedo", "relit", "relit, unseen side"]
    return label_grid([_fit(panel, PANEL_PX) for panel in panels], labels, columns=3)


def turntable_sheet(
    loaded: LoadedAvatar, vertices: Tensor, light: LampLight, views: int = 8, panel_px: int = PANEL_PX
) -> np.ndarray:
    """[h,w,3] uint8: the posed hand [V,3] (camera frame) turned about the vertical axis in equal steps."""
    panels, labels = [], []
    for index in range(views):
        turned = turn(vertices, 2 * math.pi * index / views)
        picture = render_avatar(loaded, turned, frame_vertices(turned, panel_px), (panel_px, panel_px), light, BACKDROP)
        panels.append(picture.color)
        labels.append(f"{360 * index // views} deg")
    return label_grid(panels, labels, columns=4)


def open_pose(loaded: LoadedAvatar, palm_to_camera: bool) -> Tensor:
    """[V,3] the flat hand upright before the camera, fingers up."""
    flat = pose_avatar(loaded, Pose(np.zeros(3), FLAT_HAND, np.zeros(3))).vertices
    # Rest frame: fingers along -x (right) or +x (left), palm towards -y. Picture: x right, y down, z away from the viewer.
    x, y, z = flat.unbind(1)
    fingers = torch.sign(x.mean() - float(loaded.mesh.joints[0, 0]))
    side = 1.0 if palm_to_camera else -1.0
    # up the picture go the fingers, towards the viewer the palm or the back; the third axis keeps the frame right-handed
    upright = torch.stack([-fingers * side * z, -fingers * x, side * y], dim=1)
    return upright - upright.mean(0) + torch.tensor([0.0, 0.0, 0.6])


def turn(vertices: Tensor, angle: float) -> Tensor:
    """Vertices [V,3] rotated about the vertical axis through their centre, by `angle` radians, at 0.6 m from the camera."""
    centre = (vertices.min(0).values + vertices.max(0).values) / 2
    c, s = math.cos(angle), math.sin(angle)
    rotation = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=vertices.dtype)
    return (vertices - centre) @ rotation.T + torch.tensor([0.0, 0.0, 0.6])


def frame_vertices(vertices: Tensor, size_px: int, margin: float = 0.06) -> np.ndarray:
    """K [3,3] of a camera whose picture the vertices fill."""
    points = (vertices[:, :2] / vertices[:, 2:3]).numpy()
    low, high = points.min(0), points.max(0)
    focal = (1 - 2 * margin) * size_px / float((high - low).max())
    centre = (low + high) / 2
    return np.array(
        [[focal, 0, size_px / 2 - focal * centre[0]], [0, focal, size_px / 2 - focal * centre[1]], [0, 0, 1]]
    )


def photo_crop(
    avatar: Avatar, vertices: Tensor, longest_px: int = PANEL_PX, enlarge: bool = True
) -> tuple[Crop, np.ndarray]:
    """The part of the photo that holds the hand, and its camera."""
    intrinsics = avatar.capture.intrinsics
    projected = vertices.numpy() @ intrinsics.T
    crop = crop_around(projected[:, :2] / projected[:, 2:3], 0.08, longest_px, allow_enlarging=enlarge)
    return crop, crop.intrinsics(torch.as_tensor(intrinsics)).numpy()


def _crop_picture(photo: Tensor, crop: Crop) -> Tensor:
    from ..rendering.crop import resample

    return resample(photo, crop, outside=1.0)


def _fit(picture: Tensor, size_px: int) -> Tensor:
    """A picture [h,w,3] scaled to fit a square and centred in it."""
    height, width = picture.shape[:2]
    scale = size_px / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    planes = picture.permute(2, 0, 1)[None]
    shrink = scale < 1
    scaled = torch.nn.functional.interpolate(planes, size=size, mode="bilinear", antialias=shrink, align_corners=False)
    canvas = torch.full((size_px, size_px, 3), BACKDROP, dtype=picture.dtype)
    top, left = (size_px - size[0]) // 2, (size_px - size[1]) // 2
    canvas[top : top + size[0], left : left + size[1]] = scaled[0].permute(1, 2, 0)
    return canvas


def label_grid(panels: list[Tensor], labels: list[str], columns: int) -> np.ndarray:
    """Panels of one size [h,w,3] in rows, each with a caption: [H,W,3] uint8."""
    from PIL import Image, ImageDraw

    height, width = panels[0].shape[:2]
    bar = 22
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + bar)), (18, 18, 18))
    draw = ImageDraw.Draw(sheet)
    for index, (panel, label) in enumerate(zip(panels, labels, strict=True)):
        left, top = index % columns * width, index // columns * (height + bar)
        values = (panel.clamp(0, 1).cpu().numpy() * 255 + 0.5).astype(np.uint8)
        sheet.paste(Image.fromarray(values), (left, top + bar))
        draw.text((left + 6, top + 5), label, fill=(210, 210, 210))
    return np.asarray(sheet)
