"""Every score's name, what it is, and whether more of it is better: one list for tables, charts and pages."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Measure(NamedTuple):
    """Of one score."""

    title: str
    digits: int
    higher: bool | None
    """Whether more is better; None: neither."""
    about: str


MEASURES: dict[str, Measure] = {
    "psnr_db": Measure("PSNR", 2, True, "dB over the true mask's pixels, peak 1"),
    "psnr_whole_db": Measure("PSNR whole", 2, True, "dB over the whole picture, background included"),
    "psnr_union_db": Measure(
        "PSNR union", 2, True, "dB over the pixels of the true mask or of the rendered one, on black"
    ),
    "psnr_drawn_db": Measure(
        "PSNR drawn", 2, True, "as XHand's code, with the right factor: dB over the rendered mask's pixels alone"
    ),
    "ssim": Measure("SSIM", 3, True, "window of 7 pixels, data range 1"),
    "ssim_range2": Measure(
        "SSIM, range 2", 3, True, "as PALM's code: a data range of 2 for pictures of range 1 flatters"
    ),
    "ms_ssim": Measure("MS-SSIM", 3, True, "five scales, whole picture; of pictures of 176 pixels and more"),
    "lpips_vgg": Measure("LPIPS", 3, False, "VGG-16, pictures in [−1,1] as the network wants them"),
    "lpips_vgg_twice": Measure("LPIPS, twice scaled", 3, False, "as PALM's code: VGG-16, scaled to [−1,1] twice"),
    "lpips_alex": Measure("LPIPS alex", 3, False, "AlexNet, pictures in [−1,1] as the network wants them"),
    "lpips_alex_01": Measure("LPIPS alex, [0,1]", 3, False, "as HARP's code: AlexNet, fed pictures in [0,1]"),
    "flip": Measure("FLIP", 3, False, "mean, at 67 pixels a degree"),
    "iou": Measure("IoU", 3, True, "of outlines, at a coverage of one half"),
    "l1": Measure("L1", 4, False, "whole picture, background included, as HARP's: small by construction"),
    "l1_mask": Measure("L1 in mask", 4, False, "over the true mask's pixels"),
    "albedo_psnr_db": Measure("albedo PSNR", 2, True, "dB of the skin's own colour, sRGB"),
    "albedo_scaled_psnr_db": Measure("albedo PSNR scaled", 2, True, "after the one brightness that suits best"),
    "delta_e": Measure("ΔE px", 2, False, "CIEDE2000 of the skin's colour, median over pixels; 1 is just seen"),
    "tone_delta_e": Measure("ΔE tone", 2, False, "CIEDE2000 of the mean skin colours"),
    "normal_deg": Measure("normal °", 2, False, "mean angle between the shapes' normals"),
    "mapped_normal_deg": Measure("normal ° mapped", 2, False, "the same with the normal map"),
    "surface_mm": Measure("surface mm", 2, False, "mean distance between the surfaces, both ways"),
    "pa_mpvpe_mm": Measure(
        "PA-MPVPE mm", 2, False, "vertices of the refined pose on the true shape, after alignment with scale"
    ),
    "mpvpe_mm": Measure("MPVPE mm", 2, False, "the same as they are, place included"),
    "pa_mpjpe_mm": Measure("PA-MPJPE mm", 2, False, "its joints and tips, after alignment with scale"),
    "mpjpe_mm": Measure("MPJPE mm", 2, False, "the same from the wrist"),
    "irradiance_error": Measure(
        "light L2", 3, False, "relative error of what matt skin receives; 1 is as good as black"
    ),
    "radiance_error": Measure("light L2 radiance", 3, False, "the same of the environment itself"),
    "direction_cosine": Measure("light cos", 3, True, "of the directions from which most light comes"),
    "brightness": Measure("light ×", 2, None, "mean brightness over the true one: 1 is right"),
}


def mean_scores(scores: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Means of each score over those that have it."""
    collected: dict[str, list[float]] = {}
    for one in scores:
        for name, value in one.items():
            collected.setdefault(name, []).append(value)
    return {name: statistics.fmean(values) for name, values in collected.items()}
