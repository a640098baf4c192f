"""How many frames a second XHand makes: the mesh's evaluation, rendering, and both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from engine.methods.xhand_model import Camera, Posed, XHandModel

SIZES = ((512, 334), (256, 167))
"""Height and width: the paper's, and half of it."""
WARM_UP = 2


class Speed(NamedTuple):
    """Milliseconds of each part, medians."""

    mesh_ms: float
    """Displacement, weights, albedo, skinning, normals."""
    shaded_ms: float
    """Visibility, light and antialiasing of inverse rendering."""
    neural_ms: float
    """The same with the neural renderer."""
    all_shaded_fps: float
    all_neural_fps: float
    """Pose in, picture out."""


@torch.no_grad()
def measure_speed(model: XHandModel, pose: tuple[Tensor, Tensor, Tensor], camera: Camera, repeats: int = 10) -> Speed:
    """On the model's device, whose work is done when its time is taken. pose: fingers [45], global rotation [3], translation [3].

    Each repetition bends the fingers a little, so that nothing kept from the last one helps.
    """
    device = model.light.device
    fingers, orient, transl = (values.to(device) for values in pose)
    camera = camera._replace(intrinsics=camera.intrinsics.to(device), world_to_camera=camera.world_to_camera.to(device))
    hand = model.posed(fingers, orient, transl)
    light = model.light_of()

    def evaluate(turn: int) -> Posed:
        return model.posed(fingers + 0.001 * turn, orient, transl)

    def draw(neural: bool) -> Callable[[int], object]:
        return lambda turn: model.picture(hand, camera, light, neural, fingers)

    def both(neural: bool) -> Callable[[int], object]:
        return lambda turn: model.picture(evaluate(turn), camera, light, neural, fingers)

    parts = (evaluate, draw(False), draw(True), both(False), both(True))
    mesh, shaded, neural, all_shaded, all_neural = (_median_ms(part, device, repeats) for part in parts)
    return Speed(mesh, shaded, neural, 1000 / all_shaded, 1000 / all_neural)


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
