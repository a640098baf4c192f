"""Blender in processes of its own, on each version that is installed, and avatars to feed it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import avatars
import numpy as np
import pytest
import torch

from engine.hand.mano import hand_forward
from engine.hand.model import HandModel
from engine.hand.pose_files import PoseSequence, save_pose_file

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker.py")
MARKER = "@@result@@"

MAIN = "4.5"
SMOKE = {"4.2": ".venv-bpy42", "5.0": ".venv-bpy50", "5.2": ".venv-bpy52"}


def python_with_blender(version: str) -> str | None:
    """The interpreter whose `bpy` is this version; None where it is not installed."""
    if version == MAIN:
        return sys.executable
    folder = ROOT / SMOKE[version]
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return str(python) if python.is_file() else None


@pytest.fixture(scope="session")
def blender(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict]:
    """Run a function of a *_jobs.py in a fresh Blender: blender("rig_jobs.play", version="4.5", **arguments)."""
    resources = tmp_path_factory.mktemp("blender-user")

    def run(job: str, version: str = MAIN, timeout: float = 180, **arguments: object) -> dict:
        python = python_with_blender(version)
        if python is None:
            pytest.skip(f"BLENDER {version} IS NOT INSTALLED: run `python tools/setup_bpy.py`; nothing was checked")
        environment = {**os.environ, "BLENDER_USER_RESOURCES": str(resources), "OMP_NUM_THREADS": "2"}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [python, str(WORKER), job, json.dumps(arguments, default=str)],
            capture_output=True, text=True, timeout=timeout, env=environment, cwd=resources, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{job} on Blender {version} failed:\n{done.stderr[-4000:]}"
        return json.loads(done.stdout.rpartition(MARKER)[2])

    return run


@pytest.fixture(scope="session")
def avatar_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, HandModel]]:
    """Avatars of both sides; "right" and "left" from the open hand as it is, "dense" with strong correctives."""
    folder = tmp_path_factory.mktemp("avatars")
    models = {side: avatars.hand_model(side) for side in ("right", "left")}
    models["dense"] = avatars.with_dense_correctives(models["right"])
    for name, model in models.items():
        avatars.make_avatar(folder / f"{name}.palmhand", model)
    return {name: (folder / f"{name}.palmhand", model) for name, model in models.items()}


def poses_within_limits(model: HandModel, count: int, seed: int) -> PoseSequence:
    """Random poses inside the model's joint limits, anywhere in space."""
    generator = np.random.default_rng(seed)
    low, high = model.joint_limits.double().numpy().transpose(2, 0, 1)
    along = generator.uniform(low, high, (count, 15, 3))
    return PoseSequence(
        global_orient=generator.normal(0, 1.2, (count, 3)),
        hand_pose=np.einsum("njk,jkc->njc", along, model.joint_axes.double().numpy()).reshape(count, 45),
        transl=generator.normal(0, 0.2, (count, 3)),
        side=model.side,
    )


def save_poses(path: Path, poses: PoseSequence) -> Path:
    save_pose_file(path, poses)
    return path


def engine_vertices(model: HandModel, betas: np.ndarray, poses: PoseSequence) -> np.ndarray:
    """What the engine's skinning gives, [T,V,3] metres, in double precision."""
    exact = model.to(dtype=torch.float64)
    numbers = [torch.as_tensor(v, dtype=torch.float64) for v in (poses.global_orient, poses.hand_pose, poses.transl)]
    return hand_forward(exact, torch.as_tensor(betas, dtype=torch.float64), *numbers).vertices.numpy()
