"""Peak signal-to-noise ratio, once: every score, preview and table is of this formula."""

from __future__ import annotations

import math

from torch import Tensor

SMALLEST_ERROR = 1e-12
"""Equal pictures score 120 dB."""


def psnr_db(squared: Tensor) -> float:
    """−10 log10 of the mean of squared differences [*], of values whose peak is 1; 0 where there are none."""
    if not squared.numel():
        return 0.0
    return -10 * math.log10(max(float(squared.double().mean()), SMALLEST_ERROR))
