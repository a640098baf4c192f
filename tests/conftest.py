"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys

# before torch loads: waiting OpenMP threads must not spin where tests share the machine's cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# the add-on keeps compiled kernels in its own folder, which is a new one for each test: they are compiled once all the same
if "linux" in sys.platform:
    places = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    os.environ.setdefault("WARP_CACHE_PATH", os.path.join(places, "warp"))

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
