"""Several photos of one hand: the same hand shape in all of them, poses and cameras their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import CaptureError
from ..progress import Progress, silent
from .energy import Observations, Outline
from .fit import clamp_to_limits, fit_frames_together
from .kinematics import HandState, state_from_mano
from .options import CaptureOptions, hand_model_for
from .photo import CaptureResult
from .session import FitSession, Fitted

ROUNDS = 4
"""Of pairing the outlines anew and fitting everything to them."""


def with_one_shape(
    results: Sequence[CaptureResult], options: CaptureOptions | None = None, progress: Progress = silent
) -> list[CaptureResult]:
    """The captures, fitted once more with betas in common.

    results: of photos of one hand, each fitted alone, from any cameras. Starts at the mean of their betas; then landmarks and
    outlines of all photos pull at one set of betas and at every photo's own pose, with the robust energy that a video's frames
    are fitted with. Masks stay as they are. Raises CaptureError for hands of both sides.
    """
    sides = {result.capture.handedness for result in results}
    if len(sides) > 1:
        first, other = (
            next(result.capture.image for result in results if result.capture.handedness == side)
            for side in ("left", "right")
        )
        raise CaptureError(
            f"{first} shows a left hand, {other} a right one: give photos of one hand, or say which with --hand"
        )
    if len(results) < 2:
        return list(results)
    session = FitSession(hand_model_for(sides.pop(), options or CaptureOptions()))
    seen = [_observed(session, result) for result in results]
    state = _common_start(session, results)
    for number in range(ROUNDS):
        progress(number / ROUNDS, "fitting one shape to all photos")
        reach = 0.08 / (1 + number) ** 0.5
        outlined = [
            session.outline_observations(seen[index], fitted, [result.mask], reach, result.capture.K)
            for index, (result, fitted) in enumerate(zip(results, _meshes(session, state, results), strict=True))
        ]
        state = fit_frames_together(session.energy, state, joined(outlined), iterations=4)
    state = clamp_to_limits(session.energy, state)
    refitted = []
    for result, own, fitted in zip(results, seen, _meshes(session, state, results), strict=True):
        capture = dataclasses.replace(
            result.capture,
            betas=fitted.parameters["betas"],
            **{name: fitted.parameters[name][0] for name in ("global_orient", "hand_pose", "transl")},
            joints_3d=fitted.keypoints[0],
            quality=session.quality(own, fitted, [result.mask], result.capture.K)[0],
        )
        refitted.append(dataclasses.replace(result, capture=capture, vertices=fitted.vertices[0]))
    return refitted


def joined(seen: Sequence[Observations]) -> Observations:
    """Observations of single photos as those of one sequence, unlinked, each with its own camera.

    All of them have outlines or none has; what gives the detector's metres their scale is the first's.
    """

    def stacked(name: str) -> Tensor:
        return torch.cat([getattr(one, name) for one in seen])

    names = ("keypoints", "confidence", "metric", "metric_confidence", "scale_px", "tip_fraction")
    outlines = [one.outline for one in seen]
    outline = None
    if outlines[0] is not None:
        outline = Outline(*(torch.cat(parts) for parts in zip(*(vars(one).values() for one in outlines), strict=True)))
    return Observations(
        **{name: stacked(name) for name in names},
        intrinsics=torch.stack([one.intrinsics for one in seen]),
        links=np.zeros(len(seen)),
        metric_scale=seen[0].metric_scale,
        outline=outline,
    )


def _observed(session: FitSession, result: CaptureResult) -> Observations:
    if result.hand is None:
        raise ValueError("a capture without its landmarks cannot be fitted again")
    return session.observe([result.hand], result.capture.K, np.zeros(1))


def _common_start(session: FitSession, results: Sequence[CaptureResult]) -> HandState:
    """Every photo's own pose, its wrist where it was, and the mean of the betas."""
    like = session.model.v_template

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values).to(like)

    own = []
    for capture in (result.capture for result in results):
        placed = (capture.global_orient[None], capture.hand_pose[None], capture.transl[None])
        own.append(state_from_mano(session.model, tensor(capture.betas), *(tensor(part) for part in placed)))
    return HandState(
        torch.cat([one.rotation for one in own]),
        torch.cat([one.angles for one in own]),
        torch.cat([one.position for one in own]),
        torch.stack([one.betas for one in own]).mean(0),
    )


def _meshes(session: FitSession, state: HandState, results: Sequence[CaptureResult]) -> Iterator[Fitted]:
    """Each photo's hand by itself, in its own camera."""
    for index, result in enumerate(results):
        one = slice(index, index + 1)
        alone = HandState(state.rotation[one], state.angles[one], state.position[one], state.betas)
        yield session.mesh(alone, result.capture.K)
