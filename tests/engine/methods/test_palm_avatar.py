"""`personalize` with a prior, from a photo to the avatar folder: a left hand, its mirror, cancel, and what cannot work."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pytest
import torch
from painted_hand import in_photo, painted_hand
from palm_tiny import CONFIG, tiny_photos, tiny_posed, tiny_prior
from PIL import Image
from synthetic_photo import Synthetic, make_photo

from engine.avatar.folder import Avatar, read_avatar
from engine.avatar.texture_files import read_png
from engine.capture.capture_file import Quality, write_capture
from engine.cli import main
from engine.errors import Cancelled, CaptureError, PalmError
from engine.files import sha256_of
from engine.hand.model import open_hand_model
from engine.lighting.environment import blender_world, sample_environment
from engine.lighting.sg_light import fibonacci_sg_light
from engine.methods import command
from engine.methods.capture_check import check_capture
from engine.methods.detail import DetailConfig, fit_detail
from engine.methods.palm import PersonalHand, personalize_prior, work_done
from engine.methods.palm_avatar import PalmAvatarConfig, bake_personal, environment_of, write_personal_avatar
from engine.methods.palm_hands import first_unknowns
from engine.methods.palm_photo import photo_of_capture
from engine.rendering.avatar_bake import BakeConfig
from engine.training.prior_file import HandModelIdentity, write_prior

BAKE = BakeConfig(texture_px=128, subdivisions=0)


@pytest.fixture(scope="module")
def left() -> Synthetic:
    return make_photo("left")


@pytest.fixture(scope="module")
def place(left, tmp_path_factory):
    """A folder with a prior, one of another hand, and a captured photo of a left hand."""
    folder = tmp_path_factory.mktemp("palm")
    write_prior(folder / "tiny.palmprior", tiny_prior())
    write_prior(folder / "other.palmprior", replace(tiny_prior(), hand_model=HandModelIdentity("a paw", "0" * 64)))
    Image.fromarray(left.image).save(folder / "photo.png")
    capture = replace(left.capture, image="photo.png", image_sha256=sha256_of(folder / "photo.png"))
    write_capture(folder / "capture.json", capture, left.mask)
    return folder


@pytest.fixture(scope="module")
def made(place):
    """(avatar, reports): the whole command, with a few steps."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    output = place / "hand.palmhand"
    options = ["--prior", str(place / "tiny.palmprior"), "--quality", "draft", "--seed", "3"]
    args = parser.parse_args([str(place / "capture.json"), "-o", str(output), "--texture-size", "128", *options])
    reports = []

    def listen(fraction, message="", preview=None):
        shape = None if preview is None else np.asarray(Image.open(preview)).shape
        reports.append((fraction, message, preview, shape))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.methods.palm_command.palm_quality", lambda name: CONFIG)
        patch.setattr("engine.methods.palm.PREVIEWS", 3)
        result = command.run(args, listen)
    assert result["handedness"] == "left"
    return read_avatar(output), reports


def signed_volume(avatar: Avatar) -> float:
    a, b, c = (avatar.mesh.vertices[avatar.mesh.faces[:, corner]] for corner in range(3))
    return float((np.cross(a, b) * c).sum() / 6)


def test_a_left_hand_becomes_a_left_avatar(made, left):
    avatar, _ = made
    assert (avatar.handedness, avatar.method) == ("left", "palm")
    assert signed_volume(avatar) > 1e-4
    # the left hand's fingers point along +x
    assert avatar.mesh.vertices[:, 0].mean() > avatar.mesh.joints[0, 0]
    # captured without any error: its outline cannot mend it, and what would make it worse is not taken
    said = avatar.provenance["outline"]
    assert said["taken"] is False and said["mask_iou"] < said["mask_iou_before"]
    assert np.array_equal(avatar.capture.hand_pose, left.capture.hand_pose)
    assert avatar.metrics["capture_mask_iou"] == left.capture.quality.mask_iou
    for name in ("seen.png", "photo.png", "mask.png", "preview.png", "environment.exr"):
        assert avatar.image(name) is not None, name
    assert np.array_equal(np.asarray(Image.open(avatar.image("photo.png"))), left.image)
    # in place, in the photo: a right hand there would overlap by half
    assert avatar.metrics["silhouette_iou"] > 0.75
    seen = read_png(avatar.image("seen.png"))
    assert 0.03 < (seen > 0.5).mean() < 0.4


