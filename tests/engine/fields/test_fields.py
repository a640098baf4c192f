"""The networks: initial state, gradients, conditions, names and shapes."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize, softplus

from engine.errors import InputError, MissingDependencyError
from engine.fields import hash_grid, model
from engine.fields.bands import all_bands
from engine.fields.codes import CodeBasis
from engine.fields.config import CONFIGS, OFFICIAL, OPEN, FieldsConfig, HashGridConfig
from engine.fields.hash_grid_reference import hash_encode_reference
from engine.fields.linear import WeightNormLinear, conditioned_linear
from engine.fields.material import LipschitzLinear
from engine.fields.model import PalmFields
from engine.hand.canonical import OPEN_BOX

GRID = HashGridConfig(levels=4, log2_table_size=10, per_level_scale=1.9, base_resolution=5)
SMALL = FieldsConfig("small", GRID, GRID, OPEN_BOX, hidden_width=16)
SUBJECTS = ("anna", "bo", "cy")


@pytest.fixture
def fields(device) -> PalmFields:
    """Fields in which nothing is zero."""
    made = PalmFields(SMALL, SUBJECTS)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.startswith(("geometry.encoding", "radiance.encoding")):
                parameter.normal_(0, 0.05)
            elif name.endswith(("weight_v", "codes")):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return made.to(device)


@pytest.fixture
def scene(fields, device):
    """Points, their hands, and the conditions of four hands of three subjects."""
    points = OPEN_BOX.from_unit(torch.rand(300, 3)).to(device)
    hand = torch.randint(0, 4, (300,), device=device)
    subject, pose = torch.tensor([0, 1, 2, 0], device=device), 0.5 * torch.randn(4, 45, device=device)
    return points, hand, subject, pose


def exact_geometry(fields: PalmFields, points, hand, subject, pose):
    """Outputs and gradient in float64 by autograd, from the parts' definitions."""
    geometry, conditions = fields.geometry, fields.conditions(subject, pose)
    unit = fields.config.box.to_unit(points)
    features = hash_encode_reference(unit, geometry.encoding.table, fields.config.geometry_grid)
    rows = torch.cat([2 * unit - 1, features, conditions.pose[hand], conditions.shape[hand]], dim=1)
    outputs = geometry.lin1(softplus(geometry.lin0(rows), 100))
    return outputs, torch.autograd.grad(outputs[:, 0].sum(), points, create_graph=True)[0]


def test_fresh_geometry_is_a_sphere(device):
    fields = PalmFields(OPEN, ["a"]).to(device)
    points = OPEN.box.from_unit(torch.rand(4000, 3, device=device))
    hand = torch.zeros(4000, dtype=torch.int64, device=device)
    conditions = fields.conditions(hand[:1], torch.randn(1, 45, device=device))
    sample = fields.geometry(points, hand, conditions, all_bands(OPEN, device), True)
    radius = (points - torch.tensor(OPEN.box.centre, device=device)).norm(dim=1)
    away = radius > 0.03
    assert (sample.sdf - (radius - 0.5 * OPEN.box.half_size)).abs().max() < 0.015
    assert (sample.gradient[away].norm(dim=1) - 1).abs().max() < 0.1


def test_geometry_and_its_gradient_match_float64(fields, scene):
    points, hand, subject, pose = scene
    sample = fields.geometry(points, hand, fields.conditions(subject, pose), all_bands(SMALL, points.device), True)
    double = copy.deepcopy(fields).double()
    outputs, gradient = exact_geometry(double, points.double().requires_grad_(), hand, subject, pose.double())
    assert (sample.feature - outputs).abs().max() < 1e-4 * outputs.abs().max()
    assert (sample.gradient - gradient).norm() < 1e-4 * gradient.norm()
    assert torch.equal(sample.sdf, sample.feature[:, 0])


