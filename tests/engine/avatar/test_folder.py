"""The avatar folder: round trip, atomic writing, and every way a folder can be wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from engine.avatar.folder import Avatar, AvatarMesh, CaptureInfo, read_avatar, write_avatar
from engine.errors import AvatarError, OutputError


def tetrahedron() -> Avatar:
    generator = np.random.default_rng(0)
    weights = generator.random((4, 16))
    mesh = AvatarMesh(
        vertices=generator.random((4, 3)),
        faces=np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]),
        uv=generator.random((4, 3, 2)),
        skinning_weights=weights / weights.sum(1, keepdims=True),
        joints=generator.random((16, 3)),
        pose_basis=generator.random((135, 4, 3)),
        shape_basis=generator.random((10, 4, 3)),
        joint_shape_basis=generator.random((10, 16, 3)),
        cap_faces=np.array([True, False, False, False]),
    )
    capture = CaptureInfo("hand.jpg", (64, 48), np.eye(3), np.eye(4), *(np.zeros(n) for n in (3, 45, 3)))
    return Avatar("left", "harp", np.linspace(-1, 1, 10), mesh, capture, {"seed": 7}, {"psnr": 30.5})


def write_images(folder: Path) -> None:
    for name in ("albedo", "roughness", "normal", "preview"):
        Image.new("RGB", (8, 8), (200, 150, 120)).save(folder / f"{name}.png")
    OpenEXR.File(
        {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage},
        {"RGB": np.random.default_rng(0).random((32, 64, 3), dtype=np.float32)},
    ).write(str(folder / "environment.exr"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "a.palmhand"
    write_avatar(path, tetrahedron(), write_images)
    return path


def test_round_trip(folder):
    avatar, original = read_avatar(folder), tetrahedron()
    assert (avatar.handedness, avatar.method, avatar.provenance["seed"]) == ("left", "harp", 7)
    assert avatar.metrics["psnr"] == 30.5
    np.testing.assert_array_equal(avatar.betas, original.betas)
    for name in original.mesh.shapes():
        np.testing.assert_allclose(getattr(avatar.mesh, name), getattr(original.mesh, name), rtol=1e-6)
    assert avatar.mesh.extra is None and avatar.pose_maps == ()
    assert avatar.capture.image_size == (64, 48)
    assert avatar.image("albedo.png") == folder / "albedo.png"
    assert avatar.image("photo.png") is None


def test_a_failed_write_leaves_the_old_avatar(folder):
    def fails(path: Path) -> None:
        write_images(path)
        raise RuntimeError("disk")

    before = sorted(p.name for p in folder.iterdir())
    with pytest.raises(RuntimeError, match="disk"):
        write_avatar(folder, tetrahedron(), fails, force=True)
    with pytest.raises(AvatarError, match=r"lacks albedo\.png"):
        write_avatar(folder, tetrahedron(), lambda path: None, force=True)
    assert sorted(p.name for p in folder.iterdir()) == before
    assert [p.name for p in folder.parent.iterdir()] == ["a.palmhand"]
    read_avatar(folder)


def test_existing_folder_needs_force(folder):
    with pytest.raises(OutputError, match="--force"):
        write_avatar(folder, tetrahedron(), write_images)


def test_name_must_end_as_avatars_do(tmp_path):
    with pytest.raises(AvatarError, match=r"\.palmhand"):
        write_avatar(tmp_path / "hand", tetrahedron(), write_images)


@pytest.mark.parametrize(
    "name",
    ["avatar.json", "mesh.npz", "albedo.png", "roughness.png", "normal.png", "environment.exr", "preview.png"],
)
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(AvatarError, match=f"lacks {name}"):
        read_avatar(folder)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("name", ["mesh.npz", "albedo.png", "environment.exr"])
def test_damaged_file_is_named(folder, name, keep):
    path = folder / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(AvatarError, match=name):
        read_avatar(folder)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "avatar.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "newer.*update"),
        ({"schema_version": "1"}, "no schema_version"),
        ({"handedness": "both"}, "handedness"),
        ({"betas": [0.0] * 9}, "betas"),
        ({"betas": ["a"] * 10}, "betas"),
        ({"betas": [float("nan")] * 10}, "betas"),
        ({"betas": [10**400] * 10}, "betas"),
        ({"provenance": [1]}, "provenance"),
        ({"metrics": "x"}, "metrics"),
        ({"capture": None}, "no capture"),
        ({"capture": {"image_size": [0, 0]}}, "image_size"),
    ],
)
def test_bad_description(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(AvatarError, match=message):
        read_avatar(folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("faces", np.full((4, 3), 7), "outside"),
        ("skinning_weights", np.zeros((4, 16)), "sum to 1"),
        ("vertices", np.full((4, 3), np.nan), "NaN"),
        ("pose_basis", np.zeros((9, 4, 3)), "shape"),
        ("uv", np.array([[["a", "b"]] * 3] * 4), "kind of numbers"),
        ("faces", np.full((4, 3), 0.5), "kind of numbers"),
        ("vertices", np.array(1.0), "no mesh"),
    ],
)
def test_bad_mesh(folder, name, value, message):
    with np.load(folder / "mesh.npz") as archive:
        arrays = dict(archive)
    np.savez(folder / "mesh.npz", **{**arrays, name: value})
    with pytest.raises(AvatarError, match=message):
        read_avatar(folder)


def test_pickled_mesh_is_refused(folder, tmp_path):
    with np.load(folder / "mesh.npz") as archive:
        arrays = dict(archive)
    np.savez(folder / "mesh.npz", **{**arrays, "vertices": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(AvatarError, match=r"mesh\.npz"):
        read_avatar(folder)


def test_not_a_folder(tmp_path):
    with pytest.raises(AvatarError, match="is not a folder"):
        read_avatar(tmp_path / "none.palmhand")


def test_blenders_python_can_read_it(folder):
    """What Blender imports from the engine needs NumPy only: no torch, no bpy, no imaging library."""
    code = f"""
import sys
for name in ("torch", "bpy", "cv2", "PIL", "scipy", "mediapipe", "warp", "trimesh", "OpenEXR"):
    sys.modules[name] = None
import engine.hand.joints, engine.hand.cameras, engine.hand.pose_files, engine.hand.safe_pickle, engine.hand.model_file
from engine.avatar.folder import read_avatar
print(read_avatar({str(folder)!r}).handedness)
"""
    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert result.stdout.strip() == "left", result.stderr
