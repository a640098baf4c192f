"""A tiny prior that knows one hand, and photos of what it can make: for the tests of its personalisation."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from engine.fields.bands import all_bands
from engine.fields.codes import CodeBasis
from engine.fields.config import FieldsConfig, HashGridConfig
from engine.fields.model import PalmFields
from engine.hand.canonical import OPEN_BOX
from engine.hand.model import open_hand_model
from engine.hand.sealing import seal
from engine.hand.signed_distance import signed_distance
from engine.lighting.color import linear_to_srgb
from engine.lighting.sg_light import fibonacci_sg_light
from engine.methods.palm_config import PersonaliseConfig
from engine.methods.palm_hands import PosedPrior, Unknowns, pose_prior
from engine.methods.palm_photo import PalmPhoto
from engine.rendering.render_config import RenderConfig
from engine.rendering.volume import render_image
from engine.training.config import LearningRates
from engine.training.prior_file import Prior, hand_model_identity
from engine.training.sampling import PixelSampling

GRID = HashGridConfig(levels=4, log2_table_size=11, per_level_scale=1.5)
FIELDS = FieldsConfig("tiny", GRID, GRID, OPEN_BOX, initial_density_width=0.001)
SIDE_PX = 40
AXES = 2
SHAPE, APPEARANCE = torch.tensor([0.15, -0.1]), torch.tensor([0.5, -0.4])
"""Coefficients of the hand that the photos show."""

CONFIG = PersonaliseConfig(
    steps=16,
    shape_until=8,
    physical_from=12,
    warm_up=2,
    rates=LearningRates(slow=2e-2, networks=1e-2),
    render=RenderConfig(importance_rounds=1, importance_samples=6, light_rows=4, light_columns=8, weight_cutoff=1e-3),
    pixels=PixelSampling(scattered=24, patch_px=8, patch_strides=(1, 2), box_margin_px=2),
    draws=2,
    batches=2,
    physical_rays=24,
    physical_points=3,
    bounce_every=1,
    shell_samples=8,
    shell_moves_m=0.0002,
    curvature_samples=32,
)


@lru_cache(maxsize=1)
def tiny_prior() -> Prior:
    """Geometry fitted to the flat open hand in a few steps; looks and codes are random networks'."""
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(3)
    fields = PalmFields(FIELDS, ["a", "b", "c"])
    model = open_hand_model()
    vertices, faces = seal(model.v_template, model.faces)
    near = vertices[torch.randint(0, len(vertices), (3000,), generator=generator)]
    near = near + 0.006 * torch.randn(near.shape, generator=generator)
    points = torch.cat([near, OPEN_BOX.from_unit(torch.rand(1000, 3, generator=generator))])
    points = points[OPEN_BOX.contains(points)]
    target = signed_distance(vertices, faces, points)
    bands, hand = all_bands(FIELDS), torch.zeros(len(points), dtype=torch.int64)
    optimiser = torch.optim.Adam(fields.geometry.parameters(), lr=1e-2, eps=1e-15)
    for _ in range(60):
        conditions = fields.conditions(hand[:1], torch.zeros(1, 45))
        found = fields.geometry(points, hand, conditions, bands, with_gradient=False).sdf
        optimiser.zero_grad()
        (1e4 * (found - target).square().clamp_max(4e-4)).mean().backward()
        optimiser.step()
    with torch.no_grad():
        # shapes differ in codes; looks differ in places, codes and directions
        lin0 = fields.geometry.lin0
        weight = lin0.weight.clone()
        weight[:, -FIELDS.code_width :] = 0.02 * torch.randn(64, FIELDS.code_width, generator=generator)
        lin0.set_weight(weight)
        fields.radiance.encoding.table.uniform_(-0.5, 0.5, generator=generator)
    bases = {
        kind: CodeBasis(
            0.01 * torch.randn(32, generator=generator),
            torch.linalg.qr(torch.randn(32, AXES, generator=generator))[0].T.contiguous(),
        )
        for kind in ("shape", "appearance")
    }
    with torch.no_grad():
        for codes in (fields.shape_code.codes, fields.appearance_code.codes):
            codes.normal_(0, 0.5, generator=generator)  # people who differ, or no look would be usual
    return Prior(
        config=FIELDS,
        subjects=("a", "b", "c"),
        weights=fields.state_dict(),
        hand_model=hand_model_identity(model),
        perceptual_term="laplacian pyramid",
        step=60,
        light=fibonacci_sg_light(8, generator),
        bases=bases,
        provenance={"configuration": {"subdivision": 0, "smooth_template": False}},
    )


def blank_photo(hand_pose: Tensor, turn: float) -> PalmPhoto:
    """The camera and pose of a hand seen from its back, without a picture."""
    side = SIDE_PX
    focal = 1.5 * side
    world_to_camera = torch.eye(4)
    cosine, sine = torch.cos(torch.tensor(turn)), torch.sin(torch.tensor(turn))
    about_y = torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    world_to_camera[:3, :3] = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ about_y
    world_to_camera[:3, 3] = torch.tensor([0.0, -0.02, 0.36])
    return PalmPhoto(
        torch.zeros(side, side, 3),
        torch.ones(side, side, dtype=torch.bool),
        torch.tensor([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1.0]]),
        world_to_camera,
        torch.zeros(10),
        torch.zeros(3),
        hand_pose,
        torch.zeros(3),
    )


@lru_cache(maxsize=1)
def tiny_posed() -> PosedPrior:
    """The prior in the photos' poses."""
    blank = [blank_photo(torch.zeros(45), 0.0), blank_photo(0.15 * torch.ones(45), 0.3)]
    return pose_prior(tiny_prior(), open_hand_model(), blank)


@lru_cache(maxsize=1)
def tiny_photos() -> tuple[PalmPhoto, ...]:
    """One hand in two poses, with codes off the mean."""
    posed, photos = tiny_posed(), []
    scene = posed.scene(Unknowns(SHAPE, APPEARANCE, torch.zeros(0, 7)))
    for hand, blank in enumerate([blank_photo(torch.zeros(45), 0.0), blank_photo(0.15 * torch.ones(45), 0.3)]):
        camera = (blank.intrinsics, blank.world_to_camera, SIDE_PX, SIDE_PX)
        with torch.no_grad():
            picture = render_image(scene, *camera, CONFIG.render, want=("radiance",), hand=hand)
        assert picture.radiance is not None
        color = linear_to_srgb(picture.radiance).clamp(0, 1)
        photos.append(blank._replace(image_srgb=color, mask=picture.opacity > 0.5))
    return tuple(photos)
