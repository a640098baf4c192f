"""An analytic data set: posed open hands of several people, shaded by the engine itself, in the PALM layout.

Everything about it is known exactly (poses, shapes, normals, masks, the light), so it shows what training on real captures
cannot: whether the learned hand is right. The skin, the poses and the light are natural ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..avatar.texture_files import write_environment
from ..files import atomic_folder
from ..hand.model import HandModel, open_hand_model
from ..hand.subdivide import subdivide_model
from ..lighting.color import linear_to_srgb
from ..lighting.image_light import ImageLight, image_light
from ..progress import Progress, silent
from ..rendering.mesh import MeshTopology, mesh_topology, see, surface_values
from ..rendering.mesh_pbr import MeshRenderConfig, MeshScene, render_mesh
from ..rendering.rasterize import to_image
from ..rendering.surface import vertex_normals
from .palm_files import Camera, SubjectPoses, write_palm_set
from .palm_writer import SubjectFrame, write_palm_subject
from .toy_scene import ToySubject, posed_vertices, toy_environment, toy_subjects
from .toy_skin import SkinTextures, skin_textures

ENVIRONMENT_ROWS = 64


@dataclass(frozen=True)
class ToyConfig:
    """Size and quality of an analytic data set."""

    subjects: int = 3
    training_poses: int = 8
    cameras: int = 3
    """Up to 6, about the hand."""
    held_out_poses: int = 2
    held_out_cameras: int = 2
    """The first of the cameras."""
    size_px: int = 128
    """Side of the pictures."""
    texture_px: int = 512
    subdivisions: int = 1
    """Of the open hand's mesh."""
    pixel_samples: int = 4
    light_samples: int = 128
    bounces: int = 0
    brdf: str = "principled"
    edges_over_black: bool = False
    """Pixels that the outline crosses: True darkens them by what they see of a black background, as a photo would; False
    gives the skin's colour, so that picture · mask + background · (1 - mask) is right for any background."""
    seed: int = 0


TINY = ToyConfig(
    subjects=1, training_poses=2, cameras=2, held_out_poses=1, held_out_cameras=1, size_px=48, texture_px=128,
    subdivisions=0, light_samples=8, bounces=0,
)  # fmt: skip
"""A few pictures within seconds, for tests."""


class _Studio(NamedTuple):
    """What all pictures share."""

    model: HandModel
    topology: MeshTopology
    light: ImageLight
    config: ToyConfig


def make_toy_set(
    folder: Path, config: ToyConfig | None = None, progress: Progress = silent, force: bool = False
) -> None:
    """Write FOLDER/train and FOLDER/val in the PALM layout, and FOLDER/environment.exr, the light; whole or not at all.

    val holds poses that train does not, seen by some of the same cameras. The same configuration gives the same files.
    Raises OutputError when FOLDER exists (without `force`) or cannot be written.
    """
    config = ToyConfig() if config is None else config
    model = subdivide_model(open_hand_model(), config.subdivisions)
    environment = toy_environment(ENVIRONMENT_ROWS, model.v_template)
    topology = mesh_topology(model.faces, model.uv, model.uv_faces)
    studio = _Studio(model, topology, image_light(environment), config)
    generator = torch.Generator().manual_seed(config.seed)
    subjects = toy_subjects(
        model, config.subjects, config.training_poses, config.held_out_poses, config.cameras, config.size_px, generator
    )
    per_subject = config.training_poses * config.cameras + config.held_out_poses * config.held_out_cameras
    done = 0
    with atomic_folder(Path(folder), force) as place:
        for part in ("train", "val"):
            write_palm_set(place / part, _facts(config, model))
        write_environment(place / "environment.exr", environment.numpy())
        for index, subject in enumerate(subjects):
            skin = skin_textures(model, subject.betas, subject.darkness, config.texture_px, config.seed + index)
            few = dict(list(subject.cameras.items())[: config.held_out_cameras])
            for part, poses, cameras in (("train", subject.training, subject.cameras), ("val", subject.held_out, few)):
                frames = []
                for frame, vertices in enumerate(torch.as_tensor(posed_vertices(model, poses))):
                    for name, camera in cameras.items():
                        seed = config.seed + 1000 * (done + 1)
                        pixels = photograph(studio, skin, vertices, camera, torch.Generator().manual_seed(seed))
                        image, mask, normals = (value.numpy() for value in pixels)
                        frames.append(SubjectFrame(frame, name, image, mask, mask, normals))
                        done += 1
                        progress(done / (per_subject * len(subjects)), f"rendering subject {subject.name}")
                _write(place / part, subject, cameras, poses, frames, model)


