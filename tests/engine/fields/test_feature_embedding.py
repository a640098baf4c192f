"""Features of vertices that depend on the pose."""

from __future__ import annotations

import torch

from engine.fields.feature_embedding import EmbeddingConfig, FeatureEmbedding, joint_relevance, wave_codes
from engine.hand.joints import MANO_PARENTS
from engine.hand.model import open_hand_model

VERTICES, OUTPUTS = 40, 3


def embedding(**changes) -> FeatureEmbedding:
    generator = torch.Generator().manual_seed(2)
    mean, points = (torch.randn(VERTICES, 3, generator=generator).double() for _ in range(2))
    weights = torch.softmax(4 * torch.randn(VERTICES, 16, generator=generator).double(), dim=1)
    config = EmbeddingConfig(**{"depth": 3, "width": 16, **changes})
    return FeatureEmbedding(mean, points, joint_relevance(weights, MANO_PARENTS), config).double()


def awake(net: FeatureEmbedding) -> FeatureEmbedding:
    """Past its first step: the last layer is no longer zero."""
    with torch.no_grad():
        net.out.weight.copy_(torch.randn(net.out.weight.shape))
    return net


def pose(scale: float = 0.3) -> torch.Tensor:
    return scale * torch.randn(45, generator=torch.Generator().manual_seed(5)).double()


def test_it_begins_as_the_mean_at_every_pose():
    net = embedding()
    torch.testing.assert_close(net(pose()), net.mean.detach())
    torch.testing.assert_close(net(pose(3.0)), net.mean.detach())


def test_the_rows_of_the_mapping_are_positive_and_sum_to_one():
    mapping = embedding().mapping
    assert mapping.shape == (10, OUTPUTS) and (mapping > 0).all()
    torch.testing.assert_close(mapping.sum(1), torch.ones(10, dtype=torch.float64))


def test_the_pose_worked_out_once_gives_what_each_vertex_would_give_for_itself():
    net = awake(embedding())
    condition = pose()
    # equation 7 written out, vertex by vertex, with pose and code as one input
    weight = torch.cat([net.of_pose.reshape(45, -1).T, net.of_latent.weight], dim=1)
    wanted = []
    for vertex in range(VERTICES):
        values = weight @ torch.cat([condition, net.latent[vertex]]) + net.of_latent.bias
        for layer in net.hidden:
            values = layer(torch.relu(values))
        wanted.append(net.mean[vertex] + net.out(torch.relu(values)) @ net.mapping)
    torch.testing.assert_close(net(condition), torch.stack(wanted))
    torch.testing.assert_close(net(condition, pose_dependent=False), net.mean.detach())


def test_a_vertex_does_not_heed_a_joint_that_is_none_of_its_business():
    net = awake(embedding(local=True))
    before, condition = net(pose()), pose()
    joint = 4
    condition[3 * joint : 3 * joint + 3] += 0.5
    moved = (net(condition) - before).abs().amax(1) > 1e-9
    assert moved[net.relevance[:, joint] > 0.05].all()
    with torch.no_grad():
        net.relevance[:5, joint] = 0
    torch.testing.assert_close(net(condition)[:5], net(pose())[:5])


def test_relevance_follows_the_finger():
    model = open_hand_model()
    relevance = joint_relevance(model.skinning_weights, model.parents)
    assert relevance.shape == (len(model.v_template), 15) and relevance.min() >= 0 and relevance.max() <= 1
    tip = model.tip_vertices[1]  # the index finger's: joints 1, 2, 3
    assert relevance[tip, 2] > 0.9 and relevance[tip, 1] > 0.4 and relevance[tip, 3:].max() < 0.05
    palm = model.skinning_weights[:, 0].argmax()
    assert relevance[palm, [0, 3, 6, 9, 12]].min() > 0.9  # all knuckles bend from the palm


def test_codes_of_neighbours_are_alike_and_of_far_points_are_not():
    points = torch.tensor([[0.0, 0, 0], [0.001, 0, 0], [0.08, 0.02, 0]])
    codes = wave_codes(points, 10)
    assert codes.abs().max() <= 1
    assert (codes[0] - codes[1]).abs().max() < 0.4 < (codes[0] - codes[2]).abs().max()
    assert torch.equal(codes, wave_codes(points, 10))


def test_without_mapping_the_network_gives_the_features_and_the_start_is_kept():
    net = embedding(mapped=False)
    assert net.mapping is None and not net.mean.requires_grad
    assert net(pose()).shape == (VERTICES, OUTPUTS)


def test_gradients():
    net = awake(embedding(depth=2, width=4, local=True))
    leaves = [net.mean, net.latent, net.of_pose, net.mapping_logits]

    def run(condition, *_):
        return net(condition)

    assert torch.autograd.gradcheck(run, (pose().requires_grad_(), *leaves), eps=1e-6, atol=1e-6)