def test_one_backward_pass_gives_the_second_order_terms(fields, scene):
    points, hand, subject, pose = scene
    weights = torch.randn_like(points)
    double = copy.deepcopy(fields).double()
    leaf = points.clone().requires_grad_()
    sample = fields.geometry(leaf, hand, fields.conditions(subject, pose), all_bands(SMALL, points.device), True)
    ((sample.gradient * weights).sum() + sample.feature.square().sum()).backward()
    exact_leaf = points.double().requires_grad_()
    outputs, gradient = exact_geometry(double, exact_leaf, hand, subject, pose.double())
    ((gradient * weights).sum() + outputs.square().sum()).backward()
    assert (leaf.grad - exact_leaf.grad).norm() < 1e-3 * exact_leaf.grad.norm()
    for (name, one), other in zip(fields.named_parameters(), double.parameters(), strict=True):
        if name.startswith(("geometry", "pose_encoder", "shape_code")):
            assert (one.grad - other.grad).norm() < 1e-3 * other.grad.norm(), name
        else:
            assert one.grad is None, name


def test_gradcheck_of_the_geometry(fields, scene):
    if scene[0].is_cuda:
        pytest.skip("float64 is checked once, on the CPU")
    double = copy.deepcopy(fields).double()
    points, hand, subject, pose = scene
    bands = all_bands(SMALL)

    def outputs(places):
        sample = double.geometry(places, hand[:2], double.conditions(subject, pose.double()), bands, True)
        return sample.feature, sample.gradient

    leaf = points[:2].double().requires_grad_()
    assert torch.autograd.gradcheck(outputs, (leaf,), eps=1e-8, atol=1e-3)


def test_the_gradient_costs_nothing_when_it_is_not_asked_for(fields, scene):
    points, hand, subject, pose = scene
    conditions, bands = fields.conditions(subject, pose), all_bands(SMALL, points.device)
    with_gradient = fields.geometry(points, hand, conditions, bands, True)
    without = fields.geometry(points, hand, conditions, bands, False)
    assert without.gradient is None
    assert torch.allclose(without.feature, with_gradient.feature, atol=1e-6)


def test_outside_the_box_the_grid_repeats_its_border(fields, scene):
    _, _, subject, pose = scene
    device = subject.device
    inside = OPEN_BOX.from_unit(torch.tensor([[1.0, 0.4, 0.6]], device=device))
    step = torch.tensor([[0.3, 0, 0]], device=device)
    both = torch.cat([inside, inside + step]).requires_grad_()
    hand = torch.zeros(2, dtype=torch.int64, device=device)
    encoding = fields.geometry.encoding(both, torch.ones(4, device=device))
    assert torch.allclose(encoding[0, 3:], encoding[1, 3:], atol=1e-6)
    sample = fields.geometry(both, hand, fields.conditions(subject, pose), all_bands(SMALL, device), True)
    by_autograd = torch.autograd.grad(sample.sdf[1], both)[0][1]
    assert torch.allclose(sample.gradient[1], by_autograd, rtol=1e-3, atol=1e-5)


def test_colours_and_materials_keep_their_ranges(fields, scene):
    points, hand, subject, pose = scene
    conditions, bands = fields.conditions(subject, pose), all_bands(SMALL, points.device)
    sample = fields.geometry(points, hand, conditions, bands, True)
    with torch.no_grad():
        for layer in (*fields.radiance.layers, *fields.material.layers):
            layer.weight.mul_(30)
            layer.bias.normal_(0, 5)
        encoding = fields.appearance_encoding(points, bands)
        assert encoding.shape == (300, 3 + GRID.encoding_width)
        directions, normals = (normalize(torch.randn_like(points), dim=1) for _ in range(2))
        colour = fields.radiance(encoding, sample.feature, directions, normals, hand, conditions, bands)
        material = fields.material(encoding, sample.feature, hand, conditions)
    assert colour.shape == (300, 3)
    assert colour.min() >= 0
    assert colour.max() <= 1
    assert material.albedo.min() >= 0.03
    assert material.albedo.max() <= 0.80 + 1e-6
    assert material.roughness.min() >= 0.09
    assert material.roughness.max() <= 0.99 + 1e-6
    assert material.roughness.shape == material.metallic.shape == (300,)
    assert material.metallic.min() >= 0
    assert material.metallic.max() <= 1


