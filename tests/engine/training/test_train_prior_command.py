"""`train-prior` as a real process: a prior comes out, an interrupted run goes on to the same result, mistakes are explained."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

from engine.cli import main
from engine.datasets.palm import read_palm_folder
from engine.errors import Cancelled, InputError
from engine.hand.model import open_hand_model
from engine.training.job import hold_out, read_data
from engine.training.prior_file import read_prior

ROOT = Path(__file__).parents[3]
COHORT = ROOT / "tests" / "data" / "synthetic" / "cohort"
SHORT = ("--steps", "12", "--pretrain-steps", "20", "--images", "2", "--progress", "json")


def arguments(data: Path, output: Path, *more: str) -> list[str]:
    return ["train-prior", "--data", str(data), "-o", str(output), *SHORT, *more]


def process(data: Path, output: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "engine", *arguments(data, output, *more)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(running: subprocess.Popen) -> tuple[int, list[dict], str]:
    out, err = running.communicate(timeout=300)
    return running.returncode, [json.loads(line) for line in out.splitlines()], err


@pytest.fixture(scope="module")
def whole(toy_folder, tmp_path_factory) -> Path:
    """An uninterrupted run."""
    output = tmp_path_factory.mktemp("whole") / "hands.palmprior"
    code, events, err = finish(process(toy_folder, output))
    assert code == 0, err
    assert events[-1]["event"] == "result" and events[-1]["steps"] == 12
    assert "radiance_psnr" in events[-1] and "normal_error_deg" in events[-1]
    return output


@pytest.mark.slow
def test_the_prior_is_whole_and_says_what_made_it(whole):
    prior = read_prior(whole, open_hand_model())
    assert prior.step == 12 and prior.light is not None and prior.light.shape == (32, 7)
    assert prior.perceptual_term == "laplacian pyramid"
    assert prior.provenance["configuration"]["schedule"]["total_steps"] == 12
    assert "radiance_psnr" in prior.metrics
    assert all(torch.isfinite(value).all() for value in prior.weights.values())
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == ["step-000000", "step-000012"]
    assert (whole / "previews" / "000012.png").is_file()
    assert len((whole / "metrics.jsonl").read_text().splitlines()) == 12


@pytest.mark.slow
def test_interrupted_and_resumed_is_the_same_as_whole(whole, toy_folder, tmp_path):
    output = tmp_path / "hands.palmprior"
    running = process(toy_folder, output)
    metrics = output / "metrics.jsonl"
    until = time.monotonic() + 120
    while time.monotonic() < until and not (metrics.exists() and metrics.read_text().count("\n") >= 4):
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGTERM)
    code, events, err = finish(running)
    assert code == 130 and "go on with --resume" in err and events[-1]["event"] == "cancelled"
    assert not (output / "prior.json").exists()
    code, events, err = finish(process(toy_folder, output, "--resume"))
    assert code == 0, err
    first, second = read_prior(whole), read_prior(output)
    assert first.metrics == second.metrics
    assert all(torch.equal(value, second.weights[name]) for name, value in first.weights.items())
    assert (whole / "metrics.jsonl").read_text() == metrics.read_text()


@pytest.mark.slow
def test_killed_outright_it_goes_on_from_its_checkpoint(whole, toy_folder, tmp_path):
    output = tmp_path / "hands.palmprior"
    running = process(toy_folder, output)
    metrics = output / "metrics.jsonl"
    until = time.monotonic() + 120
    while time.monotonic() < until and not (metrics.exists() and metrics.read_text().count("\n") >= 2):
        time.sleep(0.02)
    running.kill()
    finish(running)
    code, _, err = finish(process(toy_folder, output, "--resume"))
    assert code == 0, err
    assert read_prior(whole).metrics == read_prior(output).metrics


@pytest.mark.slow
def test_resuming_with_other_options_is_refused(whole, toy_folder, capsys):
    assert main(arguments(toy_folder, whole, "--resume", "--seed", "7")) == 2
    assert "was trained with another configuration.seed (was 42, now 7)" in capsys.readouterr().err


@pytest.mark.slow
def test_resuming_with_other_pictures_is_refused(whole, toy_folder, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(toy_folder, other)
    picture = next((other / "train").rglob("images/*/*.png"))
    with Image.open(picture) as image:
        ImageOps.invert(image).save(picture)
    assert main(arguments(other, whole, "--resume")) == 2
    assert "was trained with another data" in capsys.readouterr().err


@pytest.mark.slow
def test_resuming_what_is_finished_changes_nothing(whole, toy_folder, tmp_path):
    again = tmp_path / "hands.palmprior"
    shutil.copytree(whole, again)
    assert main(arguments(toy_folder, again, "--resume")) == 0
    assert read_prior(again).metrics == read_prior(whole).metrics


def test_a_cancel_in_pretraining_leaves_nothing(toy_folder, tmp_path, monkeypatch, capsys):
    from engine.training import job

    def cancelled(*_):
        raise Cancelled

    monkeypatch.setattr(job, "pretrain", cancelled)
    assert main(arguments(toy_folder, tmp_path / "new.palmprior")) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def data_options(data: Path, **others: object) -> argparse.Namespace:
    plain = {"quality": None, "best": None, "keep_incomplete": False, "hold_out": 0, "hold_out_views": 0, "exclude": ""}
    return argparse.Namespace(data=data, **plain | others)


def test_excluded_subjects_are_touched_by_nothing(caplog):
    options = data_options(COHORT, exclude="0001", hold_out_views=3)
    training, held, left_out = read_data(options, open_hand_model())
    assert {frame.subject for frame in (*training, *held)} == {"0000", "0002"}
    assert "subjects that --exclude names: 1" in left_out
    assert len(training) == 6 and len(held) == 2  # every third of 3 subjects − 1, in 2 poses and 2 cameras
    again = read_data(data_options(COHORT, exclude="0001,0001, 0001-0001", hold_out_views=3), open_hand_model())
    assert [frame.image for frame in again[0]] == [frame.image for frame in training]
    assert again[2] == left_out  # named three times it is one
    with pytest.raises(InputError, match=r"--exclude leaves no subject to train on"):
        read_data(data_options(COHORT, exclude="0000-0002"), open_hand_model())


def test_a_subject_of_held_out_frames_alone_can_be_excluded_too(tmp_path):
    for part in ("train", "val"):
        shutil.copytree(COHORT, tmp_path / part)
    for path in [*(tmp_path / "train").rglob("0000")]:
        shutil.rmtree(path)
    training, held, left_out = read_data(data_options(tmp_path, exclude="0000"), open_hand_model())
    for frames in (training, held):
        assert {frame.subject for frame in frames} == {"0001", "0002"}
    assert left_out == ["subjects that --exclude names: 1"]


@pytest.mark.slow
def test_stopping_in_the_last_fits_says_how_to_go_on(tmp_path):
    from engine.training import command
    from engine.training.job import LAST_SHARE

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    small = ["--config", "cohort", "--steps", "2", "--pretrain-steps", "20", "--known-steps", "60", "--images", "2"]
    given = ["--data", str(COHORT), *small, "--hold-out", "0", "-o", str(tmp_path / "cohort.palmprior")]

    def stop(fraction: float, message: str = "", preview: Path | None = None) -> None:
        if fraction > LAST_SHARE:
            raise Cancelled

    with pytest.raises(Cancelled, match=r"stopped in the last fits, after step 2, which is saved: go on with --resume"):
        command.run(parser.parse_args(given), stop)
    done = command.run(parser.parse_args([*given, "--resume"]), lambda *_, **__: None)
    assert done["steps"] == 2 and read_prior(tmp_path / "cohort.palmprior").provenance["last_known_albedo"] < 0.2


@pytest.mark.slow
def test_a_prior_of_people_whose_skin_is_known(tmp_path, capsys):
    output = tmp_path / "cohort.palmprior"
    small = ("--config", "cohort", "--steps", "4", "--pretrain-steps", "20", "--known-steps", "60", "--images", "2")
    arguments = ("train-prior", "--data", str(COHORT), *small, "--hold-out", "0", "-o", str(output))
    assert main([*arguments]) == 0
    prior = read_prior(output)
    facts = prior.provenance
    assert facts["known_albedo_error"] < 0.1 and facts["configuration"]["loop_surface"] is True
    assert prior.subjects == ("0000", "0001", "0002") and set(prior.bases) == {"shape", "appearance"}
    rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert all(0 < row["known"] < 0.5 for row in rows)


def test_without_a_val_folder_poses_of_train_are_held_back(toy_folder, tmp_path, caplog):
    shutil.copytree(toy_folder / "train", tmp_path / "set" / "train")
    options = data_options(tmp_path / "set", hold_out=2)
    training, held, _ = read_data(options, open_hand_model())
    assert {frame.frame for frame in held} == {1} and {frame.frame for frame in training} == {0}
    assert not caplog.text
    options.hold_out = 8
    assert read_data(options, open_hand_model())[1] == [] and "nothing is held out to measure with" in caplog.text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("-o", "hands"), "should end in .palmprior"),
        (("--steps", "0"), "--steps 0 is not 1 or more"),
        (("--images", "-3"), "--images -3 is not 1 or more"),
        (("--hold-out", "-1"), "--hold-out -1 is negative"),
        (("--hold-out", "1"), "--hold-out 1 would leave no pose to train on"),
        (("--hold-out-views", "1"), "--hold-out-views 1 would leave no picture to train on"),
        (("--known-steps", "-1"), "--known-steps -1 is negative"),
        (("--exclude", "9999"), "the set has no subject 9999"),
        (("--resume",), "does not exist, so there is nothing to resume"),
        (("--resume", "--force"), "give one of them"),
        (("--device", "tpu"), "neither cpu nor cuda"),
        (("--grid-backend", "tinycudann"), "--grid-backend tinycudann works on CUDA only"),
        (("--data", "nowhere"), "nowhere is not a folder"),
        (("--vgg16", "nowhere.pth"), "--vgg16 nowhere.pth cannot be read"),
        (("--hand-model", "nowhere.npz"), "nowhere.npz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_are_explained_in_one_line(toy_folder, tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments(toy_folder, tmp_path / "new.palmprior", *more)) == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "new.palmprior").exists()


def test_an_existing_prior_is_not_overwritten_unasked(toy_folder, tmp_path, capsys):
    (tmp_path / "old.palmprior").mkdir()
    assert main(arguments(toy_folder, tmp_path / "old.palmprior")) == 2
    assert "exists already" in capsys.readouterr().err


def test_broken_data_never_starts_a_training(toy_folder, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(toy_folder, broken)
    picture = next((broken / "train").rglob("images/*/*.png"))
    picture.write_bytes(picture.read_bytes()[:100])
    assert main(arguments(broken, tmp_path / "new.palmprior")) == 2
    assert picture.name in capsys.readouterr().err
    assert not (tmp_path / "new.palmprior").exists()


def test_data_of_another_hand_model_is_refused(toy_folder, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(toy_folder, other)
    facts = other / "train" / "dataset.json"
    facts.write_text(facts.read_text().replace(open_hand_model().name, "somebody_elses_hand"))
    assert main(arguments(other, tmp_path / "new.palmprior")) == 2
    assert "was made with the hand model 'somebody_elses_hand'" in capsys.readouterr().err


def test_every_nth_pose_is_held_back_with_all_its_pictures(toy_folder):
    frames = read_palm_folder(toy_folder / "train", open_hand_model().hands_mean.numpy()).frames
    training, held = hold_out(frames, 2)
    assert {frame.frame for frame in held} == {1} and {frame.frame for frame in training} == {0}
    assert len(training) + len(held) == len(frames)
    assert hold_out(frames, 0) == (list(frames), []) and hold_out(frames, 8)[1] == []
