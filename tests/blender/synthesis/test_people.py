"""Cohorts of people: their demographics are PALM's, their hands are those of people of their size."""

from __future__ import annotations

import numpy as np
import pytest
from package_modules import ROOT, module
from scipy.stats import chisquare

people = module("palm_blender.synthesis.people")
COHORT = 263


@pytest.fixture(scope="module")
def cohort():
    return [people.sample_person(0, number) for number in range(COHORT)]


def counts_in(values, bins):
    return [sum(low <= value < high for value in values) for low, high in bins]


def p_value(counts, shares):
    assert sum(counts) == COHORT
    return chisquare(counts, COHORT * np.array(shares)).pvalue


def test_demographics_are_those_of_palm(cohort):
    ages = counts_in([p.age for p in cohort], people.AGE_SHARES)
    heights = counts_in([100 * p.height for p in cohort], people.HEIGHT_SHARES)
    tones = [sum(p.tone == tone for p in cohort) for tone in people.TONE_SHARES]
    women = sum(p.female for p in cohort)
    assert p_value(ages, list(people.AGE_SHARES.values())) > 0.2
    assert p_value(heights, list(people.HEIGHT_SHARES.values())) > 0.2
    assert p_value(tones, list(people.TONE_SHARES.values())) > 0.2
    assert p_value([women, COHORT - women], [0.5, 0.5]) > 0.2


def test_any_seed_and_any_part_keep_the_shares(monkeypatch):
    monkeypatch.setattr(people, "sample_traits", lambda *_: None)
    for seed in range(1, 6):
        drawn = [people.sample_person(seed, number) for number in range(40, 40 + COHORT)]
        assert p_value(counts_in([p.age for p in drawn], people.AGE_SHARES), list(people.AGE_SHARES.values())) > 0.05
        tones = [sum(p.tone == tone for p in drawn) for tone in people.TONE_SHARES]
        assert p_value(tones, list(people.TONE_SHARES.values())) > 0.05


def test_qualities_are_independent_but_for_sex_and_height(cohort):
    table = np.array([[p.age, p.height, p.female, list(people.TONE_SHARES).index(p.tone)] for p in cohort])
    correlation = np.corrcoef(table.T)
    assert correlation[1, 2] < -0.4
    correlation[1, 2] = correlation[2, 1] = 0
    assert np.abs(correlation - np.eye(4)).max() < 0.15


def test_hands_grow_with_height(cohort):
    model = np.load(ROOT / "assets" / "hand" / "open_hand_right.npz")
    tip, wrist = model["tip_vertices"][2], model["J_regressor"][0]
    at_mean = wrist @ model["v_template"][:, 0] - model["v_template"][tip, 0]
    per_beta = wrist @ model["shapedirs"][:, 0] - model["shapedirs"][tip, 0]
    length_mm = 1e3 * np.array([at_mean + per_beta @ p.betas for p in cohort])
    height, female = np.array([p.height for p in cohort]), np.array([p.female for p in cohort])
    for sex in (True, False):
        assert 0.5 < np.corrcoef(height[female == sex], length_mm[female == sex])[0, 1] < 0.8
    # 193.8 and 180.5 mm from the wrist's crease for survey means of 175.6 and 162.9 cm; the joint lies 5 mm further in
    assert length_mm[~female].mean() == pytest.approx(189.5, abs=4)
    assert length_mm[female].mean() == pytest.approx(177.5, abs=4)


def test_same_seed_same_person_alone_or_in_a_batch(cohort):
    again = people.sample_person(0, 17)
    np.testing.assert_array_equal(again.betas, cohort[17].betas)
    assert again.skin == cohort[17].skin
    assert people.sample_person(1, 17).skin.seed != again.skin.seed
    assert len({p.skin.seed for p in cohort}) == COHORT


def test_betas_stay_where_the_model_is_trustworthy(cohort):
    betas = np.stack([p.betas for p in cohort])
    assert betas.shape == (COHORT, 10) and np.abs(betas).max() <= 2.5
    assert (np.abs(betas) == 2.5).mean() < 0.05


def test_impossible_people_are_refused(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="negative"):
        people.sample_person(0, -1)
    monkeypatch.setattr(people, "SHAPE_BY_PERSON", tmp_path / "none.json")
    errors = module("engine.errors")
    with pytest.raises(errors.HandModelError, match=r"none\.json"):
        people.sample_person(0, 0)
