import dataclasses

import numpy as np
import pytest
import torch

from engine.datasets.scan import near_hand, scan_from_mesh
from engine.errors import DatasetError
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.registration.accuracy import accuracy
from engine.registration.pairing import PairingRound, PairShares
from engine.registration.register_scans import RegistrationConfig, ScanRegistration, SeenScan, simplest
from engine.registration.synthetic import SyntheticConfig, synthetic_cameras

FEW = RegistrationConfig(
    coarse=(PairingRound(0.012, 0.002, 0.4),),
    fine=(PairingRound(0.006, 0.001, 0.6),) * 3,
    shares=PairShares(samples=800),
)


@pytest.fixture(scope="module")
def registration():
    return ScanRegistration(open_hand_model(), synthetic_cameras(SyntheticConfig(cameras=2)), FEW)


def seen(registration, betas, curl, noise=0.0004, unknown=()):
    """A hand whose fingers all bend by `curl`, its scan and its keypoints a millimetre off; and the true keypoints."""
    model = registration.model
    random = np.random.default_rng(int(100 * curl))
    angles = torch.zeros(15, 3).double()
    angles[:12, 0] = curl
    pose = torch.einsum("ja,jax->jx", angles, model.joint_axes).reshape(45)
    turn, shift = torch.tensor([0.3, -1.0, 0.4]).double(), torch.tensor([0.02, 0.01, -0.03]).double()
    out = hand_forward(model, torch.as_tensor(betas).double(), turn, pose, shift)
    tables = registration.tables
    vertices = out.vertices.numpy() + noise * random.standard_normal(out.vertices.shape)
    keypoints = out.keypoints.numpy() + 0.0008 * random.standard_normal((21, 3))
    keypoints[list(unknown)] = np.nan
    covariance = np.tile(np.eye(3) * 0.0003**2, (21, 1, 1))
    scan = scan_from_mesh(vertices, tables.faces[~tables.cap], "scan")
    return SeenScan("scan", scan, keypoints, covariance, {}), out.keypoints.numpy()


def error_mm(found, true):
    return 1000 * float(np.linalg.norm(found - true, axis=1).mean())


def test_shape_and_poses_come_back(registration):
    betas = np.array([1.0, -0.8, 0.5, 0, 0, 0, 0, 0, 0, 0])
    simple = [seen(registration, betas, curl) for curl in (0.1, 0.35)]
    shape, stage_one = registration.fit_shape([scan for scan, _ in simple])
    for result, (scan, true) in zip(stage_one, simple, strict=True):
        assert error_mm(result.keypoints, true) < min(0.75, error_mm(scan.keypoints, true))
    scan, true = seen(registration, betas, 1.0, unknown=(2, 18))
    registration.check(scan)
    result = registration.fit_pose(scan, shape)
    assert error_mm(result.keypoints, true) < 0.9
    np.testing.assert_allclose(result.parameters["betas"], shape)
    found = accuracy(
        result.vertices, result.keypoints, registration.tables, near_hand(scan.scan, scan.keypoints), scan.keypoints
    )
    assert found.scan_recall_10mm == 1 and found.keypoint_recall_10mm == 1
    assert found.scan_mm < 0.6 and 0.5 < found.keypoint_mm < 2


def test_scans_that_cannot_be_begun_are_named(registration):
    scan, _ = seen(registration, np.zeros(10), 0.2)
    few = scan.keypoints.copy()
    few[7:] = np.nan
    with pytest.raises(DatasetError, match="scan: only 7 of 21 keypoints"):
        registration.check(scan._replace(keypoints=few))
    with pytest.raises(DatasetError, match=r"lies \d+ cm from its keypoints"):
        registration.check(scan._replace(keypoints=scan.keypoints + 0.3))
    moved = dataclasses.replace(scan.scan, vertices=scan.scan.vertices + 1.0)
    with pytest.raises(DatasetError, match="another frame's"):
        registration.check(scan._replace(scan=moved))


def test_the_straightest_hands_are_the_simple_ones(registration):
    keypoints = np.stack([seen(registration, np.zeros(10), curl)[1] for curl in (1.2, 0.1, 0.8, 0.3)])
    np.testing.assert_array_equal(simplest(keypoints, 2), [1, 3])
    keypoints[1, 17] = np.nan
    np.testing.assert_array_equal(simplest(keypoints, 2), [2, 3])
    np.testing.assert_array_equal(simplest(keypoints, 9), [0, 1, 2, 3])


def test_accuracy_of_a_hand_that_is_off_by_a_known_distance(registration):
    tables, model = registration.tables, registration.model
    vertices = model.v_template.numpy()
    scan = scan_from_mesh(vertices, tables.faces[~tables.cap], "scan")
    keypoints = np.zeros((21, 3))
    exact = accuracy(vertices, keypoints, tables, scan, keypoints)
    assert exact.scan_recall_10mm == 1 and exact.scan_95_mm == pytest.approx(0, abs=1e-9) and exact.keypoint_mm == 0
    # half a metre across: nothing of the scan is near
    found = accuracy(vertices + np.array([0, 0.5, 0]), keypoints + np.array([0, 0.02, 0]), tables, scan, keypoints)
    assert found.scan_recall_10mm == 0 and 400 < found.scan_mm < 520
    assert found.keypoint_recall_10mm == 0 and found.keypoint_mm == pytest.approx(20)
    unknown = accuracy(vertices, keypoints, tables, scan, np.full((21, 3), np.nan))
    assert unknown.keypoint_mm is None and unknown.keypoint_recall_10mm is None
    # along the forearm: the wrist's cut is nearest to all of the scan
    middle, wrist = vertices[tables.inner].mean(0), vertices[tables.ring].mean(0)
    away = scan_from_mesh(vertices + 5 * (wrist - middle), tables.faces[~tables.cap], "scan")
    beyond = accuracy(vertices, keypoints, tables, away, keypoints)
    assert beyond.scan_recall_10mm == 0 and beyond.scan_mm is None and beyond.scan_95_mm is None
