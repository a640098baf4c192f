"""Supervision that only synthetic people allow: where their skin is and what it is made of, known at every pixel.

The hand model's surface is brought to canonical space, so a point of a picture has its canonical place, its true albedo and
roughness, and the colour that the camera saw. Radiance and material are fitted there first, without any rendering, hundreds of
times cheaper than through rays, and held there while rendering trains the rest. An option of ours; PALM has no materials.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..datasets.palm import PalmFrame, load_frame
from ..datasets.palm_materials import load_materials, material_files
from ..errors import DatasetError
from ..fields.bands import Bands
from ..fields.model import PalmFields
from ..hand.mano import hand_forward
from ..hand.model import HandModel
from ..lighting.color import linear_to_srgb
from ..progress import Progress
from ..rendering.rasterize import Fragments, interpolate, project_vertices, rasterize
from ..rendering.ray_sets import pixel_rays
from ..rendering.surface import vertex_normals
from .config import KnownSurfaceConfig
from .evaluate import mean_metrics
from .losses import latent_energy
from .pretrain import canonical_surface
from .sampling import generator_for

PARTS = ("radiance", "material", "appearance_code")
"""Parameters that the fit moves, by the first word of their names."""
EDGE_PX = 2
"""Pixels this near to the mask's edge are left out: their colour is mixed with what lies behind."""
LEAST_AGREEMENT = 0.8
"""Cosine between the picture's normal and the mesh's below which a pixel shows something else."""
WARM_UP = 0.02
"""Share of the fit in which its rates rise."""
POOL_SLOT, FIT_SLOT = 5_555, 4_444


class KnownSurface(NamedTuple):
    """N surface points of K hands (a subject in a pose each)."""

    points: Tensor
    """[N,3] canonical metres."""
    hand: Tensor
    """[N] int64 into the K hands."""
    directions: Tensor
    """[N,3] unit, world, along the camera's ray."""
    normals: Tensor
    """[N,3] unit, world, of the hand model's smooth surface."""
    image_srgb: Tensor
    """[N,3] uint8."""
    albedo_srgb: Tensor
    """[N,3] uint8."""
    roughness: Tensor
    """[N] in [0,1], of the BRDF."""
    hand_pose: Tensor
    """[K,45]"""
    subject: Tensor
    """[K] int64"""


def known_surface(
    frames: Sequence[PalmFrame],
    subjects: Sequence[str],
    model: HandModel,
    config: KnownSurfaceConfig,
    seed: int,
    progress: Progress,
) -> KnownSurface:
    """Points of all frames. model: as finely refined as the pictures.

    Raises DatasetError for a frame without materials, and where no point is left.
    """
    hands: dict[tuple[str, int], int] = {}
    poses: list[Tensor] = []
    parts: list[tuple[Tensor, ...]] = []
    for place, frame in enumerate(frames):
        if place % 20 == 0:
            progress(place / len(frames), f"known surfaces: picture {place} of {len(frames)}")
        key = (frame.subject, frame.frame)
        if key not in hands:
            hands[key] = len(hands)
            poses.append(torch.as_tensor(np.asarray(frame.hand_pose)).to(model.v_template))
        found = frame_points(frame, model, config.points_per_frame, generator_for(seed, place, POOL_SLOT))
        parts.append((found[0], torch.full((len(found[0]),), hands[key], device=found[0].device), *found[1:]))
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    if not len(columns[0]):
        raise DatasetError(
            "no pixel's normal agrees with the hand model's: are the set's poses and normals of this model?"
        )
    owner = {name: place for place, name in enumerate(subjects)}
    subject = torch.tensor([owner[name] for name, _ in hands], device=model.v_template.device)
    points, hand, directions, normals, image, albedo, roughness = columns
    return KnownSurface(points, hand, directions, normals, image, albedo, roughness, torch.stack(poses), subject)


