"""Gradients of one training step, written to a file: run alone, and by torchrun in two processes.

python gradient_worker.py DATA STEP OUT.pt
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from engine.datasets.palm import read_palm_folder
from engine.hand.model import open_hand_model
from engine.training.config import training_config
from engine.training.distributed import joined_processes
from engine.training.run import gather_gradients, make_setting, new_run


def main(data: Path, step: int, output: Path) -> None:
    torch.set_num_threads(1)
    device = torch.device("cpu")
    hand = open_hand_model()
    frames = read_palm_folder(data / "train", hand.hands_mean.numpy()).frames
    config = training_config("open")
    config = replace(
        config,
        pretrain=replace(config.pretrain, poses=2, random_poses=1, points_per_pose=1024),
        schedule=replace(config.schedule, total_steps=8),
        # one patch: of two processes only one has it
        pixels=replace(config.pixels, scattered=40, patch_px=8, patch_every=4),
        render=replace(config.render, light_rows=2, light_columns=4),
        physical_rays=6,
        images_per_step=4,
        subdivision=0,
        light_lobes=8,
    )
    with joined_processes(device) as processes:
        setting = make_setting(config, hand, frames, (), processes, device)
        run = new_run(setting)
        features = slice(3, 3 + config.fields.geometry_grid.encoding_width)
        with torch.no_grad():  # as they begin, the table's features count for nothing, and get no gradient
            weight = run.fields.geometry.lin0.weight_v[:, features]
            weight.copy_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        run.step = step
        terms = gather_gradients(setting, run)
        named = [*run.fields.named_parameters(), ("light", run.light)]
        if processes.leads:
            gradients = {name: value.grad for name, value in named if value.grad is not None}
            torch.save({"gradients": gradients, "terms": terms, "processes": processes.count}, output)
    left = [name for name in running_threads() if "gloo" in name]
    if left:
        raise RuntimeError(f"threads of the process group outlive it: {', '.join(left)}")


def running_threads() -> list[str]:
    """Names of this process's threads, where the system lists them."""
    tasks = Path("/proc/self/task")
    return [(task / "comm").read_text().strip() for task in tasks.iterdir()] if tasks.is_dir() else []


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
