"""Colours that melanin and blood make, against published measurements of skin."""

from __future__ import annotations

import numpy as np
import pytest
from package_modules import module

optics = module("palm_blender.synthesis.skin_optics")
Composition = optics.Composition


def test_white_is_white_and_grey_is_neutral():
    np.testing.assert_allclose(optics.linear_color(np.ones(31)), 1, atol=2e-3)
    lightness, *hue = optics.lab(np.full(3, 0.1842))
    assert lightness == pytest.approx(50, abs=0.1)
    np.testing.assert_allclose(hue, 0, atol=0.05)


def test_lab_of_a_known_colour():
    # sRGB (200, 150, 130): L* 66.0, a* 17.0, b* 17.6 (CIE 15 with the sRGB primaries)
    linear = ((np.array([200, 150, 130]) / 255 + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(optics.lab(linear), [65.75, 15.6, 18.8], atol=2.0)


def test_haemoglobin_has_its_bands():
    """Oxygenated blood absorbs at 540 and 580 nm with a gap at 560; without oxygen there is one band (the W shape)."""
    at = {int(w): k for k, w in enumerate(optics.WAVELENGTHS_NM)}
    bright = optics.reflectance(Composition(0.01, 0.02, 1.0))
    pale = optics.reflectance(Composition(0.01, 0.02, 0.0))
    assert bright[at[560]] > max(bright[at[540]], bright[at[580]])
    assert pale[at[560]] < min(pale[at[520]], pale[at[600]])
    assert bright[at[650]] > pale[at[650]]


def test_reflectance_falls_with_melanin_and_blood_and_stays_in_range():
    melanin = np.geomspace(0.003, 0.8, 20)[:, None]
    blood = np.geomspace(0.002, 0.1, 12)
    spectra = optics.reflectance(Composition(melanin, blood))
    assert spectra.shape == (20, 12, 31) and spectra.min() > 0 and spectra.max() < 1
    assert (np.diff(spectra, axis=0) < 0).all()
    assert (np.diff(spectra, axis=1) <= 1e-12).all()


def test_gamut_is_that_of_measured_skin():
    """Spectrophotometry over all typology bins finds L* 25..72, a* 4..16, b* 8..24 (Chardon 1991; Xiao et al. 2017), with
    the yellowest skin in the middle of the range."""
    melanin, blood = np.geomspace(0.004, 0.4, 40)[:, None], np.linspace(0.003, 0.012, 8)
    color = optics.skin_color(Composition(melanin, blood))
    lightness, red, yellow = np.moveaxis(optics.lab(color), -1, 0)
    assert 25 < lightness.min() < 35 and 66 < lightness.max() < 74
    assert red.min() > 3.0 and red.max() < 16
    assert yellow.min() > 8 and yellow.max() < 24
    middle = yellow[:, 4]
    assert 42 < lightness[middle.argmax(), 4] < 58
    angles = optics.typology_angle(color)
    for name, (low, high) in optics.TYPOLOGY.items():
        assert name == "very light" or ((angles > low) & (angles < high)).any(), name
    assert (color > 0).all() and (np.diff(color, axis=-1) < 0).all()


@pytest.mark.parametrize("angle", [50, 38, 20, 0, -20, -45])
def test_melanin_is_found_for_an_angle(angle):
    melanin = optics.melanin_for(angle, 0.005)
    assert optics.typology_angle(optics.skin_color(Composition(melanin, 0.005))) == pytest.approx(angle, abs=0.6)


def test_palms_are_lighter_and_redder_than_dark_backs():
    back = optics.lab(optics.skin_color(Composition(0.2, 0.006)))
    palm = optics.lab(optics.skin_color(Composition(0.05, 0.011, corneum=1.0)))
    assert palm[0] > back[0] + 10 and palm[1] > back[1]


def test_table_agrees_with_the_model():
    generator = np.random.default_rng(0)
    melanin, blood = generator.uniform(0.01, 0.5, 200), generator.uniform(0.003, 0.05, 200)
    corneum = (np.arange(200) % 2).astype(float)
    table = optics.color_table(0.7)
    exact = optics.skin_color(Composition(melanin, blood, 0.7, corneum))
    np.testing.assert_allclose(optics.look_up(table, melanin, blood, corneum), exact, rtol=0.01)
