"""A learned hand on disk, and files that are none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import AvatarError
from engine.fields.feature_embedding import EmbeddingConfig
from engine.fields.neural_renderer import RendererConfig
from engine.hand.mirror import mirror_model
from engine.hand.model import open_hand_model
from engine.methods.pose_range import pose_range
from engine.methods.xhand_file import has_xhand, load_xhand, save_xhand
from engine.methods.xhand_model import XHandModel, XHandNetworks
from engine.methods.xhand_template import build_template

SMALL = EmbeddingConfig(2, 8)
NETWORKS = XHandNetworks(SMALL, SMALL, EmbeddingConfig(2, 8, local=True), RendererConfig(2, 8, latent=4))


@pytest.fixture(scope="module")
def hand() -> XHandModel:
    poses = 0.3 * torch.randn(4, 45, generator=torch.Generator().manual_seed(1))
    source = build_template(mirror_model(open_hand_model()), 2_000, 0)
    hand = XHandModel(source, 0.5 * torch.ones(10), pose_range(poses), NETWORKS, ("400262", "400263"))
    with torch.no_grad():
        for value in hand.parameters():
            value.normal_(std=0.1)
    return hand


def test_what_is_read_is_what_was_written(hand, tmp_path):
    assert not has_xhand(tmp_path)
    save_xhand(tmp_path, hand)
    assert has_xhand(tmp_path) and sorted(path.name for path in tmp_path.iterdir()) == ["hand.npz", "xhand.npz"]
    state = torch.random.get_rng_state()
    read = load_xhand(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert read.cameras == hand.cameras and read.networks == hand.networks and read.template.side == "left"
    pose = 0.2 * torch.ones(45)
    for found, wanted in zip(read.features(pose), hand.features(pose), strict=True):
        torch.testing.assert_close(found, wanted)
    posed, told = (model.posed(pose, torch.ones(3), torch.zeros(3)).vertices for model in (read, hand))
    torch.testing.assert_close(posed, told)
    torch.testing.assert_close(read.light_of("400263"), hand.light_of("400263"))
    torch.testing.assert_close(read.topology.uv, hand.topology.uv)


@torch.no_grad()
def test_a_sky_is_kept_and_the_first_schema_s_hands_have_none(hand, tmp_path):
    networks = dataclasses.replace(hand.networks, sky=48)
    bright = XHandModel(hand.source, hand.betas, hand.pose_range, networks)
    bright.light.normal_()
    bright.sky.log_sharpness += 0.3
    save_xhand(tmp_path, bright)
    read = load_xhand(tmp_path)
    directions = torch.eye(3)
    for one, other in ((read, bright), (bright, read)):
        assert one.sky.sharpness == other.sky.sharpness
        torch.testing.assert_close(
            one.radiance(one.light_of(), directions), other.radiance(other.light_of(), directions)
        )
    save_xhand(tmp_path, hand)
    with np.load(tmp_path / "xhand.npz") as archive:
        description = json.loads(str(archive["description"]))
    del description["networks"]["sky"]
    changed(tmp_path, description=np.array(json.dumps(description | {"schema_version": 1})))
    assert load_xhand(tmp_path).sky is None
    description["networks"]["sky"] = 10**9
    changed(tmp_path, description=np.array(json.dumps(description)))
    with pytest.raises(AvatarError, match="sky"):
        load_xhand(tmp_path)


def changed(folder: Path, **arrays) -> None:
    """The saved file with other arrays; None: without it."""
    path = folder / "xhand.npz"
    with np.load(path) as archive:
        values = {name: archive[name] for name in archive.files} | arrays
    np.savez(path, **{name: value for name, value in values.items() if value is not None})


def described(folder: Path, **changes) -> np.ndarray:
    with np.load(folder / "xhand.npz") as archive:
        return np.array(json.dumps({**json.loads(str(archive["description"])), **changes}))


def array(folder: Path, name: str) -> np.ndarray:
    with np.load(folder / "xhand.npz") as archive:
        return archive[name].copy()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: {"parameter.light": None}, "light"),
        (lambda f: {"parameter.light": np.zeros((2, 9, 2))}, "light"),
        (lambda f: {"parameter.light": np.full((2, 9, 3), np.nan)}, "NaN"),
        (lambda f: {"parameter.light": np.array([{}], dtype=object)}, "damaged|cannot be read"),
        (lambda f: {"parameter.more": np.zeros(3)}, "more"),
        (lambda f: {"faces": array(f, "faces") + 10_000}, "faces points outside"),
        (lambda f: {"edges": array(f, "edges")[:-1]}, "edge_counts"),
        (lambda f: {"edges": array(f, "edges") + 3_000}, "edges points outside"),
        (lambda f: {"range_low": np.full(45, np.inf)}, "range_low"),
        (lambda f: {"description": np.array("[1")}, "damaged"),
        (lambda f: {"description": described(f, schema_version=9)}, "newer"),
        (lambda f: {"description": described(f, loop_levels=30)}, "loop_levels"),
        (lambda f: {"description": described(f, side="right")}, "right hand"),
        (lambda f: {"description": described(f, networks={})}, "damaged"),
    ],
)
def test_damaged_files_are_refused_in_one_line(hand, tmp_path, damage, message):
    save_xhand(tmp_path, hand)
    changed(tmp_path, **damage(tmp_path))
    with pytest.raises(AvatarError, match=message) as caught:
        load_xhand(tmp_path)
    assert "\n" not in str(caught.value) and "xhand.npz" in str(caught.value)


def test_networks_of_absurd_size_are_refused_before_memory_is_asked_for(hand, tmp_path):
    save_xhand(tmp_path, hand)
    networks = json.loads(str(array(tmp_path, "description")))["networks"]
    networks["albedo"]["width"] = 10**9
    changed(tmp_path, description=described(tmp_path, networks=networks))
    with pytest.raises(AvatarError, match="albedo width"):
        load_xhand(tmp_path)


def test_a_file_that_is_no_archive_or_is_missing(tmp_path):
    with pytest.raises(AvatarError, match=r"holds no xhand\.npz"):
        load_xhand(tmp_path)
    (tmp_path / "xhand.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(AvatarError, match=r"xhand\.npz"):
        load_xhand(tmp_path)
