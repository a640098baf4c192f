"""From what skin is made of to its colour: melanin and blood in two layers, their spectra, linear Rec.709.

An absorbing epidermis lies over a scattering, blood-filled dermis; light is diffuse in both and is partly turned back at
the surface. Layers and the absorption of bloodless skin as Jacques 1998 ("Skin Optics", Oregon Medical Laser Center News;
omlc.org/news/jan98/skinoptics.html) and Donner and Jensen 2006 ("A Spectral BSSRDF for Shading Human Skin"); melanosomes by
Jacques' fit for skin (omlc.org/spectra/melanin/mua.html); scattering from Jacques 2013 ("Optical properties of biological
tissues: a review", Phys. Med. Biol. 58, R37, table 2); haemoglobin as compiled by Prahl (omlc.org/spectra/hemoglobin, after
Gratzer and Kollias). Formulas and tables were checked against those pages or copies of them. The packing of blood and melanin
and the share of light that the horny layer turns back were then set to meet published colours of skin (see the tests).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

WAVELENGTHS_NM = np.arange(400.0, 701.0, 10.0)
"""The samples [31] of every spectrum here."""

OXYHAEMOGLOBIN = np.array([
    266232, 466840, 480360, 246072, 102580, 62816, 44480, 33209, 26629, 23684, 20933, 20035, 24202, 39957, 53236, 43016,
    32613, 44496, 50104, 14401, 3200, 1506, 942, 610, 442, 368, 320, 294, 278, 276, 290,
], dtype=float)  # fmt: skip
DEOXYHAEMOGLOBIN = np.array([
    223296, 303956, 407560, 528600, 413280, 103292, 23389, 16156, 14550, 16684, 20862, 25774, 31590, 39036, 46592, 53412,
    53788, 45072, 37020, 28324, 14677, 9444, 6510, 5149, 4345, 3750, 3227, 2795, 2408, 2052, 1794,
], dtype=float)  # fmt: skip
"""Molar extinction [31] in 1/(cm M); all 62 values checked against Prahl's table."""

DAYLIGHT_D65 = np.array([
    82.75, 91.49, 93.43, 86.68, 104.86, 117.01, 117.81, 114.86, 115.92, 108.81, 109.35, 107.80, 104.79, 107.69, 104.41,
    104.05, 100.00, 96.33, 95.79, 88.69, 90.01, 89.60, 87.70, 83.29, 83.70, 80.03, 80.21, 82.28, 78.28, 69.72, 71.61,
])  # fmt: skip
"""Relative power [31], 100 at 560 nm (checked against the CIE's table)."""

HAEMOGLOBIN_G_PER_L, HAEMOGLOBIN_G_PER_MOL = 150.0, 64500.0
EPIDERMIS_CM = 0.0060
"""60 µm, the living epidermis of the back of the hand."""
DIFFUSE_PATH = 2.0
"""Mean path of diffuse light through a thin layer, in thicknesses."""
INTERNAL_REFLECTION = 0.53
"""Share of diffuse light that the surface of skin (index 1.4) turns back (Egan and Hilgeman's fit, as Jensen et al. 2001)."""
HORNY_SCATTER, PALM_SCATTER = 0.035, 0.13
"""Share of diffuse light that the horny layer sends back before it meets melanin or blood: of thin skin, of a palm."""
CAROTENE_DEPTH = 0.10
"""Optical depth at its peak of the carotenoids in a palm's horny layer, which hold more than any other skin (Alaluf et al.
2002) and make thick horny skin yellowish."""
VESSEL_CM = 0.0010
"""10 µm, the radius of a small vessel. Light crosses or misses vessels, so that blood takes less than its spectrum says where
it is almost black, in the Soret band: skin is redder and less yellow than with blood spread evenly (the correction of
Svaasand et al., as van Veen et al. 2002 state it: (1 - exp(-2 a r)) / (2 a r))."""
MELANIN_EVENNESS = 1.2
"""Shape of the gamma distribution of melanin over a patch: melanosomes gather in cells and caps, so that light also passes
between them (the sieve effect), and dark skin stays paler and less saturated than an even film would be."""

