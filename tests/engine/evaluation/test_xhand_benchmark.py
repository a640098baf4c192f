"""XHand's benchmark: what is held out, and what its numbers are of."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.avatar.texture_files import write_png8
from engine.datasets.hand_sequence import HandFrame, HandSequence
from engine.datasets.palm_normals import encode_normals
from engine.errors import InputError
from engine.lighting.color import linear_to_srgb
from engine.lighting.spherical_harmonics import sh_irradiance

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.xhand_runs import ABLATIONS, MAIN, configuration
from benchmarks.xhand_scores import light_ceiling
from benchmarks.xhand_split import fewer_views, judged_frames, split_sequence

TURN = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])


def frame(number: int, camera: str, folder: Path = Path(), size: int = 4) -> HandFrame:
    matrix = np.eye(4)
    matrix[:3, :3] = TURN
    return HandFrame(
        label=f"{camera}/{number}",
        number=number,
        camera=camera,
        image=folder / "images" / camera / f"{number:06d}.png",
        mask=folder / "masks" / camera / f"{number:06d}.png",
        intrinsics=np.eye(3),
        world_to_camera=matrix,
        height=size,
        width=size,
        betas=np.zeros(10),
        global_orient=np.zeros(3),
        hand_pose=np.zeros(45),
        transl=np.zeros(3),
    )


def sequence(cameras: int, moments: int) -> HandSequence:
    frames = [frame(number, f"c{k:02}") for number in range(1, moments + 1) for k in range(cameras)]
    return HandSequence("toy", tuple(frames), "right", "open")


def test_what_judges_was_never_learned_from():
    data = sequence(cameras=6, moments=9)
    split = split_sequence(data, 4, 6)
    assert (len(split.cameras), len(split.moments)) == (4, 6)
    groups = judged_frames(data, split, most=1000)
    counts = {name: len(frames) for name, frames in groups.items()}
    assert counts == {"novel_poses": 4 * 3, "novel_views": 2 * 6, "novel_both": 2 * 3, "seen": 4 * 6}
    assert not {f.number for f in groups["novel_poses"]} & set(split.moments)
    assert not {f.camera for f in groups["novel_views"]} & set(split.cameras)
    assert len({f.label for frames in groups.values() for f in frames}) == len(data)
    assert len(judged_frames(data, split, most=5)["seen"]) == 5


def test_fewer_views_lie_as_far_apart_as_can_be():
    """Cameras on a line, in disorder: after the first comes the farthest, then the one between."""
    places = {"c00": 0.0, "c01": 0.1, "c02": 1.0, "c03": 0.52, "c04": 0.9, "c05": 0.4}
    frames = []
    for number in range(1, 10):
        for name, place in places.items():
            matrix = np.eye(4)
            matrix[0, 3] = -place
            frames.append(dataclasses.replace(frame(number, name), world_to_camera=matrix))
    data = HandSequence("toy", tuple(frames), "right", "open")
    split = split_sequence(data, 5, 6)._replace(cameras=("c00", "c01", "c02", "c03", "c04"), other_cameras=("c05",))
    assert fewer_views(data, split, 1).cameras == ("c00",)
    assert fewer_views(data, split, 3).cameras == ("c00", "c02", "c03")
    few = fewer_views(data, split, 9)
    assert (few.cameras, few.moments, few.other_cameras) == (split.cameras, split.moments, split.other_cameras)


def test_a_sequence_that_leaves_nothing_to_judge_by_is_refused():
    with pytest.raises(InputError, match="nothing is left"):
        split_sequence(sequence(cameras=2, moments=3), 2, 2)


@pytest.mark.parametrize("variant", [*MAIN.values(), *ABLATIONS.values()])
def test_all_variants_have_the_same_steps_and_light(variant):
    whole, part = configuration("draft", MAIN["xhand"]), configuration("draft", variant)
    assert (part.steps, part.views, part.shared_light) == (whole.steps, whole.views, whole.shared_light)
    half = configuration("draft", variant, share=0.5)
    assert half.steps == pytest.approx(0.5 * whole.steps, abs=3)


def test_pictures_of_matt_skin_in_one_soft_light_reach_the_ceiling(tmp_path):
    """A drawn sphere in a light of nine coefficients is explained to its rounding; half in shadow it is not."""
    shot = frame(1, "c00", tmp_path, size=64)
    y, x = torch.meshgrid(torch.linspace(-1.1, 1.1, 64), torch.linspace(-1.1, 1.1, 64), indexing="ij")
    depth = (1 - x**2 - y**2).clamp_min(0).sqrt()
    inside = x**2 + y**2 < 0.95
    normals = torch.stack([x, y, -depth], dim=-1)
    light = torch.tensor([3.5, 0.6, -0.5, 0.4, 0.2, 0.1, 0.1, -0.2, 0.1])[:, None] * torch.tensor([[0.8, 0.7, 0.6]])
    albedo = torch.where(x > 0, 0.6, 0.3)[..., None].expand(-1, -1, 3)
    world = normals @ torch.as_tensor(TURN).float()
    shades = albedo * sh_irradiance(light, world) / torch.pi * inside[..., None]
    save(shot, shades, inside, albedo, normals.numpy())
    (lit,) = light_ceiling([shot]).values()
    assert lit["psnr_union_db"] > 38
    save(shot, torch.where(y[..., None] > 0.3, 0.4 * shades, shades), inside, albedo, normals.numpy())
    (shadowed,) = light_ceiling([shot]).values()
    assert shadowed["psnr_union_db"] < 28


def save(
    shot: HandFrame, shades: torch.Tensor, inside: torch.Tensor, albedo: torch.Tensor, normals: np.ndarray
) -> None:
    def eight_bits(values: torch.Tensor) -> np.ndarray:
        return (values.clamp(0, 1).numpy() * 255 + 0.5).astype(np.uint8)

    root = shot.image.parents[2]
    pictures = {
        "images": eight_bits(linear_to_srgb(shades)),
        "masks": eight_bits(inside.float()),
        "albedo": eight_bits(linear_to_srgb(albedo)),
        "normals": encode_normals(normals, inside.numpy()),
    }
    for name, pixels in pictures.items():
        path = root / name / shot.camera / shot.image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png8(path, pixels)


def test_without_passes_there_is_no_ceiling(tmp_path):
    assert light_ceiling([frame(1, "c00", tmp_path)]) == {}