def test_it_says_where_it_comes_from_and_how_good_it_is(made, place):
    avatar, _ = made
    said, metrics = avatar.provenance, avatar.metrics
    assert avatar.prior == "tiny.palmprior"
    assert said["prior"]["sha256"] == sha256_of(place / "tiny.palmprior" / "weights.safetensors")
    assert (said["seed"], said["steps"], said["quality"], said["detail"]) == (3, CONFIG.steps, "draft", True)
    assert said["input_sha256"] == sha256_of(place / "photo.png")
    assert set(said["timings_s"]) == {"capture", "codes", "bake", "detail"}
    assert said["perceptual_term"] == "laplacian pyramid"
    names = {"rerender_psnr_db", "rerender_psnr_without_detail_db", "loss_total", "seen_share", "capture_mask_iou"}
    assert names <= set(metrics)
    assert metrics["rerender_psnr_db"] >= metrics["rerender_psnr_without_detail_db"]


def test_progress_moves_on_and_shows_pictures_that_are_gone_afterwards(made, place):
    _, reports = made
    fractions = [report[0] for report in reports]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert max(np.diff(fractions)) < 0.2
    shown = [report for report in reports if report[2] is not None]
    assert len(shown) == 4
    assert all(shape[2] == 3 and shape[1] > shape[0] / 2 for *_, shape in shown)
    assert [report[2].exists() for report in shown] == [False] * (len(shown) - 1) + [True]
    written = {"tiny.palmprior", "other.palmprior", "photo.png", "capture.json", "capture_mask.png", "hand.palmhand"}
    assert {path.name for path in place.iterdir()} == written


def test_work_is_shared_out_over_steps_and_encodings():
    done = [work_done(step, CONFIG, "encoded", begun) for step in range(CONFIG.steps + 1) for begun in (False, True)]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0.0, 1.0)
    assert work_done(CONFIG.steps // 2, CONFIG, "direct") == 0.5


@pytest.fixture(scope="module")
def hand() -> PersonalHand:
    """The tiny prior's mean hand."""
    posed = tiny_posed()
    return PersonalHand(posed, first_unknowns(posed, tiny_prior().light), {})


def test_a_left_hand_is_the_right_one_in_a_mirror(hand):
    box = tiny_prior().config.box
    right, left = (bake_personal(hand, box, open_hand_model(side), torch.zeros(10), BAKE) for side in ("right", "left"))
    flip = np.array([-1.0, 1.0, 1.0])
    assert np.abs(left.mesh.vertices * flip - right.mesh.vertices).max() < 1e-4
    assert np.array_equal(left.maps.inside, right.maps.inside)
    both = left.maps.on_surface & right.maps.on_surface
    for name in ("albedo", "normal", "roughness"):
        apart = (getattr(left.maps, name) - getattr(right.maps, name))[both].abs()
        assert float(apart.mean()) < 5e-3, name


def test_light_found_in_a_mirror_is_mirrored_back():
    light = fibonacci_sg_light(8, torch.Generator().manual_seed(1))
    directions = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(2)), dim=1)
    mirrored = directions * torch.tensor([-1.0, 1, 1])
    found = [
        sample_environment(environment_of(light, side), blender_world(along))
        for side, along in (("right", directions), ("left", mirrored))
    ]
    torch.testing.assert_close(found[0], found[1], atol=2e-3, rtol=0.02)


