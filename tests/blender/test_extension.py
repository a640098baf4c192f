"""The extension as Blender packs, loads and unloads it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

import engine


def extension_tool(*arguments: object) -> str:
    """Blender's own packaging tool, found beside the `bpy` module without importing it."""
    (tool,) = Path(sys.prefix).glob("lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py")
    done = subprocess.run(
        [sys.executable, str(tool), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    """The zip that users install."""
    path = tmp_path_factory.mktemp("package") / "palm_hands.zip"
    extension_tool("build", "--source-dir", ROOT, "--output-filepath", path)
    return path


@pytest.fixture(scope="session")
def repository(package, tmp_path_factory) -> Path:
    """A repository folder holding what the zip holds."""
    folder = tmp_path_factory.mktemp("repository")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder / "palm_hands")
    return folder


def test_manifest_is_valid_and_of_the_engine_s_version(package):
    extension_tool("validate", package)
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text())
    assert manifest["version"] == engine.__version__
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later", "SPDX:CC0-1.0"]
    assert all(0 < len(reason) <= 64 for reason in manifest["permissions"].values())


def test_package_holds_the_code_and_no_clutter(package):
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
    for needed in ("__init__.py", "palm_blender/rig.py", "engine/avatar/folder.py", "assets/hand/open_hand_right.npz"):
        assert needed in names
    clutter = ("tests/", "tools/", ".git", ".venv", ".mypy_cache", "__pycache__", "out/", "benchmarks/")
    assert [name for name in names if name.startswith(clutter) or "/__pycache__/" in name] == []
    assert package.stat().st_size < 30 << 20


def test_package_leaves_out_what_the_add_on_does_not_use(tmp_path):
    """Built from a folder that holds one file of each kind that a checkout may hold."""
    wanted = {"__init__.py", "blender_manifest.toml", "build.py", "LICENSE", "assets/hand/a.npz", "engine/avatar/a.py"}
    wanted |= {"assets/prior/open.palmprior/prior.json"}
    unwanted = (
        *(".ci/run", ".gitignore", ".venv/a.py", ".venv-bpy42/a.py", "Makefile", "README.md", "constraints.txt"),
        *("assets/pictures/a.jpg", "assets/samples/hand.jpg", "benchmarks/a.py", "build/a.py"),
        *("engine/__pycache__/a.pyc", "hand.palmhand/avatar.json", "out/hand.palmhand/avatar.json", "out/a.png"),
        *("palm_hands.egg-info/PKG-INFO", "palm_hands-0.1.0.zip", "pyproject.toml", "scene.blend", "scene.blend1"),
        *("shared/samples/a.jpg", "tests/blender/a.py", "tools/open_hand/a.py"),
        # what lies about in a checkout
        *(
            "notes.txt",
            "trial.py",
            "hand.png",
            "Notes/a.py",
            "assets.zip",
            "assets-old/a.npz",
            "build.py.orig",
            "builds/a",
        ),
        *(
            "engine.log",
            "engine2/a.py",
            "env/a.py",
            "labels.json",
            "License",
            "palm_blender.py",
            "palm_blender-old/a.py",
        ),
        *(
            "parts/a",
            "plan.md",
            "poses.npz",
            "_trial.py",
            "__main__.py",
            "über.txt",
            "engine/trial.log",
            "engine/.hidden",
        ),
    )
    source = tmp_path / "checkout"
    for name in (*wanted, *unwanted):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("")
    shutil.copy(ROOT / "blender_manifest.toml", source)
    extension_tool("build", "--source-dir", source, "--output-filepath", tmp_path / "package.zip")
    with zipfile.ZipFile(tmp_path / "package.zip") as archive:
        assert {name for name in archive.namelist() if not name.endswith("/")} == wanted


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.2"])
def test_extension_imports_an_avatar_and_leaves_cleanly(blender, avatar_folders, repository, version):
    facts = blender(
        "extension_jobs.enable_import_undo_disable",
        version=version,
        repository=repository,
        avatar=avatar_folders["left"][0],
    )
    assert facts["operator"] and facts["panel"] and facts["same_code"]
    assert facts["imported"] == ["FINISHED"]
    assert facts["active"] == "ARMATURE"
    assert (facts["objects"], facts["after_undo"], facts["after_redo"]) == (2, 0, 2)
    assert facts["fitted"] == ["FINISHED"] and facts["joint_moved"]
    assert "not a folder" in facts["refusal"]
    assert facts["left_over"] == []


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.0", "5.2"])
def test_damaged_avatar_leaves_nothing_in_the_scene(blender, avatar_folders, tmp_path, version):
    """Pictures whose ends are sound and whose middle is not are noticed only once Blender decodes them."""
    damaged = []
    for name in ("albedo.png", "normal.png"):
        copy = tmp_path / f"{name}.palmhand"
        shutil.copytree(avatar_folders["right"][0], copy)
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[:33] + bytes(len(content) - 45) + content[-12:])
        damaged.append(copy)
    light = tmp_path / "light.hdr"
    light.write_bytes(b"no picture")
    facts = blender(
        "extension_jobs.import_damaged",
        version=version,
        avatars=list(map(str, damaged)),
        sound=avatar_folders["right"][0],
        broken_light=light,
    )
    for refusal, name in zip(facts["refusals"], ("albedo.png", "normal.png", "light.hdr"), strict=True):
        assert f"{name} cannot be decoded" in refusal
        assert len(refusal.splitlines()) == 1
    assert facts["after"] == [facts["before"]] * 3


def test_provenance_that_blender_cannot_hold_is_stored_as_far_as_it_can(blender, avatar_folders, tmp_path):
    copy = tmp_path / "odd.palmhand"
    shutil.copytree(avatar_folders["right"][0], copy)
    values = json.loads((copy / "avatar.json").read_text())
    values |= {
        "method": "\ud800",
        "provenance": {"é" * 40: "a", "lone": "\ud800", "nested": {"x": [1]}, "seed": 1 << 80},
    }
    (copy / "avatar.json").write_text(json.dumps(values))
    stored = blender("extension_jobs.stored_provenance", avatar=copy)
    assert stored == {
        "palm_method": "?",
        "palm_provenance_" + "?" * 40: "a",
        "palm_provenance_lone": "?",
        "palm_provenance_seed": str(1 << 80),
    }


def test_what_blender_shares_with_the_engine_needs_numpy_alone():
    """The folder's reader, joints, cameras, poses and pickles import with bpy, torch and everything else blocked."""
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests" / "blender")!r}, {str(ROOT)!r}]
import worker
worker.BLOCKED += ("bpy",)
sys.meta_path.insert(0, worker.Blocker())
import build, importlib
build.load_package()
for name in ("engine.avatar.folder", "engine.hand.joints", "engine.hand.cameras", "engine.hand.pose_files",
             "engine.hand.safe_pickle", "engine.files", "engine.errors", "palm_blender.bone_math",
             "palm_blender.synthesis.poses", "palm_blender.synthesis.motions"):
    importlib.import_module("palm_hands." + name)
outside = {{name.partition(".")[0] for name in sys.modules}} & {{*worker.BLOCKED, "engine"}}
assert not outside, outside
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
