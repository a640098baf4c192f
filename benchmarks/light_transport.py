"""The engine's pictures against Cycles': the same mesh, camera and environment, measured side by side.

    .venv/bin/python benchmarks/light_transport.py [AVATAR.palmhand …] [--size PX] [--samples N] [--pictures DIR]

Without avatars, one is made from assets/samples/hand.jpg (half a minute). Cycles renders what the add-on builds, less the
subsurface scattering and the subdivision, with as many bounces as the engine. PSNR is of sRGB pixels where both are foreground.
The asked number stands beside the measured one; the exit status is 1 when one is not met.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.avatar.folder import read_avatar  # noqa: E402
from engine.avatar.texture_files import write_environment  # noqa: E402
from engine.lighting.brdf import SKIN_IOR, outgoing, principled_brdf  # noqa: E402
from engine.lighting.color import linear_to_srgb  # noqa: E402
from engine.lighting.image_light import image_light  # noqa: E402
from engine.lighting.sphere_sampling import hemisphere_directions, strata  # noqa: E402
from engine.rendering.avatar_scene import avatar_scene  # noqa: E402
from engine.rendering.mesh_pbr import MeshRender, MeshRenderConfig, MeshScene, render_mesh  # noqa: E402

ASKED_DB = 30.0
ROUGHNESSES = (0.3, 0.5, 0.8)
SKIN = (0.8, 0.55, 0.4)
Blender = Callable[..., dict]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("avatars", nargs="*", type=Path)
    parser.add_argument("--size", type=int, default=256, help="longer side of the avatars' pictures")
    parser.add_argument("--samples", type=int, default=128, help="paths a pixel, in Cycles and in the engine")
    parser.add_argument("--pictures", type=Path, help="folder for pictures: engine, Cycles, five times the difference")
    args = parser.parse_args()
    print_furnace()
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for roughness, scores in ball_scores(run_blender, lamps(64), ROUGHNESSES, work, args.samples).items():
            kept = judge(f"ball, roughness {roughness:g}", scores) and kept
        avatars = args.avatars or [make_avatar(work / "hand.palmhand")]
        for avatar in avatars:
            for bounces in (0, 1):
                scores = avatar_scores(run_blender, avatar, lamps(64), work, args.size, args.samples, bounces)
                kept = judge(f"{avatar.name}, {bounces} bounces", scores) and kept
                if args.pictures is not None:
                    args.pictures.mkdir(parents=True, exist_ok=True)
                    (work / "side_by_side.png").rename(args.pictures / f"{avatar.stem}_{bounces}_bounces.png")
        print_speed(avatars[0])
    print("all promises kept" if kept else "A PROMISE IS BROKEN")
    return 0 if kept else 1


def judge(name: str, scores: dict[str, float]) -> bool:
    """Print the scores; whether the PSNR is what is asked. NaN is not."""
    met = scores["psnr_db"] >= ASKED_DB
    words = ", ".join(f"{score} {value:.4g}" for score, value in scores.items())
    print(f"{name}: {words} (asked: psnr_db >= {ASKED_DB:g}, {'met' if met else 'NOT MET'})")
    return met


def run_blender(job: str, **arguments: object) -> dict:
    """A function of tests/blender/*_jobs.py in a Blender of its own."""
    worker = ROOT / "tests" / "blender" / "worker.py"
    with tempfile.TemporaryDirectory() as resources:
        done = subprocess.run(
            [sys.executable, str(worker), job, json.dumps(arguments, default=str)],
            capture_output=True, text=True, check=False, env={**os.environ, "BLENDER_USER_RESOURCES": resources},
        )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{job} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.rpartition("@@result@@")[2])


def make_avatar(folder: Path) -> Path:
    """A personal avatar of the bundled sample photo."""
    command = [sys.executable, "-m", "engine", "personalize", str(ROOT / "assets" / "samples" / "hand.jpg")]
    subprocess.run(
        [*command, "-o", str(folder), "--method", "harp", "--quality", "draft", "--progress", "none"],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return folder


def lamps(height: int) -> torch.Tensor:
    """Environment [H,2H,3]: dim all round, a warm lamp up and behind the camera to the right, a blue window to the left."""
    v, u = torch.meshgrid(torch.arange(height) / height, torch.arange(2 * height) / (2 * height), indexing="ij")
    image = torch.full((height, 2 * height, 3), 0.3)
    image[(v > 0.18) & (v < 0.29) & (u > 0.78) & (u < 0.85)] = torch.tensor([40.0, 35, 30])
    image[(v > 0.37) & (v < 0.5) & (u > 0.15) & (u < 0.25)] = torch.tensor([2.0, 5, 9])
    return image


def turned_camera() -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
    """Intrinsics, world_to_camera and (width, height): turned, the picture not square, its centre not the principal point."""
    from scipy.spatial.transform import Rotation

    pose = torch.eye(4)
    pose[:3, :3] = torch.as_tensor(Rotation.from_rotvec([0.5, -0.9, 0.4]).as_matrix(), dtype=torch.float32)
    pose[:3, 3] = torch.tensor([0.02, -0.01, 0.5])
    return torch.tensor([[230.0, 0, 60], [0, 230, 44], [0, 0, 1]]), pose, (112, 96)


def ball(roughness: float, albedo: tuple[float, float, float] = SKIN) -> MeshScene:
    """A finely faceted sphere of radius 0.08 m at the world's origin, of one colour."""
    mesh = trimesh.creation.icosphere(5, radius=0.08)
    vertices, faces = torch.as_tensor(mesh.vertices, dtype=torch.float32), torch.as_tensor(mesh.faces)
    colour = torch.tensor(albedo).expand(2, 2, 3)
    return MeshScene(
        vertices, faces, torch.zeros(1, 2), torch.zeros_like(faces), colour, torch.full((2, 2, 1), roughness), None
    )


def ball_scores(
    blender: Blender, environment: torch.Tensor, roughnesses: tuple[float, ...], work: Path, samples: int
) -> dict[float, dict[str, float]]:
    """Scores of a ball for each roughness; leaves work/<index>.npy, Cycles' pictures, and work/engine_<index>.npy."""
    intrinsics, pose, (width, height) = turned_camera()
    scenes = {roughness: ball(roughness) for roughness in roughnesses}
    first = next(iter(scenes.values()))
    np.savez(work / "ball.npz", vertices=first.vertices.numpy(), faces=first.faces.numpy())
    write_environment(work / "environment.exr", environment.numpy())
    blender(
        "light_jobs.lit_mesh",
        mesh=work / "ball.npz",
        environment=work / "environment.exr",
        intrinsics=intrinsics.tolist(),
        world_to_camera=pose.tolist(),
        image_size=(width, height),
        surfaces=[{"roughness": r, "metallic": 0.0, "albedo": SKIN, "ior": SKIN_IOR} for r in roughnesses],
        samples=samples,
        bounces=0,
        work=work,
    )
    scores = {}
    for index, (roughness, scene) in enumerate(scenes.items()):
        result = engine_picture(scene, environment, intrinsics, pose, (width, height), samples, 0)
        np.save(work / f"engine_{index}.npy", result.color.numpy())
        scores[roughness] = compare(result, np.load(work / f"{index}.npy"))
    return scores


def avatar_scores(
    blender: Blender, folder: Path, environment: torch.Tensor, work: Path, size: int, samples: int, bounces: int
) -> dict[str, float]:
    """Scores of an avatar in its capture camera and pose; leaves work/side_by_side.png."""
    write_environment(work / "environment.exr", environment.numpy())
    facts = blender(
        "light_jobs.lit_avatar",
        avatar=folder,
        environment=work / "environment.exr",
        size=size,
        samples=samples,
        bounces=bounces,
        work=work,
    )
    avatar = read_avatar(folder)
    capture = avatar.capture
    scene = avatar_scene(avatar, capture.global_orient, capture.hand_pose, capture.transl, facts["gloss_in_albedo"])
    start = time.monotonic()
    result = engine_picture(
        scene,
        environment,
        torch.tensor(facts["intrinsics"]),
        torch.tensor(facts["world_to_camera"]),
        tuple(facts["size"]),
        samples,
        bounces,
    )
    seconds = time.monotonic() - start
    cycles = np.load(work / "cycles.npy")
    save_side_by_side(work / "side_by_side.png", result, cycles)
    return {**compare(result, cycles), "engine_s": seconds, "cycles_s": facts["seconds"]}


def engine_picture(
    scene: MeshScene,
    environment: torch.Tensor,
    intrinsics: torch.Tensor,
    pose: torch.Tensor,
    size: tuple[int, int],
    samples: int,
    bounces: int,
) -> MeshRender:
    """The engine's picture with `samples` light directions times sixteen rays a pixel, or as near as squares allow."""
    config = MeshRenderConfig(16, max(4, samples // 8), bounces)
    generator = torch.Generator().manual_seed(0)
    return render_mesh(scene, image_light(environment), intrinsics, pose, size[1], size[0], config, generator)


def compare(result: MeshRender, cycles: np.ndarray) -> dict[str, float]:
    """psnr_db of sRGB pixels that both cover wholly; ratio of their mean radiances; iou of the outlines."""
    other = torch.as_tensor(cycles.copy())
    both = (result.coverage > 0.999) & (other[..., 3] > 0.999)
    engine, reference = result.color[both], other[..., :3][both]
    error = float((encoded(engine) - encoded(reference)).square().mean())
    outlines = (result.coverage > 0.5), (other[..., 3] > 0.5)
    return {
        "psnr_db": -10 * math.log10(max(error, 1e-12)),
        "ratio": float(engine.mean() / reference.mean()),
        "iou": float((outlines[0] & outlines[1]).sum() / (outlines[0] | outlines[1]).sum()),
    }


def encoded(color: torch.Tensor) -> torch.Tensor:
    return linear_to_srgb(color).clamp(0, 1)


def save_side_by_side(path: Path, result: MeshRender, cycles: np.ndarray) -> None:
    """Engine, Cycles, and 0.5 + five times their difference."""
    engine, reference = encoded(result.color), encoded(torch.as_tensor(cycles.copy())[..., :3])
    difference = (0.5 + 5 * (engine - reference)).clamp(0, 1)
    Image.fromarray((torch.cat([engine, reference, difference], 1) * 255).byte().numpy()).save(path)


def print_furnace() -> None:
    """Share of even light that white skin and white metal give back, which should be 1."""
    light = hemisphere_directions(strata(1, 256, 256, dtype=torch.float64))[0]
    up, white = torch.tensor([0.0, 0, 1]).double(), torch.ones(3).double()
    worst = []
    for metallic in (0.0, 1.0):
        errors = []
        for roughness in (0.3, 0.5, 0.7, 1.0):
            for cosine in (0.2, 0.5, 1.0):
                camera = torch.tensor([math.sqrt(1 - cosine**2), 0, cosine]).double()
                numbers = torch.tensor([roughness, metallic]).double()
                reflection = principled_brdf(up, camera, light, white, numbers[0], numbers[1])
                share = (outgoing(reflection, white, numbers[1]) * math.pi / light[:, 2:]).mean()
                errors.append(abs(float(share) - 1))
        worst.append(max(errors))
    print(f"white furnace of principled, worst error: skin {worst[0]:.4f}, metal {worst[1]:.4f}")


def print_speed(folder: Path) -> None:
    """Seconds of a 128 × 128 picture with 64 light directions a pixel and one bounce."""
    avatar = read_avatar(folder)
    capture = avatar.capture
    scene = avatar_scene(avatar, capture.global_orient, capture.hand_pose, capture.transl)
    scale = 128 / max(capture.image_size)
    intrinsics = torch.as_tensor(np.diag([scale, scale, 1.0]) @ capture.intrinsics, dtype=torch.float32)
    pose = torch.as_tensor(capture.world_to_camera, dtype=torch.float32)
    for _ in range(2):
        start = time.monotonic()
        result = render_mesh(
            scene, image_light(lamps(64)), intrinsics, pose, 128, 128, MeshRenderConfig(4, 16, 1),
            torch.Generator().manual_seed(0),
        )  # fmt: skip
        seconds = time.monotonic() - start
    print(f"128 × 128, 4 × 16 light directions, 1 bounce, {float(result.coverage.mean()):.0%} covered: {seconds:.2f} s")


if __name__ == "__main__":
    sys.exit(main())
