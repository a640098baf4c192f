"""What a HARP personalisation can be told, as one tree of frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class GeometryWeights:
    """HARP's table C.1. Lengths in the terms are metres unless they say otherwise."""

    silhouette: float = 7.0
    """Mean absolute difference of mask and rendered coverage."""
    anchor: float = 10.0
    """Root-relative joints against the capture's, decimetres squared."""
    displacement: float = 2.0
    """Sum of squares over vertices."""
    laplacian: float = 4.0
    normal_consistency: float = 0.1
    edge_length: float = 0.2
    """Millimetres squared against the undisplaced hand in the same shape (the paper's ARAP term)."""
    pose_limits: float = 10.0
    """Radians squared beyond the joints' limits (not in the paper; one photo leaves depth open)."""
    smoothness: float = 20.0
    """Bend of the joints' tracks through a video's frames, decimetres squared (not in the paper, whose poses are smoothed
    before they are optimised)."""
    forearm: float = 0.02
    """Squared rotation of the forearm from the hand's direction (not in the paper, which fits METRO's forearm): without outline
    to tell, it runs on straight."""
    shape_prior: float = 2e-3
    """Squared betas, which have unit variance (not in the paper, for the same reason)."""


@dataclass(frozen=True)
class AppearanceWeights:
    """HARP's table C.1."""

    photo: float = 1.0
    perceptual: float = 1.0
    """Of VGG-16's features where its weights are given; otherwise of Laplacian pyramid bands, which like VGG's early layers
    compare edges and texture at several scales rather than single pixels, and need no downloaded weights."""
    albedo_smoothness: float = 2.0
    normal_regularity: float = 0.5
    light_prior: float = 1.0
    """Squared log change of lamp and ambient from the first estimate: smoothness alone would make the skin ever darker
    and the light brighter, for a dark map has small differences."""
    brightness_prior: float = 0.0
    """Squared log change of both together: many poses tell lamp from ambient, but nothing tells light from skin."""


VIDEO_APPEARANCE = AppearanceWeights(albedo_smoothness=0.3, light_prior=0.02, brightness_prior=1.0)
"""Table C.1 but for the albedo's smoothness, 2 there and 0.5 in the published code: with 2 a palm loses its creases."""


@dataclass(frozen=True)
class VideoSchedule:
    """What a video needs beyond a photo. An epoch sees every frame once; no stage has fewer steps than a photo's."""

    geometry_epochs: int = 16
    """On the hand model as it is, not subdivided."""
    joint_epochs: int = 3
    """At the resolution of the geometry stage, then"""
    fine_joint_epochs: int = 1
    """at full resolution."""
    appearance_epochs: int = 6
    held_out_epochs: int = 24
    """Of held-out frames, whose pose is found with the finished avatar."""
    refinement_epochs: int = 40
    """Of another video's frames, whose pose is found with a known hand."""
    appearance: AppearanceWeights = VIDEO_APPEARANCE
    batch: int = 8
    """Frames a step."""
    motion_rate: float = 1.5
    """Times the geometry's learning rate, for poses and places: a frame is seen a few times, not at every step."""
    refinement_rate: float = 3.0
    """The same while poses are found with a known hand."""
    crop_px: int = 288
    """Longer side of the hand, in which frames are kept and appearance is found."""
    geometry_shrink: int = 2
    """Crops are so much smaller while geometry moves."""
    occlusion_rays: int = 48
    shadow_samples: int = 3
    """Of frames; a photo has more."""
    light_frames: int = 6
    """From which the light is estimated first."""
    bake_frames: int = 24
    """From which it is told what skin was seen."""
    measured_frames: int = 80
    """Of the frames that were fitted, in which the avatar is measured, at most."""


@dataclass(frozen=True)
class HarpConfig:
    """One personalisation."""

    geometry: GeometryWeights = field(default_factory=GeometryWeights)
    appearance: AppearanceWeights = field(default_factory=AppearanceWeights)
    geometry_steps: int = 160
    joint_steps: int = 40
    appearance_steps: int = 120
    geometry_px: int = 288
    """Longer side of the hand's crop while geometry moves."""
    appearance_px: int = 512
    """Longer side of the hand's crop while only appearance moves."""
    subdivision: int = 1
    parameter_map_px: int = 512
    """Side of the albedo and normal maps during optimisation."""
    texture_px: int = 1024
    """Side of the exported maps."""
    learning_rate_geometry: float = 1e-3
    motion_rate: float = 1.0
    """Times that, for pose and place; a video has its own."""
    learning_rate_appearance: float = 1e-2
    occlusion_rays: int = 192
    """Of a vertex, once its place is found."""
    moving_occlusion_rays: int = 96
    """Of a vertex, while geometry moves."""
    vgg16_weights: Path | None = None
    """torchvision's VGG-16 state dict (.pth) for the perceptual term; None takes the pyramid."""
    seed: int = 0
    video: VideoSchedule = field(default_factory=VideoSchedule)
    shadow: bool = True
    """The paper's soft shadow test for the lamp."""
    shadow_samples: int = 7
    """Directions over the lamp's disc."""


def quality(name: str) -> HarpConfig:
    """ "standard", or "draft" for a look within seconds. Raises ValueError for another name."""
    if name == "standard":
        return HarpConfig()
    if name == "draft":
        return replace(
            HarpConfig(),
            geometry_steps=40,
            joint_steps=8,
            appearance_steps=24,
            geometry_px=192,
            appearance_px=256,
            parameter_map_px=256,
            texture_px=512,
            occlusion_rays=64,
            video=VideoSchedule(
                geometry_epochs=3,
                joint_epochs=1,
                appearance_epochs=2,
                held_out_epochs=8,
                refinement_epochs=10,
                crop_px=160,
                bake_frames=12,
            ),
        )
    raise ValueError(f"quality {name!r} is neither 'draft' nor 'standard'")
