"""`personalize --method xhand`: an avatar from a folder, and what is refused."""

from __future__ import annotations

import argparse
import json

import pytest
from synthetic_sequence import CONFIG, write_set

from engine.avatar.folder import read_avatar
from engine.cli import main
from engine.errors import Cancelled
from engine.methods import xhand_config
from engine.methods.command import add_arguments, run
from engine.methods.xhand_export import ExportConfig
from engine.methods.xhand_file import load_xhand
from engine.methods.xhand_stages import TITLES

XHAND = ("--method", "xhand", "--quality", "draft")
QUIET = ("--progress", "none")


def until_it_learns(fraction: float, message: str, **_) -> None:
    """Ctrl-C, at one place."""
    if message == TITLES[1]:
        raise Cancelled("cancelled")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    write_set(root, moments=5, views=3)
    return root


def test_a_folder_becomes_an_avatar_that_knows_how_well_it_shows_what_it_never_saw(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(xhand_config.PRESETS, "draft", CONFIG)
    small = ExportConfig(levels=0, poses=40, maps=1, texture_px=64, pose_texture_px=64)
    monkeypatch.setattr(ExportConfig, "draft", staticmethod(lambda: small))
    made = tmp_path / "me.palmhand"
    words = [str(folder), "-o", str(made), *XHAND, "--hold-out-cameras", "cam1", "--hold-out-frames", "5"]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(Cancelled, match="the same command goes on from there"):
        run(parser.parse_args(words), until_it_learns)
    assert [path.name for path in tmp_path.iterdir()] == ["me.unfinished"]
    assert main(["personalize", *words, *QUIET]) == 0
    avatar = read_avatar(made)
    assert avatar.method == "xhand" and avatar.handedness == "right"
    for part in ("train", "novel_view", "novel_pose", "novel_both"):
        assert avatar.metrics[f"{part}_psnr_db"] > 10 and 0 < avatar.metrics[f"{part}_ssim"] <= 1
    said = avatar.provenance["xhand"]
    assert said["cameras"] == ["cam0", "cam2"] and said["other_cameras"] == ["cam1"] and said["other_moments"] == [5]
    model = load_xhand(made)
    assert len(model.rest_vertices) == said["vertices"]
    assert [path.name for path in tmp_path.iterdir()] == ["me.palmhand"]  # no checkpoints are left


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--hold-out-cameras", "cam9"), "no camera cam9"),
        (("--sequence", "other"), "no sequence other"),
        (("--views", "1"), "5 pictures are left to learn from, and fewer than 8 teach nothing"),
        (("--prior", "open"), "--prior would change nothing"),
        (("--no-shadow",), "--no-shadow would change nothing"),
        (("--hand", "left"), "--hand cannot change"),
    ],
)
def test_options_that_make_no_sense_are_refused(folder, tmp_path, capsys, arguments, message):
    assert main(["personalize", str(folder), "-o", str(tmp_path / "a.palmhand"), *XHAND, *QUIET, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_its_options_are_refused_with_other_methods_and_photos_with_it(folder, tmp_path, capsys):
    photo = next((folder / "folders" / "toy" / "images" / "cam0").iterdir())
    out = ("-o", str(tmp_path / "a.palmhand"))
    assert main(["personalize", str(photo), *out, "--views", "3", *QUIET]) == 2
    assert "--views would change nothing with --method palm" in capsys.readouterr().err
    assert main(["personalize", str(photo), *out, *XHAND, *QUIET]) == 2
    assert "is not the folder of one sequence" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(xhand_config.PRESETS, "draft", CONFIG)
    made = tmp_path / "me.palmhand"
    damaged = tmp_path / "me.unfinished" / "step-000003"
    damaged.mkdir(parents=True)
    (damaged / "state.json").write_text(json.dumps({"schema_version": 1}))
    assert main(["personalize", str(folder), "-o", str(made), *XHAND, *QUIET]) == 2
    assert "step-000003" in capsys.readouterr().err and not made.exists()
