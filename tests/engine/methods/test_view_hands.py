"""Hands of the real-time view: what is worked out once changes nothing, and any avatar is drawn."""

from __future__ import annotations

import math

import pytest
import torch
from small_avatar import ALBEDO, UPRIGHT, untrained_xhand, write_small_avatar

from engine.avatar.folder import read_avatar
from engine.avatar.pose_extras import PoseMap, PoseWeight
from engine.avatar.pose_terms import Hinge
from engine.errors import AvatarError
from engine.fields.feature_embedding import EmbeddingConfig
from engine.fields.neural_renderer import RendererConfig
from engine.hand.model import open_hand_model
from engine.hand.random_poses import random_hand_poses
from engine.hand.rotations import axis_angle_to_matrix
from engine.lighting.color import srgb_to_linear
from engine.lighting.spherical_harmonics import sh_irradiance
from engine.methods.rerender import Pose, pose_mesh
from engine.methods.view_hand import HandPose, bones, view_light
from engine.methods.view_kernels import FastNormals
from engine.methods.view_open import held_as, open_hand
from engine.methods.view_raster import FastRaster
from engine.methods.view_scene import Standpoint, camera_at, camera_for, open_and_close
from engine.methods.view_textured import TexturedHand
from engine.methods.view_xhand import FastXHand
from engine.methods.xhand_model import Camera
from engine.rendering.mesh import compose, mesh_topology, see, surface_values
from engine.rendering.pose_textures import posed_textures
from engine.rendering.surface import vertex_normals

CPU = torch.device("cpu")
CAMERA = Camera(torch.tensor([[260.0, 0, 40], [0, 260.0, 48], [0, 0, 1]]), torch.eye(4), 96, 80)


def pose_of(side: str = "right", seed: int = 1) -> HandPose:
    hand_pose = random_hand_poses(open_hand_model(side), 1, torch.Generator().manual_seed(seed))[0]
    return HandPose(
        torch.tensor(UPRIGHT[side]), hand_pose, torch.tensor([0.09 if side == "left" else -0.09, 0.03, 0.6])
    )


@pytest.mark.parametrize(
    ("side", "options"),
    [
        ("right", {}),
        ("left", {"loop_levels": 1, "vertices": 7_500}),
        ("right", {"local": False, "displacement": EmbeddingConfig(3, 8, mapped=False)}),
        ("right", {"pose_dependent": False, "renderer": RendererConfig(4, 96, latent=4, mirrored=False)}),
    ],
)
def test_the_fast_hand_is_the_model(side, options):
    model = untrained_xhand(side, **options)
    fast, pose = FastXHand(model), pose_of(side)
    with torch.no_grad():
        expected = model.posed(pose.hand_pose, pose.global_orient, pose.transl)
        mesh = fast.mesh(pose)
        torch.testing.assert_close(mesh.vertices, expected.vertices, atol=2e-6, rtol=0)
        torch.testing.assert_close(mesh.albedo, expected.features.albedo, atol=1e-5, rtol=0)
        assert (mesh.normals * expected.normals).sum(1).min() > 0.999
        for neural in (False, True):
            wanted = model.picture(expected, CAMERA, None, neural, pose.hand_pose)
            drawn = fast.picture(mesh, CAMERA, view_light(fast.light), neural)
            assert drawn.coverage.sum() > 500
            apart = (drawn.color - wanted.color).abs().amax(-1)
            # the neural renderer's encoding of places is interpolated on this coarse mesh
            assert apart.mean() < (1e-3 if neural else 1e-5)
            # a pixel at a seam between faces may see the other one
            assert (apart > (1e-2 if neural else 2e-3)).sum() <= 3
            assert (drawn.coverage - wanted.coverage).abs().max() < 1e-2


