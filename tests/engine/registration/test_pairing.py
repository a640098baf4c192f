import dataclasses

import numpy as np
import pytest
import torch

from engine.datasets.scan import scan_from_mesh
from engine.hand.cameras import project
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.registration.pairing import (
    PairingRound,
    PairShares,
    PreparedScan,
    SurfaceTables,
    outline_pairs,
    scan_pairs,
)
from engine.registration.synthetic import SyntheticConfig, noisy_mask, synthetic_cameras
from engine.registration.synthetic_scan import TrueHand

MODEL = open_hand_model(dtype=torch.float64)
SHARES = PairShares(samples=600)
ROUND = PairingRound(0.006, 0.001, 0.5)


@pytest.fixture(scope="module")
def hand():
    out = hand_forward(MODEL, *(torch.zeros(n).double() for n in (10, 3, 45)))
    centred = out.vertices.numpy() - out.vertices.numpy().mean(0)
    return centred, out.keypoints.numpy() - out.vertices.numpy().mean(0)


def residuals(pairs, vertices):
    place = np.einsum("nc,ncd->nd", pairs.barycentric, vertices[pairs.corners])
    return (place * pairs.directions).sum(1) - pairs.offsets


def test_a_scan_of_the_surface_itself_lies_in_it(hand):
    tables = SurfaceTables(MODEL)
    scan = scan_from_mesh(hand[0], tables.faces[~tables.cap], "itself")
    pairs = scan_pairs(hand[0], tables, PreparedScan(scan, SHARES.samples, 0), ROUND, SHARES)
    own = len(pairs.weights) - (pairs.barycentric[:, 0] == 1).sum()
    assert own > 100  # of samples that are no vertex of the surface's table order
    off = np.abs(residuals(pairs, hand[0]))
    # the mean of neighbours on a scan as coarse as this lies a little under its curved skin
    assert np.median(off) < 2e-4 and np.percentile(off, 95) < 1e-3
    assert pairs.weights.sum() == pytest.approx(SHARES.scan + SHARES.surface, rel=0.2)


def test_a_moved_scan_asks_for_its_way_along_the_normals(hand):
    tables = SurfaceTables(MODEL)
    shift = np.array([0.0, 0.002, 0.0])
    scan = scan_from_mesh(hand[0] + shift, tables.faces[~tables.cap], "moved")
    pairs = scan_pairs(hand[0], tables, PreparedScan(scan, SHARES.samples, 0), ROUND, SHARES)
    across = np.abs(pairs.directions[:, 1]) > 0.9
    off = -residuals(pairs, hand[0])[across] - (pairs.directions @ shift)[across]
    assert np.median(np.abs(off)) < 2.5e-4 and np.percentile(np.abs(off), 90) < 8e-4


def test_nothing_is_paired_beyond_reach_or_with_the_other_side(hand):
    tables = SurfaceTables(MODEL)
    far = scan_from_mesh(hand[0] + np.array([0, 0.05, 0]), tables.faces[~tables.cap], "far")
    assert not len(scan_pairs(hand[0], tables, PreparedScan(far, 600, 0), ROUND, SHARES).weights)
    inside_out = scan_from_mesh(hand[0], tables.faces[~tables.cap][:, ::-1], "inside out")
    pairs = scan_pairs(hand[0], tables, PreparedScan(inside_out, 600, 0), ROUND, SHARES)
    assert pairs.weights.sum() < 0.05 * (SHARES.scan + SHARES.surface)


def test_a_hand_without_a_lid_knows_its_wrist_too():
    lidded = SurfaceTables(MODEL)
    kept = MODEL.faces[~MODEL.cap_faces]
    open_model = dataclasses.replace(MODEL, faces=kept, cap_faces=torch.zeros(len(kept), dtype=torch.bool))
    tables = SurfaceTables(open_model)
    np.testing.assert_array_equal(tables.ring, lidded.ring)
    np.testing.assert_array_equal(tables.at_wrist, lidded.at_wrist[~lidded.cap])


def test_the_forearm_is_left_alone(hand):
    tables = SurfaceTables(MODEL)
    ring = hand[0][tables.ring]
    scan = scan_from_mesh(hand[0], tables.faces[~tables.cap], "hand")
    pairs = scan_pairs(hand[0], tables, PreparedScan(scan, 600, 0), ROUND, SHARES)
    place = np.einsum("nc,ncd->nd", pairs.barycentric, hand[0][pairs.corners])
    nearest = np.linalg.norm(place[:, None] - ring, axis=-1).min(1)
    assert nearest.min() > 5e-4


def test_outline_planes_go_through_the_eye_and_the_outline(hand):
    tables = SurfaceTables(MODEL)
    cameras = synthetic_cameras(SyntheticConfig(cameras=2, width=400, height=320, hand_px=200))
    shift = np.array([0.003, 0.0, 0.0])
    masks = {
        name: noisy_mask(TrueHand(hand[0] + shift, tables.faces, hand[1], len(hand[0])), camera, 0.0, 0)
        for name, camera in cameras.items()
    }
    pairs = outline_pairs(hand[0], hand[1], tables, masks, cameras, 0.012, SHARES)
    assert pairs.weights.sum() == pytest.approx(SHARES.outlines)
    eyes = [-c.world_to_camera[:3, :3].T @ c.world_to_camera[:3, 3] for c in cameras.values()]
    off = np.stack([np.abs(pairs.directions @ eye - pairs.offsets) for eye in eyes])
    assert off.min(0).max() < 1e-9
    # following the planes moves the hand to where the masks show it
    rows = pairs.directions * np.sqrt(pairs.weights)[:, None]
    step = np.linalg.lstsq(rows, -residuals(pairs, hand[0]) * np.sqrt(pairs.weights), rcond=None)[0]
    np.testing.assert_allclose(step, shift, atol=8e-4)
    assert np.isfinite(project(hand[0], cameras["MCU_01"].intrinsics, cameras["MCU_01"].world_to_camera)).all()


def test_without_masks_there_are_no_outline_pairs(hand):
    assert not len(outline_pairs(hand[0], hand[1], SurfaceTables(MODEL), {}, {}, 0.01, SHARES).weights)
