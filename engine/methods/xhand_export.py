"""A hand whose surface and skin depend on the pose → its avatar folder, which Blender plays without the engine.

Displacement and changed skinning weights become pose correctives; what is finer than the exported mesh becomes normal and albedo
maps whose weights follow the pose. How far that is from the learned hand, at poses not used for it, goes into the metrics.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar, AvatarMesh, CaptureInfo
from ..avatar.pose_extras import PoseMap
from ..avatar.texture_files import write_png8
from ..datasets.hand_sequence import HandFrame, SequencePixels, load_pixels
from ..hand.model import HandModel
from ..lighting.color import linear_to_srgb
from ..lighting.environment import equirect_grid, opencv_world
from ..progress import Progress, silent, sub_progress
from ..rendering.avatar_bake import ten_betas, write_baked
from .harp_sequence_input import in_camera
from .physical_rerender import physical_sheet, rerender_at_capture
from .preview import PANEL_PX, preview_sheet
from .rerender import load_avatar
from .xhand_export_bake import Atlas, mean_maps, pose_maps, write_pose_pictures
from .xhand_export_geometry import Correctives, column_sets, fit_correctives
from .xhand_export_maps import MapModes, fine_places, fine_values, fit_maps, joint_groups, normal_error_deg
from .xhand_export_poses import sample_poses
from .xhand_export_samples import (
    CoarseHand,
    PoseDependentHand,
    Samples,
    avatar_mesh,
    coarse_hand,
    posed_meshes,
    sample_hand,
)
from .xhand_file import WORLD_TO_CAMERA

METHOD = "xhand"
ENVIRONMENT_ROWS = 64


@dataclass(frozen=True)
class ExportConfig:
    """How much of the learned hand the avatar keeps."""

    levels: int = 1
    """Times that the hand model's mesh is quartered: about 6,700 vertices of the open hand."""
    poses: int = 240
    """At which the learned hand is looked at, ≥ 40; a fifth as many choose columns, and as many judge."""
    maps: int = 8
    """Most pairs of pose-driven maps, ≤ 12: each is two textures."""
    texture_px: int = 1024
    pose_texture_px: int = 1024
    seed: int = 0

    @staticmethod
    def draft() -> ExportConfig:
        """Sooner, and nearly as good."""
        return ExportConfig(poses=120, texture_px=512, pose_texture_px=512)


class ExportedHand(NamedTuple):
    """What an avatar folder needs of a pose-dependent hand."""

    mesh: AvatarMesh
    modes: MapModes
    maps: tuple[PoseMap, ...]
    metrics: dict[str, Any]


def export_avatar(
    folder: Path,
    model: PoseDependentHand,
    base: HandModel,
    poses: Tensor,
    frame: HandFrame,
    radiance: Callable[[Tensor], Tensor],
    provenance: Mapping[str, Any],
    metrics: Mapping[str, Any],
    config: ExportConfig = ExportConfig(),
    force: bool = False,
    progress: Progress = silent,
    write_more: Callable[[Path], None] | None = None,
) -> Avatar:
    """Write FOLDER, whole or not at all; returns the avatar as read back.

    base: the hand model with texture charts that the fine template was made of; poses [N,45] of the training; frame: the picture
    whose camera and pose the avatar keeps; radiance: of unit world directions [*,3], what light comes from there [*,3], linear;
    write_more: writes further files into the folder that it is given. Raises AvatarError, OutputError, DatasetError, Cancelled.
    """
    clock = time.monotonic()
    exported = simplify(model, base, poses, config, sub_progress(progress, 0.0, 0.7))
    progress(0.7, "baking the skin")
    template = model.template
    orient, transl = in_camera(frame, template, ten_betas(model.betas)[: template.num_betas])
    avatar = Avatar(
        handedness=template.side,
        method=METHOD,
        betas=ten_betas(model.betas),
        mesh=exported.mesh,
        capture=CaptureInfo(
            "photo.png", (frame.width, frame.height), np.asarray(frame.intrinsics), np.eye(4), orient,
            np.asarray(frame.hand_pose), transl,
        ),
        # the learned hand and its light live in the training's axes, the avatar in its photo's camera's
        provenance={**provenance, WORLD_TO_CAMERA: np.asarray(frame.world_to_camera, dtype=float).tolist()},
        metrics={**exported.metrics, **metrics},
        pose_maps=exported.maps,
    )  # fmt: skip
    cpu = _on_cpu(model)
    maps = mean_maps(cpu, exported.modes, Atlas(cpu, config.texture_px), config.seed)
    pixels = load_pixels(frame)

    def write_pictures(temporary: Path, written: Avatar) -> dict[str, Any]:
        atlas = Atlas(cpu, config.pose_texture_px)
        count = len(exported.maps)
        write_pose_pictures(
            temporary, exported.modes, exported.maps, atlas,
            lambda index: progress(0.75 + 0.2 * index / count, f"baking pose map {index + 1} of {count}"),
        )  # fmt: skip
        write_png8(temporary / "photo.png", pixels.image)
        if pixels.mask is not None:
            write_png8(temporary / "mask.png", pixels.mask)
        sheet, scores = _preview(written, pixels)
        write_png8(temporary / "preview.png", sheet)
        if write_more is not None:
            write_more(temporary)
        return {**scores, "export_s": round(time.monotonic() - clock, 1)}

    return write_baked(folder, avatar, maps, environment_of(radiance, frame), write_pictures, force)