@torch.no_grad()
def test_under_a_sky_only_the_dim_directions_are_simplified():
    model = untrained_xhand(sky=96)
    model.light[0] = -5.0
    side = (model.sky.directions @ torch.tensor([0.8, 0.0, -0.6])).topk(3).indices
    model.light[0, side] = 3.0  # nearly all of the light; what is left casts shadows in the model alone
    fast, pose = FastXHand(model), pose_of()
    mesh = fast.mesh(pose)
    expected = model.posed(pose.hand_pose, pose.global_orient, pose.transl)
    wanted, drawn = model.picture(expected, CAMERA), fast.picture(mesh, CAMERA, view_light(fast.light), False)
    apart = (drawn.color - wanted.color).abs().amax(-1)
    assert drawn.coverage.sum() > 500 and apart.mean() < 2e-3 and (apart > 0.03).sum() <= 3
    neural = model.picture(expected, CAMERA, None, True, pose.hand_pose)
    quick = fast.picture(mesh, CAMERA, view_light(fast.light), True)
    assert (neural.color - wanted.color).abs().mean() > 1e-3 > (neural.color - quick.color).abs().mean()
    bare = model.picture(expected._replace(visibility=None), CAMERA)
    assert (bare.color - wanted.color).abs().mean() > 3 * apart.mean()
    # the light turns about the hand, and its shadows with it
    up = torch.tensor([0.0, 1, 0])
    turned = fast.picture(mesh, CAMERA, view_light(fast.light, 2.0, up), False)
    directions = model.sky.directions @ view_light(fast.light, 2.0, up).turn.T
    nearest = (directions @ model.sky.directions.T).argmax(0)
    model.light[0] = model.light[0, nearest]
    again = FastXHand(model)
    about = again.picture(again.mesh(pose), CAMERA, view_light(again.light), False)
    assert (turned.color - drawn.color).abs().mean() > 2 * (turned.color - about.color).abs().mean()


def test_coarser_detail_is_nearly_the_same_hand():
    fast, pose = FastXHand(untrained_xhand(loop_levels=1, vertices=8_500)), pose_of()
    assert fast.coarsest >= 2 and list(fast.counts) == sorted(set(fast.counts))
    assert fast.counts[0] == 1_670 and fast.counts[-1] == len(fast.rest)
    whole, mean = fast.mesh(pose), FastXHand(untrained_xhand(loop_levels=1, vertices=8_500, pose_dependent=False))
    effect = float((mean.mesh(pose).vertices - whole.vertices).norm(dim=1).mean())
    errors = [
        float((fast.mesh(pose, k).vertices - whole.vertices).norm(dim=1).mean()) for k in range(fast.coarsest + 3)
    ]
    assert errors[0] == 0 and 0 < errors[1] < 0.2 * effect, errors
    assert errors[1] < errors[fast.coarsest] < 0.5 * effect, errors
    assert errors[fast.coarsest + 2] == errors[fast.coarsest]


def test_a_network_without_pose_has_one_detail():
    fast = FastXHand(untrained_xhand(pose_dependent=False))
    assert fast.coarsest == 0 and fast.outside(torch.zeros(45)) == ()


def test_joints_outside_the_learned_poses_are_told():
    fast = FastXHand(untrained_xhand())
    bent = pose_of().hand_pose.clone()
    bent[0:3] = 2.5
    assert "index1" in fast.outside(bent)


def test_normals_are_those_of_the_renderer():
    model = open_hand_model()
    normals = FastNormals(model.faces, len(model.v_template))(model.v_template)
    torch.testing.assert_close(normals, vertex_normals(model.v_template, model.faces), atol=2e-5, rtol=0)


