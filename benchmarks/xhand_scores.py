"""What trained hands score in pictures and against the true surface."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.avatar.texture_files import read_png
from engine.datasets.hand_sequence import HandFrame, load_pixels
from engine.datasets.palm_normals import decode_normals
from engine.datasets.palm_pixels import plain_mode, read_picture
from engine.datasets.true_surface import true_surface
from engine.errors import DatasetError
from engine.evaluation.frame_scores import NO_NETWORKS, Networks, Scores
from engine.evaluation.surface_metrics import Cut, spread, surface_distances, wrist_cut
from engine.evaluation.view_scores import over_black, view_scores
from engine.hand.mano import hand_forward
from engine.hand.model import HandModel
from engine.lighting.color import linear_to_srgb, srgb_to_linear
from engine.lighting.spherical_harmonics import COSINE_LOBE, sh_basis
from engine.methods.xhand_model import Camera, Posed, XHandModel
from engine.rendering.mesh import Picture

DIGITS = 5
SAMPLES = 20_000
"""Of a surface: a point each square millimetre or two."""
CEILING_PIXELS = 2000
"""Of each picture, to which the light is fitted."""


class Truth(NamedTuple):
    """A picture over black."""

    image: Tensor
    """[H,W,3] sRGB in [0,1]"""
    mask: Tensor
    """[H,W] bool"""


def true_picture(frame: HandFrame) -> Truth:
    """A frame as it is judged by. Raises DatasetError where it has no mask."""
    pixels = load_pixels(frame)
    if pixels.mask is None:
        raise DatasetError(f"{frame.image} has no mask: nothing tells the hand from what is behind it")
    mask = torch.as_tensor(pixels.mask >= 128)
    return Truth(over_black(torch.tensor(pixels.image).float() / 255, mask), mask)


def numbers(frame: HandFrame) -> tuple[Tensor, Tensor, Tensor]:
    """Of a frame: finger pose [45], global rotation [3], translation [3]."""
    pose, orient, transl = (
        torch.as_tensor(value).float() for value in (frame.hand_pose, frame.global_orient, frame.transl)
    )
    return pose, orient, transl


def camera_of(frame: HandFrame, scale: float = 1.0) -> Camera:
    """A frame's camera, its picture scaled."""
    intrinsics = torch.as_tensor(frame.intrinsics).float() * torch.tensor([[scale], [scale], [1.0]])
    matrix = torch.as_tensor(frame.world_to_camera).float()
    return Camera(intrinsics, matrix, round(scale * frame.height), round(scale * frame.width))


def posed(model: XHandModel, frame: HandFrame) -> Posed:
    pose, orient, transl = (values.to(model.light.device) for values in numbers(frame))
    return model.posed(pose, orient, transl)


def picture(model: XHandModel, hand: Posed, frame: HandFrame, neural: bool) -> Picture:
    """The hand as a frame's camera sees it, on the CPU."""
    pose = numbers(frame)[0].to(model.light.device)
    made = model.picture(hand, camera_of(frame), model.light_of(frame.camera), neural, pose)
    return Picture(*(values.detach().cpu().float() for values in made))


@torch.no_grad()
def judge_pictures(
    model: XHandModel, frames: Iterable[HandFrame], ways: Sequence[bool], networks: Networks = NO_NETWORKS
) -> dict[str, dict[str, Scores]]:
    """{"shaded" | "neural": {frame's label: scores}}; ways: whether the neural renderer draws."""
    scores: dict[str, dict[str, Scores]] = {way_name(neural): {} for neural in ways}
    for _, together in groupby(frames, key=lambda frame: frame.number):
        moment = list(together)
        hand = posed(model, moment[0])
        for frame in moment:
            truth = true_picture(frame)
            for neural in ways:
                made = picture(model, hand, frame, neural)
                found = view_scores(made.color, made.coverage, truth.image, truth.mask, networks)
                scores[way_name(neural)][frame.label] = {name: round(value, DIGITS) for name, value in found.items()}
    return scores


def way_name(neural: bool) -> str:
    return "neural" if neural else "shaded"


class Surface(NamedTuple):
    vertices: Tensor
    """[V,3] metres, world."""
    faces: Tensor
    """[F,3]"""


def photographed_surface(frame: HandFrame) -> Surface:
    """What a frame's camera saw. Raises DatasetError where the set has no true surfaces."""
    found = true_surface(frame.image.parents[2], frame.number)
    return Surface(torch.as_tensor(found.vertices), torch.as_tensor(found.faces).long())


