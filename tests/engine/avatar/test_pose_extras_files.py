"""Terms of the pose against their closed form, and the optional files of an avatar folder that hold them, whole and spoiled."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_folder import tetrahedron, write_images

from engine.avatar.folder import read_avatar, write_avatar
from engine.avatar.pose_extras import (
    MOST_MAPS,
    ExtraCorrectives,
    PoseMap,
    PoseWeight,
    mirrored_weight,
)
from engine.avatar.pose_terms import Hinge, evaluate_terms, fault_in, mirrored_term, terms_from_rows, terms_to_rows
from engine.errors import AvatarError

Z = (0.0, 0.0, 1.0)
TERMS = ((Hinge(2, Z, 1, 3),), (Hinge(1, Z, 0, 2), Hinge(15, (0.6, 0.0, 0.8), 1, 1)))
WEIGHT = PoseWeight(0.1, -0.5, 0.5, (2.0, -1.0), (*TERMS[:1], (Hinge(3, Z, 0, 4),)))
MAPS = (PoseMap(WEIGHT, 0.3, 0.0), PoseMap(WEIGHT, 0.2, 0.1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "a.palmhand"
    plain = tetrahedron()
    basis = np.random.default_rng(1).random((2, 4, 3)).astype(np.float32)
    mesh = dataclasses.replace(plain.mesh, extra=ExtraCorrectives(TERMS, basis))

    def images(temporary: Path) -> None:
        write_images(temporary)
        (temporary / "pose_maps").mkdir()
        for name in ("normal_0", "normal_1", "albedo_1"):
            Image.new("RGB", (8, 8), (128, 128, 128)).save(temporary / "pose_maps" / f"{name}.png")

    write_avatar(path, dataclasses.replace(plain, mesh=mesh, pose_maps=MAPS), images)
    return path


def bent(joint: int, angle: float, axis: tuple[float, float, float] = Z) -> np.ndarray:
    pose = np.zeros((15, 3))
    pose[joint - 1] = angle * np.array(axis)
    return pose.ravel()


def test_hinges_are_powers_of_half_angles():
    angle = 1.1
    pose = bent(2, angle) + bent(1, -0.7) + bent(15, 0.4, (0.6, 0.0, 0.8))
    wanted = [np.cos(angle / 2) * np.sin(angle / 2) ** 3, np.sin(0.35) ** 2 * np.cos(0.2) * np.sin(0.2)]
    assert evaluate_terms(TERMS, pose) == pytest.approx(wanted, abs=1e-12)
    assert np.all(evaluate_terms(TERMS, np.zeros((3, 45))) == 0)
    # a turn beyond 180° has the other quaternion: the terms do not jump
    near = evaluate_terms([((Hinge(2, Z, 1, 3)),)], np.stack([bent(2, np.pi - 1e-6), bent(2, np.pi + 1e-6)]))
    assert np.ptp(near) < 1e-5


def test_mirrored_terms_mean_the_same_on_the_other_hand():
    pose = np.random.default_rng(0).normal(0, 0.5, 45)
    mirrored = (pose.reshape(15, 3) * [1, -1, -1]).ravel()
    assert evaluate_terms(TERMS, pose) == pytest.approx(evaluate_terms(list(map(mirrored_term, TERMS)), mirrored))
    assert mirrored_weight(WEIGHT)(mirrored) == pytest.approx(WEIGHT(pose))


def test_terms_are_rows_and_back():
    assert terms_from_rows(terms_to_rows(TERMS)) == TERMS


@pytest.mark.parametrize(
    ("term", "fault"),
    [
        ((), "0 factors"),
        ((Hinge(0, Z, 1, 1),), "joint 0"),
        ((Hinge(16, Z, 1, 1),), "joint 16"),
        ((Hinge(1, Z, 1, 2),), "sign"),
        ((Hinge(1, Z, 1, 99),), "powers"),
        ((Hinge(1, (0.0, 0.0, 0.0), 1, 1),), "length"),
        ((Hinge(1, Z, 1, 1), Hinge(1, Z, 1, 1)), "twice"),
    ],
)
def test_terms_that_no_driver_should_have(term, fault):
    assert fault in fault_in(term)


def test_folder_keeps_what_was_learned(folder):
    avatar = read_avatar(folder)
    assert avatar.mesh.extra.terms == TERMS and avatar.pose_maps == MAPS
    pose = bent(2, 0.9)
    offset = avatar.mesh.extra.offsets(pose)
    assert offset == pytest.approx(np.cos(0.45) * np.sin(0.45) ** 3 * avatar.mesh.extra.basis[0], rel=1e-6)
    # kept in the range that was learned
    strong = dataclasses.replace(WEIGHT, gains=(100.0, 0.0))
    assert [float(one(pose)) for one in (avatar.pose_maps[0].weight, strong)] == pytest.approx(
        [0.1 + 2 * np.cos(0.45) * np.sin(0.45) ** 3, 0.5]
    )


def edit_maps(folder: Path, change) -> None:
    path = folder / "pose_maps.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(maps="x"), "does not list"),
        (lambda v: v.update(maps=[v["maps"][0]] * (MOST_MAPS + 1)), "does not list"),
        (lambda v: v["maps"].append(3), "no object"),
        (lambda v: v["maps"][0].update(constant=float("inf")), "NaN or infinite"),
        (lambda v: v["maps"][0].update(low=2), "no range"),
        (lambda v: v["maps"][0].update(normal_range=-1), "ranges"),
        (lambda v: v["maps"][0].update(terms=v["maps"][0]["terms"] * 9), "more than 4"),
        (lambda v: v["maps"][0]["terms"][0].update(gain=1e9), "impossible"),
        (lambda v: v["maps"][0]["terms"][0].update(factors="w"), "without factors"),
        (lambda v: v["maps"][0]["terms"][0]["factors"][0].update(joint="__import__('os')"), "no numbers"),
        (lambda v: v["maps"][0]["terms"][0]["factors"][0].update(joint=1.5), "whole"),
        (lambda v: v["maps"][0]["terms"][0]["factors"][0].update(axis=[1, 1, 1]), "length"),
        (lambda v: v["maps"][0].update(albedo_range=0.1), r"lacks pose_maps/albedo_0\.png"),
    ],
)
def test_spoiled_maps_are_refused(folder, change, message):
    edit_maps(folder, change)
    with pytest.raises(AvatarError, match=message):
        read_avatar(folder)


@pytest.mark.parametrize("name", ["correctives.npz", "pose_maps/normal_1.png"])
def test_damaged_files_are_named(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AvatarError, match=name):
        read_avatar(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"terms": np.zeros((2, 12))}, "lacks terms or basis"),
        ({"terms": np.zeros((2, 5)), "basis": np.zeros((2, 4, 3))}, "terms"),
        ({"terms": terms_to_rows(TERMS), "basis": np.zeros((2, 5, 3))}, "basis"),
        ({"terms": terms_to_rows(TERMS), "basis": np.full((2, 4, 3), np.nan)}, "basis"),
        ({"terms": np.full((1, 12), 0.5), "basis": np.zeros((1, 4, 3))}, "whole"),
        ({"terms": np.zeros((1, 12)), "basis": np.zeros((1, 4, 3))}, "0 factors"),
        ({"terms": np.zeros((0, 12)), "basis": np.zeros((0, 4, 3))}, "0 columns"),
        ({"terms": np.array([[{}]]), "basis": np.zeros((1, 4, 3))}, "damaged"),
    ],
)
def test_spoiled_correctives_are_refused(folder, arrays, message):
    np.savez(folder / "correctives.npz", **arrays)
    with pytest.raises(AvatarError, match=message):
        read_avatar(folder)
