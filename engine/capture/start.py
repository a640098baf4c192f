"""Closed-form starting points of the fit: palm alignment, finger angles from bone directions, depth from size."""

from __future__ import annotations

import torch
from torch import Tensor

from ..hand.joints import JOINT_NAMES, KEYPOINT_NAMES, KEYPOINT_PARENTS
from ..hand.model import HandModel
from ..hand.rotations import axis_angle_to_matrix
from .energy import Observations
from .kinematics import HandState, PointEvaluator

PALM = tuple(KEYPOINT_NAMES.index(name) for name in ("wrist", "index1", "middle1", "ring1", "pinky1"))


def rigid_rotation(source: Tensor, target: Tensor) -> Tensor:
    """Rotations [T,3,3] that turn centred points [N,3] or [T,N,3] onto [T,N,3] best (Kabsch 1976)."""
    source = source - source.mean(-2, keepdim=True)
    target = target - target.mean(-2, keepdim=True)
    u, _, vt = torch.linalg.svd(target.mT @ source)
    sign = torch.ones(*u.shape[:-2], 3).to(u)
    sign[..., 2] = torch.linalg.det(u @ vt)
    return (u * sign[..., None, :]) @ vt


def position_from_pixels(points: Tensor, seen: Observations) -> Tensor:
    """Translations [T,3] that bring points [T,21,3] (camera axes) under their pixels: linear least squares on the rays.

    Each keypoint asks (X + t_x) - u (Z + t_z) = 0 with u its normalised image coordinate, and likewise in y.
    """
    ones = torch.ones_like(seen.keypoints[..., :1])
    rays = torch.cat([seen.keypoints, ones], -1) @ torch.linalg.inv(seen.intrinsics).mT
    x, y = rays[..., 0], rays[..., 1]
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    rows = torch.cat([torch.stack([one, zero, -x], -1), torch.stack([zero, one, -y], -1)], dim=1)
    right = torch.cat([x * points[..., 2] - points[..., 0], y * points[..., 2] - points[..., 1]], dim=1)
    weight = seen.confidence.repeat(1, 2)[..., None]
    normal = (rows * weight).mT @ rows
    position = torch.linalg.solve(normal, ((rows * weight).mT @ right[..., None])[..., 0])
    # a degenerate view can put the hand behind the camera; any positive depth lets the fit recover
    depth = position[:, 2].clamp_min(0.1)
    return torch.stack([position[:, 0], position[:, 1], depth], -1)


def start_from_metric(model: HandModel, evaluator: PointEvaluator, seen: Observations, betas: Tensor) -> HandState:
    """A start for frames whose 3D keypoints are known."""
    rest = rest_keypoints(evaluator, betas, len(seen.keypoints))
    palm = list(PALM)
    rotation = rigid_rotation(rest[:, palm], seen.metric[:, palm])
    angles = flexion_from_bones(model, rest, seen.metric @ rotation)
    state = HandState(rotation, angles, torch.zeros_like(rest[:, 0]), betas)
    return placed(model, evaluator, state, seen)


def starts_from_pixels(
    model: HandModel, evaluator: PointEvaluator, seen: Observations, betas: Tensor
) -> list[HandState]:
    """Starts for frames of which only 2D keypoints are known: palm or back by the sense of turn, several tilts and curls."""
    frames = len(seen.keypoints)
    rest = rest_keypoints(evaluator, betas, frames)
    palm = list(PALM)
    flat = seen.keypoints[:, palm] - seen.keypoints[:, palm].mean(1, keepdim=True)
    flexion = model.joint_axes.new_zeros(15, 3)
    starts = []
    for facing in (1.0, -1.0):
        # the rest frame's palm looks along -Y: turn it towards the camera (-Z) or away
        towards = axis_angle_to_matrix(flat.new_tensor([facing * torch.pi / 2, 0.0, 0.0]))
        turned = (rest[:, palm] @ towards.T)[..., :2]
        turned = turned - turned.mean(1, keepdim=True)
        cross = (turned[..., 0] * flat[..., 1] - turned[..., 1] * flat[..., 0]).sum(-1)
        in_plane = torch.atan2(cross, (turned * flat).sum((-1, -2)))
        spin = axis_angle_to_matrix(torch.stack([torch.zeros_like(in_plane), torch.zeros_like(in_plane), in_plane], -1))
        for tilt in ((0.0, 0.0), (0.6, 0.0), (-0.6, 0.0), (0.0, 0.6), (0.0, -0.6)):
            lean = axis_angle_to_matrix(flat.new_tensor([tilt[0], tilt[1], 0.0]))
            for curl in (0.15, 0.9):
                flexion[:, 0] = curl
                angles = flexion.reshape(45).expand(frames, 45).clone()
                starts.append(
                    placed(model, evaluator, HandState(lean @ spin @ towards, angles, rest[:, 0], betas), seen)
                )
    return starts


def placed(model: HandModel, evaluator: PointEvaluator, state: HandState, seen: Observations) -> HandState:
    """The state moved so that its keypoints lie under their pixels."""
    at_origin = HandState(state.rotation, state.angles, torch.zeros_like(state.position), state.betas)
    points = evaluator.points(at_origin, model.tip_vertices.expand(len(state.angles), 5))
    return HandState(state.rotation, state.angles, position_from_pixels(points, seen), state.betas)


def rest_keypoints(evaluator: PointEvaluator, betas: Tensor, frames: int) -> Tensor:
    """[T,21,3] keypoints of the flat, unturned hand about its wrist."""
    zeros = betas.new_zeros(frames, 3)
    identity = torch.eye(3).to(betas).expand(frames, 3, 3)
    state = HandState(identity, betas.new_zeros(frames, 45), zeros, betas)
    return evaluator.points(state, evaluator.model.tip_vertices.expand(frames, 5))


def flexion_from_bones(model: HandModel, rest: Tensor, seen: Tensor) -> Tensor:
    """Flexion angles [T,45] (other components 0) from bone directions in the palm's frame, chained along each finger.

    rest, seen: [T,21,3] keypoints, both in the rest frame's axes.
    """
    angles = seen.new_zeros(len(seen), 15, 3)
    children = {joint: KEYPOINT_PARENTS.index(joint) for joint in range(1, 16)}
    for joint in range(1, 16):
        axis = model.joint_axes[joint - 1, 0]
        turn = _signed_angle(rest[:, children[joint]] - rest[:, joint], seen[:, children[joint]] - seen[:, joint], axis)
        name = JOINT_NAMES[joint]
        before = sum(angles[:, joint - 1 - k, 0] for k in range(1, int(name[-1]))) if int(name[-1]) > 1 else 0.0
        low, high = model.joint_limits[joint - 1, 0]
        # the chain's total may pass half a turn, which the signed angle of one bone cannot tell
        own = turn - before
        own = torch.where(own < -2.0, own + 2 * torch.pi, own)
        angles[:, joint - 1, 0] = torch.minimum(torch.maximum(own, low), high)
    return angles.flatten(1)


def _signed_angle(start: Tensor, end: Tensor, axis: Tensor) -> Tensor:
    """[T] angle about an axis [3] from start to end [T,3], both projected onto the plane across it."""
    start = start - (start @ axis)[:, None] * axis
    end = end - (end @ axis)[:, None] * axis
    return torch.atan2((torch.linalg.cross(start, end, dim=-1) @ axis), (start * end).sum(-1))