WHITE = np.array([0.95047, 1.0, 1.08883])
XYZ_TO_LINEAR = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
)


class Composition(NamedTuple):
    """What a patch of skin is made of; numbers or arrays that broadcast."""

    melanin: np.ndarray | float
    """Volume share of melanosomes in the epidermis: 0.01 very light, 0.4 very dark."""
    blood: np.ndarray | float
    """Volume share of blood in the dermis: 0.002 to 0.07."""
    oxygenation: np.ndarray | float = 0.75
    """Share of the haemoglobin that carries oxygen."""
    corneum: np.ndarray | float = 0.0
    """0 on thin skin, 1 where the horny layer is as thick as on palms."""


def colour_matching() -> np.ndarray:
    """CIE 1931 colour matching functions [31,3] as sums of skewed Gaussians (Wyman, Sloan and Shirley 2013, eq. 4)."""

    def lobe(mean: float, below: float, above: float) -> np.ndarray:
        offset = WAVELENGTHS_NM - mean
        return np.exp(-0.5 * (offset * np.where(offset < 0, below, above)) ** 2)

    x = 0.362 * lobe(442.0, 0.0624, 0.0374) + 1.056 * lobe(599.8, 0.0264, 0.0323) - 0.065 * lobe(501.1, 0.0490, 0.0382)
    y = 0.821 * lobe(568.8, 0.0213, 0.0247) + 0.286 * lobe(530.9, 0.0613, 0.0322)
    z = 1.217 * lobe(437.0, 0.0845, 0.0278) + 0.681 * lobe(459.0, 0.0385, 0.0725)
    return np.stack([x, y, z], axis=1)


def reflectance(skin: Composition) -> np.ndarray:
    """Diffuse reflectance [*,31] in [0,1] of skin, without the gloss of its surface."""
    melanin, blood, oxygenation, corneum = (
        np.asarray(value, dtype=float)[..., None] for value in np.broadcast_arrays(*skin)
    )
    wave = WAVELENGTHS_NM
    other = 0.244 + 85.3 * np.exp(-(wave - 154.0) / 66.2)
    molar = oxygenation * OXYHAEMOGLOBIN + (1 - oxygenation) * DEOXYHAEMOGLOBIN
    haemoglobin = np.log(10.0) * molar * HAEMOGLOBIN_G_PER_L / HAEMOGLOBIN_G_PER_MOL
    opacity = 2 * VESSEL_CM * haemoglobin
    haemoglobin = haemoglobin * -np.expm1(-opacity) / opacity
    melanosomes = melanin * 1.70e12 * wave**-3.48
    dermis = blood * haemoglobin + (1 - blood) * other
    scattering = 46.0 * (wave / 500.0) ** -1.421
    twice = 2 * DIFFUSE_PATH * EPIDERMIS_CM
    # Mean of exp(-x) over a gamma distribution of x with this mean
    through_twice = np.exp(-twice * other) * (1 + twice * melanosomes / MELANIN_EVENNESS) ** -MELANIN_EVENNESS
    below = through_twice * _deep_reflectance(dermis, scattering)
    horny = HORNY_SCATTER + (PALM_SCATTER - HORNY_SCATTER) * corneum
    carotene = np.exp(-CAROTENE_DEPTH * corneum * np.exp(-(((wave - 460.0) / 40.0) ** 2)))
    below = carotene * (horny + (1 - horny) ** 2 * below / (1 - horny * below))
    return (1 - INTERNAL_REFLECTION) * below / (1 - INTERNAL_REFLECTION * below)


def _deep_reflectance(absorption: np.ndarray, scattering: np.ndarray) -> np.ndarray:
    """Of a half space without a boundary: the dipole's total diffuse reflectance (Jensen et al. 2001, eq. 5 with A = 1)."""
    albedo = scattering / (scattering + absorption)
    root = np.sqrt(3 * (1 - albedo))
    return albedo / 2 * (1 + np.exp(-4 / 3 * root)) * np.exp(-root)


