from __future__ import annotations

import torch

from engine.hand.mano import hand_forward, shape_hand, skin
from engine.hand.model import open_hand_model
from engine.hand.posed_body import pose_body


def parameters(count: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(size: int, scale: float) -> torch.Tensor:
        return torch.randn(count, size, generator=generator, dtype=torch.float64) * scale

    return {
        "betas": normal(10, 1.0),
        "global_orient": normal(3, 1.5),
        "hand_pose": normal(45, 0.4),
        "transl": normal(3, 0.3),
    }


def test_the_root_carries_root_space_to_the_world() -> None:
    hand = open_hand_model(dtype=torch.float64)
    values = parameters()
    body, world = pose_body(hand, **values), hand_forward(hand, **values)
    carried = body.vertices @ body.root[:, :3, :3].mT + body.root[:, None, :3, 3]
    assert torch.allclose(carried, world.vertices, atol=1e-12)
    bones = body.root[:, None] @ body.bone_transforms
    assert torch.allclose(bones, world.joint_transforms, atol=1e-12)


def test_the_roots_own_transform_is_the_identity() -> None:
    body = pose_body(open_hand_model(dtype=torch.float64), **parameters())
    assert torch.allclose(body.bone_transforms[:, 0], torch.eye(4, dtype=torch.float64), atol=1e-12)


def test_zero_pose_is_canonical() -> None:
    hand = open_hand_model()
    betas = torch.randn(2, 10, generator=torch.Generator().manual_seed(1))
    zero = torch.zeros(2, 3)
    body = pose_body(hand, betas, zero, torch.zeros(2, 45), zero)
    assert torch.allclose(body.vertices, shape_hand(hand, betas)[0], atol=1e-6)
    assert torch.equal(body.rest_vertices, shape_hand(hand, betas)[0])


def test_bones_move_the_rest_surface_by_plain_skinning() -> None:
    hand = open_hand_model(dtype=torch.float64)
    values = parameters()
    body = pose_body(hand, **values)
    moved = skin(body.rest_vertices, body.bone_transforms, hand.skinning_weights)
    # correctives add what skinning lacks; they are millimetres, not centimetres
    assert (moved - body.vertices).norm(dim=-1).max() < 0.02


def test_gradients_reach_every_parameter() -> None:
    hand = open_hand_model(dtype=torch.float64)
    values = {name: value[:1].requires_grad_() for name, value in parameters().items()}
    body = pose_body(hand, **values)
    (body.root.sum() + body.bone_transforms.sum() + body.vertices.sum()).backward()
    for name, value in values.items():
        assert value.grad is not None and value.grad.abs().sum() > 0, name
