"""From a table's angles to a pose whose named places touch and whose fingers do not sink into each other."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import build
from engine.hand.joints import FINGERS, JOINT_NAMES
from engine.hand.mano import hand_forward
from engine.hand.model import HandModel
from engine.rendering.surface import vertex_normals
from tools.gestures.table import Gesture

build.load_package()
contact = importlib.import_module(f"{build.PACKAGE}.palm_blender.synthesis.contact")

KEPT_DEPTH_M = 0.0008
"""Contact that is left alone."""
SHARED_REACH_M = 0.007
"""About half a fingertip's breadth."""
STEPS, SEARCH_EVERY = 160, 4

_PLACES: dict[str, tuple[str, str, float]] = {
    **{f"{finger}_pad": (f"{finger}3", "palm", 0.55) for finger in FINGERS},
    **{f"{finger}_tip": (f"{finger}3", "palm", 0.8) for finger in FINGERS},
    **{f"{finger}_back": (f"{finger}2", "back", 0.5) for finger in FINGERS[:4]},
    "index_side": ("index2", "side", 0.6),
}
"""Places on the skin: bone, which way the skin faces there, and how far along the bone (1: as far as its skin reaches)."""


def place(model: HandModel, name: str) -> int:
    """The vertex of a named place. Raises KeyError for an unknown name."""
    bone, facing, share = _PLACES[name]
    joint = JOINT_NAMES.index(bone)
    joints = model.joint_regressor @ model.v_template
    # rows: flexion (towards the thumb's side), abduction (towards the back), and back along the bone
    side, back, twist = model.joint_axes[joint - 1]
    towards = {"palm": -back, "back": back, "side": side}[facing]
    own = torch.nonzero(model.skinning_weights.argmax(1) == joint)[:, 0]
    along = (model.v_template[own] - joints[joint]) @ -twist
    normals = vertex_normals(model.v_template, model.faces)[own]
    return int(own[(normals @ towards - 3 * (along / along.max() - share).abs()).argmax()])


def table_angles(gesture: Gesture) -> np.ndarray:
    """Radians [15,3] along the flexion, abduction and twist axes, joints in MANO's order."""
    angles = np.zeros((15, 3))
    for f, finger in enumerate(FINGERS[:4]):
        knuckle, middle, end, aside = getattr(gesture, finger)
        angles[3 * f : 3 * f + 3, 0] = knuckle, middle, end
        angles[3 * f, 1] = aside
    base, middle, end = gesture.thumb
    angles[12], angles[13, 0], angles[14, 0] = base, middle, end
    return np.deg2rad(angles)


class Settled(NamedTuple):
    """A gesture that can be shipped."""

    angles: np.ndarray
    """[15,3] radians along the joint axes."""
    deepest_m: float
    moved_deg: float
    """The largest change of one angle from the table."""
    gap_m: float
    """The largest distance between places that should touch; 0 where there are none."""


def settle(model: HandModel, test: contact.ContactTest, gesture: Gesture) -> Settled:
    """Least change of the angles that brings the places together and the flesh apart; within the joints' limits.

    model in float64, of the mesh that `test` is for. A descent whose contacts are searched anew every few steps.
    """
    low, high = model.joint_limits.unbind(-1)
    wanted = torch.as_tensor(table_angles(gesture)).clamp(low, high)
    pairs = [(place(model, a), place(model, b)) for a, b in gesture.touch]
    angles = wanted.clone()
    if pairs or _measure(model, test, angles)[0].deepest > KEPT_DEPTH_M:
        angles = _descend(model, test, wanted, pairs, _stiffness(gesture))
    measured, vertices = _measure(model, test, angles)
    gap = max((float((vertices[a] - vertices[b]).norm()) for a, b in pairs), default=0.0)
    moved = float(torch.rad2deg((angles - wanted).abs().max()))
    return Settled(angles.numpy(), measured.deepest, moved, gap)


def _stiffness(gesture: Gesture) -> Tensor:
    """[15,3] resistance to change: fingertips that touch give way first, the thumb before all; twists hardly."""
    stiff = torch.full((15, 3), 1.5, dtype=torch.float64)
    touching = {place.partition("_")[0] for pair in gesture.touch for place in pair if place.endswith(("_pad", "_tip"))}
    for f, finger in enumerate(FINGERS):
        if finger in touching:
            stiff[3 * f : 3 * f + 3] = 0.15
    stiff[:12, 2] = 8.0
    stiff[[0, 3, 6, 9], 1] = 0.15
    stiff[[1, 2, 4, 5, 7, 8, 10, 11], 1] = 20.0
    stiff[[13, 14], 1:] = 4.0
    return stiff


def _descend(
    model: HandModel, test: contact.ContactTest, wanted: Tensor, pairs: list[tuple[int, int]], stiff: Tensor
) -> Tensor:
    low, high = model.joint_limits.unbind(-1)
    angles = wanted.clone().requires_grad_()
    # a place that meets several others lies between them
    reach = 1e-4 if len({a for a, _ in pairs}) == len(pairs) else SHARED_REACH_M
    optimiser = torch.optim.Adam([angles], lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS, 1e-3)
    for step in range(STEPS):
        vertices = _vertices(model, angles)
        normals = vertex_normals(vertices, model.faces)
        if step % SEARCH_EVERY == 0:
            found = test.measure(vertices.detach().numpy())
            inside = torch.as_tensor(np.flatnonzero(found.depth > 0))
            partner = torch.as_tensor(found.partner)[inside]
        depth = ((vertices[partner] - vertices[inside]) * normals[partner].detach()).sum(1)
        loss = (stiff * (angles - wanted) ** 2).sum() + 6e4 * (depth - KEPT_DEPTH_M / 2).relu().square().sum()
        for a, b in pairs:
            loss = loss + 2e4 * ((vertices[a] - vertices[b]).norm() - reach).relu().square()
            loss = loss + 0.05 * (1 + normals[a] @ normals[b])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            angles.clamp_(low, high)
    return angles.detach()


def _vertices(model: HandModel, angles: Tensor) -> Tensor:
    pose = (angles[..., None] * model.joint_axes).sum(-2).flatten()
    zero = torch.zeros(3, dtype=pose.dtype)
    return hand_forward(model, torch.zeros(1, dtype=pose.dtype), zero, pose).vertices


def _measure(model: HandModel, test: contact.ContactTest, angles: Tensor) -> tuple[contact.Contact, Tensor]:
    vertices = _vertices(model, angles)
    return test.measure(vertices.numpy()), vertices
