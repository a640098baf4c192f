"""The hash grid's promises, measured: errors against a float64 reference, and speed against a torch gather with autograd.

    .venv/bin/python benchmarks/fields.py [--points N] [--repeats N]

Both sides of a ratio run in this process on the same points and threads, in turn; each takes its fastest repeat. The asked
number stands beside each measured one; the exit status is 1 when one is not met.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.fields.bands import all_bands  # noqa: E402
from engine.fields.config import CONFIGS, OPEN, HashGridConfig  # noqa: E402
from engine.fields.hash_grid import hash_encode, hash_encode_with_jacobian  # noqa: E402
from engine.fields.hash_grid_reference import hash_encode_reference, hash_jacobian_reference  # noqa: E402
from engine.fields.model import PalmFields  # noqa: E402

ERROR_LIMIT = 1e-5
FEATURE_SPEEDUP, NORMAL_SPEEDUP = 4.0, 20.0
SIZE_LIMIT_MB = 8.0
GRIDS = {
    "16 levels x 2": HashGridConfig(levels=16, log2_table_size=19, per_level_scale=1.447269237440378),
    "open, geometry": OPEN.geometry_grid,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=65536)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(0)
    print(f"{torch.get_num_threads()} threads, {args.points} points")
    kept = True
    for name, config in GRIDS.items():
        kept &= errors(name, config)
    for name, config in GRIDS.items():
        kept &= speed(name, config, args.points, args.repeats, asked=name.startswith("16"))
    kept &= sizes()
    fields_step(args.points, args.repeats)
    print("all promises kept" if kept else "A PROMISE IS BROKEN")
    return 0 if kept else 1


def relative(value: Tensor, exact: Tensor) -> float:
    """|value − exact| / |exact| over all entries."""
    return float((value.detach().double() - exact.detach()).norm() / exact.detach().norm())


def errors(name: str, config: HashGridConfig, count: int = 4096) -> bool:
    """Every output and derivative against float64, on random tables and cotangents; whether all are small enough."""
    points, table = torch.rand(count, 3), torch.randn(config.parameter_count)
    fine = [tensor.double().requires_grad_() for tensor in (points, table)]
    coarse = [tensor.clone().requires_grad_() for tensor in (points, table)]
    features, jacobian = hash_encode_with_jacobian(*coarse, config)
    exact_features, exact_jacobian = hash_jacobian_reference(*fine, config)
    found = {"values": relative(features, exact_features), "Jacobian": relative(jacobian, exact_jacobian)}
    on_features, on_jacobian = torch.randn_like(features), torch.randn_like(jacobian)

    def compare(title: str, value: Tensor, exact: Tensor) -> None:
        ours = torch.autograd.grad(value, coarse, retain_graph=True)
        theirs = torch.autograd.grad(exact, fine, retain_graph=True)
        for what, one, other in zip(("points", "table"), ours, theirs, strict=True):
            found[f"{title} by {what}"] = relative(one, other)

    compare("features", (features * on_features).sum(), (exact_features * on_features.double()).sum())
    compare("Jacobian", (jacobian * on_jacobian).sum(), (exact_jacobian * on_jacobian.double()).sum())
    slope = torch.autograd.grad(hash_encode(*coarse, config).square().sum(), coarse[0], create_graph=True)[0]
    exact_slope = torch.autograd.grad(hash_encode_reference(*fine, config).square().sum(), fine[0], create_graph=True)[
        0
    ]
    compare("autograd's gradient", slope.norm(dim=1).sum(), exact_slope.norm(dim=1).sum())
    worst = max(found.values())
    print(f"{name}: relative errors " + ", ".join(f"{what} {value:.1e}" for what, value in found.items()))
    print(f"{name}: worst {worst:.1e} (asked <= {ERROR_LIMIT:g}: {verdict(worst <= ERROR_LIMIT)})")
    return worst <= ERROR_LIMIT


def speed(name: str, config: HashGridConfig, count: int, repeats: int, asked: bool) -> bool:
    """Features, and features with normals, against the torch gather; whether what is asked is met.

    Normals count with what they are for: a loss on features and normals, down to the table's gradient, which on the gather's
    side is autograd's second order.
    """
    points, table = torch.rand(count, 3), torch.randn(config.parameter_count).requires_grad_()
    weights = torch.randn(config.encoding_width)

    def normals_of_kernels() -> tuple[Tensor, Tensor]:
        features, jacobian = hash_encode_with_jacobian(points, table, config)
        by_column = jacobian.permute(1, 2, 0).reshape(len(weights), -1)  # as it lies in memory
        return features, (weights @ by_column).reshape(3, -1).T

    def normals_of_gather() -> tuple[Tensor, Tensor]:
        places = points.clone().requires_grad_()
        features = hash_encode_reference(places, table, config)
        return features, torch.autograd.grad((features @ weights).sum(), places, create_graph=True)[0]

    def trained(normals: Callable[[], tuple[Tensor, Tensor]]) -> Callable[[], object]:
        def step() -> object:
            features, gradient = normals()
            loss = features.square().sum() + (gradient.norm(dim=1) - 1).square().sum()
            return torch.autograd.grad(loss, table)

        return step

    def features_of(encode: Callable[..., Tensor]) -> Callable[[], object]:
        def run() -> object:
            with torch.no_grad():
                return encode(points, table, config)

        return run

    pairs = {
        "features": (features_of(hash_encode), features_of(hash_encode_reference), FEATURE_SPEEDUP),
        "features with normals, forward alone": (normals_of_kernels, normals_of_gather, None),
        "features with normals, trained": (trained(normals_of_kernels), trained(normals_of_gather), NORMAL_SPEEDUP),
    }
    kept = True
    for title, (kernels, gather, limit) in pairs.items():
        ours, theirs = fastest(kernels, gather, repeats)
        met = limit is None or theirs / ours >= limit
        promise = f" (asked >= {limit:g}x: {verdict(met)})" if asked and limit is not None else ""
        print(f"{name}: {title} {ours * 1e3:.0f} ms, torch {theirs * 1e3:.0f} ms, {theirs / ours:.1f}x{promise}")
        kept &= met or not asked
    return kept


def fastest(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Seconds of the fastest run of each, taken in turn so that what else the machine does falls on both."""
    first()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for job, kept in zip((first, second), times, strict=True):
            started = time.perf_counter()
            job()
            kept.append(time.perf_counter() - started)
    return min(times[0]), min(times[1])


