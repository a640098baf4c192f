"""Personalisation of a prior: the encoded path against the direct one, seconds a step, loss curves and final codes, memory.

    python benchmarks/personalize.py PRIOR [--frames FOLDER] [--quality standard] [--steps 650] [--repeats 3] [--threads N]

PRIOR: a NAME.palmprior of two subjects or more. FOLDER: a PALM folder of the same hand model, whose first picture is the photo;
without one the photo is what the prior itself makes of its last subject. "direct" takes the same samples as the encoded path;
"renewed" draws samples and lights for each step, as priors are trained here; "published" does so as finely as the paper's code,
which shades every sample. Asked: 20 times fewer seconds a step without physically based rendering, 100 times with it, against
"renewed"; final codes of the encoded and the direct path within 2 %. Exits 1 where that is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.datasets.palm import load_frame, read_palm_folder
from engine.fields.codes import SubjectCodes
from engine.hand.model import HandModel, open_hand_model
from engine.lighting.color import linear_to_srgb
from engine.lighting.sg_light import sg_radiance
from engine.lighting.sphere_sampling import fibonacci_sphere
from engine.methods.palm import begin, minimise
from engine.methods.palm_config import QUALITIES, PersonaliseConfig, palm_quality, with_steps
from engine.methods.palm_encoded import encode_shell, shell_picture
from engine.methods.palm_frozen import encode_frozen, frozen_picture
from engine.methods.palm_hands import PosedPrior, Unknowns, code_of, first_unknowns, pose_prior
from engine.methods.palm_heads import geometry_head, material_head, mirror_head, radiance_head
from engine.methods.palm_objective import PalmStage, enter_stage
from engine.methods.palm_photo import PalmPhoto
from engine.methods.palm_rays import RayPlan, batch_at, plan_rays
from engine.rendering.render_config import RenderConfig
from engine.rendering.volume import render_image
from engine.training.prior_file import Prior, read_prior

STAGES = {
    "shape and skin": PalmStage(True, False),
    "skin, shape frozen": PalmStage(False, False),
    "skin and light (PBR)": PalmStage(False, True),
}
ASKED_RADIANCE, ASKED_PHYSICAL, ASKED_CODES = 20.0, 100.0, 0.02
SIDE_PX, FOCAL_PX = 256, 520.0
PUBLISHED = RenderConfig(weight_cutoff=0.0)


class Cost(NamedTuple):
    """Of one step: medians, in seconds."""

    wall: float
    cpu: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prior", type=Path)
    parser.add_argument("--frames", type=Path)
    parser.add_argument("--quality", choices=QUALITIES, default="standard")
    parser.add_argument(
        "--steps", type=int, default=650, help="of the two draft runs that are compared (650 are a whole one); 0: none"
    )
    parser.add_argument("--repeats", type=int, default=3, help="steps of the direct paths that are timed in each stage")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    model = open_hand_model()
    prior = read_prior(args.prior, model)
    config = palm_quality(args.quality)
    photo = own_photo(prior, model) if args.frames is None else frame_photo(args.frames, model)
    posed = pose_prior(prior, model, [photo], config.render.band_m)
    plans = plan_rays([photo], config, posed.root)
    rays, lit = len(plans[0].batch.hand), len(plans[0].physical)
    print(f"{args.quality}: {rays} rays a step, {lit} of them physically, {torch.get_num_threads()} threads")
    kept = time_stages(prior, posed, plans, config, args.repeats)
    if args.steps:
        # whole runs, of draft quality: in few steps with rates made for few, two paths end apart by where each happens to be
        kept &= compare_runs(prior, posed, photo, with_steps(palm_quality("draft"), args.steps))
    return 0 if kept else 1


def own_photo(prior: Prior, model: HandModel) -> PalmPhoto:
    """The prior's last subject, flat and seen from the back of the hand."""
    to_camera = torch.eye(4)
    to_camera[:3, :3] = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    to_camera[:3, 3] = torch.tensor([0.0, -0.02, 0.5])
    camera = torch.tensor([[FOCAL_PX, 0, SIDE_PX / 2], [0, FOCAL_PX, SIDE_PX / 2], [0, 0, 1]])
    stored = prior.provenance.get("subject_betas", {}).get(prior.subjects[-1], np.zeros(10))
    blank = PalmPhoto(
        torch.zeros(SIDE_PX, SIDE_PX, 3),
        torch.ones(SIDE_PX, SIDE_PX, dtype=torch.bool),
        camera,
        to_camera,
        torch.as_tensor(np.asarray(stored), dtype=torch.float32),
        torch.zeros(3),
        torch.zeros(45),
        torch.zeros(3),
    )
    posed = pose_prior(prior, model, [blank])
    with torch.no_grad():
        codes = [
            part(torch.tensor([len(prior.subjects) - 1]))
            for part in (posed.fields.shape_code, posed.fields.appearance_code)
        ]
        assert isinstance(posed.fields.shape_code, SubjectCodes)
        scene = posed.scene(first_unknowns(posed, None))
        scene = scene._replace(conditions=scene.conditions._replace(shape=codes[0], appearance=codes[1]))
        picture = render_image(scene, camera, to_camera, SIDE_PX, SIDE_PX, RenderConfig(), want=("radiance",))
    assert picture.radiance is not None
    return blank._replace(image_srgb=linear_to_srgb(picture.radiance).clamp(0, 1), mask=picture.opacity > 0.5)


