"""MANO evaluation: against the reference implementation, closed forms, derivatives, batching."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.hand.mano import hand_forward, pose_features, shape_hand
from engine.hand.mirror import mirror_axis_angle, mirror_model, mirror_points
from engine.hand.model import load_hand_model, open_hand_model
from engine.hand.rotations import axis_angle_to_matrix
from engine.hand.subdivide import subdivide_model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_smplx(mano_pickle, random_pose, dtype):
    smplx = pytest.importorskip("smplx", reason="THE REFERENCE smplx IS MISSING (extra 'mano'): not compared")
    reference = smplx.MANO(str(mano_pickle), use_pca=False, flat_hand_mean=True, batch_size=100, dtype=dtype)
    pose = {name: value.to(dtype) for name, value in random_pose.items()}
    expected = reference(**pose)
    output = hand_forward(load_hand_model(mano_pickle, dtype), **pose)
    assert (output.vertices - expected.vertices).abs().max() <= 1e-6
    assert (output.joints - expected.joints[:, :16]).abs().max() <= 1e-6


def test_rest_pose_is_the_shaped_template():
    model = open_hand_model(dtype=torch.float64)
    betas = torch.linspace(-1, 1, 10, dtype=torch.float64)
    output = hand_forward(model, betas, torch.zeros(3).double(), torch.zeros(45).double())
    vertices, joints = shape_hand(model, betas)
    torch.testing.assert_close(output.vertices, vertices)
    torch.testing.assert_close(output.joints, joints)
    assert output.keypoints.shape == (21, 3)


def test_global_rotation_turns_about_the_wrist():
    model = open_hand_model(dtype=torch.float64)
    turn = torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64)
    shift = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    zero = torch.zeros(45, dtype=torch.float64)
    rest = hand_forward(model, torch.zeros(10).double(), torch.zeros(3).double(), zero)
    moved = hand_forward(model, torch.zeros(10).double(), turn, zero, shift)
    wrist = rest.joints[0]
    expected = (rest.vertices - wrist) @ axis_angle_to_matrix(turn).T + wrist + shift
    torch.testing.assert_close(moved.vertices, expected)


def test_child_joint_moves_only_its_finger():
    model = open_hand_model(dtype=torch.float64)
    pose = torch.zeros(45, dtype=torch.float64)
    pose[2 * 3 + 2] = 1.0  # last joint of the index finger, flexion
    zero = torch.zeros(3, dtype=torch.float64)
    flat = hand_forward(model, torch.zeros(10).double(), zero, torch.zeros_like(pose))
    bent = hand_forward(model, torch.zeros(10).double(), zero, pose)
    torch.testing.assert_close(bent.joints, flat.joints)
    moved = (bent.keypoints - flat.keypoints).norm(dim=-1)
    assert moved[17] > 0.005
    assert moved[[16, 18, 19, 20]].max() < 1e-4
    # flexion carries the tip towards the palm, which faces -Y
    assert bent.keypoints[17, 1] < flat.keypoints[17, 1]


def test_pose_features_are_row_major_differences():
    rotations = torch.eye(3).repeat(16, 1, 1)
    rotations[1] = torch.arange(9.0).reshape(3, 3)
    features = pose_features(rotations)
    assert features.shape == (135,)
    assert features[:9].tolist() == [-1, 1, 2, 3, 3, 5, 6, 7, 7]
    assert features[9:].abs().max() == 0


def test_batch_dimensions_broadcast():
    model = open_hand_model()
    poses = torch.randn(4, 2, 45) * 0.2
    output = hand_forward(model, torch.zeros(2, 10), torch.zeros(3), poses, torch.zeros(4, 1, 3))
    assert output.vertices.shape == (4, 2, len(model.v_template), 3)
    single = hand_forward(model, torch.zeros(10), torch.zeros(3), poses[3, 1])
    torch.testing.assert_close(output.vertices[3, 1], single.vertices, atol=1e-6, rtol=0)


def test_gradients_are_exact(mano_fields, tmp_path):
    from engine.hand.model import hand_model_from_fields
    from engine.hand.model_file import _checked

    fields = _checked(mano_fields, tmp_path / "model.npz")
    keep = slice(0, 12)
    regressor = fields["J_regressor"][:, keep]
    small = {
        **{name: fields[name][keep] for name in ("v_template", "shapedirs", "posedirs", "weights")},
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "f": np.array([[0, 1, 2]]),
        "side": np.array("right"),
        "tip_vertices": np.arange(5),
    }
    model = hand_model_from_fields(small, "small", torch.float64)
    generator = torch.Generator().manual_seed(0)
    inputs = [
        (torch.randn(size, generator=generator, dtype=torch.float64) * 0.3).requires_grad_() for size in (10, 3, 45, 3)
    ]
    assert torch.autograd.gradcheck(lambda *args: hand_forward(model, *args).keypoints, inputs)


def test_mirror_gives_the_mirrored_hand():
    right = open_hand_model("right", torch.float64)
    left = open_hand_model("left", torch.float64)
    generator = torch.Generator().manual_seed(1)
    betas, orient, pose, shift = (
        torch.randn(n, generator=generator, dtype=torch.float64) * s for n, s in ((10, 1), (3, 1), (45, 0.3), (3, 0.1))
    )
    a = hand_forward(right, betas, orient, pose, shift)
    b = hand_forward(left, betas, mirror_axis_angle(orient), mirror_axis_angle(pose), mirror_points(shift))
    torch.testing.assert_close(b.vertices, mirror_points(a.vertices))
    torch.testing.assert_close(b.keypoints, mirror_points(a.keypoints))
    twice = mirror_model(left)
    assert twice.side == "right"
    torch.testing.assert_close(twice.posedirs, right.posedirs)
    torch.testing.assert_close(twice.joint_axes, right.joint_axes)


def test_subdivision_keeps_the_coarse_vertices_at_every_pose():
    model = open_hand_model(dtype=torch.float64)
    finer = subdivide_model(model)
    count, faces = len(model.v_template), len(model.faces)
    edges = 3 * faces // 2  # a closed mesh
    assert finer.v_template.shape == (count + edges, 3)
    assert finer.faces.shape == (4 * faces, 3)
    assert finer.uv_faces.shape == finer.faces.shape
    pose = torch.randn(45, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 0.4
    zero = torch.zeros(3, dtype=torch.float64)
    a = hand_forward(model, torch.zeros(10).double(), zero, pose)
    b = hand_forward(finer, torch.zeros(10).double(), zero, pose)
    torch.testing.assert_close(b.vertices[:count], a.vertices)
    torch.testing.assert_close(b.joints, a.joints)

    def area(model, vertices):
        x = vertices[model.faces]
        return torch.linalg.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]).norm(dim=-1).sum() / 2

    torch.testing.assert_close(area(finer, finer.v_template), area(model, model.v_template))


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_follows_device_and_dtype(device):
    model = open_hand_model().to(device=device)
    output = hand_forward(model, *(torch.zeros(n, device=device) for n in (10, 3, 45)))
    assert output.vertices.device.type == device
    assert output.vertices.dtype == torch.float32
