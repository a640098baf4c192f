"""The denoiser, the report's means, and what PALM's avatars share."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "methods"))
from palm_tiny import tiny_posed, tiny_prior

from engine.errors import MissingDependencyError
from engine.evaluation.known_capture import captured
from engine.evaluation.measures import mean_scores
from engine.evaluation.packages import metric_package
from engine.evaluation.personal_fit import fitted_hand, mean_hand
from engine.evaluation.protocols import HARP_RELIT
from engine.evaluation.relit_set import read_relit_set
from engine.evaluation.report import method_summary, report_of, table_of
from engine.evaluation.unit import UnitResult
from engine.evaluation.unlit_avatar import unlit_field
from engine.hand.model import open_hand_model
from engine.methods.palm_avatar import personal_field
from engine.methods.palm_beliefs import skin_belief
from engine.methods.palm_hands import code_of, with_raw_codes
from engine.progress import silent
from engine.rendering.denoise import denoised
from engine.rendering.mesh_pbr import MeshRender
from engine.training.perceptual import pyramid_l1


def render(light: torch.Tensor) -> MeshRender:
    """A flat, whole picture with a striped albedo under a light [H,W,3]."""
    height, width = light.shape[:2]
    albedo = torch.where(torch.arange(width) % 4 < 2, 0.2, 0.6)[None, :, None].expand(height, width, 3)
    normals = torch.tensor([0.0, 0.0, -1.0]).expand(height, width, 3)
    return MeshRender(light * albedo, torch.ones(height, width), torch.ones(height, width), normals, albedo)


def test_even_light_is_left_alone():
    shown = render(torch.full((12, 16, 3), 0.7))
    torch.testing.assert_close(denoised(shown), shown.color, atol=1e-4, rtol=0)


def test_grain_goes_and_texture_stays():
    grain = 1 + 0.3 * torch.randn(32, 32, 3, generator=torch.Generator().manual_seed(0))
    clean = render(torch.ones(32, 32, 3))
    before = (render(grain).color - clean.color).square().mean()
    after = (denoised(render(grain)) - clean.color).square().mean()
    assert after < before / 10


def test_a_stray_path_is_cut_off_and_a_shadows_edge_kept():
    light = torch.ones(24, 24, 3)
    light[:, 12:] = 0.02
    edge = denoised(render(light)) / render(light).albedo
    assert edge[:, 11].mean() > 0.9
    assert edge[:, 12].mean() < 0.08
    light[5, 5] = 500
    assert (denoised(render(light)) / render(light).albedo)[:, :11].max() < 1.1


def test_what_is_not_covered_stays_black():
    shown = render(torch.ones(8, 8, 3))
    empty = shown._replace(color=torch.zeros(8, 8, 3), coverage=torch.zeros(8, 8), albedo=torch.zeros(8, 8, 3))
    assert denoised(empty).abs().max() == 0


def test_a_missing_package_is_named():
    with pytest.raises(MissingDependencyError, match="evaluation"):
        metric_package("no_such_package.metrics")


def result(sequence: str, values: list[float], delta_e: float) -> UnitResult:
    frames = {f"{k:04d}": {"psnr_db": value, "delta_e": delta_e} for k, value in enumerate(values)}
    return UnitResult(sequence, "harp", {"psnr_db": 30.0}, frames, {"irradiance_error": 0.5}, 2.0, {}, {})


def test_means_are_of_sequences_and_medians_beside_them():
    results = [result("a", [10, 20, 30], 1), result("b", [40], 2), result("c", [40], 30)]
    summary = method_summary(results)
    assert summary["unseen"]["psnr_db"] == pytest.approx((20 + 40 + 40) / 3)
    assert summary["median"]["delta_e"] == 2
    assert (summary["sequences"], summary["pictures"], summary["making_s"]) == (3, 5, 2.0)
    assert mean_scores([{"a": 1.0}, {"a": 3.0, "b": 5.0}]) == {"a": 2.0, "b": 5.0}
    table = table_of(report_of(results, ["harp"], {}, ["a note"], HARP_RELIT), HARP_RELIT)
    assert len({len(line) for line in table.splitlines()[:2]}) == 1
    assert "33.33" in table
    assert table.endswith("a note")


def test_raw_codes_are_the_codes_themselves():
    posed = tiny_posed()
    raw = with_raw_codes(posed)
    coefficients = torch.randn(32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(code_of(coefficients, raw.shape_basis), posed.shape_basis.mean + coefficients)
    # the same skin costs the same, whatever it is found by
    told = posed.beliefs._replace(shape=torch.tensor([0.3, -0.2]))
    raw = with_raw_codes(posed._replace(beliefs=told))
    assert raw.beliefs.shape is not None
    torch.testing.assert_close(code_of(raw.beliefs.shape, raw.shape_basis), code_of(told.shape, posed.shape_basis))
    start = code_of(torch.tensor([1.0, 2.0]), posed.appearance_basis)
    assert float(skin_belief(start, raw.beliefs)) == float(skin_belief(start, posed.beliefs)) > 1


def test_without_light_the_albedo_is_what_the_radiance_field_shows(relit_set):
    from palm_tiny import CONFIG

    seen = captured(read_relit_set(relit_set, open_hand_model("right"))[0].photo)
    hand = mean_hand(tiny_prior(), seen, CONFIG)
    assert float(hand.unknowns.shape.abs().max()) == 0
    points = open_hand_model("right").v_template[::40]
    turned = torch.as_tensor(seen.capture.global_orient).float()
    lit, roughness = personal_field(hand).materials(points)
    shown, same_roughness = unlit_field(hand, turned).materials(points)
    assert shown.shape == lit.shape
    assert bool(((shown >= 0) & (shown <= 1)).all())
    assert (shown - lit).abs().max() > 1e-3
    torch.testing.assert_close(roughness, same_roughness)
    # the light stays in the world: another turn of the hand shows another side of it
    assert (unlit_field(hand, turned + 1.0).materials(points)[0] - shown).abs().max() > 1e-6


def test_a_fit_is_kept_for_the_avatars_that_share_it(relit_set, tmp_path):
    from palm_tiny import CONFIG

    quick = dataclasses.replace(CONFIG, steps=3, shape_until=1, physical_from=2, warm_up=1, batches=1)
    seen = captured(read_relit_set(relit_set, open_hand_model("right"))[0].photo)
    prior, kept = tiny_prior(), tmp_path / "codes.npz"
    first = fitted_hand(prior, seen, kept, {"seed": 0}, quick, pyramid_l1, silent)
    assert float(first.hand.unknowns.appearance.abs().max()) > 0
    again = fitted_hand(prior, seen, kept, {"seed": 0}, quick, pyramid_l1, silent)
    assert not again.hand.losses  # no step was taken
    assert again.seconds == first.seconds
    for ours, theirs in zip(again.hand.unknowns, first.hand.unknowns, strict=True):
        torch.testing.assert_close(ours, theirs)
    kept.write_bytes(b"damaged")
    assert math.isfinite(
        float(fitted_hand(prior, seen, kept, {"seed": 0}, quick, pyramid_l1, silent).hand.losses["total"][0])
    )
