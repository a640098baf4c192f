"""Fixtures of the methods' tests."""

from __future__ import annotations

import pytest
from synthetic_photo import Synthetic, make_photo


@pytest.fixture(scope="session")
def synthetic() -> Synthetic:
    return make_photo()
