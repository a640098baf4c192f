"""metrics.jsonl over an interruption."""

from __future__ import annotations

import json

from engine.training.metrics_file import MetricsFile


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_are_appended_and_what_is_not_finite_is_null(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl", 0)
    metrics.write(1, {"total": 0.123456789, "odd": float("nan")})
    metrics.write(2, {"total": 2.0})
    assert rows(tmp_path / "metrics.jsonl") == [
        {"step": 1, "total": 0.123457, "odd": None},
        {"step": 2, "total": 2.0},
    ]


def test_resuming_drops_rows_beyond_the_checkpoint_and_torn_ones(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = MetricsFile(path, 0)
    for step in (1, 2, 3):
        first.write(step, {"total": 1.0})
    with open(path, "a") as stream:
        stream.write('{"step": 4, "tot')
    MetricsFile(path, 2).write(3, {"total": 5.0})
    assert [(row["step"], row["total"]) for row in rows(path)] == [(1, 1.0), (2, 1.0), (3, 5.0)]


def test_followers_write_nothing(tmp_path):
    MetricsFile(tmp_path / "metrics.jsonl", 0, enabled=False).write(1, {"total": 1.0})
    assert not (tmp_path / "metrics.jsonl").exists()
