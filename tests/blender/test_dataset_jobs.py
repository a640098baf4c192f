"""Data sets from the panel: its settings as a command line, and the operators that run it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.hand.pose_files import load_pose_file

PANEL = {
    "verb": "cohort", "subjects": 3, "poses": 2, "cameras": 4, "moments": 7, "around": 20, "sequences": 5, "frames": 6,
    "pose_file": "", "avatar": "", "view": "capture", "light": "rig", "light_file": "", "other_light": "city",
    "other_light_file": "", "width": 64, "height": 48, "samples": 8, "seed": 9, "background": "black",
    "vary_light": False, "radiance": False, "avatars": False, "device": "auto", "workers": 1, "out": "/some/set",
}  # fmt: skip


def recipe(**changes: object):
    import build

    build.load_package()
    from palm_hands.palm_blender import dataset_jobs

    return dataset_jobs, dataset_jobs.recipe_of(SimpleNamespace(**{**PANEL, **changes}))


def test_settings_become_the_recipe_of_the_command_line(tmp_path):
    made, cohort = recipe()
    assert (cohort.kind, cohort.units, cohort.frames, cohort.cameras) == ("cohort", 3, 2, 4)
    assert (cohort.width, cohort.height, cohort.samples, cohort.seed) == (64, 48, 8, 9)
    assert cohort.environments == ("rig",) and not cohort.avatars
    _, relit = recipe(verb="harp-relit", light="night", radiance=True, vary_light=True, avatars=True)
    assert (relit.units, relit.frames, relit.environments) == (5, 6, ("night", "city"))
    assert relit.radiance and relit.vary_light and relit.avatars
    assert recipe(verb="harp-relit")[1].environments == ("courtyard", "city")
    _, moving = recipe(verb="sequence", light="studio", avatars=True)
    assert (moving.kind, moving.units, moving.frames, moving.cameras) == ("sequence", 3, 7, 20)
    # avatar folders are of the kinds that have them
    assert (moving.width, moving.environments, moving.avatars) == (64, ("studio",), False)
    own = Path(__file__).parents[2] / "assets" / "poses" / "finger_movement.npz"
    assert recipe(verb="sequence", pose_file=str(own))[1].frames == len(load_pose_file(own))
    # names that look like options are names
    assert recipe(out="-x", pose_file="")[1].kind == "cohort"
    with pytest.raises(Exception, match=r"pose file -poses\.npz does not exist"):
        recipe(verb="animate", avatar="-hand.palmhand", pose_file="-poses.npz", width=64)
    words = made.command(SimpleNamespace(**PANEL), dry_run=True)
    assert "--dry-run" in words and "--resume" not in words and words[-3:] == ["--progress", "json", "--parent-pipe"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": ""}, "a folder for the data set is not chosen"),
        ({"verb": "animate"}, "an avatar folder is not chosen"),
        ({"light": "file"}, "an environment's file is not chosen"),
        ({"width": 4}, "4 width cannot be rendered"),
        ({"verb": "none", "avatar": "a", "pose_file": "b"}, "these settings cannot be used .*invalid choice: 'none'"),
        ({"samples": "many"}, "these settings cannot be used .*--samples: invalid int value: 'many'"),
    ],
)
def test_what_is_missing_is_named(changes, message):
    from engine.errors import PalmError

    with pytest.raises(Exception, match=message) as refused:
        recipe(**changes)
    assert PalmError.__name__ in [kind.__name__ for kind in type(refused.value).__mro__]


def test_operators_do_not_end_blender_and_command_lines_end_as_they_say():
    recipe()
    from palm_hands.palm_blender import console

    with pytest.raises(Exception, match="stopped with status 2"), console.one_line_errors(exits=True):
        raise SystemExit(2)
    with pytest.raises(SystemExit), console.one_line_errors():
        raise SystemExit(0)


def test_count_is_that_of_the_plan():
    from palm_hands.palm_blender.synthesis.foresight import picture_count, trial_of

    for changes in ({}, {"verb": "sequence"}, {"verb": "harp-relit", "light": "night"}):
        made, wanted = recipe(**changes)
        said = made.count_in_words(SimpleNamespace(**{**PANEL, **changes}))
        assert said.startswith(f"{picture_count(wanted)} pictures of {wanted.units} hands")
        trial = trial_of(wanted)
        assert picture_count(trial) == {"cohort": 1, "sequence": 6, "harp-relit": 2}[wanted.kind]
        assert (trial.width, trial.samples) == (wanted.width, wanted.samples)
    assert picture_count(wanted, (2, 3)) == 2 * 6


@pytest.mark.parametrize(
    ("version", "dry_run", "whole"),
    [("4.5", True, True), ("4.2", False, False), ("5.0", False, False), ("5.2", True, False)],
)
def test_operators_render_in_another_blender(blender, tmp_path, version, dry_run, whole):
    out = tmp_path / "große menge"
    facts = blender("dataset_jobs_jobs.render", version=version, out=out, dry_run=dry_run, whole=whole)
    assert "Choose a folder" in facts["no_folder"] and "not there yet" in facts["nothing_to_open"]
    for which in ("unsaved", "unsaved_open"):
        assert "not saved: save it, or choose a whole path" in facts["places"][which]
    # a job's own folder is where it runs: whatever is relative there is lost with it
    assert facts["places"]["home"] == str(Path.home() / "my dataset")
    for which, name in (("relative", "my dataset"), ("option", "-x")):
        assert Path(facts["places"][which]).is_absolute() and Path(facts["places"][which]).name == name
    assert "an avatar folder is not chosen" in facts["no_avatar"]
    assert "none.exr" in facts["no_file"] and facts["counted"] == "2 pictures of 1 hand"
    assert facts["in_motion"] == ["90 pictures of 1 hand", True, True, True, False]
    assert facts["left_over"] == [False, False]
    if dry_run:
        state, said = facts["timed"]
        assert state == ["FINISHED"] and said.startswith("2 pictures, about ") and facts["forgotten"]
    if whole:
        assert facts["rendered"][0] == ["FINISHED"] and str(out) in facts["rendered"][1]
        assert facts["again"][1] == f"nothing was missing: {out}"
        assert "holds another data set" in facts["other_set"]
        assert len(list(out.glob("**/images/*/*.png"))) == 2
    else:
        assert not out.exists()