def test_a_cancel_at_the_last_moment_leaves_nothing(hand, left, tmp_path):
    right = make_photo("right")

    def stop(fraction, message="", preview=None):
        if "without detail" in message:
            raise Cancelled

    config = PalmAvatarConfig(BAKE, DetailConfig(steps=2), rerender_px=64)
    parts = (hand, tiny_prior().config.box, right.capture, right.image, right.mask, open_hand_model(), config, "tiny")
    with pytest.raises(Cancelled):
        write_personal_avatar(tmp_path / "hand.palmhand", *parts, {}, {}, progress=stop)
    assert list(tmp_path.iterdir()) == []
    wrong = (*parts[:2], left.capture, *parts[3:])
    with pytest.raises(CaptureError, match="of a left hand, the model of a right one"):
        write_personal_avatar(tmp_path / "hand.palmhand", *wrong, {}, {})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--prior", "gone.palmprior"], "gone.palmprior"),
        (["--prior", "other.palmprior"], "prior other.palmprior was made with the hand model 'a paw'"),
        (["--prior", "other.palmprior"], "(--hand-model and --prior go together), or take --method harp"),
        (["--prior", "tiny.palmprior", "--lpips", "vgg.pth"], "--vgg16"),
        (["--prior", "tiny.palmprior", "--frames", "3"], "--frames 3 is for videos"),
        (["--prior", "tiny.palmprior", "--frames", "0"], "--frames 0 is not between"),
        (
            ["--method", "harp", "--prior", "open", "--no-detail", "--quality", "paper"],
            "--prior, --no-detail, --quality paper",
        ),
    ],
)
def test_mistakes_cost_one_line(place, tmp_path, monkeypatch, capsys, options, says):
    monkeypatch.chdir(place)
    output = tmp_path / "out.palmhand"
    assert main(["personalize", "capture.json", "-o", str(output), "--progress", "none", *options]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and says in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("quality", "says"),
    [
        (Quality(40.0, 0.2, 0.9, None), r"joints are 20% of its size beside .* fingers apart"),
        (Quality(2.0, 0.01, 0.3, None), r"overlap by 30% only .* or --mask"),
    ],
)
def test_a_capture_that_failed_is_named(left, quality, says):
    with pytest.raises(PalmError, match=says):
        check_capture(replace(left.capture, quality=quality))


def test_a_mask_that_covers_nothing_is_named(left):
    with pytest.raises(CaptureError, match="the mask covers nothing"):
        photo_of_capture(left.capture, left.image, np.zeros_like(left.mask))


@pytest.mark.parametrize("kind", ["black and white", "tinted", "cut by the frame"])
def test_odd_photos_still_work(kind):
    photo = tiny_photos()[0]
    if kind == "black and white":
        photo = photo._replace(image_srgb=photo.image_srgb.mean(-1, keepdim=True).expand(-1, -1, 3))
    elif kind == "tinted":
        photo = photo._replace(image_srgb=(photo.image_srgb * torch.tensor([1.3, 0.7, 0.3])).clamp(0, 1))
    else:
        rows = int(torch.nonzero(photo.mask)[:, 0].float().median())
        photo = photo._replace(image_srgb=photo.image_srgb[:rows], mask=photo.mask[:rows])
    found = personalize_prior(tiny_prior(), [photo], open_hand_model(), CONFIG)
    assert all(torch.isfinite(value).all() for value in found.unknowns)
    radiance = found.losses["radiance"]
    assert float(radiance[-4:].mean()) < 1.05 * float(radiance[:4].mean())


def test_a_photo_without_colour_leaves_the_skin_its_own():
    hand = in_photo("plain")
    grey = hand._replace(color=hand.color.mean(-1, keepdim=True).expand(-1, -1, 3))
    maps = fit_detail([grey], DetailConfig(steps=20)).maps
    texels = painted_hand().texels.texels
    change = (maps.albedo.reshape(-1, 3)[texels] / hand.maps.albedo.reshape(-1, 3)[texels]).log()
    tint = change - change.mean(1, keepdim=True)
    assert float(tint.abs().mean()) < 0.01
