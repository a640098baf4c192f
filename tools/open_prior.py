"""The bundled prior from nothing: renders its 263 people, trains on 251 of them, puts the result into assets/prior.

    python tools/open_prior.py --work FOLDER [--workers 2]

Both halves go on where an earlier run was stopped. Two cores need about an hour for the pictures and an hour for the training.
The people 0000 to 0011 are never trained on: they are the twelve of the HARP-relit set, on which the prior is judged.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRIOR = ROOT / "assets" / "prior" / "open.palmprior"
PRIOR_FILES = ("prior.json", "weights.safetensors")
COHORT = ["--subjects", "263", "--poses", "1", "--cameras", "7", "--size", "256x256", "--samples", "16", "--seed", "0"]
TRAINING = [
    "--config",
    "cohort",
    "--exclude",
    "0000-0011",
    "--hold-out",
    "0",
    "--hold-out-views",
    "100",
    "--seed",
    "42",
]


def main() -> None:
    """Render, train, install."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for pictures and checkpoints (about 1 GB)")
    parser.add_argument("--workers", default="2", help="Blender processes at a time (default 2)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, of the training")
    args = parser.parse_args()
    work = args.work.resolve()  # the commands run elsewhere
    people, trained = work / "cohort", work / "open.palmprior"
    resume = ["--resume"] if people.is_dir() else []
    call("build.py", "cohort", *COHORT, "--workers", args.workers, "--out", str(people), *resume)
    begun = (trained / "checkpoints").is_dir()
    go_on = ["--resume"] if begun else ["--force"]
    call(
        "-m",
        "engine",
        "train-prior",
        "--data",
        str(people),
        *TRAINING,
        "--device",
        args.device,
        "-o",
        str(trained),
        *go_on,
    )
    install(trained)
    print(f"the prior is in {PRIOR}")


def call(*arguments: str) -> None:
    """Run a command of this project; leave with its status where it fails."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def install(trained: Path) -> None:
    """Put a trained prior's own files, whole, in the place of the bundled one's."""
    PRIOR.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PRIOR.parent) as folder:
        fresh = Path(folder) / PRIOR.name
        fresh.mkdir()
        for name in PRIOR_FILES:
            shutil.copyfile(trained / name, fresh / name)
        if PRIOR.is_dir():
            os.replace(PRIOR, Path(folder) / "before")
        os.replace(fresh, PRIOR)


if __name__ == "__main__":
    main()
