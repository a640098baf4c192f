"""Metrics of held-out frames on pictures with known answers, and the sheet that shows them."""

from __future__ import annotations

import math

import pytest
import torch

from engine.training.evaluate import FrameRender, frame_metrics, mean_metrics
from engine.training.preview import PANEL_PX, preview_sheet


def picture(error: float = 0.0, tilt_deg: float = 0.0, shift: int = 0, physical: bool = True) -> FrameRender:
    size = 20
    mask = torch.zeros(size, size)
    mask[5:15, 5:15] = 1
    target = torch.full((size, size, 3), 0.5) * mask[..., None]
    towards = torch.zeros(size, size, 3)
    towards[..., 2] = -1
    angle = math.radians(tilt_deg)
    tilted = torch.zeros(size, size, 3)
    tilted[..., 0], tilted[..., 2] = math.sin(angle), -math.cos(angle)
    unknown = torch.where(mask[..., None] > 0, towards, torch.nan)
    shown = torch.full((size, size, 3), 0.5 + error)
    return FrameRender(
        target, mask, unknown, mask.roll(shift, 1), shown, tilted, shown if physical else None, shown, shown[..., 0]
    )


def test_a_known_noise_level_gives_the_textbook_psnr():
    assert frame_metrics(picture(error=0.1))["radiance_psnr"] == pytest.approx(20.0, abs=1e-4)
    assert frame_metrics(picture(error=0.01))["physical_psnr"] == pytest.approx(40.0, abs=1e-3)


def test_missing_skin_counts_as_black():
    found = frame_metrics(picture(shift=2))
    assert found["radiance_psnr"] == pytest.approx(-10 * math.log10(0.2 * 0.25), abs=1e-4)
    assert found["mask_iou"] == pytest.approx(80 / 120)


def test_normals_are_measured_in_degrees_where_both_are_hand():
    assert frame_metrics(picture(tilt_deg=30))["normal_error_deg"] == pytest.approx(30, abs=1e-3)


def test_what_was_not_rendered_is_not_told():
    assert "physical_psnr" not in frame_metrics(picture(physical=False))


def test_means_leave_out_what_a_frame_lacks():
    rows = [{"a": 1.0, "b": 2.0}, {"a": 3.0}, {"a": math.nan}]
    assert mean_metrics(rows) == {"a": 2.0, "b": 2.0}


def test_the_sheet_has_a_row_a_frame():
    sheet = preview_sheet([picture(), picture(error=0.2)])
    assert sheet.shape == (2 * PANEL_PX, 7 * PANEL_PX, 3) and sheet.dtype.name == "uint8"
    assert preview_sheet([picture(physical=False)]).shape == (PANEL_PX, 4 * PANEL_PX, 3)
    hand = sheet[PANEL_PX // 2, PANEL_PX // 2]
    assert abs(int(hand[0]) - 128) <= 1
