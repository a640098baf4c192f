"""Stages and weights at their thresholds."""

from __future__ import annotations

import pytest

from engine.training.schedules import (
    PAPER_STEPS,
    Schedule,
    linear_between,
    normal_weight,
    paper_step,
    rate_factor,
    stage_at,
)


@pytest.mark.parametrize(
    ("step", "importance", "geometry", "physical"),
    [
        (0, 0, 0, 0),
        (999, 0, 0, 0),
        (1000, 1, 0, 0),
        (5999, 1, 0, 0),
        (6000, 1, 1, 0),
        (11999, 1, 1, 0),
        (12000, 1, 1, 1),
    ],
)
def test_the_papers_run_changes_stage_where_the_paper_says(step, importance, geometry, physical):
    assert stage_at(step, Schedule()) == (bool(importance), bool(geometry), bool(physical))


def test_a_short_run_goes_through_the_same_stages():
    short = Schedule(total_steps=240)
    assert [stage_at(step, short) for step in (0, 10, 60, 120)] == [
        stage_at(step, Schedule()) for step in (0, 1000, 6000, 12000)
    ]
    assert paper_step(120, short) == PAPER_STEPS // 2


def test_stage_titles_differ():
    titles = {stage_at(step, Schedule()).title for step in (0, 6000, 12000)}
    assert len(titles) == 3


def test_the_rate_warms_up_from_a_hundredth():
    schedule = Schedule()
    assert rate_factor(0, schedule) == pytest.approx(0.01)
    assert rate_factor(500, schedule) == pytest.approx(0.505)
    assert rate_factor(1000, schedule) == rate_factor(20000, schedule) == 1.0
    assert rate_factor(0, Schedule(total_steps=4)) == 1.0


def test_the_rate_falls_by_half_a_cosine_where_that_is_asked_for():
    schedule = Schedule(total_steps=100, fall=0.6, final_rate=0.1)
    assert rate_factor(60, schedule) == 1.0
    assert rate_factor(80, schedule) == pytest.approx(0.55)
    assert rate_factor(100, schedule) == pytest.approx(0.1)
    assert rate_factor(23_999, Schedule()) == 1.0


def test_the_normal_terms_weight_falls_over_the_run():
    schedule = Schedule(total_steps=100)
    assert normal_weight(0, schedule) == 0.5
    assert normal_weight(50, schedule) == pytest.approx(0.3)
    assert normal_weight(100, schedule) == normal_weight(200, schedule) == pytest.approx(0.1)


def test_linear_between_stays_between():
    assert linear_between(1.0, 3.0, -1) == 1.0
    assert linear_between(1.0, 3.0, 0.25) == 1.5
    assert linear_between(1.0, 3.0, 9) == 3.0
