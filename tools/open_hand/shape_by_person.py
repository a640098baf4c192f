"""Build `assets/hand/shape_by_person.json`, how a person's sex, height and age tell on the hand:

    python -m tools.open_hand.shape_by_person

Needs the `anny` package, as `tools.open_hand.build` does, and the hand model that it made; half a minute.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from tools.open_hand import population, skeleton, topology
from tools.open_hand.build import DEFAULT_OUTPUT
from tools.open_hand.source import RawHands, sample_adults
from tools.open_hand.weights import skinning_weights

TARGET = DEFAULT_OUTPUT.with_name("shape_by_person.json")

LENGTH_TO_STATURE = {"men": 0.65, "women": 0.66}
"""Correlation of hand length and stature within a sex, as army surveys and forensic studies find it (0.6 to 0.7). anny's
sliders for the hand are independent of the body, which leaves its own correlation lower or higher than life."""

STATURE_M = {"men": (1.756, 0.067), "women": (1.629, 0.064)}
"""Mean and standard deviation in the survey that hand lengths are taken from (Gordon et al. 1989)."""

REFERENCE_AGE = 40.0


def flat_population(raw: RawHands) -> tuple[np.ndarray, np.ndarray]:
    """Flat hands [N,V,3] of a population as the hand model's builder makes them, and the rows [V] of its file they fill."""
    labels = raw.bone_labels
    rotation, origin = skeleton.canonical_frame(raw.mean_bone_heads, labels)
    bent = (raw.mean - origin) @ rotation.T
    heads = (raw.mean_bone_heads - origin) @ rotation.T
    membership = skeleton.finger_membership(raw.bone_weights, labels)
    graph = topology.vertex_graph(raw.quads, len(bent))
    triangles = topology.split_quads(raw.quads, bent)
    joints, tips = skeleton.place_joints(bent, triangles, heads, labels, membership)
    weights = skinning_weights(bent, joints, tips, membership, graph)
    regressor = population.joint_regressor(bent, joints, weights)
    hands, _ = population.flat_hands(population.canonical_hands(raw), regressor, tips, weights, raw.female)
    return hands, np.arange(len(bent))


def shape_by_person(betas: np.ndarray, raw: RawHands, length_per_beta: np.ndarray) -> dict[str, Any]:
    """Linear model of betas [N,10] by stature and age, and what remains, for each sex.

    betas = mean + by_stature z + by_year (age - 40) + remainder, z the stature in standard deviations of the sex.
    length_per_beta [10]: metres of hand length. The remainder is Gaussian with the residuals' covariance; its part along
    hand length is scaled, and stature's effect on length set, so that length correlates with stature as LENGTH_TO_STATURE
    says, while length keeps its deviation within the sex.
    """
    model: dict[str, Any] = {"reference_age": REFERENCE_AGE, "stature_m": STATURE_M}
    for sex in ("men", "women"):
        own = raw.female == (sex == "women")
        stature = (raw.stature[own] - raw.stature[own].mean()) / raw.stature[own].std()
        years = raw.age[own] - REFERENCE_AGE
        design = np.stack([np.ones(own.sum()), stature, years], 1)
        (mean, by_stature, by_year), *_ = np.linalg.lstsq(design, betas[own], rcond=None)
        residual = betas[own] - design @ np.stack([mean, by_stature, by_year])
        covariance = np.cov(residual.T)
        whole = np.cov((betas[own] - years[:, None] * by_year).T)
        deviation = np.sqrt(length_per_beta @ whole @ length_per_beta)
        # the direction in which shape and length vary together
        together = whole @ length_per_beta / deviation
        wanted = LENGTH_TO_STATURE[sex]
        by_stature = by_stature + (wanted - by_stature @ length_per_beta / deviation) * together
        along = covariance @ length_per_beta
        spread = length_per_beta @ along
        kept = (1 - wanted**2) * deviation**2
        covariance += np.outer(along, along) * (kept / spread - 1) / spread
        model[sex] = {
            "mean": mean, "by_stature": by_stature, "by_year": by_year, "remainder": np.linalg.cholesky(covariance),
            "correlation_in_anny": float(np.corrcoef(stature, betas[own] @ length_per_beta)[0, 1]),
        }  # fmt: skip
    return model


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray):
        return np.round(value, 5).tolist()
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    parser.add_argument("--samples", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    raw = sample_adults(options.samples, options.seed)
    hands, rows = flat_population(raw)
    with np.load(DEFAULT_OUTPUT) as stored:
        mean, directions = stored["v_template"][rows].astype(float), stored["shapedirs"][rows].astype(float)
        tip = int(stored["tip_vertices"][2])
        length = (
            stored["J_regressor"][0] @ stored["shapedirs"][..., :].astype(float)[:, 0] - stored["shapedirs"][tip, 0]
        )
    betas = population.betas_of(hands, mean, directions)
    model = _plain(shape_by_person(betas, raw, length))
    options.output.write_text(json.dumps(model, indent=1) + "\n")


if __name__ == "__main__":
    main()
