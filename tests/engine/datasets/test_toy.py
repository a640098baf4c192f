"""The analytic data set: what it says of its pictures is true of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.avatar.texture_files import read_environment
from engine.datasets.palm import Camera, load_frame, read_palm_folder
from engine.datasets.toy import TINY, exact_outline_and_normals, make_toy_set
from engine.datasets.toy_scene import (
    held_out_hand_poses,
    place_hands,
    posed_vertices,
    toy_cameras,
    toy_environment,
    toy_subjects,
    training_hand_poses,
)
from engine.datasets.toy_skin import skin_textures
from engine.errors import Cancelled, OutputError
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.lighting.color import luminance
from engine.lighting.environment import irradiance
from engine.rendering.mesh import mesh_topology

CONFIG = replace(TINY, subjects=2)


@pytest.fixture(scope="module")
def model():
    return open_hand_model()


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "set"
    seen: list[float] = []
    make_toy_set(folder, CONFIG, lambda fraction, message, preview=None: seen.append(fraction))
    assert seen == sorted(seen) and seen[-1] == 1.0
    return folder


def frames_of(toy: Path, part: str):
    return read_palm_folder(toy / part, np.zeros(45)).frames


def test_set_has_the_parts_that_were_asked_for(toy, model):
    train, val = (read_palm_folder(toy / part, np.zeros(45)) for part in ("train", "val"))
    assert train.subjects == val.subjects == ("0000", "0001") and train.left_out == ()
    assert len(train.frames) == 2 * 2 * 2 and len(val.frames) == 2 * 1 * 1
    assert train.hand_model == model.name
    assert all(frame.mano is None and frame.normal is not None for frame in train.frames)
    assert (toy / "train/0000/mano/MCU_01/000001.png").is_file(), "published readers need it"
    assert json.loads((toy / "val/dataset.json").read_text())["config"]["seed"] == 0
    assert read_environment(toy / "environment.exr").shape == (64, 128, 3)


@pytest.mark.parametrize("part", ["train", "val"])
def test_masks_and_normals_are_those_of_the_stored_pose(toy, model, part):
    """The annotations alone, through the hand model, give back outline and normals."""
    topology = mesh_topology(model.faces, model.uv, model.uv_faces)
    for frame in frames_of(toy, part):
        parameters = (
            torch.as_tensor(getattr(frame, n)).float() for n in ("betas", "global_orient", "hand_pose", "transl")
        )
        vertices = hand_forward(model, *parameters).vertices
        camera = Camera(frame.intrinsics, frame.world_to_camera, frame.height, frame.width)
        mask, normals = exact_outline_and_normals(topology, vertices, camera)
        pixels = load_frame(frame)
        assert (pixels.mask != mask).sum() <= 2  # parameters are stored in float32
        both = pixels.mask & mask
        cosine = (pixels.normals * normals).sum(-1)[both]
        assert torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).quantile(0.99) < 1.5
        assert not pixels.normals[~pixels.mask].any()


def test_pictures_are_lit_skin_on_black(toy):
    for frame in frames_of(toy, "train"):
        pixels = load_frame(frame)
        skin = pixels.image_srgb[pixels.mask]
        assert not pixels.image_srgb[~pixels.mask].any()
        assert 0.2 < skin.mean() < 0.85 and skin.std() > 0.03
        # skin is redder than it is green, and greener than blue, in any of these lights
        assert (skin.mean(0).diff() < 0.01).all()
        # in direct light alone a few pixels within a closed hand's hollow may see nothing but the hand
        assert (skin.amax(1) <= 0.02).sum() <= 3, "the hand is left black in places"
        assert 0.08 < pixels.mask.float().mean() < 0.8


def test_normals_face_the_camera(toy):
    for frame in frames_of(toy, "train"):
        pixels = load_frame(frame)
        rows, columns = torch.nonzero(pixels.mask, as_tuple=True)
        centres = torch.stack([columns + 0.5, rows + 0.5, torch.ones(len(rows))], dim=1)
        rays = centres @ torch.linalg.inv(torch.as_tensor(frame.intrinsics).float()).T
        towards = -(pixels.normals[pixels.mask] * torch.nn.functional.normalize(rays, dim=1)).sum(1)
        # smooth normals may lean away where the coarse mesh has an edge, as at the wrist's lid
        assert (towards > -0.1).float().mean() > 0.98 and towards.mean() > 0.5


def test_same_seed_same_files_other_seed_other_hands(toy, tmp_path):
    config = replace(CONFIG, subjects=1)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_toy_set(tmp_path / name, replace(config, seed=seed))
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 12
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)
    first, other = (frames_of(tmp_path / name, "train")[0] for name in ("a", "c"))
    assert np.abs(first.betas - other.betas).max() > 0.1 and np.abs(first.hand_pose - other.hand_pose).max() > 0.01


def test_nothing_is_left_of_a_set_that_was_cancelled(tmp_path, toy):
    def stop(fraction, message, preview=None):
        raise Cancelled

    with pytest.raises(Cancelled):
        make_toy_set(tmp_path / "set", replace(TINY, training_poses=1), stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="exists already"):
        make_toy_set(toy, CONFIG)


def test_edges_over_black_are_darker(tmp_path, toy):
    make_toy_set(tmp_path / "set", replace(CONFIG, edges_over_black=True))
    pair = [load_frame(frames_of(folder, "train")[0]) for folder in (toy, tmp_path / "set")]
    assert torch.equal(pair[0].mask, pair[1].mask)
    inner = torch.nn.functional.avg_pool2d(pair[0].mask.float()[None], 3, 1, 1)[0] > 0.999
    edge = pair[0].mask & ~inner
    assert torch.equal(pair[0].image_srgb[inner], pair[1].image_srgb[inner])
    assert pair[1].image_srgb[edge].mean() < 0.95 * pair[0].image_srgb[edge].mean()


def test_poses_are_within_the_limits_and_held_out_ones_are_new(model):
    generator = torch.Generator().manual_seed(3)
    training, held_out = training_hand_poses(model, 14, generator), held_out_hand_poses(model, 6, generator)
    poses = torch.cat([training, held_out]).reshape(-1, 15, 3)
    angles = torch.einsum("jax,pjx->pja", model.joint_axes, poses)
    assert (angles >= model.joint_limits[..., 0] - 1e-5).all() and (angles <= model.joint_limits[..., 1] + 1e-5).all()
    apart = torch.cdist(held_out, training).amin(1)
    assert apart.min() > 0.3 and torch.pdist(training).min() > 0.2
    assert held_out_hand_poses(model, 0, generator).shape == (0, 45)


def test_cameras_hold_the_hand_and_look_at_it(model):
    generator = torch.Generator().manual_seed(0)
    poses = place_hands(model, torch.zeros(10), training_hand_poses(model, 5, generator), generator)
    vertices = posed_vertices(model, poses).reshape(-1, 3)
    assert np.abs(vertices.mean(0)).max() < 0.02
    for camera in toy_cameras(vertices, 6, 100).values():
        rotation = camera.world_to_camera[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) > 0 and rotation[1, 1] > 0.8, "the picture's down is the world's"
        seen = vertices @ rotation.T + camera.world_to_camera[:3, 3]
        pixels = seen @ camera.intrinsics.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        assert seen[:, 2].min() > 0.3 and pixels.min() >= 0 and pixels.max() <= 100


def test_first_camera_sees_the_back_of_an_upright_hand(model):
    subject = toy_subjects(model, 1, 1, 0, 1, 64, torch.Generator().manual_seed(0))[0]
    assert subject.held_out.hand_pose.shape == (0, 45)
    parameters = (torch.as_tensor(value).float() for value in subject.training)
    betas, orient, pose, transl = parameters
    joints = hand_forward(model, betas[None], orient, pose, transl).joints[0]
    camera = torch.as_tensor(subject.cameras["MCU_01"].world_to_camera).float()
    seen = joints @ camera[:3, :3].T + camera[:3, 3]
    assert seen[4, 1] < seen[0, 1] - 0.05, "knuckles above the wrist"
    # a right hand's thumb is on the left of its back
    assert seen[13, 0] < seen[7, 0]


def test_skin_depends_on_the_person_not_the_pose(model):
    betas = torch.zeros(10)
    light, dark = (skin_textures(model, betas, darkness, 64, 0) for darkness in (0.1, 0.9))
    assert light.albedo.shape == (64, 64, 3) and light.roughness.shape == (64, 64, 1)
    for skin in (light, dark):
        assert skin.albedo.min() >= 0.03 and skin.albedo.max() <= 0.8
        assert skin.roughness.min() > 0.2 and skin.roughness.max() < 0.8
    assert luminance(light.albedo).mean() > 2 * luminance(dark.albedo).mean()
    assert not torch.equal(light.albedo, skin_textures(model, betas, 0.1, 64, 1).albedo)


def test_light_is_soft_and_does_not_overexpose():
    environment = toy_environment(32, torch.zeros(1))
    assert environment.shape == (32, 64, 3) and environment.min() > 0.1
    normals = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    white = irradiance(environment, normals) / torch.pi
    assert white.max() < 1.6 and white.min() > 0.15 and white.amax(0).min() / white.amin(0).max() > 1.5


def test_pictures_are_square_eight_bit(toy):
    with Image.open(toy / "train/0001/images/MCU_02/000002.png") as picture:
        assert picture.size == (48, 48) and picture.mode == "RGB"
