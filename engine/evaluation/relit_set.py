"""The HARP-relit set of `build.py harp-relit`: hands in light A to personalise to, the same hands in light B to judge by.

ROOT/relit_NN/folders/{_train,_val}/      PALM's folders (`engine.datasets.palm`), with albedo/ and labels/ beside images/
ROOT/avatars/relit_NN.palmhand            the true hand, where the set was rendered with avatars
ROOT/environments/NAME.exr                the lights; each picture's label says which, how turned and how strong
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import torch
from torch import Tensor

from ..avatar.texture_files import read_environment
from ..datasets.hand_sequence import HandFrame
from ..datasets.palm import PalmFrame, read_palm_folder
from ..errors import DatasetError, InputError
from ..files import read_json
from ..hand.model import HandModel
from ..lighting.environment import equirect_grid, sample_environment
from ..outside import numbers
from .shape_light_metrics import averaged

ENVIRONMENT_ROWS = 128
"""Of the light that pictures are rendered with: 1.4° a texel, so that a sun's shadow is soft over a millimetre of hand."""


@dataclass(frozen=True)
class FrameLight:
    """What a frame was taken in."""

    environment: Path
    rotation: float
    """Radians about +Z, counter-clockwise seen from above."""
    strength: float


@dataclass(frozen=True)
class LitFrame:
    """A picture with all that is known of it."""

    frame: PalmFrame
    light: FrameLight
    albedo: Path | None
    """16-bit sRGB picture of the skin's albedo; None where the set has none."""

    @property
    def label(self) -> str:
        """Name of the picture in its folder."""
        return self.frame.image.stem


@dataclass(frozen=True)
class RelitSequence:
    """One hand."""

    name: str
    seen: LitFrame
    """The one photo that methods may use, in light A."""
    unseen: tuple[LitFrame, ...]
    """Other poses, in light B."""
    truth: Path | None
    """The avatar folder that the pictures were rendered from."""

    @property
    def photo(self) -> PalmFrame:
        """What methods get."""
        return self.seen.frame

    @property
    def training(self) -> tuple[HandFrame, ...]:
        """More pictures for methods of several: a set of single photos has none."""
        return ()


def read_relit_set(root: Path | str, model: HandModel, count: int | None = None) -> tuple[RelitSequence, ...]:
    """The first `count` sequences (None: all), by name.

    model: the right hand whose betas the set must have. Raises DatasetError naming what is missing or does not fit.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder: give the folder of relit_00, relit_01 and so on")
    names = sorted(path.name for path in root.glob("relit_*") if path.is_dir())
    if not names:
        raise DatasetError(f"{root} holds no relit_00: render a set with `python build.py harp-relit`")
    return tuple(_sequence(root, name, model) for name in names[:count])


def read_light(light: FrameLight) -> Tensor:
    """[128,256,3] linear radiance of a frame's light in Blender's world axes, turned and scaled. Raises DatasetError."""
    try:
        image = torch.as_tensor(read_environment(light.environment))
    except InputError as error:
        raise DatasetError(f"{light.environment} cannot be read: copy the set again") from error
    if not bool(torch.isfinite(image).all()):
        raise DatasetError(f"{light.environment} holds values that are no numbers: copy the set again")
    # filters of picture programs leave negative texels beside very bright ones
    small = averaged(image.clamp_min(0), ENVIRONMENT_ROWS)
    return light.strength * (turned(small, light.rotation) if light.rotation else small)


def turned(environment: Tensor, rotation: float) -> Tensor:
    """An environment [H,2H,3] turned about +Z, counter-clockwise seen from above by `rotation` radians."""
    directions, _ = equirect_grid(environment.shape[0], environment)
    cosine, sine = math.cos(rotation), math.sin(rotation)
    back = environment.new_tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return sample_environment(environment, directions.reshape(-1, 3) @ back).reshape(environment.shape)


def _sequence(root: Path, name: str, model: HandModel) -> RelitSequence:
    folder = root / name
    dataset = read_palm_folder(folder, model.hands_mean.cpu().numpy())
    if dataset.hand_model is not None and dataset.hand_model != model.name:
        raise DatasetError(f"{folder} is of the hand model {dataset.hand_model!r}, not {model.name!r}: render it again")
    seen = [frame for frame in dataset.frames if frame.subject == "_train"]
    unseen = [frame for frame in dataset.frames if frame.subject == "_val"]
    if len(seen) != 1 or not unseen:
        raise DatasetError(
            f"{folder} has {len(seen)} _train and {len(unseen)} _val pictures, not 1 and some: render it again"
        )
    if not np.allclose(seen[0].world_to_camera, np.eye(4), atol=1e-6):
        raise DatasetError(
            f"{folder}: the camera of _train is not the world's origin, so it is no phone photo: render it again"
        )
    truth = root / "avatars" / f"{name}.palmhand"
    return RelitSequence(
        name, _lit(root, seen[0]), tuple(_lit(root, frame) for frame in unseen), truth if truth.is_dir() else None
    )


def _lit(root: Path, frame: PalmFrame) -> LitFrame:
    folder, stem = frame.image.parents[2], frame.image.stem
    label = folder / "labels" / frame.camera / f"{stem}.json"
    try:
        values = read_json(label, "label of a picture").get("light")
    except InputError as error:
        raise DatasetError(str(error)) from error
    name = values.get("environment") if isinstance(values, dict) else None
    if not isinstance(values, dict) or not isinstance(name, str) or not name:
        raise DatasetError(f"{label} does not say the picture's light: render the set again")
    rotation, strength = (
        float(numbers(values.get(key), f"{label}: light.{key}", DatasetError, ())) for key in ("rotation", "strength")
    )
    albedo = folder / "albedo" / frame.camera / f"{stem}.png"
    light = FrameLight(_environment(root, name, label), rotation, strength)
    return LitFrame(frame, light, albedo if albedo.is_file() else None)


def _environment(root: Path, name: str, label: Path) -> Path:
    """The set's own copy of an environment that was given by name or path, wherever that was."""
    stem = PurePosixPath(PureWindowsPath(name).as_posix()).stem
    path = root / "environments" / f"{stem}.exr"
    if not path.is_file():
        raise DatasetError(f"{path}, the light of {label}, is missing: copy it there (as OpenEXR)")
    return path
