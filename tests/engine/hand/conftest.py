"""A hand model file of MANO's exact layout, filled with smooth random numbers: MANO's own data cannot be shipped."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from engine.hand.joints import MANO_PARENTS

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


def mano_like_fields(seed: int = 0, vertices: int = 778, faces: int = 1538) -> dict[str, object]:
    generator = np.random.default_rng(seed)
    regressor = generator.random((16, vertices)) ** 8
    weights = generator.random((vertices, 16)) ** 6
    parents = np.array(MANO_PARENTS, dtype=np.int64)
    parents[0] = 2**32 - 1
    return {
        "v_template": generator.normal(0, 0.05, (vertices, 3)),
        "shapedirs": generator.normal(0, 0.003, (vertices, 3, 10)),
        "posedirs": generator.normal(0, 0.002, (vertices, 3, 135)),
        "J_regressor": scipy.sparse.csc_matrix(regressor / regressor.sum(1, keepdims=True)),
        "weights": weights / weights.sum(1, keepdims=True),
        "f": generator.integers(0, vertices, (faces, 3)).astype(np.uint32),
        "kintree_table": np.stack([parents, np.arange(16)]),
        "hands_mean": generator.normal(0, 0.2, 45),
        "hands_components": np.eye(45),
    }


@pytest.fixture
def mano_fields() -> dict[str, object]:
    return mano_like_fields()


@pytest.fixture
def mano_pickle(tmp_path: Path, mano_fields: dict[str, object]) -> Path:
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(mano_fields, protocol=2))
    return path


@pytest.fixture
def random_pose() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)

    def normal(size: int, scale: float) -> torch.Tensor:
        return torch.randn(100, size, generator=generator, dtype=torch.float64) * scale

    return {
        "betas": normal(10, 1.0),
        "global_orient": normal(3, 1.5),
        "hand_pose": normal(45, 0.5),
        "transl": normal(3, 0.3),
    }