def frame_photo(folder: Path, model: HandModel) -> PalmPhoto:
    """The first picture of a PALM folder."""
    frame = read_palm_folder(folder, model.hands_mean.numpy()).frames[0]
    pixels = load_frame(frame)
    values = (frame.intrinsics, frame.world_to_camera, frame.betas, frame.global_orient, frame.hand_pose, frame.transl)
    tensors = [torch.as_tensor(np.array(value), dtype=torch.float32) for value in values]
    return PalmPhoto(pixels.image_srgb.float(), pixels.mask, *tensors)


def time_stages(
    prior: Prior, posed: PosedPrior, plans: Sequence[RayPlan], config: PersonaliseConfig, repeats: int
) -> bool:
    """Print what a step costs on each path; whether the asked ratios are kept."""
    paths = {
        "encoded": config,
        "direct": config,
        "renewed": config,
        "published": replace(config, render=replace(PUBLISHED, band_m=config.render.band_m)),
    }
    print(f"{'ms a step, wall (CPU)':22} " + " ".join(f"{name:>20}" for name in paths) + "   ratio, wall (CPU)")
    kept = True
    for title, stage in STAGES.items():
        unknowns = first_unknowns(posed, prior.light)
        enter_stage(unknowns, stage)
        started = time.perf_counter()
        encoded = begin("encoded", posed, plans, stage, unknowns, config)
        encoding = time.perf_counter() - started
        costs: dict[str, Cost] = {}
        for name, how in paths.items():
            if name == "encoded":
                costs[name] = cost_of(encoded, unknowns, 10 * repeats)
            else:
                path = "renewed" if name == "published" else name
                # the batches a few steps take are enough: the direct path keeps nothing between them
                few = [plans[batch_at(step, how)] for step in range(repeats + 1)]
                fewer = replace(how, batches=len(few))
                costs[name] = cost_of(begin(path, posed, few, stage, unknowns, fewer), unknowns, repeats)
        ratios = [costs["renewed"][i] / costs["encoded"][i] for i in range(2)]
        asked = ASKED_PHYSICAL if stage.physical else ASKED_RADIANCE
        kept &= ratios[0] >= asked
        cells = " ".join(f"{1e3 * one.wall:10.1f} ({1e3 * one.cpu:7.1f})" for one in costs.values())
        verdict = "" if ratios[0] >= asked else "  MISSED"
        print(f"{title:22} {cells}   {ratios[0]:.1f} ({ratios[1]:.1f}), asked {asked:.0f}{verdict}")
        print(f"{'':22} encoded once in {encoding:.1f} s")
    print_memory(prior, posed, plans, config)
    return kept


def cost_of(evaluate: Callable[[Unknowns, int], Any], unknowns: Unknowns, repeats: int) -> Cost:
    """Value and gradient, after a first time that does not count."""
    walls, cpus = [], []
    for step in range(repeats + 1):
        for value in unknowns:
            value.grad = None
        wall, cpu = time.perf_counter(), time.process_time()
        evaluate(unknowns, step).total.backward()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Cost(statistics.median(walls[1:]), statistics.median(cpus[1:]))


