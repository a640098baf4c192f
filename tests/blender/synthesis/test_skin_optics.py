"""Colours that melanin and blood make, against published measurements of skin."""

from __future__ import annotations

import numpy as np
import pytest
from package_modules import module

optics = module("palm_blender.synthesis.skin_optics")
Composition = optics.Composition

BACK_OF_HAND = {
    "Caucasian": (60.1, 7.4, 14.7), "Chinese": (57.9, 9.3, 16.1), "Kurdish": (57.3, 8.6, 16.5), "Thai": (57.6, 9.4, 19.0),
}  # fmt: skip
"""Mean L*, a*, b* of the back of the hand (Xiao et al. 2017, Skin Research and Technology 23, table of body sites)."""

ARM = {
    "European, inner": (65.0, 7.1, 13.3), "Chinese, inner": (62.1, 8.4, 16.3), "Mexican, inner": (61.9, 8.3, 15.3),
    "Indian, inner": (53.7, 10.3, 17.9), "African, inner": (49.2, 10.2, 18.4), "European, outer": (53.94, 12.57, 19.23),
    "Chinese, outer": (51.38, 12.69, 19.18), "Mexican, outer": (50.42, 12.69, 19.58),
    "Indian, outer": (43.71, 12.89, 17.15), "African, outer": (38.14, 12.66, 15.04),
}  # fmt: skip
"""Mean L*, a*, b* of upper arms kept from the sun and forearms that were not (Alaluf et al. 2002, Pigment Cell Res. 15)."""

MONK = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
"""The Monk skin tone scale, sRGB."""


def srgb_to_linear(values):
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.fixture(scope="module")
def gamut():
    """L*, a*, b* [*,3] of thin skin with the blood that skin holds at rest or warmed."""
    melanin, blood = np.geomspace(0.002, 0.9, 90)[:, None, None], np.geomspace(0.003, 0.05, 40)[:, None]
    return optics.lab(optics.skin_color(Composition(melanin, blood, np.array([0.6, 0.75, 0.9])))).reshape(-1, 3)


def difference(gamut, color):
    """CIE 1976 colour difference to the nearest colour of the gamut."""
    return np.linalg.norm(gamut - color, axis=1).min()


def test_gamut_holds_the_published_means_of_skin(gamut):
    """Fourteen means of people from Europe, Asia, America and Africa: 1 on average, none farther than 2.8."""
    differences = [difference(gamut, color) for color in (*BACK_OF_HAND.values(), *ARM.values())]
    assert np.mean(differences) < 1.0
    assert max(differences) < 2.8


def test_gamut_and_the_monk_scale(gamut):
    """Swatches 7 to 9 are in the gamut, 6 is yellower and 10 darker than any measured skin, and the light half of the scale
    is drawn paler (L* 78 to 94) than the lightest skin that spectrophotometers see (L* about 72)."""
    bytes_ = np.array([[int(swatch[k : k + 2], 16) for k in (0, 2, 4)] for swatch in MONK])
    swatches = optics.lab(srgb_to_linear(bytes_ / 255))
    differences = np.array([difference(gamut, swatch) for swatch in swatches])
    assert (differences[6:9] < 4).all()
    assert differences[5] < 7 and differences[9] < 9
    assert (swatches[:5, 0] > gamut[:, 0].max()).all()
    # the order of the scale is the order of melanin, wherever it can be told
    melanin = np.geomspace(0.002, 0.9, 200)
    column = optics.lab(optics.skin_color(Composition(melanin, 0.0095)))
    nearest = [np.linalg.norm(column - swatch, axis=1).argmin() for swatch in swatches[4:9]]
    assert (np.diff(nearest) > 0).all()


@pytest.mark.parametrize(("name", "color"), BACK_OF_HAND.items())
def test_backs_of_hands_have_the_redness_measured(name, color):
    """The blood drawn for people gives, at a group's typology angle, its redness and lightness."""
    angle = np.degrees(np.arctan2(color[0] - 50, color[2]))
    melanin = optics.melanin_for(float(angle), 0.0085)
    found = optics.lab(optics.skin_color(Composition(melanin, 0.0085)))
    np.testing.assert_allclose(found, color, atol=2.6, err_msg=name)


def test_typology_bins_are_all_reached():
    """From very light to dark, at the blood of hands at rest."""
    angles = optics.typology_angle(optics.skin_color(Composition(np.geomspace(0.002, 0.9, 300), 0.007)))
    for name, (low, high) in optics.TYPOLOGY.items():
        assert ((angles > low) & (angles < high)).sum() > 3, name
    assert angles.max() < 62


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


def test_skin_is_yellowest_in_the_middle():
    """Measured skin bends in L*, b*: both very light and very dark skin are less yellow than tanned skin."""
    color = optics.skin_color(Composition(np.geomspace(0.004, 0.4, 60), 0.0095))
    lightness, red, yellow = np.moveaxis(optics.lab(color), -1, 0)
    assert 24 < lightness.min() < 35 and 62 < lightness.max() < 74
    assert red.min() > 6 and red.max() < 14
    assert yellow.min() > 8 and yellow.max() < 24
    assert 42 < lightness[yellow.argmax()] < 58
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
