"""How well an avatar re-renders a video's frames, by HARP's protocol (section 4): renders over white against masked frames.

A frame is scaled so that its shorter side has 448 pixels (larger ones never grow beyond it; smaller ones do), and a window of
448 × 448 pixels is taken whose centre is the hand's. HARP takes the frame's centre, where its videos have the hand. What lies
beyond the hand model's wrist is white in both pictures: the mask was cut there somewhere, and the model ends there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..lighting.color import linear_to_srgb
from ..lighting.lamp import LampLight
from ..progress import Progress
from ..rendering.crop import Crop, resample
from ..rendering.frame_stack import see_stack
from ..rendering.mesh import compose
from ..training.ms_ssim import ms_ssim
from ..training.psnr import psnr_db
from .harp_fixed import FixedFrames
from .harp_render import seen_skin, shade_skin, visible_lamp
from .harp_video_input import HandVideo
from .wrist import beyond_wrist

SIDE_PX = 448


@dataclass(frozen=True)
class VideoScores:
    """HARP's numbers of one frame, or the means of several."""

    iou: float
    """Of the render's outline and the mask, at one half."""
    l1: float
    """Mean absolute difference of sRGB values over the whole window, white included."""
    ms_ssim: float
    psnr_db: float
    """Over the whole window."""
    psnr_hand_db: float
    """Over the pixels of the mask."""
    frames: int = 1

    @staticmethod
    def mean(scores: Sequence[VideoScores]) -> VideoScores:
        names = [field.name for field in dataclasses.fields(VideoScores) if field.name != "frames"]
        means = {name: float(np.mean([getattr(score, name) for score in scores])) for name in names}
        return VideoScores(**means, frames=len(scores))

    def as_metrics(self, prefix: str) -> dict[str, float]:
        """As the avatar folder records it."""
        values = {f"{prefix}_{name}": value for name, value in dataclasses.asdict(self).items()}
        return {name: value if isinstance(value, int) else round(value, 4) for name, value in values.items()}


class Measured(NamedTuple):
    scores: dict[int, VideoScores]
    """By the frame's place in the video."""
    pairs: dict[int, Tensor]
    """[S/2,S,3] of some frames: the frame and its render side by side, at half their size."""


@torch.no_grad()
def measure(
    video: HandVideo,
    fixed: FixedFrames,
    maps: Tensor,
    light: LampLight,
    chosen: Collection[int],
    shown: Collection[int],
    progress: Progress,
) -> Measured:
    """Scores of the chosen frames and pictures of the shown ones, with maps [M,M,6]. Decodes the video once more."""
    found = Measured({}, {})
    for place, (image, mask) in enumerate(video.pictures()):
        if place % 4 == 0:
            progress(place / len(video.captures), f"measuring, frame {place + 1} of {len(video.captures)}")
        if place not in chosen:
            continue
        intrinsics = np.asarray(video.captures[place].K)
        frame, seen, render, coverage = compared_pictures(image, mask, intrinsics, fixed, place, maps, light)
        found.scores[place] = compare(frame, seen, render, coverage)
        if place in shown:
            both = torch.cat([frame, render], dim=1).permute(2, 0, 1)
            found.pairs[place] = avg_pool2d(both, 2).permute(1, 2, 0)
    return found


def compared_pictures(
    image: np.ndarray,
    mask: np.ndarray,
    intrinsics: np.ndarray,
    fixed: FixedFrames,
    number: int,
    maps: Tensor,
    light: LampLight,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(frame over white [S,S,3], its mask [S,S], render over white, its coverage), beyond the wrist white.

    image [H,W,3] uint8; mask [H,W] bool or [0,1]; intrinsics [3,3] of the picture; number: the frame's place.
    """
    vertices = fixed.vertices[number]
    camera = torch.as_tensor(intrinsics).to(vertices)
    crop = protocol_window(vertices, camera, image.shape[0], image.shape[1])
    rows, columns = _needed(crop, image.shape[0], image.shape[1])
    own = Crop(crop.left - columns.start, crop.top - rows.start, crop.scale, crop.width, crop.height)
    picture = torch.as_tensor(np.array(image[rows, columns])).to(vertices) / 255
    planes = torch.cat([picture, torch.as_tensor(np.array(mask[rows, columns])).to(vertices)[..., None]], dim=-1)
    planes = resample(planes, own)
    seen_mask, photo = planes[..., 3], planes[..., :3]
    view = see_stack(vertices[None], fixed.template.topology, crop.intrinsics(camera)[None], SIDE_PX, SIDE_PX)
    shading = fixed.shading(number)
    lamp = None
    if fixed.config.shadow:
        lamp = visible_lamp(
            fixed.template, vertices[None], view, shading.normals, light.to_lamp, fixed.config.shadow_samples
        )
    color = linear_to_srgb(shade_skin(seen_skin(view, fixed.template.topology, shading), maps, light, lamp)).clamp(0, 1)
    drawn = compose(view, fixed.template.topology, color, 1.0)
    model = fixed.template.model
    cap = model.faces[model.cap_faces].unique()
    told = (~beyond_wrist(vertices, cap, fixed.joints[number], crop.intrinsics(camera), SIDE_PX, SIDE_PX)).to(vertices)
    seen_mask, coverage = seen_mask * told, drawn.coverage * told
    frame = photo * seen_mask[..., None] + 1 - seen_mask[..., None]
    return frame, seen_mask, drawn.color * told[..., None] + 1 - told[..., None], coverage


def compare(frame: Tensor, mask: Tensor, render: Tensor, coverage: Tensor) -> VideoScores:
    """Scores of a render against a frame, both [S,S,3] sRGB in [0,1] over white; mask, coverage [S,S] in [0,1]."""
    covered, wanted = coverage > 0.5, mask > 0.5
    union = float((covered | wanted).sum())
    squared = ((render - frame) ** 2).mean(-1)
    return VideoScores(
        iou=float((covered & wanted).sum()) / max(union, 1.0),
        l1=float((render - frame).abs().mean()),
        ms_ssim=float(ms_ssim(render, frame)),
        psnr_db=psnr_db(squared),
        psnr_hand_db=psnr_db(squared[wanted]),
    )


def protocol_window(vertices: Tensor, intrinsics: Tensor, height: int, width: int) -> Crop:
    """The 448² window around a hand [V,3] in a picture whose shorter side becomes 448 pixels."""
    projected = vertices @ intrinsics.T
    points = projected[:, :2] / projected[:, 2:3]
    centre = (points.amin(0) + points.amax(0)) / 2
    scale = SIDE_PX / min(height, width)
    left, top = (float(value) - SIDE_PX / 2 / scale for value in centre)
    return Crop(left, top, scale, SIDE_PX, SIDE_PX)


def _needed(crop: Crop, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the picture that the crop may touch."""
    right, bottom = crop.left + crop.width / crop.scale, crop.top + crop.height / crop.scale
    top, left = (min(max(int(value) - 3, 0), side - 1) for value, side in ((crop.top, height), (crop.left, width)))
    return slice(top, max(min(int(bottom) + 3, height), top + 1)), slice(
        left, max(min(int(right) + 3, width), left + 1)
    )
