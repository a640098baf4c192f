"""A sequence as it is rendered, read and taken up again: a real run of two frames and two cameras."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_runs import TINY, make, refused

from engine.datasets.check_set import check_set
from engine.datasets.hand_sequence import load_pixels
from engine.datasets.palm_sequences import read_own_sequences
from engine.datasets.set_files import Findings
from engine.datasets.true_surface import surface_path, true_surface
from engine.hand.cameras import project
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model

SEQUENCE = ("cohort", "--sequences", "--subjects", 1, "--frames", 2, "--cameras", 2, "--seed", 19, *TINY)
SEQUENCE = tuple("48x64" if value == "32x24" else value for value in SEQUENCE)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("sequence") / "set"
    make(*SEQUENCE, "--out", out)
    return out


@pytest.fixture(scope="module")
def sequence(rendered):
    (found,) = read_own_sequences(rendered)
    return found


def test_it_is_one_sequence_of_several_cameras_a_moment(sequence):
    assert (sequence.numbers, sequence.cameras) == ((1, 2), ("DOME_01", "DOME_02"))
    assert (len(sequence), sequence.handedness, sequence.hand_model) == (4, "right", "open")
    first, second = sequence.frames[0], sequence.frames[-1]
    assert not np.allclose(first.global_orient, second.global_orient)
    assert not np.allclose(first.hand_pose, second.hand_pose)


def test_the_true_surface_lies_where_the_pictures_show_it(sequence):
    for frame in sequence.frames:
        vertices, faces = true_surface(frame.image.parents[2], frame.number)
        mask = load_pixels(frame).mask > 127
        pixels = project(vertices, frame.intrinsics, frame.world_to_camera)
        corners = pixels[faces]
        edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        # every point of the surface is seen within the mask, whose outline is a pixel wide
        rows, columns = np.floor(pixels.T[::-1]).astype(int)
        near = np.pad(mask, 1)
        grown = sum(np.roll(near, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1))[1:-1, 1:-1] > 0
        assert grown[rows, columns].all()
        # half of the signed areas' magnitudes is more than the mask where fingers hide each other, and never less
        seen = np.abs(edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]).sum() / 4
        assert seen > 0.9 * mask.sum()


def test_parameters_and_keypoints_are_the_underlying_hands(sequence):
    import torch

    model = open_hand_model()
    frame = sequence.frames[-1]
    names = ("betas", "global_orient", "hand_pose", "transl")
    posed = hand_forward(model, *(torch.as_tensor(getattr(frame, name), dtype=torch.float32) for name in names))
    np.testing.assert_allclose(posed.joints.numpy(), frame.keypoints_3d[:16], atol=1e-4)
    # on it lies the true surface, a few millimetres away at most
    vertices, _ = true_surface(frame.image.parents[2], frame.number)
    coarse = posed.vertices.numpy()
    apart = np.linalg.norm(vertices[: len(coarse)] - coarse, axis=1)
    assert 2e-4 < np.median(apart) < 2e-3
    assert apart.max() < 6e-3


def test_check_data_says_what_it_found(rendered):
    findings = Findings(keep_incomplete=True)
    report = check_set(rendered, findings, lambda *_, **__: None).as_dict(findings)
    assert (report["frames"], report["moments"], report["cameras"], report["problems"]) == (4, 2, 2, [])
    assert report["true_surfaces"] == 2


def test_what_is_missing_is_made_again_and_the_same(rendered, sequence):
    folder = rendered / "folders" / "0000"
    lost, picture = surface_path(folder, 2), sequence.frames[1].image
    before = true_surface(folder, 2).vertices, picture.read_bytes()
    lost.write_bytes(b"half")
    picture.unlink()
    findings = Findings(keep_incomplete=True)
    report = check_set(rendered, findings, lambda *_, **__: None).as_dict(findings)
    assert report["true_surfaces"] == 1
    assert any("000002.npz" in line for line in report["problems"])
    make(*SEQUENCE, "--out", rendered, "--resume")
    np.testing.assert_array_equal(true_surface(folder, 2).vertices, before[0])
    assert picture.read_bytes() == before[1]


def test_a_number_of_poses_is_refused(tmp_path):
    assert "--frames" in refused(*SEQUENCE, "--poses", 7, "--out", tmp_path / "set")