@pytest.mark.parametrize("closed", [True, False])
def test_the_fast_raster_draws_the_same(closed):
    model = open_hand_model()
    kept = torch.ones_like(model.cap_faces) if closed else ~model.cap_faces
    topology = mesh_topology(model.faces[kept], model.uv, model.uv_faces[kept])
    # seen from below the wrist, where an open hand shows its inside
    turned = model.v_template @ torch.tensor([[0.0, 1, 0], [0, 0, 1], [-1, 0, 0]]) * torch.tensor([1.0, 1, -1])
    vertices = turned - turned.mean(0) + torch.tensor([0.0, 0, 0.5])
    view = see(vertices, topology, CAMERA.intrinsics, 96, 80)
    wanted = compose(view, topology, surface_values(view, model.v_template + 1, topology.faces))
    raster = FastRaster(topology)
    seen = raster.see(vertices, CAMERA)
    drawn = raster.compose(seen, surface_values(seen, model.v_template + 1, topology.faces))
    torch.testing.assert_close(drawn.color, wanted.color, atol=1e-4, rtol=0)
    torch.testing.assert_close(drawn.coverage, wanted.coverage, atol=1e-4, rtol=0)


def test_light_is_the_irradiance_and_turns_about_the_vertical():
    generator = torch.Generator().manual_seed(0)
    coefficients, normals = torch.randn(9, 3, generator=generator), torch.randn(50, 3, generator=generator)
    normals = normals / normals.norm(dim=1, keepdim=True)
    coefficients[0] = 8
    expected = (sh_irradiance(coefficients, normals) / math.pi).clamp_min(0)
    torch.testing.assert_close(view_light(coefficients).on(normals), expected, atol=1e-5, rtol=1e-5)
    # light from +x, turned by a quarter about +y, comes from -z
    from_x = torch.zeros(9, 3)
    from_x[3] = 1.0
    turned = view_light(from_x, math.pi / 2)
    bright = turned.on(torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 0, 1]]))[:, 0]
    assert bright[1] > 0.3 and bright[0].abs() < 1e-6 and bright[2] == 0


@pytest.mark.parametrize("side", ["right", "left"])
def test_any_avatar_is_drawn_in_its_light(tmp_path, side):
    avatar = write_small_avatar(tmp_path / "hand.palmhand", side)
    opened = open_hand(tmp_path / "hand.palmhand", CPU)
    assert isinstance(opened.hand, TexturedHand) and opened.vertices == 1_670 and opened.hand.side == side
    pose = pose_of(side)
    mesh = opened.hand.mesh(pose)
    told = pose_mesh(avatar.mesh, Pose(*(part.numpy() for part in pose))).vertices
    torch.testing.assert_close(mesh.vertices, told, atol=1e-6, rtol=0)
    camera = camera_for(Standpoint(opened.facing), opened.hand, [pose], (64, 96))
    picture = opened.hand.picture(mesh, camera, view_light(opened.hand.light), False)
    inside = picture.color[picture.coverage > 0.999]
    # a white sky of radiance 1 shows matt skin in its own colour
    albedo = torch.tensor(ALBEDO) / 255
    assert len(inside) > 300
    torch.testing.assert_close(inside.median(0).values, albedo, atol=0.02, rtol=0)
    assert srgb_to_linear(albedo).max() < 1


def test_skin_that_follows_the_pose_is_drawn_so(tmp_path):
    model = open_hand_model()
    bend, root = ((Hinge(joint, tuple(model.joint_axes[joint - 1, 0].tolist()), 1, 1),) for joint in (2, 5))
    weights = [PoseWeight(0.1, -1.0, 1.0, (1.5,), (term,)) for term in (bend, root)]
    maps = (PoseMap(weights[0], 0.5, 0.3), PoseMap(weights[1], 0.0, 0.2))
    avatar = write_small_avatar(tmp_path / "hand.palmhand", pose_maps=maps)
    hand = open_hand(tmp_path / "hand.palmhand", CPU).hand
    straight, bent = pose_of()._replace(hand_pose=torch.zeros(45)), pose_of()
    pictures = []
    for pose in (straight, bent, straight):
        mesh = hand.mesh(pose)
        told, wanted = hand.textures.at(mesh.map_weights), posed_textures(avatar, pose.hand_pose.numpy())
        torch.testing.assert_close(told.albedo, wanted.albedo, atol=1e-6, rtol=0)
        torch.testing.assert_close(told.normal, wanted.normal, atol=1e-6, rtol=0)
        # the same skin on the straight hand
        shown = hand.mesh(straight)._replace(map_weights=mesh.map_weights)
        pictures.append(hand.picture(shown, CAMERA, view_light(hand.light), False).color)
    assert torch.equal(pictures[0], pictures[2])
    assert (pictures[0] - pictures[1]).abs().max() > 0.1


