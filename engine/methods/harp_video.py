"""HARP in full: a monocular video in, an avatar out (Karunratanakul et al. 2023, section 3 and appendix C).

Stages as in the paper, in mini-batches: geometry; geometry with appearance; appearance. The camera rests, so the light is one
for all frames, in the camera's axes. Frames that are held out have no say in shape, skin and light; their pose alone is
found afterwards, with the finished avatar, and shows how it carries over.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar, CaptureInfo
from ..hand.model import HandModel
from ..lighting.environment import lamp_environment
from ..progress import Progress, silent, sub_progress
from ..rendering.bake import texel_map
from ..spacing import evenly
from ..training.perceptual import PerceptualTerm, perceptual_term
from .config import HarpConfig
from .harp import Personalised, export_mesh, only_hand, repeatable, seen_share
from .harp_fixed import FixedFrames
from .harp_frames import Frames, geometry_from_captures, sharpness
from .harp_model import AppearanceParameters, Template, build_template, pose_hand, unsubdivided
from .harp_pose import fit_poses
from .harp_render import SkyViews
from .harp_stages import (
    Reference,
    Track,
    optimise_appearance,
    optimise_geometry,
    optimise_jointly,
    shuffled_batches,
)
from .harp_start import start_appearance
from .harp_video_bake import bake_video
from .harp_video_input import HandVideo, cut_out, smoothness_links
from .harp_video_metrics import VideoScores, measure

SHOWN = 8
"""Frames of which pictures are kept; half as many of those held out."""


class VideoTrack(NamedTuple):
    """The hand in every frame, as it was fitted."""

    numbers: tuple[int, ...]
    """Of the frames, as the video counts."""
    held_out: tuple[bool, ...]
    global_orient: np.ndarray
    """[T,3]"""
    hand_pose: np.ndarray
    """[T,45]"""
    transl: np.ndarray
    """[T,3] metres, camera axes"""


class PersonalisedVideo(NamedTuple):
    hand: Personalised
    track: VideoTrack
    fitted: VideoScores
    """In the frames that were fitted."""
    held_out: VideoScores | None
    """In the others, with pose and place found anew; None where there are none."""
    pairs: dict[int, Tensor]
    """By frame number [h,2h,3]: some frames beside their renders, those that were held out among them."""


Look = Callable[[Tensor], Path]
"""Writes a picture [h,w,3] sRGB in [0,1] of how far the fit has come, and says where."""


def personalize_video(
    video: HandVideo,
    model: HandModel,
    config: HarpConfig | None = None,
    hold_out: int = 0,
    progress: Progress = silent,
    look: Look | None = None,
) -> PersonalisedVideo:
    """Make an avatar from a video's frames.

    model: the hand that the frames were captured with, of the same side; hold_out: every how many-th frame is held out, 0 for
    none. The result depends on the arguments alone (config.seed included). Raises Cancelled from the progress callback.
    """
    config = config or HarpConfig()
    with repeatable(config.seed):
        return _Run(video, model, config, hold_out, look).run(progress)


class _Run:
    """One personalisation's stages, with what passes from one to the next."""

    def __init__(self, video: HandVideo, model: HandModel, config: HarpConfig, hold_out: int, look: Look | None = None):
        self.video, self.model, self.look = video, model, look
        self.config = config = dataclasses.replace(
            config,
            appearance=config.video.appearance,
            shadow_samples=config.video.shadow_samples,
            motion_rate=config.video.motion_rate,
        )
        self.template: Template = build_template(model, config.subdivision)
        self.coarse = unsubdivided(self.template, model)
        self.geometry = geometry_from_captures(video.captures, self.template)
        self.held_out = held_out_frames(len(video.captures), hold_out)
        self.fitted = torch.nonzero(~self.held_out)[:, 0]
        self.perceptual: PerceptualTerm = perceptual_term(config.vgg16_weights)
        self.inside = texel_map(self.template.topology, config.parameter_map_px).inside()
        self.timings: dict[str, float] = {}
        self.clock = time.monotonic()

    def run(self, progress: Progress) -> PersonalisedVideo:
        config = self.config
        frames = cut_out(self.video, self.coarse, self.geometry, config.video.crop_px, sub_progress(progress, 0, 0.04))
        with torch.no_grad():
            joints = pose_hand(self.coarse, self.geometry).joints
        reference = Reference(joints.clone())
        links = torch.as_tensor(smoothness_links(self.video.captures, (~self.held_out).tolist())).to(joints)
        track = Track(joints.clone(), links)
        self._lap("prepare")

        shown = sub_progress(progress, 0.04, 0.3)
        batches = self._batches(config.video.geometry_epochs, 1, config.geometry_steps)
        shrink = config.video.geometry_shrink
        optimise_geometry(self.coarse, self.geometry, frames, reference, batches, config, shown, track, shrink)
        self._lap("geometry")

        appearance = self._start(frames)
        sky = SkyViews(self.template, config.video.occlusion_rays)
        epochs = (config.video.joint_epochs, config.video.fine_joint_epochs)
        middle = 0.3 + 0.3 * epochs[0] / max(epochs[0] + 3 * epochs[1], 1)
        for stage, (count, low, high, less) in enumerate(
            ((epochs[0], 0.3, middle, shrink), (epochs[1], middle, 0.6, 1))
        ):
            if count:
                optimise_jointly(
                    self.template,
                    self.geometry,
                    appearance,
                    frames,
                    reference,
                    self._batches(count, 2 + stage, config.joint_steps // (1 + stage)),
                    self.inside,
                    config,
                    self.perceptual,
                    sub_progress(progress, low, high),
                    track,
                    less,
                    sky,
                )
        self._lap("joint")

        sharp = sharpness(frames)
        fixed = FixedFrames(self.template, self.geometry, frames, config, sky, sharp)
        self._show(fixed, appearance, sub_progress(progress, 0.6, 0.61))
        shown = sub_progress(progress, 0.61, 0.78)
        batches = self._batches(config.video.appearance_epochs, 4, config.appearance_steps)
        optimise_appearance(fixed, appearance, batches, self.inside, config, self.perceptual, shown)
        self._show(fixed, appearance, sub_progress(progress, 0.78, 0.79))
        self._lap("appearance")

        best = self._best_frame(frames, sharp)
        posed = only_hand(self.template, self.geometry, best)
        chosen = self._evenly(config.video.bake_frames)
        shown = sub_progress(progress, 0.79, 0.84)
        maps = bake_video(self.template, posed, fixed, appearance, chosen, config, shown)
        finished = AppearanceParameters.of_maps(maps.albedo, maps.normal, appearance)
        self._lap("bake")

        if bool(self.held_out.any()):
            index = torch.nonzero(self.held_out)[:, 0]
            shown = sub_progress(progress, 0.84, 0.9)
            schedule = dataclasses.replace(config.video, refinement_epochs=config.video.held_out_epochs)
            known = dataclasses.replace(config, video=schedule)
            fit_poses(self.template, self.geometry, finished, frames, reference, index, known, self.perceptual, shown)
        self._lap("held_out")

        shown = sub_progress(progress, 0.9, 1.0)
        own, others, pairs = self._measured(finished, fixed, shown)
        self._lap("measure")
        environment = lamp_environment(finished.light())
        image, mask = self._picture(best)
        avatar = self._avatar(best, image, own, others, seen_share(maps, self.template))
        hand = Personalised(avatar, maps, environment, image, mask)
        progress(1.0, "avatar made")
        return PersonalisedVideo(hand, self._track(), own, others, pairs)

    def _evenly(self, count: int) -> list[int]:
        """At most `count` of the fitted frames."""
        return list(evenly(self.fitted.tolist(), count, ends=True))

    def _lap(self, name: str) -> None:
        now = time.monotonic()
        self.timings[name], self.clock = now - self.clock, now

    def _batches(self, epochs: int, stage: int, least: int) -> list[Tensor]:
        """least: a photo's steps of this stage, which a short video has too."""
        generator = torch.Generator().manual_seed(self.config.seed * 10 + stage)
        return shuffled_batches(self.fitted, self.config.video.batch, epochs, generator, least)

    def _start(self, frames: Frames) -> AppearanceParameters:
        chosen = self._evenly(self.config.video.light_frames)
        return start_appearance(
            self.template, self.geometry, frames, self.config, chosen, self.config.video.geometry_shrink
        )

    def _best_frame(self, frames: Frames, sharp: Tensor) -> int:
        """The fitted frame that shows most of the hand sharply: the avatar's picture."""
        focal = frames.intrinsics[:, 0, 0]
        area = torch.stack([frames.planes[place, ..., 0].float().mean() / focal[place] ** 2 for place in self.fitted])
        return int(self.fitted[(area * sharp[self.fitted]).argmax()])

    def _picture(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        for number, (image, mask) in enumerate(self.video.pictures()):
            if number == place:
                return image, (np.asarray(mask, dtype=np.float32) * 255 + 0.5).astype(np.uint8)
        raise AssertionError("a frame that was fitted is there")

    def _measured(
        self, finished: AppearanceParameters, fixed: FixedFrames, progress: Progress
    ) -> tuple[VideoScores, VideoScores | None, dict[int, Tensor]]:
        moved = torch.nonzero(self.held_out)[:, 0].tolist()
        if moved:
            for number in moved:
                fixed.sky.forget(number)
            fixed = FixedFrames(self.template, self.geometry, fixed.frames, self.config, fixed.sky)
        chosen = set(self._evenly(self.config.video.measured_frames)) | set(moved)
        shown = [*self._evenly(SHOWN), *evenly(moved, SHOWN // 2, ends=True)]
        chosen |= set(shown)
        maps, light = finished.maps().detach(), finished.light()
        found = measure(self.video, fixed, maps, light, chosen, shown, progress)
        own = VideoScores.mean([score for k, score in found.scores.items() if k not in moved])
        others = [score for k, score in found.scores.items() if k in moved]
        pairs = {self.video.numbers[place]: pair for place, pair in found.pairs.items()}
        return own, VideoScores.mean(others) if others else None, pairs

    @torch.no_grad()
    def _show(self, fixed: FixedFrames, appearance: AppearanceParameters, progress: Progress) -> None:
        """A preview: some frames over their pictures as they are rendered now."""
        if self.look is None:
            return
        index = torch.tensor(self._evenly(4))
        target = fixed.frames.target(index)
        drawn, _ = fixed.picture(index, appearance, target)
        both = torch.stack([target.color, drawn.color]).unflatten(1, (len(index), target.height))
        sheet = both.permute(0, 2, 1, 3, 4).reshape(2 * target.height, -1, 3)
        progress(1.0, "recovering skin and light", preview=self.look(sheet))

    def _avatar(
        self, best: int, image: np.ndarray, own: VideoScores, others: VideoScores | None, seen: float
    ) -> Avatar:
        capture = self.video.captures[best]
        track = self._track()
        metrics = {"seen_share": round(seen, 4), **own.as_metrics("train")}
        if others is not None:
            metrics.update(others.as_metrics("held_out"))
        return Avatar(
            handedness=capture.handedness,
            method="harp",
            betas=self.geometry.betas.detach().cpu().numpy(),
            mesh=export_mesh(self.template, only_hand(self.template, self.geometry, best)),
            capture=CaptureInfo(
                image="photo.png",
                image_size=(image.shape[1], image.shape[0]),
                intrinsics=np.asarray(capture.K),
                world_to_camera=np.asarray(capture.world_to_camera),
                global_orient=track.global_orient[best],
                hand_pose=track.hand_pose[best],
                transl=track.transl[best],
            ),
            provenance={
                "seed": self.config.seed,
                "shadow": self.config.shadow,
                "frames": {"fitted": len(self.fitted), "held_out": int(self.held_out.sum())},
                "frames_left_out": list(self.video.notes),
                "timings_s": {name: round(value, 2) for name, value in self.timings.items()},
            },
            metrics=metrics,
        )

    def _track(self) -> VideoTrack:
        geometry = self.geometry
        values = (
            value.detach().cpu().numpy() for value in (geometry.global_orient, geometry.hand_pose, geometry.transl)
        )
        return VideoTrack(tuple(self.video.numbers), tuple(self.held_out.tolist()), *values)


def held_out_frames(count: int, every: int) -> Tensor:
    """[count] bool: frame every // 2 of each run of `every`, of a shorter last one too where it is that long; none for 0."""
    chosen = torch.zeros(count, dtype=torch.bool)
    if every > 0:
        chosen[every // 2 :: every] = True
    return chosen
