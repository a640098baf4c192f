"""HARP on photos with known answers: what went in must come out."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from synthetic_photo import make_photo

from engine.avatar.folder import read_avatar
from engine.errors import Cancelled
from engine.hand.mano import hand_forward, shape_hand
from engine.hand.model import open_hand_model
from engine.lighting.lamp import LampLight, shade
from engine.methods.config import quality
from engine.methods.harp import personalize
from engine.methods.harp_model import GeometryParameters, build_template, displacement, pose_hand
from engine.methods.light_estimation import estimate_light
from engine.methods.output import score_avatar, write_personalised
from engine.methods.rerender import Pose, capture_pose, load_avatar, pose_avatar, render_avatar


@pytest.fixture(scope="module")
def avatar_folder(tmp_path_factory):
    """A draft of a synthetic photo whose capture is off by 2 degrees a joint."""
    made = make_photo(pose_error=0.035)
    result = personalize(made.capture, made.image, made.mask, made.model, quality("draft"))
    folder = tmp_path_factory.mktemp("avatar") / "synthetic.palmhand"
    avatar = write_personalised(folder, result, {"note": "test"}, {"given": 1.0})
    return made, result, avatar


def test_rerender_from_disk_matches_the_photo(avatar_folder):
    _, _, avatar = avatar_folder
    score = score_avatar(avatar)
    assert score.psnr_db >= 26
    assert score.iou >= 0.95
    assert avatar.metrics["rerender_psnr_db"] == pytest.approx(score.psnr_db, abs=0.01)
    assert avatar.metrics["given"] == 1.0 and avatar.provenance["note"] == "test"


def test_the_light_is_found(avatar_folder):
    made, result, avatar = avatar_folder
    light = load_avatar(avatar).light
    direction = torch.nn.functional.normalize(made.light.to_lamp, dim=0)
    assert math.degrees(math.acos(float(light.to_lamp @ direction))) < 30
    assert result.environment.shape == (256, 512, 3) and (result.environment >= 0).all()


def test_the_skin_is_found_where_it_was_seen(avatar_folder):
    made, result, _ = avatar_folder
    seen = result.maps.seen > 0.9
    mean = result.maps.albedo[seen].mean(0)
    # one photo leaves the share of light and skin open, within what skin can be; its hue is known better
    assert torch.allclose(mean / mean.sum(), torch.tensor(made.albedo / made.albedo.sum()), atol=0.04)
    assert 0.5 < float(mean.sum() / made.albedo.sum()) < 1.7
    assert 0.1 < float(seen.float().mean()) < 0.5


def test_unseen_skin_is_skin(avatar_folder):
    _, result, _ = avatar_folder
    albedo = result.maps.albedo
    assert torch.isfinite(albedo).all() and (albedo > 0.02).all() and (albedo < 0.92).all()
    hidden, seen = albedo[result.maps.seen < 0.01], albedo[result.maps.seen > 0.9]
    assert (hidden[:, 0] > hidden[:, 1]).float().mean() > 0.99
    assert 0.7 < float(hidden.mean() / seen.mean()) < 1.7


def test_no_seam_between_charts(avatar_folder):
    """The two sides of a UV seam are the same skin: their colours must agree."""
    made, result, _ = avatar_folder
    template = build_template(made.model)
    topology = template.topology
    pairs = torch.stack([topology.faces.reshape(-1), topology.uv_faces.reshape(-1)], 1).unique(dim=0)
    vertex, uv = pairs.unbind(1)
    order = vertex.argsort(stable=True)
    same = vertex[order][1:] == vertex[order][:-1]
    first, second = uv[order][:-1][same], uv[order][1:][same]
    from engine.rendering.texture import sample_texture

    one, other = (sample_texture(result.maps.albedo, topology.uv[index]) for index in (first, second))
    difference = (torch.log(one) - torch.log(other)).abs().mean(1)
    assert len(difference) > 100
    assert float(difference.median()) < 0.05 and float(difference.quantile(0.95)) < 0.2


def test_normals_and_roughness_are_valid(avatar_folder):
    _, result, _ = avatar_folder
    assert torch.allclose(result.maps.normal.norm(dim=-1), torch.ones(512, 512), atol=1e-4)
    assert result.maps.normal[..., 2].min() > 0
    assert (result.maps.roughness >= 0.2).all() and (result.maps.roughness <= 0.8).all()


def test_exported_mesh_poses_like_the_fit(avatar_folder):
    made, _, avatar = avatar_folder
    template = build_template(made.model)
    geometry = GeometryParameters(
        *(torch.tensor(np.asarray(v), dtype=torch.float32) for v in (avatar.betas, *_pose(avatar))), torch.zeros(1670)
    )
    bare = pose_hand(template, geometry)
    posed = pose_avatar(load_avatar(avatar), capture_pose(avatar))
    moved = (posed.vertices - bare.vertices).norm(dim=1)
    assert torch.allclose(posed.joints, bare.joints, atol=1e-5)
    assert 0 < float(moved.max()) < 0.02


def _pose(avatar):
    pose = capture_pose(avatar)
    return pose.global_orient, pose.hand_pose, pose.transl


def test_preview_exists_and_is_not_dark(avatar_folder):
    from engine.avatar.texture_files import read_png

    _, _, avatar = avatar_folder
    sheet = read_png(avatar.folder / "preview.png")
    assert sheet.ndim == 3 and sheet.mean() > 0.1
    for name in ("albedo.png", "seen.png", "roughness.png", "normal.png", "photo.png", "mask.png"):
        assert (avatar.folder / name).is_file()


def test_any_pose_renders(avatar_folder):
    _, _, avatar = avatar_folder
    loaded = load_avatar(avatar)
    fist = np.zeros(45)
    fist[2::3] = 1.0
    posed = pose_avatar(loaded, Pose(np.zeros(3), fist, np.array([0.0, 0, 0.5])))
    picture = render_avatar(loaded, posed.vertices, np.array([[300.0, 0, 64], [0, 300, 64], [0, 0, 1]]), (128, 128))
    assert torch.isfinite(picture.color).all() and picture.coverage.max() == 1


def test_same_seed_same_avatar(synthetic):
    config = dataclasses.replace(quality("draft"), geometry_steps=4, joint_steps=2, appearance_steps=3, texture_px=128)
    one, other = (
        personalize(synthetic.capture, synthetic.image, synthetic.mask, synthetic.model, config) for _ in range(2)
    )
    assert torch.equal(one.maps.albedo, other.maps.albedo)
    assert np.array_equal(one.avatar.mesh.vertices, other.avatar.mesh.vertices)
    different = personalize(
        synthetic.capture, synthetic.image, synthetic.mask, synthetic.model, dataclasses.replace(config, seed=1)
    )
    assert not torch.equal(one.maps.albedo, different.maps.albedo)


def test_left_hands_work_too():
    made = make_photo("left")
    config = dataclasses.replace(quality("draft"), geometry_steps=4, joint_steps=2, appearance_steps=6, texture_px=256)
    result = personalize(made.capture, made.image, made.mask, made.model, config)
    assert result.avatar.handedness == "left" and float((result.maps.seen > 0.5).float().mean()) > 0.1


def test_cancelling_between_steps_stops(synthetic):
    def stop(fraction, message="", preview=None):
        if fraction > 0.05:
            raise Cancelled

    with pytest.raises(Cancelled):
        personalize(synthetic.capture, synthetic.image, synthetic.mask, synthetic.model, quality("draft"), stop)


def test_pose_hand_without_displacement_is_mano(synthetic):
    template = build_template(synthetic.model)
    capture = synthetic.capture
    values = [capture.betas, capture.global_orient, capture.hand_pose, capture.transl]
    tensors = [torch.tensor(v, dtype=torch.float32) for v in values]
    posed = pose_hand(template, GeometryParameters(*tensors, torch.zeros(len(template.smoother))))
    reference = hand_forward(template.model, *tensors)
    assert torch.allclose(posed.vertices, reference.vertices, atol=1e-6)
    assert torch.allclose(posed.keypoints, reference.keypoints, atol=1e-6)
    assert np.abs(posed.vertices.numpy() - synthetic.vertices).max() < 1e-5


def test_displacement_is_smooth_and_along_the_normal(synthetic):
    template = build_template(synthetic.model)
    offsets = torch.zeros(len(template.smoother))
    assert (displacement(template, offsets) == 0).all()
    offsets[700] = 0.01
    moved = displacement(template, offsets)
    assert len(moved) == len(template.model.v_template)
    assert 0 < float(moved.max()) < 0.005 and float(moved.min()) > -1e-6
    assert (displacement(template, torch.full_like(offsets, 0.003)) - 0.003).abs().max() < 1e-5


def test_light_estimate_recovers_its_own_shading():
    model = open_hand_model("right")
    from engine.rendering.surface import vertex_normals

    vertices, _ = shape_hand(model, torch.zeros(10))
    normals = vertex_normals(vertices, model.faces)
    normals = normals[normals[:, 2] < -0.1]
    light = LampLight(torch.full((3,), 0.35), torch.full((3,), 0.6), torch.tensor([0.6, -0.5, -0.6]))
    albedo = torch.tensor([0.391, 0.228, 0.153])
    observed = albedo * shade(light, normals)
    ones = torch.ones(len(normals))
    found = estimate_light(observed, normals, ones, torch.ones(len(normals), 3), ones)
    direction = torch.nn.functional.normalize(light.to_lamp, dim=0)
    assert math.degrees(math.acos(float(found.light.to_lamp @ direction))) < 10
    again = found.albedo * shade(found.light, normals)
    assert float((again - observed).abs().max()) < 0.03
    assert float(found.fit_error) < 0.05


def test_a_written_avatar_reads_back(avatar_folder):
    _, result, avatar = avatar_folder
    again = read_avatar(avatar.folder)
    assert again.method == "harp" and again.handedness == "right"
    assert np.allclose(again.mesh.vertices, result.avatar.mesh.vertices, atol=1e-7)