def test_radiance_reads_its_inputs_in_the_stated_order(fields, scene):
    """[encoding | feature | harmonics | normal | pose | appearance], by switching columns of the first layer off."""
    points, hand, subject, pose = scene
    conditions, bands = fields.conditions(subject, pose), all_bands(SMALL, points.device)
    encoding = fields.appearance_encoding(points, bands)
    feature = torch.randn(300, 13, device=points.device)
    directions, normals = (normalize(torch.randn_like(points), dim=1) for _ in range(2))
    width = encoding.shape[1]
    spans = {"encoding": (0, width), "feature": (width, width + 13), "view": (width + 13, width + 29),
             "normal": (width + 29, width + 32), "pose": (width + 32, width + 64)}  # fmt: skip
    spans["appearance"] = (width + 64, width + 96)
    changed = {
        "encoding": (encoding + 1, feature, directions, conditions),
        "feature": (encoding, feature + 1, directions, conditions),
        "view": (encoding, feature, -directions + 2 * normals, conditions),
        "pose": (encoding, feature, directions, conditions._replace(pose=conditions.pose + 1)),
        "appearance": (encoding, feature, directions, conditions._replace(appearance=conditions.appearance + 1)),
    }
    for name, (new_encoding, new_feature, new_directions, new_conditions) in changed.items():
        network = copy.deepcopy(fields.radiance)
        with torch.no_grad():
            network.layers[0].weight[:, slice(*spans[name])] = 0
            before = network(encoding, feature, directions, normals, hand, conditions, bands)
            after = network(new_encoding, new_feature, new_directions, normals, hand, new_conditions, bands)
        assert torch.allclose(before, after, atol=1e-6), name


def test_lipschitz_layers(device):
    layer = LipschitzLinear(20, 7).to(device)
    assert torch.equal(layer.bounded_weight, layer.weight)
    with torch.no_grad():
        layer.bound.fill_(0.3)
    rows = layer.bounded_weight.abs().sum(1)
    limit = float(softplus(torch.tensor(0.3)))
    assert torch.allclose(rows, layer.weight.abs().sum(1).clamp_max(limit), rtol=1e-5)


def test_weight_norm_rows():
    layer = WeightNormLinear(5, 3)
    target = torch.randn(3, 5)
    layer.set_weight(target)
    assert torch.allclose(layer.weight, target)
    with torch.no_grad():
        layer.weight_g.mul_(2)
        layer.weight_v.mul_(7)
    assert torch.allclose(layer.weight, 2 * target)


