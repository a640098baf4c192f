"""Other tools' files: keypoints, cameras, HaMeR's poses and the vertices of PALM's fork."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.capture.images import Photo
from engine.capture.importers import (
    GivenPose,
    GivenVertices,
    landmarks_from_vertices,
    read_camera,
    read_keypoints,
    read_pose,
)
from engine.capture.options import CaptureOptions
from engine.capture.photo import read_given
from engine.errors import CaptureError, PalmError
from engine.hand.joints import from_palm
from engine.hand.mano import hand_forward
from engine.hand.mirror import mirror_points
from engine.hand.model import open_hand_model
from engine.hand.rotations import axis_angle_to_matrix

SIZE = (640, 480)


def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(100, 380, (21, 2))


def flat(side: str) -> np.ndarray:
    """hands_mean of the open hand."""
    return np.zeros(45)


def written(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize("order", ["palm", "mediapipe", "openpose", "interhand"])
def test_keypoints_in_any_order(tmp_path: Path, order: str) -> None:
    value = {"keypoints": from_palm(points(), order).tolist(), "order": order, "handedness": "left"}
    hand = read_keypoints(written(tmp_path / "k.json", value), None, SIZE)
    assert hand.handedness == "left"
    np.testing.assert_allclose(hand.keypoints_2d, points())
    np.testing.assert_array_equal(hand.confidence, 1)


def test_bare_keypoints_with_confidence(tmp_path: Path) -> None:
    confidence = np.linspace(0.1, 1, 21)
    value = np.column_stack([points(), confidence]).tolist()
    hand = read_keypoints(written(tmp_path / "k.json", value), "right", SIZE)
    assert hand.handedness == "right"
    np.testing.assert_allclose(hand.confidence, confidence)


def test_keypoints_whose_third_column_is_depth(tmp_path: Path) -> None:
    value = np.column_stack([points(), np.linspace(-40, 10, 21)]).tolist()
    hand = read_keypoints(written(tmp_path / "k.json", value), "right", SIZE)
    np.testing.assert_array_equal(hand.confidence, 1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1, 2]] * 20, "shape"),
        ([["a", "b"]] * 21, "holds no numbers"),
        ([[10**400, 1]] * 21, "holds no numbers"),
        ([[1e6, 1e6]] * 21, "do not fit"),
        ([[5, 5]] * 21, "do not fit"),
        ([[None, 1]] * 21, "NaN"),
        ({"keypoints": [[1, 2]] * 21, "order": "coco"}, "order 'coco' is unknown"),
        ("text", "holds no numbers"),
    ],
)
def test_bad_keypoints(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(CaptureError, match=message) as caught:
        read_keypoints(written(tmp_path / "k.json", value), "right", SIZE)
    assert "\n" not in str(caught.value)


def test_keypoints_that_do_not_say_which_hand(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="which hand"):
        read_keypoints(written(tmp_path / "k.json", points().tolist()), None, SIZE)


def test_cameras(tmp_path: Path) -> None:
    expected = [[700, 0, 320], [0, 700, 240], [0, 0, 1]]
    for value in ({"K": expected}, {"fx": 700}, {"focal_px": 700}):
        np.testing.assert_allclose(read_camera(written(tmp_path / "c.json", value), SIZE), expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "neither K"),
        ({"K": [[1, 2], [3, 4]]}, "not a 3×3"),
        ({"K": [[float("nan"), 0, 0], [0, 1, 0], [0, 0, 1]]}, "K holds NaN"),
        ({"K": [[700, 2, 320], [0, 700, 240], [0, 0, 1]]}, "K has skew"),
        ({"focal_px": -4}, "does not fit"),
        ({"focal_px": "wide"}, "focal_px holds no numbers"),
        ({"focal_px": [1000, 1000]}, "focal_px has shape"),
        ({"fx": [1, 2]}, "fx has shape"),
        ({"fx": 10**400}, "fx holds no numbers"),
        ({"fx": 1000, "cx": 9000}, "another resolution"),
    ],
)
def test_bad_cameras(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        read_camera(written(tmp_path / "c.json", value), SIZE)


def hamer_output(side: str) -> tuple[dict[str, object], np.ndarray]:
    """A result as HaMeR writes it, and the vertices that it means (by the right hand, mirrored for a left one)."""
    generator = torch.Generator().manual_seed(4)
    orient = torch.randn(1, 3, generator=generator)
    pose = torch.randn(1, 45, generator=generator) * 0.3
    camera = np.array([[0.05, -0.03, 9.0]])
    vertices = hand_forward(open_hand_model("right"), torch.zeros(10), orient, pose).vertices[0]
    vertices = mirror_points(vertices) if side == "left" else vertices
    output = {
        "pred_mano_params": {
            "global_orient": axis_angle_to_matrix(orient[:, None]).numpy(),
            "hand_pose": axis_angle_to_matrix(pose.unflatten(-1, (15, 3))).numpy(),
            "betas": np.full((1, 10), 0.3, np.float32),
        },
        "pred_cam_t_full": camera,
        "scaled_focal_length": np.array(12500.0),
        "right": np.array([1.0 if side == "right" else 0.0]),
    }
    return output, vertices.numpy() + camera


@pytest.mark.parametrize("side", ["right", "left"])
def test_hamer_output_gives_the_same_hand(tmp_path: Path, side: str) -> None:
    output, vertices = hamer_output(side)
    path = tmp_path / "hamer.pkl"
    path.write_bytes(pickle.dumps(output))
    given = read_pose(path, SIZE, None, flat)
    assert isinstance(given, GivenPose) and given.side == side
    assert given.intrinsics is not None and given.intrinsics[0, 0] == 12500
    parts = (torch.as_tensor(p, dtype=torch.float32) for p in (given.global_orient, given.hand_pose, given.transl))
    mine = hand_forward(open_hand_model(side), torch.zeros(10), *parts).vertices[0]
    np.testing.assert_allclose(mine.numpy(), vertices, atol=2e-6 * 9)


def test_hamer_batch_is_chosen_by_side(tmp_path: Path) -> None:
    right, left = hamer_output("right")[0], hamer_output("left")[0]

    def joined(a: object, b: object) -> object:
        if isinstance(a, dict) and isinstance(b, dict):
            return {key: joined(a[key], b[key]) for key in a}
        return np.concatenate([a, b]) if np.ndim(a) else a

    path = tmp_path / "hamer.pkl"
    path.write_bytes(pickle.dumps(joined(right, left)))
    for which, side in (("right", "right"), ("left", "left"), ("1", "left"), (None, "right")):
        assert read_pose(path, SIZE, which, flat).side == side
    with pytest.raises(CaptureError, match="out of range"):
        read_pose(path, SIZE, "2", flat)


def test_hamer_output_with_nan_names_the_field(tmp_path: Path) -> None:
    output, _ = hamer_output("right")
    output["pred_cam_t_full"] = np.array([[np.nan, 0, 1]])
    path = tmp_path / "hamer.pkl"
    path.write_bytes(pickle.dumps(output))
    with pytest.raises(PalmError, match=r"transl|pred_cam_t_full"):
        read_pose(path, SIZE, None, flat)


@pytest.mark.parametrize(
    ("field", "value"),
    [("right", "x"), ("right", []), ("right", [10**400]), ("hand_pose", [[1.0], [1.0, 2.0]]), ("pred_cam_t_full", [])],
)
def test_hamer_output_that_is_not_numbers(tmp_path: Path, field: str, value: object) -> None:
    output, _ = hamer_output("right")
    (output["pred_mano_params"] if field == "hand_pose" else output)[field] = value  # type: ignore[index]
    path = tmp_path / "hamer.pkl"
    path.write_bytes(pickle.dumps(output))
    with pytest.raises(PalmError, match=r"hamer\.pkl") as caught:
        read_pose(path, SIZE, None, flat)
    assert "\n" not in str(caught.value)


def test_hand_that_is_a_digit_but_no_number(tmp_path: Path) -> None:
    path = tmp_path / "hamer.pkl"
    path.write_bytes(pickle.dumps({**hamer_output("right")[0], "right": [1, 0]}))
    assert read_pose(path, SIZE, "²", flat).side == "right"


@pytest.mark.parametrize(("told", "side"), [("left", None), (None, "left"), (None, None), ("right", "left")])
def test_mean_pose_is_that_of_the_poses_side(tmp_path: Path, told: str | None, side: str | None) -> None:
    value = {"hand_pose": [[0.0] * 45], "convention": "mean_relative", **({"side": side} if side else {})}
    means = {"right": np.full(45, 1.0), "left": np.full(45, 2.0)}
    pose = read_pose(written(tmp_path / "p.json", value), SIZE, told, means.__getitem__)
    assert isinstance(pose, GivenPose)
    np.testing.assert_array_equal(pose.hand_pose[0], means[side or told or "right"])


def test_a_pickle_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "harp.pkl"
    path.write_bytes(pickle.dumps({"pose": np.zeros((1, 45)), "rot": np.ones((1, 3))}))
    reads: list[Path] = []
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: reads.append(self) or whole(self))
    photo = Photo(np.zeros((480, 640, 3), np.uint8), None, "", tmp_path / "photo.jpg")
    assert read_given(CaptureOptions(pose=path), photo).pose is not None
    assert reads == [path]


def test_malicious_pickle_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "hamer.pkl"
    marker = tmp_path / "was_run"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.")
    with pytest.raises(PalmError, match="not plain data"):
        read_pose(path, SIZE, None, flat)
    assert not marker.exists()


def test_vertices_of_the_fork(tmp_path: Path) -> None:
    model = open_hand_model("right")
    out = hand_forward(model, torch.zeros(10), torch.zeros(1, 3), torch.zeros(1, 45), torch.tensor([[0, 0, 0.6]]))
    value = {"photo.jpg": {"v3d_cam": out.vertices.numpy(), "K": np.array([[600, 0, 320], [0, 600, 240], [0, 0, 1.0]])}}
    path = tmp_path / "itw.npy"
    np.save(path, np.array(value, dtype=object), allow_pickle=True)
    found = read_pose(path, SIZE, None, flat)
    assert isinstance(found, GivenVertices) and found.side == "right"
    parts = (found.vertices, found.intrinsics)
    hand = landmarks_from_vertices(*parts, model.joint_regressor.numpy(), model.tip_vertices.numpy(), "right")
    assert hand.keypoints_3d is not None
    expected = out.keypoints[0].numpy()
    np.testing.assert_allclose(hand.keypoints_3d, expected - expected.mean(0), atol=1e-6)
    with pytest.raises(CaptureError, match="--hand-model"):
        landmarks_from_vertices(
            found.vertices[:778], found.intrinsics, model.joint_regressor.numpy(), np.arange(5), "right"
        )
