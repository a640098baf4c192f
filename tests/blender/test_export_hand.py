"""A hand exported and read back into an empty Blender deforms as it did."""

from __future__ import annotations

import dataclasses
import logging

import avatars
import numpy as np
import pytest
from conftest import poses_within_limits, save_poses
from learned_avatar import make_learned_avatar
from scipy.spatial import cKDTree

from engine.avatar.pose_terms import is_signed

log = logging.getLogger(__name__)

WORST_M = 1e-4
FORMATS = ["GLTF", "FBX", "USD", "ALEMBIC"]


def worst_error_m(original: np.ndarray, back: np.ndarray) -> float:
    """Farthest that a vertex's whole path [T,3] lies from the nearest vertex's before; exporters reorder and split them."""
    paths, again = (values.transpose(1, 0, 2).reshape(values.shape[1], -1) for values in (original, back))
    nearest = cKDTree(paths).query(again)[1]
    # and every vertex must have come back
    assert len(np.unique(nearest)) == len(paths)
    return float(np.linalg.norm(original[:, nearest] - back, axis=-1).max())


@pytest.mark.parametrize(
    ("version", "formats", "count"),
    [("4.5", FORMATS, 10), ("4.5", FORMATS, 1), ("4.2", ["GLTF"], 10), ("5.0", ["GLTF"], 10), ("5.2", FORMATS, 10)],
)
def test_exports_deform_as_the_hand_did(blender, avatar_folders, tmp_path, version, formats, count):
    folder, model = avatar_folders["dense"]
    poses = poses_within_limits(model, 10, seed=11)
    poses = dataclasses.replace(poses, fps=24.0, transl=0.1 * poses.transl)
    facts = blender(
        "export_jobs.round_trip",
        version=version,
        avatar=folder,
        poses=save_poses(tmp_path / "poses.npz", poses),
        work=tmp_path,
        formats=formats,
        count=count,
    )
    for name in formats:
        with np.load(tmp_path / f"{name}.npz") as result:
            assert result["original"].shape[0] == count
            error = worst_error_m(result["original"], result["back"])
        log.info(
            "measured: %s from Blender %s, %d poses, %.1f MB: worst vertex %.4f mm (asked <= %g)",
            *(name, version, count, facts[name]["bytes"] / 1e6, 1000 * error, 1000 * WORST_M),
        )
        assert error <= WORST_M, name
        assert facts[name]["undisturbed"] and facts[name]["left"] == []
        assert facts[name]["frames"] == ([0, 9] if count == 10 else [3, 3])
        if name != "ALEMBIC":
            assert (facts[name]["bones"], facts[name]["images"], len(facts[name]["materials"])) == (16, 3, 1)
            # the basis, ten shapes, and 3 + 2 × 6 targets of weights in [0,1] a joint
            assert facts[name]["keys"] == 1 + 10 + 15 * 15


def test_exports_of_a_learned_hand_deform_as_it_did_and_tell_what_stays_behind(blender, tmp_path):
    """Correctives beyond MANO's go along as targets; no format has maps that follow the pose."""
    model = avatars.hand_model("right")
    avatar = make_learned_avatar(tmp_path / "hand.palmhand", model)
    poses = poses_within_limits(model, 10, seed=12)
    poses = dataclasses.replace(poses, fps=24.0, transl=0.1 * poses.transl)
    facts = blender(
        "export_jobs.round_trip",
        avatar=avatar.folder,
        poses=save_poses(tmp_path / "poses.npz", poses),
        work=tmp_path,
        formats=FORMATS,
        count=10,
    )
    columns = np.abs(avatar.mesh.extra.offsets(poses.hand_pose)).max(axis=(1, 2))
    assert np.median(columns) > 10 * WORST_M
    # columns that go both ways are two targets each
    targets = sum(1 + is_signed(term) for term in avatar.mesh.extra.terms)
    for name in FORMATS:
        with np.load(tmp_path / f"{name}.npz") as result:
            error = worst_error_m(result["original"], result["back"])
        log.info("measured: learned hand as %s, 10 poses: worst vertex %.4f mm", name, 1000 * error)
        assert error <= WORST_M, name
        assert facts[name]["undisturbed"]
        told = [note for note in facts[name]["notes"] if "change with the pose" in note]
        if name == "ALEMBIC":
            assert told == [] and any("no skin" in note for note in facts[name]["notes"])
        else:
            assert len(told) == 1 and "mean pose" in told[0], facts[name]["notes"]
            # the mean pose's pictures and none of the maps
            assert facts[name]["images"] == 3 and facts[name]["extra_keys"] == targets


def test_hands_in_one_folder_keep_their_own_skins(blender, avatar_folders, tmp_path):
    facts = blender("export_jobs.two_skins", avatars=[str(avatar_folders["right"][0])] * 2, work=tmp_path)
    assert "textures go into .usdz alone" in facts["refused"]
    assert facts["files"] == [f"hand{index}.usd{kind}" for index in (0, 1) for kind in "az"]
    assert abs(facts["means"][1] - facts["means"][0]) > 0.02, facts["means"]


def test_exports_refuse_what_would_be_lost_in_silence(blender, avatar_folders, tmp_path):
    found = blender("export_jobs.refusals", avatar=avatar_folders["right"][0], work=tmp_path)
    assert "written as .glb" in found["suffix"]
    assert "none" in found["folder"]
    assert "muted" in found["muted"] and "unmute" in found["muted"]
    assert "no direct child" in found["parent"]
    assert found["kept"] == "what was there"
    assert found["then"] == "not refused" and found["bytes"] > 1_000_000
    assert found["left"] == ["hand.glb"]