def linear_color(spectrum: np.ndarray) -> np.ndarray:
    """Reflectances [*,31] under daylight → linear Rec.709 [*,3]; a white surface is (1, 1, 1)."""
    weights = colour_matching() * DAYLIGHT_D65[:, None]
    xyz = spectrum @ (weights / weights.sum(0)) * WHITE
    return xyz @ XYZ_TO_LINEAR.T


def skin_color(skin: Composition) -> np.ndarray:
    """Linear Rec.709 albedo [*,3] of a composition."""
    return linear_color(reflectance(skin))


def lab(color: np.ndarray) -> np.ndarray:
    """CIE L*a*b* [*,3] of linear Rec.709 colours [*,3] under D65."""
    xyz = np.asarray(color) @ np.linalg.inv(XYZ_TO_LINEAR).T / WHITE
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def typology_angle(color: np.ndarray) -> np.ndarray:
    """Individual typology angle [*] in degrees of linear colours [*,3]: atan((L* - 50) / b*) (Chardon et al. 1991)."""
    lightness, _, yellow = np.moveaxis(lab(color), -1, 0)
    return np.degrees(np.arctan2(lightness - 50.0, yellow))


TYPOLOGY = {
    "very light": (55.0, 90.0), "light": (41.0, 55.0), "intermediate": (28.0, 41.0), "tan": (10.0, 28.0),
    "brown": (-30.0, 10.0), "dark": (-90.0, -30.0),
}  # fmt: skip
"""Bounds of the typology angle in degrees (Chardon et al. 1991; Del Bino and Bernerd 2013)."""


def melanin_for(angle: float, blood: float, oxygenation: float = 0.75) -> float:
    """The share of melanosomes that gives the back of a hand a typology angle (degrees) with this much blood.

    The nearest possible one outside the model's range.
    """
    shares = np.geomspace(0.004, 0.55, 400)
    angles = typology_angle(skin_color(Composition(shares, blood, oxygenation)))
    return float(np.interp(-angle, -angles, shares))


class ColorTable(NamedTuple):
    """Skin colours tabulated over melanin, blood and the horny layer, for maps of millions of texels."""

    log_melanin: np.ndarray
    """[M] rising evenly"""
    log_blood: np.ndarray
    """[B] rising evenly"""
    color: np.ndarray
    """[2,M,B,3] natural logarithms of linear colours: thin skin, palm's skin."""


def color_table(oxygenation: float) -> ColorTable:
    """The table for one person's blood."""
    melanin, blood = np.linspace(np.log(2e-3), np.log(0.9), 96), np.linspace(np.log(1e-3), np.log(0.2), 48)
    shares, volumes = np.exp(melanin)[:, None], np.exp(blood)
    grid = Composition(shares, volumes, oxygenation, np.arange(2.0)[:, None, None])
    return ColorTable(melanin, blood, np.log(skin_color(grid)).astype(np.float32))


def look_up(table: ColorTable, melanin: np.ndarray, blood: np.ndarray, corneum: np.ndarray) -> np.ndarray:
    """Linear colours [N,3] of compositions [N]; outside the table the nearest."""

    def place(value: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        position = (np.log(np.maximum(value, 1e-6)) - axis[0]) / (axis[1] - axis[0])
        position = np.clip(position, 0, len(axis) - 1.001).astype(np.float32)
        cell = position.astype(np.intp)
        return cell, (position - cell)[:, None]

    row, down = place(melanin, table.log_melanin)
    column, right = place(blood, table.log_blood)
    corneum = np.clip(corneum, 0, 1).astype(np.float32)[:, None]
    mixed = [
        (1 - down) * ((1 - right) * layer[row, column] + right * layer[row, column + 1])
        + down * ((1 - right) * layer[row + 1, column] + right * layer[row + 1, column + 1])
        for layer in table.color
    ]
    return np.exp((1 - corneum) * mixed[0] + corneum * mixed[1])
