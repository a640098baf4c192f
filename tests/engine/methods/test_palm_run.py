"""Whole personalisations of the tiny prior: stages, repeatability, both paths, cancel, errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from palm_tiny import APPEARANCE, CONFIG, SHAPE, tiny_photos, tiny_posed, tiny_prior

from engine.errors import Cancelled, CaptureError, PriorError
from engine.hand.model import open_hand_model
from engine.methods.palm import check_rays, minimise, personalize_prior
from engine.methods.palm_config import published_energy, with_steps
from engine.methods.palm_hands import first_unknowns
from engine.methods.palm_rays import plan_rays
from engine.progress import silent


def run(path: str = "encoded", config=CONFIG, progress=silent):
    posed = tiny_posed()
    unknowns = first_unknowns(posed, tiny_prior().light)
    plans = plan_rays(tiny_photos(), config, posed.root)
    return unknowns, minimise(posed, plans, unknowns, config, path, progress=progress)


def test_each_stage_moves_its_own_and_nothing_else(monkeypatch):
    posed, seen = tiny_posed(), []
    unknowns = first_unknowns(posed, tiny_prior().light)
    weights = {name: value.clone() for name, value in posed.fields.state_dict().items()}

    def watch(fraction: float, message: str = "", preview=None) -> None:
        if message.startswith("step"):
            seen.append([value.detach().clone() for value in unknowns])

    monkeypatch.setattr("engine.methods.palm.PROGRESS_EVERY", 1)
    plans = plan_rays(tiny_photos(), CONFIG, posed.root)
    losses = minimise(posed, plans, unknowns, CONFIG, "encoded", progress=watch)
    assert len(seen) == CONFIG.steps
    for step in range(1, CONFIG.steps):
        moved = [not torch.equal(now, before) for now, before in zip(seen[step], seen[step - 1], strict=True)]
        assert moved == [step < CONFIG.shape_until, True, step >= CONFIG.physical_from], step
    assert torch.isfinite(losses["total"]).all()
    assert torch.equal(torch.isfinite(losses["physical"]), torch.arange(CONFIG.steps) >= CONFIG.physical_from)
    assert torch.equal(torch.isfinite(losses["curvature"]), torch.arange(CONFIG.steps) < CONFIG.shape_until)
    assert len(set(losses["shape_code"][CONFIG.shape_until :].tolist())) == 1
    assert all(torch.equal(value, weights[name]) for name, value in posed.fields.state_dict().items())


def test_both_paths_go_the_same_way_and_a_seed_repeats_it():
    ours, losses = run()
    again, _ = run()
    theirs, expected = run("direct")
    for one, same, other in zip(ours, again, theirs, strict=True):
        assert torch.equal(one, same)
        assert float((one - other).detach().norm() / other.detach().norm()) < 0.02
    torch.testing.assert_close(losses["total"], expected["total"], atol=2e-3, rtol=0.02)


def test_codes_approach_the_hand_that_the_photos_show():
    # the photos' light is the prior's own, so its radiance field may judge to the end
    config = published_energy(replace(with_steps(CONFIG, 60), rates=replace(CONFIG.rates, slow=2e-2)))
    unknowns, losses = run(config=config)
    assert float(losses["radiance"][-8:].mean()) < 0.9 * float(losses["radiance"][:8].mean())
    # from 0.18 and 0.64
    assert float((unknowns.shape.detach() - SHAPE).norm()) < 0.06
    assert float((unknowns.appearance.detach() - APPEARANCE).norm()) < 0.3


def test_the_whole_thing_from_prior_to_codes():
    prior, photo = tiny_prior(), tiny_photos()[0]
    said: list[tuple[float, str]] = []
    config = with_steps(CONFIG, 8)

    def listen(fraction: float, message: str = "", preview=None) -> None:
        said.append((fraction, message))

    hand = personalize_prior(prior, [photo], open_hand_model(), config, progress=listen)
    assert not any(value.requires_grad for value in hand.unknowns)
    assert hand.conditions.shape.shape == (1, 32)
    assert len(hand.losses["total"]) == 8
    fractions = [fraction for fraction, _ in said]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert "skin and light" in said[-1][1]


def test_a_cancel_stops_between_steps():
    def stop(fraction: float, message: str = "", preview=None) -> None:
        if message.startswith("step"):
            raise Cancelled

    with pytest.raises(Cancelled):
        run(progress=stop)


def test_what_cannot_be_personalised_is_refused():
    prior, photo, model = tiny_prior(), tiny_photos()[0], open_hand_model()
    with pytest.raises(PriorError, match="hand model"):
        personalize_prior(prior, [photo], replace(model, v_template=model.v_template + 0.001), CONFIG)
    with pytest.raises(CaptureError, match="covers nothing"):
        personalize_prior(prior, [photo._replace(mask=torch.zeros_like(photo.mask))], model, CONFIG)
    with pytest.raises(ValueError, match="there are encoded, direct, renewed"):
        personalize_prior(prior, [photo], model, CONFIG, path="sideways")


def test_a_mask_beside_the_hand_is_refused():
    posed, photos = tiny_posed(), tiny_photos()
    corner = torch.zeros_like(photos[0].mask)
    corner[:2, :2] = True
    plans = plan_rays([photo._replace(mask=corner) for photo in photos], CONFIG, posed.root)
    with pytest.raises(CaptureError, match="no ray through the mask meets"):
        check_rays(posed, plans, first_unknowns(posed, None), CONFIG)
