"""How many frames a second XHand makes: the mesh's evaluation, rendering, and both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

from engine.methods.view_hand import HandPose, ViewMesh, view_light
from engine.methods.view_xhand import FastXHand
from engine.methods.xhand_model import Camera, Posed, XHandModel
from engine.rendering.mesh import Picture

Mesh = TypeVar("Mesh")
SIZES = ((512, 334), (256, 167))
"""Height and width: the paper's, and half of it."""
WARM_UP = 2
BEND_RAD = 0.001
"""A repetition, so that nothing kept from the last one helps."""


class Speed(NamedTuple):
    """Milliseconds of each part, medians."""

    mesh_ms: float
    """Displacement, weights, albedo, skinning, normals."""
    shaded_ms: float
    """Visibility, light and antialiasing of inverse rendering; which directions fingers hide was found for the last picture."""
    neural_ms: float
    """The same with the neural renderer."""
    all_shaded_fps: float
    all_neural_fps: float
    """Pose in, picture out, shadows included."""


def model_speed(model: XHandModel, pose: HandPose, camera: Camera) -> Speed:
    """Of the model as it is trained, on its device."""
    pose, camera = _moved(pose, camera, model.light.device)

    def evaluate(turn: int) -> Posed:
        return model.posed(_bent(pose, turn).hand_pose, pose.global_orient, pose.transl)

    def draw(hand: Posed, neural: bool) -> Picture:
        return model.picture(hand, camera, None, neural, pose.hand_pose)

    with torch.inference_mode():
        return _speed(evaluate, draw, model.light.device)


def view_speed(model: XHandModel, pose: HandPose, camera: Camera, detail: int = 0) -> Speed:
    """Of the real-time view's path, on the model's device; detail: steps coarser at which the networks are asked."""
    pose, camera = _moved(pose, camera, model.light.device)
    hand = FastXHand(model)
    shading = view_light(hand.light)

    def evaluate(turn: int) -> ViewMesh:
        return hand.mesh(_bent(pose, turn), detail)

    def draw(mesh: ViewMesh, neural: bool) -> Picture:
        return hand.picture(mesh, camera, shading, neural)

    return _speed(evaluate, draw, model.light.device)


def _moved(pose: HandPose, camera: Camera, device: torch.device) -> tuple[HandPose, Camera]:
    """Pose and camera on a device."""
    seen_from = camera._replace(
        intrinsics=camera.intrinsics.to(device), world_to_camera=camera.world_to_camera.to(device)
    )
    return HandPose(*(values.to(device) for values in pose)), seen_from


def _bent(pose: HandPose, turn: int) -> HandPose:
    return pose._replace(hand_pose=pose.hand_pose + BEND_RAD * turn)


def _speed(
    evaluate: Callable[[int], Mesh], draw: Callable[[Mesh, bool], Picture], device: torch.device, repeats: int = 10
) -> Speed:
    mesh = evaluate(0)
    parts: tuple[Callable[[int], object], ...] = (
        evaluate,
        lambda turn: draw(mesh, False),
        lambda turn: draw(mesh, True),
        lambda turn: draw(evaluate(turn), False),
        lambda turn: draw(evaluate(turn), True),
    )
    alone, shaded, neural, all_shaded, all_neural = (_median_ms(part, device, repeats) for part in parts)
    return Speed(alone, shaded, neural, 1000 / all_shaded, 1000 / all_neural)


def _median_ms(work: Callable[[int], object], device: torch.device, repeats: int) -> float:
    times = []
    for turn in range(WARM_UP + repeats):
        _finish(device)
        started = time.perf_counter()
        work(turn)
        _finish(device)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[WARM_UP:])


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
