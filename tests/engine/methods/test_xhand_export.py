"""A hand that wrinkles by known functions becomes an avatar whose correctives and maps say nearly the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from wrinkling_hand import WrinklingHand

from engine.avatar.folder import read_avatar
from engine.avatar.pose_terms import Hinge, evaluate_terms
from engine.avatar.texture_files import read_png
from engine.datasets.hand_sequence import HandFrame
from engine.hand.cameras import pinhole_matrix
from engine.hand.mano import joint_transforms, skin
from engine.hand.rotations import axis_angle_to_matrix
from engine.methods.xhand_export import ExportConfig, environment_of, export_avatar
from engine.methods.xhand_export_geometry import ColumnSet, fit_correctives, solve_ridge
from engine.methods.xhand_export_maps import JointGroup, fine_places, fit_maps, joint_groups
from engine.methods.xhand_export_poses import sample_poses
from engine.methods.xhand_export_samples import coarse_hand, unskin
from engine.rendering.pose_textures import posed_textures


@pytest.fixture(scope="module")
def hand() -> WrinklingHand:
    return WrinklingHand(vertices=2_500)


@pytest.fixture(scope="module")
def poses(hand) -> torch.Tensor:
    """Fingers curl each for itself."""
    curl = torch.rand(200, 15, 1, generator=torch.Generator().manual_seed(0)) * 1.2
    return (curl * hand.base.joint_axes[:, 0]).reshape(200, 45)


def test_poses_stay_in_the_training_range(poses):
    chosen = sample_poses(poses, 60, seed=1)
    assert len(chosen.fitted) == 60 and len(chosen.held_out) == 12
    both = torch.cat([chosen.fitted, chosen.held_out])
    assert (both >= poses.min(0).values - 1e-5).all() and (both <= poses.max(0).values + 1e-5).all()
    assert torch.equal(chosen.fitted, sample_poses(poses, 60, seed=1).fitted)
    assert torch.cdist(chosen.held_out, chosen.fitted).min() > 1e-3


def test_unskinning_undoes_skinning(hand, poses):
    rotations = axis_angle_to_matrix(torch.cat([torch.zeros(3), poses[3]]).reshape(16, 3))
    joints = hand.template.joint_regressor @ hand.template.v_template
    transforms = joint_transforms(rotations, joints, hand.template.parents)
    weights, points = hand.template.skinning_weights, hand.template.v_template
    assert (unskin(skin(points, transforms, weights), transforms, weights) - points).abs().max() < 1e-5


def test_ridge_without_strength_is_exact():
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    truth = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    assert torch.allclose(solve_ridge(columns, truth[0] + columns @ truth[1:], 1e-12), truth, atol=1e-8)


def test_only_columns_that_pay_are_kept(hand, poses):
    axis = tuple(hand.base.joint_axes[1, 0].tolist())
    useful, useless = (Hinge(2, axis, 1, 5),), (Hinge(15, axis, 1, 3),)
    offsets = torch.as_tensor(evaluate_terms([useful], poses.numpy())).float()[:, :, None] * torch.full(
        (1, 10, 3), 0.05
    )
    sets = (ColumnSet("useless", (useless,)), ColumnSet("useful", (useful,)))
    found = fit_correctives((poses[:160], offsets[:160]), (poses[160:], offsets[160:]), sets)
    assert [(name, kept) for name, _, _, kept in found.tried] == [("MANO", True), ("useless", False), ("useful", True)]
    assert found.extra.terms == (useful,)
    assert found.tried[2][2] < 0.5 * found.tried[0][2]


def test_maps_find_the_weights_behind_them(hand, poses):
    groups = joint_groups(hand.base.joint_axes.double().numpy())
    truth = torch.randn(2, 50, 5, generator=torch.Generator().manual_seed(2)) * 0.1
    driver = torch.as_tensor(evaluate_terms([groups[1].terms[0], groups[9].terms[1]], poses.numpy())).float()
    values = 0.3 + torch.einsum("nk,ktc->ntc", driver, truth)
    truth_everywhere = values.clone()
    # a crease that is closed in a few poses is learned from the others
    values[::40, 3, :2] = torch.nan
    modes = fit_maps(poses, list(values), groups, most=2)
    assert sorted(modes.names) == ["index2+", "thumb2+"]
    worst = max(
        float((modes.values(pose) - value).abs().max()) for pose, value in zip(poses, truth_everywhere, strict=True)
    )
    assert worst < 0.04 * float((truth_everywhere - truth_everywhere.mean(0)).abs().max())


def test_one_group_without_movement_is_no_fault(hand):
    still = torch.zeros(8, 45)
    group = JointGroup("index", ((Hinge(1, (0.0, 0.0, 1.0), 1, 1),),))
    modes = fit_maps(still, [torch.ones(6, 5)] * 8, [group], most=3)
    assert modes.weights == () and torch.allclose(modes.values(still[0]), torch.ones(6, 5))


def test_fine_texture_vertices_lie_on_their_coarse_faces(hand):
    coarse = coarse_hand(hand.base, hand.template, 0)
    places = fine_places(hand.topology, coarse.topology, coarse.cap_faces)
    corners = coarse.topology.uv[coarse.topology.uv_faces[places.faces]]
    assert (torch.einsum("tk,tkc->tc", places.barycentric, corners) - hand.topology.uv).abs().max() < 1e-4
    points = coarse.topology.faces[places.faces]
    rest = hand.template.v_template
    on_face = torch.einsum("tk,tkc->tc", places.barycentric, rest[points])
    assert (on_face - rest[places.vertices]).norm(dim=1).max() < 1e-4
    lid = hand.base.faces[hand.base.cap_faces]
    assert places.lid[torch.isin(places.vertices, lid)].all() and not places.lid[rest[places.vertices, 0] < 0.05].any()


def test_light_is_turned_into_the_cameras_axes():
    brighter_above = lambda directions: directions[..., 1:2].expand_as(directions)  # noqa: E731  (the world's +y)
    upside_down = np.diag([1.0, -1.0, -1.0, 1.0])
    frame = HandFrame("a", 0, "c", None, None, np.eye(3), upside_down, 4, 4, *(np.zeros(n) for n in (10, 3, 45, 3)))
    lit = environment_of(brighter_above, frame)
    # the camera's +y, Blender's -z, is the world's -y: the picture's top is bright
    assert lit[0].mean() > 0.4 and lit[-1].mean() == 0


def test_wrinkling_hand_becomes_an_avatar(hand, poses, tmp_path):
    picture = tmp_path / "photo.png"
    Image.new("RGB", (48, 40), (90, 70, 60)).save(picture)
    frame = HandFrame(
        "f", 0, "c", picture, picture, pinhole_matrix(60.0, 48, 40), np.eye(4), 40, 48, np.zeros(10), np.zeros(3),
        poses[0].numpy(), np.array([0.0, 0.0, 0.4]),
    )  # fmt: skip
    config = ExportConfig(levels=0, poses=48, maps=6, texture_px=64, pose_texture_px=64)
    avatar = export_avatar(
        tmp_path / "a.palmhand", hand, hand.base, poses, frame, torch.ones_like, {"seed": 0}, {"epochs": 3}, config,
        write_more=lambda folder: (folder / "more.txt").write_text("x"),
    )  # fmt: skip
    again = read_avatar(tmp_path / "a.palmhand")
    assert (tmp_path / "a.palmhand" / "more.txt").is_file() and again.method == "xhand"
    assert len(again.mesh.vertices) == len(hand.base.v_template) and 0 < len(again.pose_maps) <= 6
    found = dict(avatar.metrics)
    assert found["epochs"] == 3
    # what follows the pose is nearer to the truth than what stays: geometry, normals and colour
    assert found["export_geometry_mm"] < 0.25 * found["export_constant_geometry_mm"]
    assert found["export_normal_deg"] < found["export_constant_normal_deg"]
    assert found["export_albedo_psnr_db"] > found["export_constant_albedo_psnr_db"] + 2
    assert dataclasses.asdict(again.pose_maps[0].weight) == dataclasses.asdict(avatar.pose_maps[0].weight)
    # the engine's own pictures blend the maps as the files say
    bent = poses[7].numpy()
    mean = posed_textures(dataclasses.replace(again, pose_maps=()), bent)
    added = [
        2 * one.albedo_range * float(one.weight(bent)) * (read_png(again.image(f"pose_maps/albedo_{index}.png")) - 0.5)
        for index, one in enumerate(again.pose_maps)
        if one.albedo_range
    ]
    wanted = (mean.albedo + torch.as_tensor(sum(added))).clamp(0, 1)
    shown = posed_textures(again, bent)
    assert (shown.albedo - wanted).abs().max() < 1e-5 and (shown.albedo - mean.albedo).abs().max() > 0.01
    assert torch.equal(shown.normal[..., 2], mean.normal[..., 2])
    assert (shown.normal - mean.normal).abs().max() > 0.01
