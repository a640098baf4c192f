"""The benchmark's rendered sequences: a sun where it is said to be, and ink where the mask says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.avatar.texture_files import read_environment, read_png, write_png16
from engine.lighting.environment import blender_world, irradiance

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks import harp_sequences


def test_skin_that_faces_the_sun_receives_what_is_said(tmp_path):
    harp_sequences.write_sun(tmp_path / "sun.exr", rows=256)
    picture = torch.as_tensor(read_environment(tmp_path / "sun.exr"))
    towards = torch.nn.functional.normalize(torch.tensor([harp_sequences.TO_SUN]), dim=1)
    facing, away = irradiance(picture, blender_world(torch.cat([towards, -towards]))) / np.pi
    assert facing.mean() == pytest.approx(harp_sequences.SUN + harp_sequences.SKY, rel=0.03)
    assert away.mean() == pytest.approx(harp_sequences.SKY, rel=0.03)


def test_tattoo_changes_the_marked_texels_alone(tmp_path):
    clean = np.full((256, 256, 3), 0.6)
    write_png16(tmp_path / "clean.png", clean)
    harp_sequences.tattoo(tmp_path / "albedo.png", tmp_path / "clean.png", tmp_path / "mask.png")
    painted = np.asarray(read_png(tmp_path / "albedo.png"))
    ink = np.asarray(Image.open(tmp_path / "mask.png")) > 127
    change = np.abs(painted - clean).max(-1)
    assert 0.02 < ink.mean() < 0.10
    assert change[ink].min() > 0.1
    assert (change[~ink] > 0.1).mean() < 0.01