def test_an_xhand_in_its_folder_is_preferred(tmp_path):
    write_small_avatar(tmp_path / "hand.palmhand", learned=untrained_xhand())
    opened = open_hand(tmp_path / "hand.palmhand", CPU)
    assert isinstance(opened.hand, FastXHand) and opened.hand.neural and opened.vertices > 2_400


def test_an_xhand_is_opened_in_the_axes_of_its_light(tmp_path):
    folder, matrix = tmp_path / "hand.palmhand", torch.eye(4)
    matrix[:3, :3] = axis_angle_to_matrix(torch.tensor([0.4, -1.1, 0.7]))
    matrix[:3, 3] = torch.tensor([0.1, -0.2, 0.8])
    write_small_avatar(folder, learned=untrained_xhand(), world_to_camera=matrix.tolist())
    opened = open_hand(folder, CPU)
    capture = read_avatar(folder).capture
    told = HandPose(
        *(torch.tensor(part).float() for part in (capture.global_orient, capture.hand_pose, capture.transl))
    )
    seen = opened.hand.mesh(opened.own).vertices @ matrix[:3, :3].T + matrix[:3, 3]
    torch.testing.assert_close(seen, opened.hand.mesh(told).vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(opened.facing, matrix[:3, :3])
    fingers = [HandPose(torch.zeros(3), torch.full((45,), 0.1), torch.zeros(3))]
    held = held_as(opened.own, fingers)[0]
    torch.testing.assert_close(held.global_orient, opened.own.global_orient, atol=1e-5, rtol=0)
    assert torch.equal(held.hand_pose, fingers[0].hand_pose) and torch.equal(held.transl, opened.own.transl)
    turned = [fingers[0], opened.own]
    assert held_as(opened.own, turned) == turned
    for wrong in ((2 * matrix).tolist(), [[1, 2]], "north"):
        write_small_avatar(folder, learned=untrained_xhand(), world_to_camera=wrong)
        with pytest.raises(AvatarError, match="world_to_camera"):
            open_hand(folder, CPU)


def test_cameras_hold_the_hand():
    hand = FastXHand(untrained_xhand())
    poses = open_and_close(hand, torch.tensor(UPRIGHT["right"]), torch.tensor([0.2, 0.1, 0.7]), 6)
    assert (poses[0].hand_pose - poses[3].hand_pose).norm() > 2
    standpoint = Standpoint(torch.eye(3), 0.7, 0.3)
    camera = camera_for(standpoint, hand, poses, (100, 140))
    assert (camera.width, camera.height) == (100, 140)
    filled = []
    for pose in poses:
        seen = hand.mesh(pose).vertices @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        screen = seen @ camera.intrinsics.T
        screen = screen[:, :2] / screen[:, 2:]
        assert (screen > 0).all() and (screen < torch.tensor([100.0, 140.0])).all()
        filled.append((screen.amax(0) - screen.amin(0)) / torch.tensor([100.0, 140.0]))
    assert torch.stack(filled).max() > 0.75
    centre = bones(hand.joints, poses[0]).mean(0)
    near, far = (camera_at(standpoint._replace(zoom=zoom), centre, 0.2, (80, 60)) for zoom in (2.0, 1.0))
    assert near.intrinsics[0, 0] == 2 * far.intrinsics[0, 0]
    middle = centre @ near.world_to_camera[:3, :3].T + near.world_to_camera[:3, 3]
    torch.testing.assert_close(middle, torch.tensor([0.0, 0.0, 0.6]), atol=1e-6, rtol=0)