@pytest.mark.parametrize("hands", [1, 3])
def test_shared_inputs_are_as_if_repeated(hands):
    own, shared = torch.randn(50, 4, dtype=torch.float64), torch.randn(hands, 6, dtype=torch.float64)
    hand = torch.randint(0, hands, (50,))
    leaves = [own, shared, torch.randn(5, 10, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    weight, bias = leaves[2:]
    value = conditioned_linear(own, shared, hand, weight, bias)
    assert torch.allclose(value, torch.cat([own, shared[hand]], 1) @ weight.T + bias)
    assert torch.autograd.gradcheck(lambda a, b, c, d: conditioned_linear(a, b, hand, c, d), leaves)


def test_pose_leaves_out_the_root_and_knows_equal_rotations(fields, device):
    pose = torch.randn(2, 45, device=device)
    turned = pose.clone()
    first = turned[:, :3]
    turned[:, :3] = first * (1 + 2 * torch.pi / first.norm(dim=1, keepdim=True))
    assert torch.allclose(fields.pose_encoder(pose), fields.pose_encoder(turned), atol=1e-5)
    weight = fields.pose_encoder.lin1.weight
    with torch.no_grad():
        weight[:, :3] = 100
    assert torch.allclose(fields.pose_encoder(pose), fields.pose_encoder(turned), atol=1e-5)


def test_parameters_have_the_published_names_and_shapes():
    with torch.device("meta"):
        fields = PalmFields(OFFICIAL, [f"{number:04}" for number in range(263)])
    shapes = {name: tuple(parameter.shape) for name, parameter in fields.named_parameters()}
    assert shapes == {
        "geometry.encoding.table": (29377136,),
        "geometry.lin0.weight_v": (64, 131), "geometry.lin0.weight_g": (64, 1), "geometry.lin0.bias": (64,),
        "geometry.lin1.weight_v": (13, 64), "geometry.lin1.weight_g": (13, 1), "geometry.lin1.bias": (13,),
        "density.beta": (),
        "radiance.encoding.table": (29377136,),
        "radiance.layers.0.weight": (64, 163), "radiance.layers.0.bias": (64,),
        "radiance.layers.1.weight": (64, 64), "radiance.layers.1.bias": (64,),
        "radiance.layers.2.weight": (3, 64), "radiance.layers.2.bias": (3,),
        "material.layers.0.weight": (64, 144), "material.layers.0.bias": (64,), "material.layers.0.bound": (1,),
        "material.layers.1.weight": (64, 64), "material.layers.1.bias": (64,), "material.layers.1.bound": (1,),
        "material.layers.2.weight": (5, 64), "material.layers.2.bias": (5,), "material.layers.2.bound": (1,),
        "pose_encoder.lin1.weight": (32, 48), "pose_encoder.lin1.bias": (32,),
        "shape_code.codes": (263, 32), "appearance_code.codes": (263, 32),
    }  # fmt: skip


def test_open_fields_are_small_enough_to_bundle():
    count = sum(parameter.numel() for parameter in PalmFields(OPEN, SUBJECTS).parameters())
    assert 2 * count < 8e6
    assert set(CONFIGS) == {"open", "official"}


def test_codes_on_principal_axes(fields, scene):
    basis = CodeBasis(torch.randn(32), torch.linalg.qr(torch.randn(32, 5))[0].T)
    personal = PalmFields(SMALL, ["me"], shape_basis=basis, appearance_basis=basis)
    conditions = personal.conditions(torch.tensor([0, 0]), torch.zeros(2, 45))
    assert torch.equal(conditions.shape, basis.mean.expand(2, 32))
    assert personal.shape_code.codes.shape == (1, 5)
    with torch.no_grad():
        personal.appearance_code.codes.copy_(torch.eye(5)[2:3])
    moved = personal.conditions(torch.tensor([0]), torch.zeros(1, 45))
    assert torch.allclose(moved.appearance[0], basis.mean + basis.components[2])
    assert "shape_code.components" in personal.state_dict()


def test_mistakes_are_named(fields):
    with pytest.raises(ValueError, match="subject"):
        PalmFields(SMALL, [])
    with pytest.raises(ValueError, match="once"):
        PalmFields(SMALL, ["a", "a"])
    with pytest.raises(ValueError, match="basis"):
        PalmFields(SMALL, ["a"], shape_basis=CodeBasis(torch.zeros(16), torch.zeros(5, 16)))
    with pytest.raises(InputError, match="dora"):
        fields.subject_index("dora")
    assert fields.subject_index("bo") == 1


def test_the_grids_backend_can_be_chosen(monkeypatch):
    fields = PalmFields(SMALL, ["a"])
    with pytest.raises(MissingDependencyError, match="tinycudann"):
        fields.use_grid_backend("tinycudann")
    with pytest.raises(ValueError, match="no backend"):
        fields.use_grid_backend("cuda")
    asked = []

    def stand_in(points, table, config, level_weights):
        asked.append(len(points))
        return hash_encode_reference(points, table, config, level_weights)

    points, bands = OPEN_BOX.from_unit(torch.rand(20, 3)), all_bands(SMALL)
    ours = fields.appearance_encoding(points, bands)
    for where in (hash_grid, model):
        monkeypatch.setattr(where, "check_backend", lambda backend, device: backend)
    monkeypatch.setattr(hash_grid, "_tinycudann_features", stand_in)
    fields.use_grid_backend("tinycudann")
    conditions, hand = fields.conditions(torch.tensor([0]), torch.zeros(1, 45)), torch.zeros(20, dtype=torch.int64)
    assert torch.allclose(fields.appearance_encoding(points, bands), ours, atol=1e-6)
    fields.geometry(points, hand, conditions, bands, with_gradient=False)
    assert asked == [20, 20]


def test_configurations_compare_by_value():
    assert replace(OPEN) == OPEN
    assert replace(OPEN, hidden_width=32) != OPEN
    assert hash(OPEN.geometry_grid) == hash(replace(OPEN.geometry_grid))