def photograph(
    studio: _Studio, skin: SkinTextures, vertices: Tensor, camera: Camera, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """(sRGB colour [H,W,3], mask [H,W] bool, normals [H,W,3] in the camera's axes) of a posed hand [V,3] in the world.

    Mask and normals are the geometry's at the pixels' centres; colour is the mean over the pixel.
    """
    model, config = studio.model, studio.config
    scene = MeshScene(vertices, model.faces, model.uv, model.uv_faces, skin.albedo, skin.roughness, None)
    intrinsics = torch.as_tensor(camera.intrinsics).to(vertices)
    world_to_camera = torch.as_tensor(camera.world_to_camera).to(vertices)
    quality = MeshRenderConfig(config.pixel_samples, config.light_samples, config.bounces, config.brdf)
    size = (camera.height, camera.width)
    picture = render_mesh(scene, studio.light, intrinsics, world_to_camera, *size, quality, generator)
    mask, normals = exact_outline_and_normals(studio.topology, vertices, camera)
    color, coverage = picture.color, picture.coverage[..., None]
    if not config.edges_over_black:
        color = color / coverage.clamp_min(0.5 / config.pixel_samples)
    # a pixel whose centre is covered but which no ray hit takes its neighbours' colour
    unseen = mask & (picture.coverage == 0)
    color = torch.where(unseen[..., None], _mean_of_neighbours(color, picture.coverage > 0), color)
    return linear_to_srgb(color.clamp(0, 1)) * mask[..., None], mask, normals


def exact_outline_and_normals(topology: MeshTopology, vertices: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """([H,W] bool: the pixel's centre sees the hand, [H,W,3] unit normals there in the camera's axes, else zero)."""
    view = torch.as_tensor(camera.world_to_camera).to(vertices)
    in_camera = vertices @ view[:3, :3].T + view[:3, 3]
    seen = see(in_camera, topology, torch.as_tensor(camera.intrinsics).to(vertices), camera.height, camera.width)
    normals = normalize(surface_values(seen, vertex_normals(in_camera, topology.faces), topology.faces), dim=1)
    mask = to_image(seen.fragments, torch.ones_like(normals[:, :1]))[..., 0] > 0
    return mask, to_image(seen.fragments, normals)


def _mean_of_neighbours(color: Tensor, seen: Tensor) -> Tensor:
    """[H,W,3] mean colour of the seen pixels among the eight around each."""
    weighted = torch.cat([color * seen[..., None], seen[..., None].to(color)], dim=2).permute(2, 0, 1)[None]
    total = torch.nn.functional.avg_pool2d(weighted, 3, 1, 1, divisor_override=1)[0].permute(1, 2, 0)
    return total[..., :3] / total[..., 3:].clamp_min(1)


def _write(
    root: Path,
    subject: ToySubject,
    cameras: dict[str, Camera],
    poses: SubjectPoses,
    frames: list[SubjectFrame],
    model: HandModel,
) -> None:
    write_palm_subject(root, subject.name, cameras, poses, frames, model.hands_mean.double().numpy())


def _facts(config: ToyConfig, model: HandModel) -> dict[str, object]:
    return {
        "hand_model": model.name,
        "exact_masks": True,
        "made_by": "engine.datasets.toy",
        "config": asdict(config),
    }
