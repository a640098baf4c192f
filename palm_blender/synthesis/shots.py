"""What is photographed: hands, poses, cameras, light, and the pictures that a worker takes of them. NumPy only.

The world has OpenCV-like axes (y down); Blender's is that world turned to +Z up (`engine.hand.cameras`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...engine.datasets.palm_files import Camera
from .people import Person


class Light(NamedTuple):
    """An environment as it is hung around the hand."""

    environment: str
    """A name that `lighting.find_environment` knows, or a file."""
    rotation: float
    """radians about Blender's +Z"""
    strength: float


class HandPose(NamedTuple):
    """MANO's parameters of one frame, absolute: flat hand = 0."""

    global_orient: np.ndarray
    """[3] axis-angle, radians"""
    hand_pose: np.ndarray
    """[45]"""
    transl: np.ndarray
    """[3] metres"""


class ShotId(NamedTuple):
    """Which picture of a data set: enough to find its files, and to know it among a unit's shots."""

    folder: str
    frame: int
    camera: str


class Shot(NamedTuple):
    """One picture: a frame of a folder seen by one of its cameras."""

    folder: str
    """a key of `Unit.folders`"""
    frame: int
    """index of the folder's pose, from 0"""
    camera: str
    """a key of the folder's cameras"""
    light: Light
    seed: int
    """of Cycles' noise"""

    @property
    def id(self) -> ShotId:
        return ShotId(self.folder, self.frame, self.camera)


class Folder(NamedTuple):
    """One folder of PALM's layout: its cameras and poses."""

    cameras: Mapping[str, Camera]
    poses: tuple[HandPose, ...]
    stem_digits: int
    """6 in subjects, 4 in personalisation inputs"""

    def stem(self, frame: int) -> str:
        """Name of a frame's files without suffix; numbers begin at 1."""
        return f"{frame + 1:0{self.stem_digits}d}"


class Unit(NamedTuple):
    """One hand and everything photographed of it: what a worker builds once."""

    name: str
    person: Person | None
    """the synthetic person, or None for an avatar folder's hand"""
    avatar: Path | None
    """avatar folder, or None for a synthetic person"""
    betas: np.ndarray
    """[10]"""
    folders: Mapping[str, Folder]
    """by path relative to the set, such as "folders/0003" or "relit_00/folders/_train" """
    shots: tuple[Shot, ...]


class FramePixels(NamedTuple):
    """What a shot gives. All but the picture come from one undenoised ray through each pixel's centre."""

    image: np.ndarray
    """[H,W,3] uint8 sRGB"""
    radiance: np.ndarray
    """[H,W,3] float32 linear Rec.709, denoised as asked"""
    mask: np.ndarray
    """[H,W] bool"""
    depth: np.ndarray
    """[H,W] float32 metres along the camera's z, 0 where there is no hand"""
    normals: np.ndarray
    """[H,W,3] float32 unit, OpenCV camera axes, of the smooth surface without its normal map; 0 where there is no hand"""
    albedo: np.ndarray
    """[H,W,3] float32 linear"""
    roughness: np.ndarray
    """[H,W] float32"""
    keypoints: np.ndarray
    """[21,3] metres, world; 16 joints of MANO, then thumb, index, middle, ring and little fingertip"""