@torch.no_grad()
def frame_points(frame: PalmFrame, model: HandModel, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """At most `count` random points of one frame: points, directions, normals, image, albedo, roughness as in KnownSurface.

    Raises DatasetError for a frame without materials.
    """
    files = material_files(frame)
    if files is None:
        raise DatasetError(
            f"{frame.image} has no albedo and roughness beside it: render the set with `build.py cohort`"
        )
    pixels, materials = load_frame(frame), load_materials(frame, files)
    like = model.v_template

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(values)).to(like)

    betas, pose = tensor(frame.betas), tensor(frame.hand_pose)
    posed = hand_forward(model, betas[None], tensor(frame.global_orient)[None], pose[None], tensor(frame.transl)[None])
    vertices, to_camera = posed.vertices[0], tensor(frame.world_to_camera)
    in_camera = vertices @ to_camera[:3, :3].T + to_camera[:3, 3]
    intrinsics = tensor(frame.intrinsics)
    seen = rasterize(project_vertices(in_camera, intrinsics), model.faces, frame.height, frame.width)
    normals_c = interpolate(vertex_normals(in_camera, model.faces), model.faces[seen.faces], seen.barycentric)
    normals_c = normalize(normals_c, dim=1)
    rows = usable(seen, pixels.mask.to(like.device), pixels.normals, normals_c)
    rows = rows[torch.randperm(len(rows), generator=generator)[:count].to(rows.device)]
    seen = seen._replace(pixels=seen.pixels[rows], faces=seen.faces[rows], barycentric=seen.barycentric[rows])
    canonical = interpolate(canonical_surface(model, betas, pose), model.faces[seen.faces], seen.barycentric)
    at = seen.pixels.cpu()
    centres = torch.stack([seen.pixels % frame.width, seen.pixels // frame.width], dim=1).to(like) + 0.5
    _, directions = pixel_rays(intrinsics, to_camera, centres)
    image = (pixels.image_srgb.reshape(-1, 3)[at] * 255).round().to(torch.uint8).to(like.device)
    albedo = materials.albedo_srgb.reshape(-1, 3)[at].to(like.device)
    roughness = materials.roughness.reshape(-1)[at].to(like)
    return canonical, directions, normals_c[rows] @ to_camera[:3, :3], image, albedo, roughness


def usable(seen: Fragments, mask: Tensor, normals: Tensor | None, mesh_normals: Tensor) -> Tensor:
    """[M] int64 rows of the fragments that lie well inside the mask and look where the picture's normals do.

    mask [H,W] bool; normals [H,W,3] of the picture, zero where unknown, or None; mesh_normals [P,3], camera axes.
    """
    reach = 2 * EDGE_PX + 1
    outside = torch.nn.functional.max_pool2d(1 - mask.float()[None, None], reach, 1, EDGE_PX)[0, 0]
    good = outside.reshape(-1)[seen.pixels] == 0
    if normals is not None:
        good &= (normals.to(mesh_normals).reshape(-1, 3)[seen.pixels] * mesh_normals).sum(1) > LEAST_AGREEMENT
    return torch.nonzero(good)[:, 0]


def surface_terms(
    fields: PalmFields, known: KnownSurface, bands: Bands, count: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Mean errors () at `count` random points: of radiance and albedo (L1, sRGB) and of roughness (L1).

    The geometry's features count as given: colours do not move the surface.
    """
    rows = torch.randint(len(known.points), (count,), generator=generator).to(known.points.device)
    hand = known.hand[rows]
    conditions = fields.conditions(known.subject, known.hand_pose)
    points = known.points[rows]
    with torch.no_grad():
        feature = fields.geometry(points, hand, conditions, bands, with_gradient=False).feature
    encoding = fields.appearance_encoding(points, bands)
    radiance = fields.radiance(encoding, feature, known.directions[rows], known.normals[rows], hand, conditions, bands)
    materials = fields.material(encoding, feature, hand, conditions)
    return {
        "known_radiance": (linear_to_srgb(radiance) - known.image_srgb[rows] / 255).abs().mean(),
        "known_albedo": (linear_to_srgb(materials.albedo) - known.albedo_srgb[rows] / 255).abs().mean(),
        "known_roughness": (materials.roughness - known.roughness[rows]).abs().mean(),
    }


def surface_energy(terms: dict[str, Tensor], config: KnownSurfaceConfig) -> Tensor:
    """() radiance + albedo + weighted roughness."""
    return terms["known_radiance"] + terms["known_albedo"] + config.roughness * terms["known_roughness"]


def fit_surface(
    fields: PalmFields, known: KnownSurface, bands: Bands, config: KnownSurfaceConfig, seed: int, progress: Progress
) -> dict[str, float]:
    """Fit radiance, material and appearance codes; returns the terms' means over the last steps. The geometry stays."""
    optimiser = torch.optim.Adam(list(_groups(fields, config.rate)), betas=(0.9, 0.99), eps=1e-15, fused=True)
    recent: list[dict[str, float]] = []
    for step in range(config.steps):
        share = step / config.steps
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * min(1.0, (step + 1) / (WARM_UP * config.steps)) * 0.05**share
        terms = surface_terms(fields, known, bands, config.batch, generator_for(seed, step, FIT_SLOT))
        codes = fields.appearance_code(known.subject)
        energy = surface_energy(terms, config) + config.latent * latent_energy(codes).mean()
        optimiser.zero_grad(set_to_none=True)
        energy.backward()
        optimiser.step()
        recent = [*recent[-49:], {name: float(value.detach()) for name, value in terms.items()}]
        if step % 10 == 0:
            progress(share, f"skin at known points: {255 * recent[-1]['known_albedo']:.1f}/255 off")
    fields.zero_grad(set_to_none=True)
    return mean_metrics(recent)


def _groups(fields: PalmFields, rate: float) -> Iterator[dict[str, object]]:
    for part in PARTS:
        slower = 0.1 if part == "appearance_code" else 1.0
        moved = [value for name, value in fields.named_parameters() if name.split(".")[0] == part]
        yield {"params": moved, "lr": rate, "rate": rate * slower}