def print_memory(prior: Prior, posed: PosedPrior, plans: Sequence[RayPlan], config: PersonaliseConfig) -> None:
    """How large the encoded tensors of all batches are, from the first."""
    unknowns = first_unknowns(posed, prior.light)
    geometry, radiance, material = geometry_head(posed), radiance_head(posed), material_head(posed)
    shell = encode_shell(posed, plans[0], unknowns, config, 0, geometry, radiance)
    frozen = encode_frozen(posed, plans[0], unknowns, config, True, radiance, material)
    megabytes = [
        bytes_of(value) * len(plans) / 1e6 for value in (shell, frozen._replace(physical=None), frozen.physical)
    ]
    rays = len(plans[0].batch.hand)
    print(
        f"kept for {len(plans)} batches: {megabytes[0]:.0f} MB while the shape moves "
        f"({len(shell.length) / rays:.1f} candidates a ray), then {megabytes[1]:.0f} MB "
        f"({len(frozen.ray) / rays:.1f} samples a ray), {megabytes[2]:.0f} MB more with light"
    )


def bytes_of(value: Any) -> int:
    """Of all tensors in nested tuples."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    return sum(map(bytes_of, value)) if isinstance(value, tuple) else 0


def compare_runs(prior: Prior, posed: PosedPrior, photo: PalmPhoto, config: PersonaliseConfig) -> bool:
    """Run both paths from the same start; whether their codes end within what is asked."""
    plans = plan_rays([photo], config, posed.root)
    found: dict[str, tuple[Unknowns, dict[str, Tensor], float]] = {}
    for path in ("encoded", "direct"):
        unknowns = first_unknowns(posed, prior.light)
        started = time.perf_counter()
        losses = minimise(posed, plans, unknowns, config, path)
        found[path] = unknowns, losses, time.perf_counter() - started
    (ours, encoded, fast), (theirs, direct, slow) = found["encoded"], found["direct"]
    print(f"{config.steps} steps: encoded {fast:.1f} s with its encoding, direct {slow:.1f} s, {slow / fast:.1f} times")
    for name in direct:
        on = torch.isfinite(direct[name])
        apart = (encoded[name] - direct[name])[on].abs().mean() / direct[name][on].abs().mean().clamp_min(1e-12)
        ends = f"{float(direct[name][on][0]):.4f} → {float(direct[name][on][-1]):.4f}"
        print(f"  {name:16} {ends:>20}   curves apart by {float(apart):.3%}")
    kept = True
    bases = (posed.shape_basis, posed.appearance_basis)
    for name, basis, one, other in zip(("shape", "appearance"), bases, ours, theirs, strict=False):
        with torch.no_grad():
            apart = float((one - other).norm() / other.norm().clamp_min(1e-12))
            length = float(code_of(other, basis).norm())
        kept &= apart <= ASKED_CODES
        verdict = "" if apart <= ASKED_CODES else "  MISSED"
        print(f"  {name} code: {apart:.3%} apart, asked {ASKED_CODES:.0%}; length {length:.3f}{verdict}")
    start = first_unknowns(posed, prior.light)
    with torch.no_grad():
        towards = fibonacci_sphere(1_000, posed.root)
        ends = [sg_radiance(unknowns.light, towards) for unknowns in (ours, theirs, start)]
        apart, moved = float((ends[0] - ends[1]).norm()), float((ends[2] - ends[1]).norm())
        whole = float(ends[1].norm())
        print(
            f"  light, radiance over the sphere: {apart / whole:.3%} apart, after having changed by {moved / whole:.3%}"
        )
        print_sampling_error(posed, plans, start, ours, config)
    return kept


def print_sampling_error(
    posed: PosedPrior, plans: Sequence[RayPlan], start: Unknowns, end: Unknowns, config: PersonaliseConfig
) -> None:
    """What candidates miss that were placed around the first hand, or the last, when the last is rendered."""
    geometry, radiance, material = geometry_head(posed), radiance_head(posed), material_head(posed)
    finer = replace(config, render=replace(PUBLISHED, band_m=config.render.band_m))
    for title, around in (("the first", start), ("the last", end)):
        errors = []
        for number, plan in enumerate(plans[:4]):
            shell = encode_shell(posed, plan, around, config, number, geometry, radiance)
            picture = shell_picture(posed, shell, end, geometry, mirror_head(radiance, posed.bands.sh))
            truth = encode_frozen(posed, plan, end, finer, False, radiance, material)
            expected = frozen_picture(truth, code_of(end.appearance, posed.appearance_basis), radiance)
            errors.append(
                [
                    float((picture.opacity - truth.opacity).abs().mean()),
                    float((picture.radiance - expected.radiance).abs().mean()),
                ]
            )
        opacity, color = np.mean(errors, axis=0)
        print(
            f"  candidates around {title} hand: opacity off by {opacity:.5f}, linear radiance by {color:.5f} (mean of all rays)"
        )


if __name__ == "__main__":
    raise SystemExit(main())
