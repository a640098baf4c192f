"""An avatar with extra correctives and pose-driven maps of known content."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import avatars
import numpy as np
import torch
from PIL import Image

from engine.avatar.folder import Avatar, read_avatar, write_avatar
from engine.avatar.pose_extras import MOST_MAPS, ExtraCorrectives, PoseMap, PoseWeight
from engine.avatar.pose_terms import Hinge
from engine.hand.model import HandModel
from engine.methods.xhand_export_geometry import column_sets
from engine.methods.xhand_export_maps import joint_groups

NORMAL_RANGE, ALBEDO_RANGE = 0.5, 0.3


def make_learned_avatar(folder: Path, model: HandModel) -> Avatar:
    """Write `folder` (.palmhand): `avatars.make_avatar`'s with four extra columns of millimetres and two maps, which appear as
    the index finger's middle joint bends and as its root spreads."""
    plain = avatars.make_avatar(folder, model)
    extra = extra_correctives(model)
    learned = dataclasses.replace(plain, mesh=dataclasses.replace(plain.mesh, extra=extra), pose_maps=pose_maps(model))
    write_avatar(folder, learned, paint, force=True)
    return read_avatar(folder)


def make_full_avatar(folder: Path, model: HandModel) -> Avatar:
    """An avatar with all the columns that an export tries and as many maps as there may be."""
    plain = avatars.make_avatar(folder, model)
    terms = tuple(term for one in column_sets(model.joint_axes.double().numpy()) for term in one.terms)
    waves = np.cos(40 * plain.mesh.vertices @ np.random.default_rng(4).normal(0, 1, (3, 3 * len(terms))))
    basis = 1e-3 * waves.reshape(-1, len(terms), 3).transpose(1, 0, 2)
    mesh = dataclasses.replace(plain.mesh, extra=ExtraCorrectives(terms, basis.astype(np.float32)))
    groups = joint_groups(model.joint_axes.double().numpy())
    weights = [PoseWeight(0.0, -1.0, 1.0, (0.5,) * len(group.terms), group.terms) for group in groups]
    maps = tuple(PoseMap(weight, NORMAL_RANGE, ALBEDO_RANGE) for weight in [*weights, *weights][:MOST_MAPS])

    def images(temporary: Path) -> None:
        avatars.paint_images(temporary)
        (temporary / "pose_maps").mkdir()
        for index, one in enumerate(maps):
            for name in one.pictures(index):
                Image.new("RGB", (64, 64), (128, 128, 128)).save(temporary / name)

    write_avatar(folder, dataclasses.replace(plain, mesh=mesh, pose_maps=maps), images, force=True)
    return read_avatar(folder)


def hinge(model: HandModel, joint: int, w_power: int, h_power: int, kind: int = 0) -> Hinge:
    """Of one of a joint's own axes: 0 flexion, 1 abduction."""
    x, y, z = model.joint_axes[joint - 1, kind].double().tolist()
    return Hinge(joint, (x, y, z), w_power, h_power)


def extra_correctives(model: HandModel) -> ExtraCorrectives:
    """Powers, and products of two joints, with smooth random offsets."""
    terms = (
        (hinge(model, 2, 1, 3),),
        (hinge(model, 14, 0, 4, 1),),
        (hinge(model, 1, 1, 1), hinge(model, 2, 0, 2)),
        (hinge(model, 4, 1, 1, 1), hinge(model, 7, 1, 1)),
    )
    waves = torch.randn(3, 4, generator=torch.Generator().manual_seed(3)) * 40
    smooth = torch.cos(model.v_template @ waves).numpy()
    directions = np.random.default_rng(3).normal(0, 1, (4, 4, 3))
    return ExtraCorrectives(terms, 0.004 * np.einsum("vk,kcx->cvx", smooth, directions).astype(np.float32))


def pose_maps(model: HandModel) -> tuple[PoseMap, ...]:
    bend = PoseWeight(0.05, 0.0, 1.0, (1.2, 0.4), ((hinge(model, 2, 0, 2),), (hinge(model, 3, 1, 1),)))
    spread = PoseWeight(-0.1, -0.8, 0.9, (2.5,), ((hinge(model, 1, 1, 1, 1),),))
    return PoseMap(bend, NORMAL_RANGE, ALBEDO_RANGE), PoseMap(spread, 0.0, ALBEDO_RANGE)


def paint(folder: Path) -> None:
    """The plain textures; map 0 darkens and tilts everything, map 1 reddens."""
    avatars.paint_images(folder)
    (folder / "pose_maps").mkdir()
    for name, value in (
        ("normal_0", (255, 128, 128)), ("albedo_0", (0, 0, 0)), ("albedo_1", (255, 128, 128))
    ):  # fmt: skip
        Image.new("RGB", (64, 64), value).save(folder / "pose_maps" / f"{name}.png")
