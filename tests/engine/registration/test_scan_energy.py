import numpy as np
import pytest
import torch

from engine.capture.kinematics import UNKNOWNS, HandState, rest_joints
from engine.hand.model import open_hand_model
from engine.hand.random_poses import random_hand_poses
from engine.registration.scan_energy import ScanEnergy, ScanObservations, ScanPairs

STEP = 1e-6


@pytest.fixture(scope="module")
def energy():
    return ScanEnergy(open_hand_model(dtype=torch.float64))


def posed(model, frames):
    generator = torch.Generator().manual_seed(3)
    pose = random_hand_poses(model, frames, generator).unflatten(-1, (15, 3))
    angles = torch.einsum("jax,tjx->tja", model.joint_axes, pose).flatten(1)
    betas = 0.5 * torch.randn(10, generator=generator, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(frames, 3, 3, generator=generator, dtype=torch.float64)).Q
    turn = turn * torch.linalg.det(turn)[:, None, None]
    return HandState(turn, angles, rest_joints(model, betas)[:1].expand(frames, 3) * 0.3, betas)


def observed(energy, state, pairs=60):
    """Keypoints and planes some millimetres off the hand."""
    generator = torch.Generator().manual_seed(4)
    frames = len(state.angles)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    vertices = energy.vertices(state)
    corners = energy.model.faces[torch.randint(len(energy.model.faces), (frames, pairs), generator=generator)]
    weights = random(frames, pairs, 3).softmax(-1)
    place = (weights[..., None] * vertices[torch.arange(frames)[:, None, None], corners]).sum(-2)
    directions = torch.nn.functional.normalize(random(frames, pairs, 3), dim=-1)
    goal = place + 0.002 * random(frames, pairs, 3)
    sizes = torch.full((frames, pairs), 0.002, dtype=torch.float64)
    planes = ScanPairs(
        corners, weights, directions, (goal * directions).sum(-1), sizes, 0.5 + random(frames, pairs) ** 2
    )
    whitening = 300 * torch.eye(3, dtype=torch.float64).expand(frames, 21, 3, 3).clone()
    whitening[:, 5] = 0
    keypoints = energy.keypoints(state) + 0.003 * random(frames, 21, 3)
    return ScanObservations(keypoints, whitening, planes, np.zeros(frames))


@pytest.mark.parametrize("with_pairs", [True, False])
def test_the_gradient_is_that_of_the_cost_pose_correctives_included(energy, with_pairs):
    state = posed(energy.model, 2)
    seen = observed(energy, state)
    if not with_pairs:
        seen = ScanObservations(seen.keypoints, seen.whitening, None, seen.links)
    system = energy.linearise(state, seen)
    torch.testing.assert_close(system.cost, energy.cost(state, seen))
    nothing = torch.zeros(10, dtype=torch.float64)
    for unknown in (0, 2, 7, 18, 32, 47, 49):
        step = torch.zeros(2, UNKNOWNS, dtype=torch.float64)
        step[:, unknown] = STEP
        slope = (
            (energy.cost(state.moved(step, nothing), seen) - energy.cost(state.moved(-step, nothing), seen)) / STEP / 4
        )
        torch.testing.assert_close(system.gradient[:, unknown], slope, rtol=1e-4, atol=1e-2)
    for beta in (0, 6):
        step = torch.zeros(10, dtype=torch.float64)
        step[beta] = 1e-5
        still = torch.zeros(2, UNKNOWNS, dtype=torch.float64)
        ahead, behind = state.moved(still, step), state.moved(still, -step)
        slope = (energy.cost(ahead, seen).sum() + energy.betas_cost(ahead)) - (
            energy.cost(behind, seen).sum() + energy.betas_cost(behind)
        )
        torch.testing.assert_close(system.border_gradient[beta], slope / 4e-5, rtol=1e-4, atol=1e-2)


def test_unknown_keypoints_and_padding_say_nothing(energy):
    state = posed(energy.model, 1)
    seen = observed(energy, state)
    before = energy.cost(state, seen)
    seen.keypoints[:, 5] += 1.0
    seen.pairs.weights[:, 7] = 0
    cost = energy.cost(state, seen)
    seen.pairs.offsets[:, 7] += 1.0
    torch.testing.assert_close(energy.cost(state, seen), cost)
    assert float(cost) < float(before)


def test_cost_of_a_perfect_fit_is_the_prior_s_alone(energy):
    state = posed(energy.model, 1)
    seen = observed(energy, state)
    place = seen.pairs.barycentric[..., None] * energy.vertices(state)[0][seen.pairs.corners]
    seen.pairs.offsets[:] = (place.sum(-2) * seen.pairs.directions).sum(-1)
    exact = ScanObservations(energy.keypoints(state), seen.whitening, seen.pairs, seen.links)
    empty = ScanObservations(seen.keypoints, 0 * seen.whitening, None, seen.links)
    torch.testing.assert_close(energy.cost(state, exact), energy.cost(state, empty))
