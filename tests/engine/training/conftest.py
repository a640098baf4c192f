"""A tiny data set and a tiny configuration, for tests that train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.datasets.palm import PalmDataset, read_palm_folder
from engine.datasets.toy import TINY, make_toy_set
from engine.hand.model import HandModel, open_hand_model
from engine.training.config import TrainConfig, training_config
from engine.training.distributed import Processes
from engine.training.run import Setting, make_setting


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "set"
    make_toy_set(folder, TINY)
    return folder


@pytest.fixture(scope="session")
def hand() -> HandModel:
    return open_hand_model()


def read_part(folder: Path, hand: HandModel) -> PalmDataset:
    return read_palm_folder(folder, hand.hands_mean.numpy())


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    config = training_config("open")
    return replace(
        config,
        pretrain=replace(config.pretrain, steps=30, poses=2, random_poses=2, points_per_pose=2048, batch=512),
        schedule=replace(config.schedule, total_steps=8),
        pixels=replace(config.pixels, scattered=24, patch_px=8, patch_every=2),
        render=replace(config.render, light_rows=2, light_columns=4),
        physical_rays=4,
        images_per_step=2,
        subdivision=0,
        light_lobes=8,
        checkpoint_every=4,
        preview_every=8,
        validate_every=8,
    )


@pytest.fixture(scope="session")
def setting(toy_folder: Path, hand: HandModel, tiny_config: TrainConfig) -> Setting:
    training, validation = (read_part(toy_folder / part, hand).frames for part in ("train", "val"))
    return make_setting(tiny_config, hand, training, validation, Processes(), torch.device("cpu"))