def simplify(
    model: PoseDependentHand, base: HandModel, poses: Tensor, config: ExportConfig, progress: Progress = silent
) -> ExportedHand:
    """Mesh, correctives and pose-driven maps of a learned hand, and how far they are from it. See `export_avatar`."""
    hand = _on_cpu(model)
    coarse = coarse_hand(base, hand.template, config.levels)
    chosen = sample_poses(poses, config.poses, config.seed, held_out=2 * max(8, config.poses // 5))
    order = torch.arange(len(chosen.held_out))
    fitted = sample_hand(model, chosen.fitted, coarse.vertices, sub_progress(progress, 0.0, 0.5))
    # every other one chooses the columns, the rest judges
    told = sub_progress(progress, 0.5, 0.7)
    others = sample_hand(model, chosen.held_out, coarse.vertices, told, fitted.weights)
    choosing, judging = (_some(others, order % 2 == part) for part in (0, 1))
    axes = hand.template.joint_axes.double().numpy()
    correctives = fit_correctives((fitted.poses, fitted.unposed), (choosing.poses, choosing.unposed), column_sets(axes))
    posedirs = hand.template.posedirs[: coarse.vertices].permute(2, 0, 1)
    mesh = avatar_mesh(hand, coarse, correctives.mean, fitted.weights, (posedirs + correctives.pose_basis).numpy())
    mesh = dataclasses.replace(mesh, extra=correctives.extra)
    progress(0.75, "finding what of the skin follows the pose")
    fine = hand.topology
    places = fine_places(fine, coarse.topology, coarse.cap_faces)

    def values_of(samples: Samples):
        shown = posed_meshes(mesh, samples.poses)
        for posed, albedo, vertices in zip(samples.posed, samples.albedo, shown, strict=True):
            yield fine_values(fine, coarse.topology, places, posed, vertices, albedo)

    modes = fit_maps(fitted.poses, values_of(fitted), joint_groups(axes), config.maps)
    maps = pose_maps(modes)
    metrics = {
        **geometry_metrics(mesh, correctives, fitted, judging),
        **map_metrics(hand, coarse, mesh, modes, judging, places),
    }
    return ExportedHand(mesh, modes, maps, metrics)


def geometry_metrics(mesh: AvatarMesh, correctives: Correctives, fitted: Samples, judged: Samples) -> dict[str, Any]:
    """Distances of the exported mesh's vertices from the learned hand's, at poses not used; beside those of a constant mesh."""
    count = len(mesh.vertices)
    constant = dataclasses.replace(
        mesh,
        vertices=mesh.vertices - correctives.mean.numpy() + fitted.unposed.mean(0).numpy(),
        pose_basis=mesh.pose_basis - correctives.pose_basis.numpy(),
        extra=None,
    )
    found: dict[str, Any] = {"export_poses": len(fitted.poses), "export_poses_judged": len(judged.poses)}
    for name, one in (("export_geometry", mesh), ("export_constant_geometry", constant)):
        shown = torch.stack(list(posed_meshes(one, judged.poses)))
        distance = 1e3 * (shown - judged.posed[:, :count]).norm(dim=2)
        found[f"{name}_mm"] = round(float(distance.mean()), 4)
        found[f"{name}_p95_mm"] = round(float(np.quantile(distance.numpy(), 0.95)), 4)
    found["export_columns"] = 135 + (len(mesh.extra.terms) if mesh.extra else 0)
    found["export_columns_tried"] = [
        {"columns": name, "count": number, "mm": round(error, 4), "kept": kept}
        for name, number, error, kept in correctives.tried
    ]
    return found


def map_metrics(
    hand: PoseDependentHand, coarse: CoarseHand, mesh: AvatarMesh, modes: MapModes, judged: Samples, places: Any
) -> dict[str, Any]:
    """Normals (but at the wrist's cut) and albedo with the pose-driven maps, at poses not used; beside the mean maps' alone."""
    fine = hand.topology
    errors: dict[str, list[float]] = {"maps": [], "constant": []}
    squares: dict[str, list[float]] = {"maps": [], "constant": []}
    shown = posed_meshes(mesh, judged.poses)
    for pose, posed, albedo, vertices in zip(judged.poses, judged.posed, judged.albedo, shown, strict=True):
        true_albedo = linear_to_srgb(albedo[places.vertices].float().clamp(0, 1))
        for name, values in (("maps", modes.values(pose)), ("constant", modes.mean)):
            angle = normal_error_deg(fine, coarse.topology, places, posed, vertices, values[:, :2])
            errors[name].append(float(angle[~places.lid].mean()))
            squares[name].append(float((linear_to_srgb(values[:, 2:].clamp(0, 1)) - true_albedo).square().mean()))

    def decibels(values: list[float]) -> float:
        return round(-10 * math.log10(max(float(np.mean(values)), 1e-12)), 2)

    return {
        "export_normal_deg": round(float(np.mean(errors["maps"])), 3),
        "export_constant_normal_deg": round(float(np.mean(errors["constant"])), 3),
        "export_albedo_psnr_db": decibels(squares["maps"]),
        "export_constant_albedo_psnr_db": decibels(squares["constant"]),
        "export_maps": list(modes.names),
    }


def _preview(avatar: Avatar, pixels: SequencePixels) -> tuple[np.ndarray, dict[str, float]]:
    """The sheet, in the avatar's whole light where there is a mask to judge it by; how well it matches the photo then."""
    if pixels.mask is None:
        return preview_sheet(avatar, load_avatar(avatar), torch.as_tensor(np.array(pixels.image)).float() / 255), {}
    shown = rerender_at_capture(avatar, PANEL_PX)
    return physical_sheet(avatar, shown), shown.score.as_metrics()


def environment_of(radiance: Callable[[Tensor], Tensor], frame: HandFrame) -> Tensor:
    """[H,2H,3] radiance, given along the world's directions, in the axes that the avatar has: its camera's. Never below 0."""
    directions, _ = equirect_grid(ENVIRONMENT_ROWS, torch.zeros(()))
    turn = torch.as_tensor(np.asarray(frame.world_to_camera)[:3, :3]).to(directions)
    return radiance(opencv_world(directions) @ turn).clamp_min(0)


class _Still(NamedTuple):
    """A hand without its networks, on the CPU."""

    template: HandModel
    topology: Any
    betas: Tensor

    def features(self, hand_pose: Tensor) -> Any:
        raise NotImplementedError


def _on_cpu(model: PoseDependentHand) -> PoseDependentHand:
    from ..rendering.mesh import mesh_topology

    template = model.template.to("cpu")
    detached: dict[str, Any] = {
        item.name: value.detach()
        for item in dataclasses.fields(template)
        if isinstance(value := getattr(template, item.name), Tensor)
    }
    template = dataclasses.replace(template, **detached)
    topology = mesh_topology(template.faces, template.uv, template.uv_faces)
    return _Still(template, topology, model.betas.detach().cpu())


def _some(samples: Samples, chosen: Tensor) -> Samples:
    return Samples(
        samples.poses[chosen], samples.posed[chosen], samples.unposed[chosen], samples.albedo[chosen], samples.weights
    )
