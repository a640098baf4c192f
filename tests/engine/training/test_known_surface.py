"""Skin that a synthetic set knows: where its points lie, and that fields learn it there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.datasets.palm import read_palm_folder
from engine.errors import Cancelled, DatasetError
from engine.fields.bands import all_bands
from engine.fields.model import PalmFields
from engine.hand.loop_model import loop_model
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.hand.sealing import seal
from engine.hand.signed_distance import signed_distance
from engine.progress import silent
from engine.rendering.rasterize import Fragments
from engine.training.config import KnownSurfaceConfig, training_config
from engine.training.known_surface import (
    KnownSurface,
    fit_surface,
    frame_points,
    known_surface,
    surface_energy,
    surface_terms,
    usable,
)
from engine.training.pretrain import canonical_surface
from engine.training.sampling import generator_for

COHORT = Path(__file__).parents[2] / "data" / "synthetic" / "cohort"
CONFIG = KnownSurfaceConfig(steps=60, points_per_frame=300, batch=1_024)


@pytest.fixture(scope="module")
def frames():
    return read_palm_folder(COHORT, open_hand_model().hands_mean.numpy()).frames


@pytest.fixture(scope="module")
def model():
    return loop_model(open_hand_model(), 1)


@pytest.fixture(scope="module")
def known(frames, model) -> KnownSurface:
    return known_surface(frames, ("0000", "0001", "0002"), model, CONFIG, 0, silent)


def fresh_fields() -> PalmFields:
    torch.manual_seed(0)
    return PalmFields(training_config("open").fields, ("0000", "0001", "0002"))


def test_points_lie_on_the_canonical_surface_and_come_back_under_their_pixels(frames, model):
    frame = frames[0]
    points, directions, normals, *_ = frame_points(frame, model, 10_000, generator_for(0, 0, 0))
    betas, pose = (torch.as_tensor(value, dtype=torch.float32) for value in (frame.betas, frame.hand_pose))
    surface = canonical_surface(model, betas, pose)
    assert float(signed_distance(*seal(surface, model.faces), points).abs().max()) < 1e-5
    # carried to the picture by the nearest vertex's place, a point is seen about where it remembers
    orient, transl = (torch.as_tensor(value, dtype=torch.float32) for value in (frame.global_orient, frame.transl))
    posed = hand_forward(model, betas[None], orient[None], pose[None], transl[None]).vertices[0]
    to_camera = torch.as_tensor(frame.world_to_camera, dtype=torch.float32)
    centre = -to_camera[:3, :3].T @ to_camera[:3, 3]
    seen = torch.nn.functional.normalize(posed[torch.cdist(points, surface).argmin(1)] - centre, dim=1)
    assert float(torch.rad2deg(torch.acos((seen * directions).sum(1).clamp(-1, 1))).max()) < 1.0
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(normals)))
    assert float((normals * directions).sum(1).max()) < 0.05  # what is seen faces the camera


def test_the_pool_names_subject_and_pose_of_every_point(frames, known):
    hands = list(dict.fromkeys((frame.subject, frame.frame) for frame in frames))
    assert [int(value) for value in known.subject] == [int(subject) for subject, _ in hands]
    for place, (subject, number) in enumerate(hands):
        frame = next(frame for frame in frames if (frame.subject, frame.frame) == (subject, number))
        torch.testing.assert_close(known.hand_pose[place], torch.as_tensor(frame.hand_pose, dtype=torch.float32))
    assert torch.bincount(known.hand).tolist() == [600] * len(hands)  # two cameras each
    assert known.albedo_srgb.dtype == torch.uint8 and 0.1 < float(known.roughness.mean()) < 0.6


def test_the_same_seed_picks_the_same_points(frames, model, known):
    again = known_surface(frames[:2], ("0000", "0001", "0002"), model, CONFIG, 0, silent)
    assert torch.equal(again.points, known.points[: len(again.points)])


def test_edges_and_foreign_normals_are_left_out():
    mask = torch.zeros(9, 9, dtype=torch.bool)
    mask[1:8, 1:8] = True
    every = torch.arange(81)
    seen = Fragments(every, torch.zeros(81, dtype=torch.int64), torch.zeros(81, 3), torch.ones(81), 9, 9)
    towards = torch.tensor([0.0, 0.0, -1.0]).expand(81, 3)
    inner = {row * 9 + column for row in range(3, 6) for column in range(3, 6)}
    assert set(usable(seen, mask, None, towards).tolist()) == inner
    normals = torch.zeros(9, 9, 3)
    normals[..., 2] = -1
    normals[4, 4] = torch.tensor([1.0, 0.0, 0.0])
    normals[3, 3] = 0  # unknown
    assert set(usable(seen, mask, normals, towards).tolist()) == inner - {4 * 9 + 4, 3 * 9 + 3}


def test_fields_learn_the_skin_and_leave_the_geometry(known):
    fields = fresh_fields()
    bands = all_bands(fields.config)
    with torch.no_grad():
        before = surface_terms(fields, known, bands, 2_000, generator_for(1, 0, 0))
    geometry = {
        name: value.detach().clone() for name, value in fields.named_parameters() if name.startswith("geometry")
    }
    found = fit_surface(fields, known, bands, CONFIG, 0, silent)
    with torch.no_grad():
        after = surface_terms(fields, known, bands, 2_000, generator_for(1, 0, 0))
    assert set(found) == set(after)
    for name, value in after.items():
        assert float(value) < 0.5 * float(before[name]), name
    assert all(torch.equal(value, dict(fields.named_parameters())[name]) for name, value in geometry.items())
    assert all(parameter.grad is None for parameter in fields.parameters())


def test_the_energy_is_the_weighted_sum_and_reaches_every_part(known):
    fields = fresh_fields()
    terms = surface_terms(fields, known, all_bands(fields.config), 500, generator_for(0, 0, 0))
    energy = surface_energy(terms, replace(CONFIG, roughness=3.0))
    expected = terms["known_radiance"] + terms["known_albedo"] + 3 * terms["known_roughness"]
    torch.testing.assert_close(energy, expected)
    energy.backward()
    touched = {name.split(".")[0] for name, value in fields.named_parameters() if value.grad is not None}
    assert {"radiance", "material", "appearance_code"} <= touched and "geometry" not in touched


def test_a_set_that_does_not_know_its_skin_is_refused(setting, model):
    with pytest.raises(
        DatasetError, match=r"has no albedo and roughness beside it: render the set with `build.py cohort`"
    ):
        frame_points(setting.training.frames[0], model, 10, generator_for(0, 0, 0))


def test_the_fit_can_be_cancelled(known):
    def stop(fraction: float, message: str = "", preview: object = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fit_surface(fresh_fields(), known, all_bands(training_config("open").fields), CONFIG, 0, stop)
