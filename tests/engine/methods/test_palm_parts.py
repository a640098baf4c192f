"""Parts of PALM's personalisation by themselves: settings, photos, rays, the split networks, reflected light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from palm_tiny import CONFIG, tiny_photos, tiny_posed, tiny_prior

from engine.capture.capture_file import Capture, Quality
from engine.errors import CaptureError, PriorError
from engine.fields.material import Materials
from engine.hand.cameras import pinhole_matrix
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.lighting.brdf import outgoing, palm_brdf
from engine.lighting.sphere_sampling import stratified_sphere
from engine.methods.palm_config import QUALITIES, PersonaliseConfig, palm_quality, with_steps
from engine.methods.palm_hands import check_prior_fits, posing_model
from engine.methods.palm_heads import (
    distance_slope,
    geometry_head,
    gradient_map,
    material_head,
    materials_of,
    mirror_head,
    radiance_head,
    radiance_inner,
    surface_of,
)
from engine.methods.palm_mirror import mirror_monomials
from engine.methods.palm_photo import check_photos, cropped_photo, photo_of_capture
from engine.methods.palm_rays import background_at, batch_at, plan_rays
from engine.methods.palm_reflection import Reflected, far_angles, near_angles, outgoing_light, reflect_far, reflect_near


def test_paper_settings_are_the_papers():
    config = palm_quality("paper")
    assert (config.steps, config.shape_until, config.physical_from) == (5200, 1500, 2000)
    weights = config.weights
    assert (weights.physical, weights.mask, weights.perceptual, weights.curvature) == (0.2, 0.1, 0.1, 0.1)
    assert (weights.latent, weights.normal_start, weights.normal_end, weights.eikonal) == (1e-3, 0, 0, 0)
    assert config.draws * (config.pixels.scattered + config.pixels.patch_px**2) == 8 * 1027
    assert config.render.light_samples == 512


def test_fewer_steps_keep_the_stages_shares():
    short = with_steps(PersonaliseConfig(), 520)
    assert (short.steps, short.shape_until, short.physical_from, short.warm_up) == (520, 150, 200, 100)
    assert short.rates.slow == pytest.approx(10 * PersonaliseConfig().rates.slow)


@pytest.mark.parametrize("quality", QUALITIES)
def test_qualities_are_valid(quality):
    assert palm_quality(quality).physical_rays > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"physical_from": 3},
        {"batches": 0},
        {"shell_m": 0.0},
        {"pixels": replace(CONFIG.pixels, scattered=0, patch_px=0)},
    ],
)
def test_settings_that_cannot_be_are_refused(changes):
    with pytest.raises(ValueError, match=r"must|no rays"):
        replace(CONFIG, **changes)
    with pytest.raises(ValueError, match="none of draft"):
        palm_quality("best")


def capture_of(side: str, size: tuple[int, int]) -> Capture:
    sign = 1.0 if side == "right" else -1.0
    pose = np.full(45, 0.1).reshape(15, 3) * [1, sign, sign]
    return Capture(
        handedness=side,
        image="hand.jpg",
        image_sha256="",
        image_size=size,
        K=pinhole_matrix(300.0, *size),
        betas=np.full(10, 0.3),
        global_orient=np.array([0.4, 0.2 * sign, 0.1 * sign]),
        hand_pose=pose.reshape(45),
        transl=np.array([0.03 * sign, 0.01, 0.5]),
        keypoints_2d=np.zeros((21, 2)),
        joints_3d=np.zeros((21, 3)),
        quality=Quality(1.0, 0.01, 0.9, None),
    )


def test_a_left_hand_becomes_its_mirror_image():
    size = (60, 40)
    random = np.random.default_rng(0)
    image, mask = random.integers(0, 255, (40, 60, 3), dtype=np.uint8), random.random((40, 60)) > 0.5
    left = photo_of_capture(capture_of("left", size), image, mask)
    right = photo_of_capture(capture_of("right", size), image[:, ::-1], mask[:, ::-1])
    for ours, theirs in zip(left, right, strict=True):
        torch.testing.assert_close(ours, theirs)
    # and the right hand's vertices fall where the left hand's fall in the mirrored picture
    capture = capture_of("left", size)
    values = (capture.betas, capture.global_orient, capture.hand_pose, capture.transl)
    other = hand_forward(open_hand_model("left"), *(torch.tensor(value).float() for value in values)).vertices
    mine = hand_forward(open_hand_model(), left.betas, left.global_orient, left.hand_pose, left.transl).vertices
    seen = other @ torch.as_tensor(capture.K).float().T
    mirrored = mine @ left.intrinsics.T
    torch.testing.assert_close(60 - seen[:, 0] / seen[:, 2], mirrored[:, 0] / mirrored[:, 2], atol=1e-2, rtol=0)
    torch.testing.assert_close(seen[:, 1] / seen[:, 2], mirrored[:, 1] / mirrored[:, 2], atol=1e-2, rtol=0)


def test_a_crop_sees_the_same_rays_and_ends_with_the_picture():
    photo = tiny_photos()[0]
    small = cropped_photo(photo, 20)
    assert max(small.mask.shape) == 20
    # a world point at a known pixel of the photo falls where the crop shows that pixel's colour
    assert float(small.mask.float().mean()) > float(photo.mask.float().mean())
    rows, columns = torch.nonzero(small.mask, as_tuple=True)
    centres = torch.stack([columns, rows, torch.ones_like(rows)], dim=1) + torch.tensor([0.5, 0.5, 0.0])
    seen = centres @ torch.linalg.inv(small.intrinsics).T @ photo.intrinsics.T
    column, row = seen[:, :2].floor().long().unbind(1)
    assert float(photo.mask[row, column].float().mean()) > 0.95
    everything = photo._replace(mask=torch.ones_like(photo.mask))
    assert cropped_photo(everything, 400).mask.shape == photo.mask.shape
    torch.testing.assert_close(cropped_photo(everything, 400).image_srgb, photo.image_srgb, atol=1e-5, rtol=0)


def test_pictures_without_a_hand_are_refused():
    capture, image = capture_of("right", (60, 40)), np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(CaptureError, match="covers nothing"):
        photo_of_capture(capture, image, np.zeros((40, 60), bool))
    with pytest.raises(CaptureError, match=r"mask is 40×60.*capture the photo again"):
        photo_of_capture(capture, image, np.zeros((60, 40), bool))
    with pytest.raises(CaptureError, match="no photo"):
        check_photos([])
    photo = tiny_photos()[0]
    with pytest.raises(CaptureError, match="photo 2 of 2 covers nothing"):
        check_photos([photo, photo._replace(mask=torch.zeros_like(photo.mask))])


def test_priors_that_do_not_fit_are_refused():
    prior, model = tiny_prior(), open_hand_model()
    check_prior_fits(prior, model)
    with pytest.raises(PriorError, match="hand model"):
        check_prior_fits(prior, replace(model, v_template=model.v_template * 1.01))
    with pytest.raises(PriorError, match="'tiny', not 'other'"):
        check_prior_fits(prior, model, replace(prior.config, name="other"))
    with pytest.raises(PriorError, match="principal axes of its appearance codes"):
        check_prior_fits(replace(prior, bases={"shape": prior.bases["shape"]}), model)
    with pytest.raises(PriorError, match="makes no sense"):
        posing_model(model, {"configuration": {"subdivision": 99}})


def test_rays_are_of_their_photos_and_follow_from_the_seed():
    photos, posed = tiny_photos(), tiny_posed()
    plans, again = plan_rays(photos, CONFIG, posed.root), plan_rays(photos, CONFIG, posed.root)
    other = plan_rays(photos, replace(CONFIG, seed=1), posed.root)
    for one, same, different in zip(plans, again, other, strict=True):
        assert torch.equal(one.batch.directions, same.batch.directions)
        assert not torch.equal(one.batch.directions, different.batch.directions)
        assert set(one.batch.hand.tolist()) == {0, 1} == set(one.batch.places)
        assert bool((one.batch.inside[one.physical] > 0).all())
        assert len(one.directions) == CONFIG.render.light_samples
        # the rays go through the pixels whose colours they have
        for number, photo in enumerate(photos):
            of = one.batch.hand == number
            seen = (one.batch.origins + one.batch.directions)[of] @ photo.world_to_camera[:3, :3].T
            seen = (seen + photo.world_to_camera[:3, 3]) @ photo.intrinsics.T
            column, row = (seen[:, :2] / seen[:, 2:]).floor().long().unbind(1)
            assert torch.equal(photo.image_srgb[row, column], one.batch.image_srgb[of])
    visits = [batch_at(step, CONFIG) for step in range(8)]
    assert all({*visits[i : i + 2]} == {0, 1} for i in range(0, 8, 2))
    assert not torch.equal(background_at(0, CONFIG, posed.root), background_at(1, CONFIG, posed.root))


def test_split_networks_are_the_fields():
    posed = tiny_posed()
    fields, bands = posed.fields, posed.bands
    generator = torch.Generator().manual_seed(0)
    points = fields.config.box.from_unit(torch.rand(50, 3, generator=generator))
    hand = torch.randint(0, 2, (50,), generator=generator)
    pose = torch.randn(2, 32, generator=generator)
    shape, looks = torch.randn(2, 32, generator=generator).unbind(0)
    conditions = type(posed.conditions(zeros(posed)))(pose, shape.expand(2, -1), looks.expand(2, -1))
    expected = fields.geometry(points, hand, conditions, bands, with_gradient=True)
    head = geometry_head(posed)
    encoding, jacobian = fields.geometry.encoding.with_jacobian(points, bands.geometry_levels)
    own = head.own(encoding, pose[hand])
    surface = surface_of(head, own, gradient_map(jacobian), shape)
    assert surface.feature is not None
    torch.testing.assert_close(surface.feature.T, expected.feature, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(surface.gradient.T, expected.gradient, atol=1e-5, rtol=1e-4)
    moved = surface_of(head, own, gradient_map(jacobian), shape + 1e-3).feature - surface.feature
    predicted = distance_slope(head, own, shape) @ torch.full((32,), 1e-3)
    torch.testing.assert_close(moved[0], predicted, atol=2e-5, rtol=0.2)

    normals, views = torch.nn.functional.normalize(torch.randn(2, 50, 3, generator=generator), dim=-1).unbind(0)
    encoding = fields.appearance_encoding(points, bands)
    feature = expected.feature
    head = radiance_head(posed)
    inner = radiance_inner(feature, views, normals, bands.sh)
    colors = torch.sigmoid(head.outputs(head.own(encoding, pose[hand], inner), looks)).T
    expected_colors = fields.radiance(encoding, feature, views, normals, hand, conditions, bands)
    torch.testing.assert_close(colors, expected_colors, atol=1e-5, rtol=1e-4)
    inner = torch.cat([feature.T, mirror_monomials(normals.T, views.T), normals.T])
    outputs = mirror_head(head, bands.sh).outputs(head.own(encoding, pose[hand]), looks, inner)
    torch.testing.assert_close(torch.sigmoid(outputs).T, expected_colors, atol=1e-5, rtol=1e-4)
    head = material_head(posed)
    materials = materials_of(head.outputs(head.own(encoding, pose[hand], feature), looks))
    for ours, theirs in zip(materials, fields.material(encoding, feature, hand, conditions), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def zeros(posed):
    from engine.methods.palm_hands import first_unknowns

    return first_unknowns(posed, None)


def test_reflected_light_is_the_brdfs_sum_with_its_gradients():
    generator = torch.Generator().manual_seed(2)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def directions(*shape: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(*shape, 3, generator=generator, dtype=torch.float64), dim=-1)

    rays, points = 5, 3
    towards = stratified_sphere(1, 4, 8, generator)[0].double()
    normals, to_camera, visibility = directions(rays, points), directions(rays), random(rays, len(towards))
    light = random(len(towards), 3).requires_grad_()
    looks = Materials(
        random(rays, points, 3).requires_grad_(),
        (0.09 + 0.9 * random(rays, points)).requires_grad_(),
        random(rays, points).requires_grad_(),
    )
    pair = torch.tensor([1, 40, 41, 100])
    thrown = random(4, 3)
    bounced = torch.zeros(rays * len(towards), 3, dtype=torch.float64).index_copy(0, pair, thrown)
    arriving = visibility[..., None] * light + bounced.reshape(rays, -1, 3)
    several = Materials(*(values[:, :, None] for values in looks))
    reflection = palm_brdf(normals[:, :, None], to_camera[:, None, None], towards, *several)
    expected = (arriving[:, None] * outgoing(reflection, several.albedo, several.metallic)).sum(2)

    angles = far_angles(normals, to_camera, towards, visibility)
    near = reflect_near(near_angles(angles, pair), angles.view, thrown, looks.roughness)
    far = reflect_far(angles, light, looks.roughness)
    found = outgoing_light(Reflected(*(a + b for a, b in zip(far, near, strict=True))), looks)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-6)
    weights = random(*found.shape)
    leaves = [light, *looks]
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), leaves),
        torch.autograd.grad((expected * weights).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-6)
