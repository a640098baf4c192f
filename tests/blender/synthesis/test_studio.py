"""The studio's labels against the engine's own geometry, on every Blender; pictures, memory, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import avatars
import numpy as np
import pytest
import torch

from engine.hand.cameras import project
from engine.hand.loop_refinement import refined_fields
from engine.hand.mano import hand_forward
from engine.hand.model import OPEN_HAND, hand_model_from_fields
from engine.hand.model_file import read_model_file
from engine.rendering.mesh import mesh_topology, see, surface_values
from engine.rendering.rasterize import to_image
from engine.rendering.surface import vertex_normals
from engine.rendering.texture import sample_texture

GESTURES = ["relaxed", "victory", "ok", "fist"]
LABELS = ("mask", "depth", "normals", "albedo", "roughness", "keypoints")


@pytest.fixture(scope="module")
def photographs(blender, tmp_path_factory):
    """{version: its shots}; Blender 4.5's are [8], the others' the four of the first two poses."""
    taken: dict[str, list] = {}

    def of(version: str) -> list:
        if version not in taken:
            work = tmp_path_factory.mktemp(f"shots-{version}")
            gestures = GESTURES if version == "4.5" else GESTURES[:2]
            blender("studio_jobs.photograph", version=version, work=work, gestures=gestures)
            taken[version] = [dict(np.load(work / f"{k}.npz")) for k in range(2 * len(gestures))]
        return taken[version]

    return of


@pytest.fixture(scope="module")
def model():
    fields = refined_fields(read_model_file(OPEN_HAND), 1)
    return hand_model_from_fields(fields, str(OPEN_HAND), torch.float64)


def expected(model, shot):
    """Labels by the engine: mask, depth, normals, albedo, roughness, keypoints px; and where surfaces are seen well."""
    numbers = [
        torch.as_tensor(shot[name], dtype=torch.float64) for name in ("betas", "global_orient", "hand_pose", "transl")
    ]
    out = hand_forward(model, *numbers)
    to_camera = torch.as_tensor(shot["world_to_camera"])
    vertices = out.vertices @ to_camera[:3, :3].T + to_camera[:3, 3]
    topology = mesh_topology(model.faces, model.uv, model.uv_faces)
    view = see(vertices, topology, torch.as_tensor(shot["intrinsics"]), int(shot["height"]), int(shot["width"]))
    # the lid has normals of its own: its rim is sharp
    lid = model.cap_faces[view.fragments.faces][:, None]
    normals = torch.where(
        lid, *(surface_values(view, vertex_normals(vertices, model.faces[part]), model.faces)
               for part in (model.cap_faces, ~model.cap_faces)),
    )  # fmt: skip
    uv = surface_values(view, model.uv, model.uv_faces)

    def image(values):
        return to_image(view.fragments, values, 0.0).numpy()

    depth = image(view.fragments.depth[:, None])[..., 0]
    return {
        "mask": depth > 0,
        "depth": depth,
        "normals": image(torch.nn.functional.normalize(normals, dim=-1)),
        "albedo": image(sample_texture(torch.as_tensor(shot["albedo_map"].copy()).double(), uv)),
        "roughness": image(sample_texture(torch.as_tensor(shot["roughness_map"].copy()).double(), uv))[..., 0],
        "keypoints": out.keypoints.numpy(),
        "lid": image(lid.double())[..., 0] > 0,
    }  # fmt: skip


def inner(shot, wanted):
    """[H,W] bool: pixels away from outlines, where neighbours lie on the same piece of skin."""
    both = shot["mask"] & wanted["mask"]
    depth = np.where(both, wanted["depth"], 9.0)
    near = [np.roll(depth, shift, axis) for axis in (0, 1) for shift in (-1, 1)]
    steps = np.max([np.abs(depth - other) for other in near], axis=0)
    return both & (steps < 0.004)


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.0", "5.2"])
def test_labels_are_those_of_the_engines_geometry(photographs, model, version):
    for shot in photographs(version):
        wanted = expected(model, shot)
        found = project(shot["keypoints"], shot["intrinsics"], shot["world_to_camera"])
        right = project(wanted["keypoints"], shot["intrinsics"], shot["world_to_camera"])
        assert np.linalg.norm(found - right, axis=1).max() < 0.01
        union = (shot["mask"] | wanted["mask"]).sum()
        assert shot["mask"].sum() > 1500
        assert (shot["mask"] & wanted["mask"]).sum() / union >= 0.995
        good = inner(shot, wanted)
        assert good.sum() > 0.6 * union
        assert np.abs(shot["depth"] - wanted["depth"])[good].max() <= 2e-4
        cosine = (shot["normals"] * wanted["normals"]).sum(-1)[good]
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() <= 1.0
        assert np.abs(shot["albedo"] - wanted["albedo"])[good].max() <= 1 / 255
        assert np.abs(shot["roughness"] - wanted["roughness"])[good].max() <= 1 / 255


def test_labels_are_exact_pictures(photographs):
    for shot in photographs("4.5"):
        mask = shot["mask"]
        assert mask.dtype == bool and not mask.all()
        assert shot["image"].dtype == np.uint8 and shot["image"].shape == (*mask.shape, 3)
        np.testing.assert_array_equal(shot["depth"] > 0, mask)
        np.testing.assert_allclose(np.linalg.norm(shot["normals"][mask], axis=1), 1, atol=1e-5)
        for name in ("normals", "albedo", "roughness"):
            assert not shot[name][~mask].any()
        # only the pixel filter and the denoiser reach beyond the outline
        assert shot["radiance"][~_grown(mask, 4)].max() < 0.02
        assert 60 < shot["image"][mask].mean() < 230


def _grown(mask, by):
    for _ in range(by):
        mask = mask | np.roll(mask, 1, 0) | np.roll(mask, -1, 0) | np.roll(mask, 1, 1) | np.roll(mask, -1, 1)
    return mask


@pytest.mark.parametrize("version", ["4.2", "5.0", "5.2"])
def test_all_blenders_give_the_same_labels(photographs, version):
    for ours, theirs in zip(photographs("4.5")[:4], photographs(version), strict=True):
        assert (ours["mask"] != theirs["mask"]).sum() <= 1
        both = ours["mask"] & theirs["mask"]
        for name, most in (("depth", 1e-5), ("normals", 2e-3), ("albedo", 1e-3), ("roughness", 1e-3)):
            # a ray between two surfaces may meet either
            assert (np.abs(ours[name] - theirs[name])[both] > most).mean() < 1e-3
        np.testing.assert_allclose(ours["keypoints"], theirs["keypoints"], atol=1e-6)


def test_labels_do_not_depend_on_how_the_picture_is_made(blender, photographs, tmp_path):
    blender(
        "studio_jobs.photograph", work=tmp_path, gestures=GESTURES[:1], chosen=[0], samples=5, denoise=False,
        environment="studio", background="environment",
    )  # fmt: skip
    plain, other = photographs("4.5")[0], np.load(tmp_path / "0.npz")
    for name in LABELS:
        np.testing.assert_array_equal(plain[name], other[name])
    assert (other["image"][~plain["mask"]].max(-1) > 20).mean() > 0.5


def test_transparent_background(blender, photographs, tmp_path):
    blender("studio_jobs.photograph", work=tmp_path, gestures=GESTURES[:1], chosen=[0], background="transparent")
    plain, clear = photographs("4.5")[0], np.load(tmp_path / "0.npz")
    assert clear["image"].shape[2] == 4
    alpha = clear["image"][..., 3:] / 255.0
    assert (alpha[plain["mask"]] > 0.2).all() and not alpha[~_grown(plain["mask"], 4)].any()
    np.testing.assert_array_equal(clear["radiance"], plain["radiance"])


def test_units_do_not_leave_traces(blender, tmp_path):
    found = blender("studio_jobs.several_units", work=tmp_path)
    assert found["repeated"] and not found["other"]
    assert found["blocks"][0] == found["blocks"][1] == found["blocks"][2]


def test_memory_does_not_grow(blender):
    if not Path("/proc/self/statm").is_file():
        pytest.skip("this system does not tell a process's memory")
    held = blender("studio_jobs.memory", frames=60)["held"]
    assert np.mean(held[-10:]) < 1.1 * np.mean(held[10:20])


def test_person_as_avatar(blender, tmp_path):
    found = blender("studio_jobs.write_subject", folder=tmp_path / "0000.palmhand")
    assert found["union"] > 0.97 and found["depth_mm"] < 0.3
    assert found["albedo"] < 0.01 and found["keypoints_mm"] < 0.01 and found["picture"] < 4


def test_avatar_on_its_rig(blender, avatar_folders, tmp_path):
    folder, hand = avatar_folders["right"]
    blender("studio_jobs.photograph", work=tmp_path, gestures=["victory"], avatar=str(folder))
    for k in range(2):
        shot = dict(np.load(tmp_path / f"{k}.npz"))
        shot["betas"] = avatars.BETAS
        wanted = expected(hand.to(dtype=torch.float64), shot)
        found = project(shot["keypoints"], shot["intrinsics"], shot["world_to_camera"])
        right = project(wanted["keypoints"], shot["intrinsics"], shot["world_to_camera"])
        assert np.linalg.norm(found - right, axis=1).max() <= 0.5
        # the rig's render is smoothed once more
        assert (shot["mask"] & wanted["mask"]).sum() / (shot["mask"] | wanted["mask"]).sum() > 0.98
        assert np.median(np.abs(shot["depth"] - wanted["depth"])[inner(shot, wanted)]) < 2e-4


def test_environments_that_cannot_be_used(blender, tmp_path):
    avatars.write_environment(tmp_path / "light.exr", avatars.sky())
    whole = (tmp_path / "light.exr").read_bytes()
    (tmp_path / "cut.exr").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 64 +X 128\n\2\2\0")
    shutil.copy(__file__, tmp_path / "words.exr")
    names = [str(tmp_path / name) for name in ("cut.exr", "cut.hdr", "words.exr", "none.exr")]
    found = blender("studio_jobs.refusals", environments=names)
    for name, said in zip(names, found["said"], strict=True):
        assert name in said and "\n" not in said and ":" in said
    assert found["still"]


def test_missing_denoiser_is_said(blender):
    assert blender("studio_jobs.without_denoiser")["denoised"] is False


def test_light_outlives_its_file_and_lights_are_bounded(blender, avatar_folders, tmp_path):
    """A light whose file is gone is kept; pictures in magenta would be worse than none."""
    found = blender("studio_jobs.lights", work=tmp_path, picture=avatar_folders["right"][0] / "environment.exr")
    assert found["after"] == found["before"]
    assert found["worlds"] <= 4


def test_scattering_is_left_out_where_pixels_are_coarser(blender):
    """At 0.45 m and a focal length of two pictures a pixel covers 1.5 mm in 128 pixels, 0.4 mm in 512."""
    assert blender("studio_jobs.scattering", picture_sides=[128, 512]) == [0.0, 1.0]