def sizes() -> bool:
    """Parameters of the configurations; the open one must be small enough to bundle."""
    for config in CONFIGS.values():
        count = sum(parameter.numel() for parameter in PalmFields(config, ["a"]).parameters())
        print(f"{config.name}: {count / 1e6:.2f} M parameters with one subject, {count * 2 / 1e6:.2f} MB in float16")
    met = count * 2 / 1e6 <= SIZE_LIMIT_MB
    print(f"{config.name}: asked <= {SIZE_LIMIT_MB:g} MB: {verdict(met)}")
    return met


def fields_step(count: int, repeats: int) -> None:
    """What a training step and a distance query cost with the open fields, per point."""
    fields, bands, hands = PalmFields(OPEN, ["a", "b"]), all_bands(OPEN), 4
    points = OPEN.box.from_unit(torch.rand(count, 3))
    hand = torch.arange(count) * hands // count
    subject, pose = torch.arange(hands) % 2, 0.3 * torch.randn(hands, 45)
    directions = torch.nn.functional.normalize(torch.randn(count, 3), dim=1)

    def query() -> None:
        with torch.no_grad():
            fields.geometry(points, hand, fields.conditions(subject, pose), bands, False)

    def step() -> None:
        fields.zero_grad(set_to_none=True)
        conditions = fields.conditions(subject, pose)
        sample = fields.geometry(points, hand, conditions, bands, True)
        encoding = fields.appearance_encoding(points, bands)
        normals = torch.nn.functional.normalize(sample.gradient, dim=1)
        colour = fields.radiance(encoding, sample.feature, directions, normals, hand, conditions, bands)
        eikonal = (sample.gradient.norm(dim=1) - 1).square().mean()
        (colour.mean() + eikonal + fields.density(sample.sdf).mean()).backward()

    seconds = fastest(query, step, repeats)
    for title, spent in zip(("signed distance alone", "training step with normals and colour"), seconds, strict=True):
        print(f"open: {title} {spent * 1e3:.0f} ms, {spent / count * 1e6:.2f} us a point")


def verdict(met: bool) -> str:
    return "met" if met else "NOT MET"


if __name__ == "__main__":
    sys.exit(main())
