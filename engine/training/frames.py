"""Frames on their way into the batch: decoded pictures, posed bodies and skinning grids, kept while memory allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..datasets.palm import PalmFrame
from ..datasets.palm_pixels import FramePixels, load_frame
from ..hand.canonical import CanonicalBox
from ..hand.deformer import Deformer, make_deformer
from ..hand.mano import shape_hand
from ..hand.model import HandModel
from ..hand.posed_body import pose_body
from ..hand.skinning_grid import SkinningGrids, joined_grids, skinning_grids
from ..rendering.occupancy import Occupancy, occupancy_grid
from .sampling import PixelMaps, pixel_maps

Value = TypeVar("Value")


class Keeper(Generic[Value]):
    """A cache of at most `budget_bytes`; what was used longest ago goes first."""

    def __init__(self, budget_bytes: int):
        self.budget_bytes, self.held_bytes = budget_bytes, 0
        self.kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The kept value, or a new one."""
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key][0]
        value = make()
        size = _size(value)
        self.kept[key] = (value, size)
        self.held_bytes += size
        while self.held_bytes > self.budget_bytes and len(self.kept) > 1:
            _, (_, freed) = self.kept.popitem(last=False)
            self.held_bytes -= freed
        return value


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, tuple):
        return sum(_size(item) for item in value)
    return 0


class LoadedFrame(NamedTuple):
    """A frame's picture in compact form and where its mask lies."""

    image: Tensor
    """[H,W,3] uint8 sRGB."""
    mask: Tensor
    """[H,W] bool."""
    normals: Tensor | None
    """[H,W,3] float16, unit, OpenCV camera axes; NaN where unknown."""
    maps: PixelMaps


class FrameBody(NamedTuple):
    """A frame's hand, as much of it as rendering needs: batches of one."""

    root: Tensor
    """[1,4,4] root space → world."""
    bone_transforms: Tensor
    """[1,16,4,4] canonical → root space."""
    occupancy: Occupancy


class FrameStore:
    """Pictures by frame; the next batch is decoded in the background while this one trains."""

    def __init__(self, frames: tuple[PalmFrame, ...], margin_px: int, budget_bytes: int = 2 << 30):
        self.frames, self.margin_px = frames, margin_px
        self.keeper: Keeper[LoadedFrame] = Keeper(budget_bytes)
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.pending: dict[int, Future[LoadedFrame]] = {}

    def get(self, index: int) -> LoadedFrame:
        """The decoded frame. Raises DatasetError naming a file that cannot be read."""
        future = self.pending.pop(index, None)
        return self.keeper.get(index, future.result if future else lambda: self._load(index))

    def prefetch(self, indices: Iterable[int]) -> None:
        """Start decoding frames that the next step needs."""
        for index in indices:
            if index not in self.keeper.kept and index not in self.pending:
                self.pending[index] = self.pool.submit(self._load, index)

    def close(self) -> None:
        """Forget what is pending."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, index: int) -> LoadedFrame:
        return compact(load_frame(self.frames[index]), self.margin_px)


def compact(pixels: FramePixels, margin_px: int) -> LoadedFrame:
    """A decoded frame in a quarter of its memory."""
    image = (pixels.image_srgb * 255).round().clamp(0, 255).to(torch.uint8)
    normals = None
    if pixels.normals is not None:  # the reader's zero vectors are unknown normals
        known = pixels.normals.norm(dim=-1, keepdim=True) > 0.5
        normals = torch.where(known, pixels.normals, torch.nan).half()
    return LoadedFrame(image, pixels.mask, normals, pixel_maps(pixels.mask, margin_px))


class Bodies:
    """Posed hands and skinning grids of frames. Grids depend on betas alone, so a subject has one."""

    def __init__(self, model: HandModel, box: CanonicalBox, budget_bytes: int = 2 << 30):
        self.model, self.box = model, box
        self.grids: Keeper[SkinningGrids] = Keeper(budget_bytes)
        self.bodies: Keeper[FrameBody] = Keeper(budget_bytes // 4)

    def grid(self, betas: np.ndarray) -> SkinningGrids:
        """Skinning grid of a hand's shape; about a second when it is new."""

        def make() -> SkinningGrids:
            vertices, _ = shape_hand(self.model, self._tensor(betas))
            return skinning_grids(vertices[None], self.model.skinning_weights, self.box)

        return self.grids.get(_key(betas), make)

    def body(self, frame: PalmFrame, band_m: float) -> FrameBody:
        """The posed hand of a frame and the cells within `band_m` of it, a batch of one."""

        values = (frame.betas, frame.global_orient, frame.hand_pose, frame.transl)

        def make() -> FrameBody:
            with torch.no_grad():
                posed = pose_body(self.model, *(self._tensor(value)[None] for value in values))
            # contiguous copies: views would keep the whole hand in memory
            return FrameBody(posed.root.clone(), posed.bone_transforms.clone(), occupancy_grid(posed.vertices, band_m))

        return self.bodies.get((*map(_key, values), band_m), make)

    def deformer(self, frames: Sequence[PalmFrame], bodies: Sequence[FrameBody]) -> Deformer:
        """Skinning maps of several frames; frames of one shape share its grid."""
        shapes = {_key(frame.betas): frame.betas for frame in frames}
        order = {key: place for place, key in enumerate(shapes)}
        grids = joined_grids([self.grid(betas) for betas in shapes.values()])
        grid_of_hand = torch.tensor([order[_key(frame.betas)] for frame in frames])
        return make_deformer(self.box, torch.cat([body.bone_transforms for body in bodies]), grids, grid_of_hand)

    def _tensor(self, value: np.ndarray) -> Tensor:
        return torch.as_tensor(
            np.asarray(value), dtype=self.model.v_template.dtype, device=self.model.v_template.device
        )


def _key(betas: np.ndarray) -> bytes:
    return np.asarray(betas, dtype=np.float32).tobytes()
