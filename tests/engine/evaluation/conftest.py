"""A HARP-relit set of one hand, rendered by the engine itself: tiny, but with everything that a real one has."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "blender"))
import avatars

from engine.avatar.texture_files import write_environment, write_png16
from engine.datasets.palm import SubjectFrame, write_palm_set, write_palm_subject
from engine.datasets.palm_files import Camera, SubjectPoses
from engine.hand.cameras import pinhole_matrix
from engine.hand.model import open_hand_model
from engine.lighting.color import linear_to_srgb
from engine.lighting.environment import equirect_grid
from engine.lighting.image_light import image_light
from engine.rendering.avatar_scene import avatar_scene
from engine.rendering.mesh_pbr import MeshRenderConfig, render_mesh

SIDE_PX = 64
CAMERA = "MCU_02"
ROTATION, STRENGTH = 0.7, 1.5
"""Of light B."""


def lamp(direction: tuple[float, float, float], rows: int = 32) -> torch.Tensor:
    """[rows,2·rows,3] dim all round, brighter towards a direction."""
    directions, _ = equirect_grid(rows, torch.zeros(1))
    return 0.4 + 3 * torch.exp(6 * (directions @ torch.tensor(direction) - 1))[..., None] * torch.tensor(
        [1.0, 0.9, 0.8]
    )


@pytest.fixture(scope="session")
def relit_set(tmp_path_factory) -> Path:
    """relit_00: one frame in light "a", three in light "b", which is turned and brighter."""
    root = tmp_path_factory.mktemp("relit")
    (root / "environments").mkdir()
    (root / "avatars").mkdir()
    lights = {"a": lamp((0.3, -0.8, 0.5)), "b": lamp((-0.7, -0.7, 0.2))}
    for name, image in lights.items():
        write_environment(root / "environments" / f"{name}.exr", image.numpy())
    avatar = avatars.make_avatar(root / "avatars" / "relit_00.palmhand", avatars.hand_model("right"))
    capture = avatar.capture
    write_palm_set(root / "relit_00", {"hand_model": open_hand_model("right").name, "exact_masks": True})
    turns = [np.zeros(3)] + [np.array([0.1, 0.25 * k, 0.0]) for k in (-1, 0, 1)]
    poses = [(capture.global_orient + turn, capture.hand_pose * (1 - 0.2 * k)) for k, turn in enumerate(turns)]
    for folder, chosen, light in (
        ("_train", poses[:1], ("a", 0.0, 1.0)),
        ("_val", poses[1:], ("b", ROTATION, STRENGTH)),
    ):
        _write_folder(root, folder, avatar, chosen, light, lights)
    return root


def _write_folder(root, folder, avatar, poses, light, lights) -> None:
    from engine.evaluation.relit_set import turned

    name, rotation, strength = light
    tables = image_light(strength * turned(lights[name], rotation))
    camera = Camera(pinhole_matrix(2.1 * SIDE_PX, SIDE_PX, SIDE_PX), np.eye(4), SIDE_PX, SIDE_PX)
    frames, albedos = [], []
    transl = avatar.capture.transl
    for number, (orient, hand_pose) in enumerate(poses):
        scene = avatar_scene(avatar, orient, hand_pose, transl)
        view = (torch.as_tensor(camera.intrinsics).float(), torch.eye(4), SIDE_PX, SIDE_PX)
        generator = torch.Generator().manual_seed(number)
        shown = render_mesh(scene, tables, *view, MeshRenderConfig(4, 24, 1), generator)
        bare = render_mesh(scene._replace(normal_map=None), tables, *view, MeshRenderConfig(4, 1, 0), generator)
        mask = (shown.coverage > 0.5).numpy()
        image = linear_to_srgb(shown.color).clamp(0, 1).numpy()
        normals = bare.normals.numpy() * mask[..., None]
        frames.append(SubjectFrame(number, CAMERA, image, mask, mask, normals))
        albedos.append(
            (
                linear_to_srgb(shown.albedo / shown.coverage.clamp_min(1e-6)[..., None])
                * shown.coverage.gt(0.5)[..., None]
            ).numpy()
        )
    count = len(poses)
    written = SubjectPoses(
        avatar.betas, np.stack([p[0] for p in poses]), np.stack([p[1] for p in poses]), np.tile(transl, (count, 1))
    )
    place = write_palm_subject(
        root / "relit_00" / "folders",
        folder,
        {CAMERA: camera},
        written,
        frames,
        open_hand_model("right").hands_mean.numpy(),
    )
    for kind in ("albedo", "labels"):
        (place / kind / CAMERA).mkdir(parents=True)
    for number, albedo in enumerate(albedos):
        write_png16(place / "albedo" / CAMERA / f"{number + 1:06d}.png", albedo)
        label = {"light": {"environment": f"/somewhere/{name}.exr", "rotation": rotation, "strength": strength}}
        (place / "labels" / CAMERA / f"{number + 1:06d}.json").write_text(json.dumps(label))