def skinned_surface(model: HandModel, frame: HandFrame) -> Surface:
    """The hand model alone, with its pose correctives."""
    betas = torch.as_tensor(frame.betas).float()[: model.num_betas]
    pose, orient, transl = numbers(frame)
    return Surface(hand_forward(model, betas, orient, pose, transl).vertices, model.faces)


def learned_surface(model: XHandModel, frame: HandFrame) -> Surface:
    return Surface(posed(model, frame).vertices.detach().cpu(), model.topology.faces.cpu())


def hand_cut(model: HandModel, frame: HandFrame) -> Cut:
    """What lies by the wrist's opening of the posed hand is not compared."""
    vertices = skinned_surface(model, frame).vertices
    return wrist_cut(vertices, model.faces[model.cap_faces].unique())


class SurfaceScores(NamedTuple):
    """Point-to-surface distances, mm. `p2s` is from points of the true surface, as the paper's from a scan's."""

    p2s_mm: float
    p2s_95_mm: float
    back_mm: float
    """From points of the found surface to the true one."""
    back_95_mm: float


def judge_surface(found: Surface, true: Surface, cut: Cut, samples: int = SAMPLES) -> SurfaceScores:
    back, there = surface_distances(*found, *true, cut, samples)
    return SurfaceScores(*(round(value, DIGITS) for value in (*spread(there), *spread(back))))


def mean_surface_scores(scores: Sequence[SurfaceScores]) -> SurfaceScores:
    """Means over moments."""
    return SurfaceScores(*(statistics.fmean(column) for column in zip(*scores, strict=True)))


def light_ceiling(frames: Sequence[HandFrame]) -> dict[str, Scores]:
    """Scores of the true skin colours and true normals under the one light of nine coefficients that explains frames best.

    What no matt hand under such a light can exceed, however right its mesh: shadows, gloss and scattering are what is left.
    Frames need the set's passes `albedo` and `normals`; {} where they are missing.
    """
    shots = [shot for frame in frames if (shot := _passes(frame)) is not None]
    if not shots:
        return {}
    generator = torch.Generator().manual_seed(0)
    rows, values = [], []
    for shot in shots:
        inside = torch.nonzero(shot.known)
        places = inside[torch.randperm(len(inside), generator=generator)[:CEILING_PIXELS]].unbind(1)
        rows.append(shot.albedo[places][..., None] * _lambertian(shot.normals[places])[:, None])
        values.append(srgb_to_linear(shot.truth.image[places]))
    matrix, wanted = torch.cat(rows), torch.cat(values)
    light = torch.stack([torch.linalg.lstsq(matrix[:, c], wanted[:, c, None]).solution[:, 0] for c in range(3)], dim=1)
    scores = {}
    for shot in shots:
        shown = linear_to_srgb((shot.albedo * (_lambertian(shot.normals) @ light)).clamp_min(0)).clamp(0, 1)
        shown = torch.where(shot.known[..., None], shown, shot.truth.image)
        found = view_scores(shown, shot.truth.mask.float(), shot.truth.image, shot.truth.mask)
        scores[shot.label] = {name: round(value, DIGITS) for name, value in found.items()}
    return scores


class _Shot(NamedTuple):
    label: str
    truth: Truth
    albedo: Tensor
    """[H,W,3] linear"""
    normals: Tensor
    """[H,W,3] world"""
    known: Tensor
    """[H,W] bool"""


def _lambertian(normals: Tensor) -> Tensor:
    """[*,9] what each coefficient of a light adds to the brightness of white matt skin of normals [*,3]."""
    lobes = (COSINE_LOBE[0], *[COSINE_LOBE[1]] * 3, *[COSINE_LOBE[2]] * 5)
    return sh_basis(normals) * torch.tensor(lobes).to(normals) / torch.pi


def _passes(frame: HandFrame) -> _Shot | None:
    files = {name: pass_file(frame, name) for name in ("albedo", "normals")}
    if not all(path.is_file() for path in files.values()):
        return None
    truth = true_picture(frame)
    albedo = srgb_to_linear(torch.as_tensor(read_png(files["albedo"])).float()[..., :3])
    normals = torch.as_tensor(decode_normals(np.asarray(read_picture(files["normals"], plain_mode))[..., :3]))
    world = normals @ torch.as_tensor(frame.world_to_camera[:3, :3]).float()
    return _Shot(frame.label, truth, albedo, world, truth.mask & (normals.abs().amax(-1) > 0))


def pass_file(frame: HandFrame, name: str) -> Path:
    """A rendered frame's pass, in our own sets."""
    return frame.image.parents[2] / name / frame.camera / f"{frame.image.stem}.png"
