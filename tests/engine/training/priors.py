"""A prior of a small configuration, for tests of what is done with priors."""

from __future__ import annotations

import torch

from engine.fields.codes import CodeBasis
from engine.fields.config import FieldsConfig, HashGridConfig
from engine.fields.model import PalmFields
from engine.hand.canonical import OPEN_BOX
from engine.hand.model import open_hand_model
from engine.training.prior_file import Prior, hand_model_identity

GRID = HashGridConfig(levels=3, log2_table_size=10, per_level_scale=1.5)
SMALL = FieldsConfig("small", GRID, GRID, OPEN_BOX, initial_density_width=0.005)


def small_prior(subjects: tuple[str, ...] = ("0000", "0003")) -> Prior:
    torch.manual_seed(1)
    basis = CodeBasis(torch.rand(32), torch.linalg.qr(torch.randn(32, 2))[0].T.contiguous())
    return Prior(
        config=SMALL,
        subjects=subjects,
        weights=PalmFields(SMALL, subjects).state_dict(),
        hand_model=hand_model_identity(open_hand_model()),
        perceptual_term="laplacian pyramid",
        step=1200,
        light=torch.rand(64, 7),
        bases={"shape": basis, "appearance": basis},
        provenance={"seed": 42},
        metrics={"psnr_db": 29.5},
    )
