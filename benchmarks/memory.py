"""Peak memory of a 512×512 physically based picture of an implicit hand, at several numbers of light samples a pixel.

    python benchmarks/memory.py [--size 512] [--samples 32 512 4096] [--configs open official] [--whole]

Each picture is rendered in a process of its own, whose peak resident memory is printed. Chunks keep to one budget whatever the
picture, so beyond 32 samples a band of rows across the hand stands for the whole, unless --whole asks for all of it (minutes to
hours). The geometry is fitted to the open hand first. Exits 1 where a peak exceeds 4 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.fields.bands import all_bands  # noqa: E402
from engine.fields.config import CONFIGS  # noqa: E402
from engine.fields.model import PalmFields  # noqa: E402
from engine.hand.deformer import make_deformer  # noqa: E402
from engine.hand.model import open_hand_model  # noqa: E402
from engine.hand.posed_body import pose_body  # noqa: E402
from engine.hand.sealing import seal  # noqa: E402
from engine.hand.signed_distance import pretraining_points, signed_distance  # noqa: E402
from engine.hand.skinning_grid import skinning_grids  # noqa: E402
from engine.lighting.sphere_sampling import sphere_directions  # noqa: E402
from engine.lighting.spherical_gaussians import SphericalGaussians  # noqa: E402
from engine.rendering.implicit_hand import ImplicitHand  # noqa: E402
from engine.rendering.occupancy import occupancy_grid  # noqa: E402
from engine.rendering.physical import render_image_pbr  # noqa: E402
from engine.rendering.render_config import RenderConfig  # noqa: E402

MOST_BYTES = 4 * 1024**3
FIT_STEPS, FIT_SECONDS, FIT_POINTS, FIT_BATCH = 300, 60, 60_000, 8192
DENSITY_WIDTH_M = 5e-4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--samples", type=int, nargs="+", default=[32, 512, 4096])
    parser.add_argument("--configs", nargs="+", choices=sorted(CONFIGS), default=["open", "official"])
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        config, fields, samples = args.one
        print(json.dumps(render(config, Path(fields), args.size, int(samples), args.whole)))
        return 0
    print(f"{args.size}×{args.size}, budget {RenderConfig().memory_budget_bytes / 2**30:.1f} GiB a chunk")
    print("fields     samples   rows   hand pixels   seconds   before     peak")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for config in args.configs:
            fields = Path(folder) / f"{config}.pt"
            torch.save(fitted_fields(config).state_dict(), fields)
            for samples in args.samples:
                command = [
                    sys.executable,
                    __file__,
                    "--size",
                    str(args.size),
                    "--one",
                    config,
                    str(fields),
                    str(samples),
                ]
                done = subprocess.run(
                    command + ["--whole"] * args.whole, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
                )
                row = json.loads(done.stdout.splitlines()[-1])
                failed |= row["peak"] > MOST_BYTES
                print(
                    f"{config:9s}  {samples:7d}  {row['rows']:5d}  {row['pixels']:12d}  {row['seconds']:8.1f}  "
                    f"{row['before'] / 2**30:5.2f} GiB  {row['peak'] / 2**30:5.2f} GiB",
                    flush=True,
                )
    print(f"peak ≤ 4 GiB at any number of samples: {'FAILED' if failed else 'holds'}")
    return int(failed)


def fitted_fields(name: str) -> PalmFields:
    """Fields whose geometry knows the flat open hand, roughly."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    fields = PalmFields(CONFIGS[name], ["someone"])
    model = open_hand_model()
    vertices, faces = seal(model.v_template, model.faces)
    points = pretraining_points(vertices, faces, FIT_POINTS, generator)
    points = points[fields.config.box.contains(points)]
    target = signed_distance(vertices, faces, points)
    conditions = fields.conditions(torch.zeros(1, dtype=torch.int64), torch.zeros(1, 45))
    conditions = type(conditions)(*(value.detach() for value in conditions))
    bands = all_bands(fields.config)
    optimiser = torch.optim.Adam(fields.geometry.parameters(), lr=5e-3, eps=1e-15)
    start = time.perf_counter()
    for step in range(FIT_STEPS):
        if time.perf_counter() - start > FIT_SECONDS:
            break
        rows = torch.randint(0, len(points), (FIT_BATCH,), generator=generator)
        hand = torch.zeros(FIT_BATCH, dtype=torch.int64)
        sample = fields.geometry(points[rows], hand, conditions, bands, with_gradient=False)
        loss = 1e4 * (sample.sdf - target[rows]).square().clamp_max(4e-4).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        optimiser.param_groups[0]["lr"] = 5e-3 * 0.05 ** (step / FIT_STEPS)
    with torch.no_grad():
        fields.density.beta.fill_(DENSITY_WIDTH_M)
    return fields


@torch.no_grad()
def render(name: str, weights: Path, size: int, samples: int, whole: bool) -> dict[str, float]:
    """Render in this process; bytes of resident memory before and at the peak."""
    fields = PalmFields(CONFIGS[name], ["someone"])
    fields.load_state_dict(torch.load(weights, weights_only=True, mmap=True))
    model = open_hand_model()
    zero = torch.zeros(1, 3)
    body = pose_body(model, torch.zeros(1, 10), zero, torch.zeros(1, 45), zero)
    grids = skinning_grids(body.rest_vertices, model.skinning_weights, fields.config.box)
    owner = torch.zeros(1, dtype=torch.int64)
    deformer = make_deformer(fields.config.box, body.bone_transforms, grids, owner)
    conditions = fields.conditions(owner, torch.zeros(1, 45))
    scene = ImplicitHand(
        fields, deformer, conditions, all_bands(fields.config), body.root, occupancy_grid(body.vertices)
    )
    # from above the back of the hand, which fills a third of the picture
    focal = 2.2 * size
    rows = size if whole or samples <= 32 else max(size * 32 // samples, 8)
    intrinsics = torch.tensor([[focal, 0, size / 2], [0, focal, rows / 2], [0, 0, 1]])
    camera = torch.eye(4)
    camera[:3, :3] = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    camera[:3, 3] = torch.tensor([0.0, -0.02, 0.5])
    generator = torch.Generator().manual_seed(0)
    axes = sphere_directions(torch.rand(64, 2, generator=generator))
    light = SphericalGaussians(axes, torch.full((64,), 15.0), torch.rand(64, 3, generator=generator))
    columns = 32 if samples % 32 == 0 else samples
    config = RenderConfig(light_rows=samples // columns, light_columns=columns)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    picture = render_image_pbr(
        scene, intrinsics, camera, rows, size, light, config, generator, want=("radiance", "normals", "materials")
    )
    return {
        "rows": rows,
        "pixels": int((picture.opacity > 0.5).sum()),
        "seconds": time.perf_counter() - start,
        "before": before,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


if __name__ == "__main__":
    raise SystemExit(main())
