"""XHand on a rendered sequence with known truth: its tables I to IV and its frame rates, with our hand in place of the paper's.

    python build.py cohort --sequences … --out DIR                       # one person, many cameras, many moments
    .venv/bin/python benchmarks/xhand.py --set DIR --out OUT [--quality draft] [--ablations] [--threads 2]

Trains on --views cameras at --moments moments, evenly chosen; the others judge. Beside XHand stand the same mesh with constant
displacement and albedo and the hand model with albedo alone (the paper's "MANO with albedo"), both shaded by nine harmonics as in
the paper's equation 11, and the constant mesh under XHand's own sky, which tells shadows from what follows the pose.
PSNR is of the pixels that the true mask or the rendered one covers, on black, sRGB in [0,1], unless a column says otherwise;
`drawn` counts as XHand's code does, the rendered mask alone, but with 20 log10. `shaded` is inverse rendering, `neural` the
neural renderer on top. Point-to-surface distances go from the true surface to the found one, as from the paper's scans, and
back; what lies within a centimetre of the wrist's cut does not count.
Numbers, sheets and trained hands are kept in --out, where a run goes on. The exit status is 1 when something asked for is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PARTS = ("pictures", "surface", "ceiling", "speed", "sheets")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", type=Path, required=True, help="folder of `build.py cohort --sequences`")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "benchmark_xhand")
    parser.add_argument("--quality", choices=("draft", "standard", "paper"), default="draft")
    parser.add_argument("--views", type=int, default=20)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--judged", type=int, default=60, help="pictures of each kind that judge")
    parser.add_argument("--steps", type=float, default=1.0, help="of the quality's steps, for a quick look")
    parser.add_argument("--ablations", action="store_true", help="also the paper's tables III and IV")
    parser.add_argument("--ablation-steps", type=float, default=0.5, help="of the quality's steps, of each of those")
    parser.add_argument(
        "--only", nargs="+", default=PARTS, choices=PARTS, help="of the tables, once the hands are trained"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    for name in ("vgg16", "lpips", "alexnet", "lpips-alex"):
        parser.add_argument(f"--{name}", type=Path, help="weights for LPIPS, which has no column without")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    # torch reads the number of threads as it is loaded
    from benchmarks.xhand_tables import Benchmark, Settings

    benchmark = Benchmark(
        Settings(
            args.set,
            args.out,
            args.quality,
            args.views,
            args.moments,
            args.judged,
            args.steps,
            args.ablation_steps,
            args.ablations,
            tuple(args.only),
            args.threads,
            args.seed,
            lpips_networks(args),
            tuple(sys.argv[1:]),
        )
    )
    if args.train:
        benchmark.train(args.train)
        return 0
    return benchmark.run()


def lpips_networks(args: argparse.Namespace) -> Any:
    """LPIPS on the networks whose weights were given."""
    from engine.evaluation.frame_scores import Networks
    from engine.training.lpips import lpips_alex_term, lpips_term

    return Networks(
        None if args.lpips is None else lpips_term(args.vgg16, args.lpips),
        None if args.lpips_alex is None else lpips_alex_term(args.alexnet, args.lpips_alex),
    )


if __name__ == "__main__":
    sys.exit(main())
