"""Fixtures shared by all tests."""

from __future__ import annotations

import os

# before torch loads: waiting OpenMP threads must not spin where tests share the machine's cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLES = REPOSITORY.parent / "shared" / "samples"


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real inputs; tests that need it are skipped, and say so, where it is absent."""
    if not SAMPLES.is_dir():
        pytest.skip(f"REAL INPUTS ARE MISSING: {SAMPLES} does not exist, so this test did not run")
    return SAMPLES
