"""`python -m engine personalize --method harp` on the real photo, and its answers to what cannot work."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from engine.avatar.folder import read_avatar
from engine.cli import main

HARP, QUIET = ("--method", "harp"), ("--progress", "none")


@pytest.fixture(scope="module")
def photo(samples):
    return samples / "two_hands_dorsal.jpg"


@pytest.fixture(scope="module")
def made(photo, tmp_path_factory):
    pytest.importorskip(
        "mediapipe", reason="MEDIAPIPE IS MISSING (extra 'capture'): the real photo was not personalised"
    )
    folder = tmp_path_factory.mktemp("real") / "hand.palmhand"
    status = main(["personalize", str(photo), "-o", str(folder), *HARP, "--quality", "standard", "--hand", "0", *QUIET])
    assert status == 0
    return folder


def test_the_real_photo_becomes_an_avatar(made):
    avatar = read_avatar(made)
    assert avatar.method == "harp" and avatar.handedness in ("left", "right")
    assert avatar.metrics["rerender_psnr_db"] >= 26
    assert avatar.metrics["silhouette_iou"] >= 0.98
    assert avatar.provenance["input_sha256"] and avatar.provenance["timings_s"]["geometry"] > 0
    albedo = np.asarray(Image.open(made / "seen.png"))
    assert 0.05 < (albedo > 128).mean() < 0.5


def test_progress_as_json_and_refusing_to_overwrite(made, photo, capsys):
    before = (made / "avatar.json").read_bytes()
    assert main(["personalize", str(photo), "-o", str(made), *HARP, "--progress", "json"]) == 2
    output = capsys.readouterr()
    event = json.loads(output.out.strip().splitlines()[-1])
    assert event["event"] == "error" and "--force" in event["message"]
    assert output.err.count("\n") == 1
    assert (made / "avatar.json").read_bytes() == before


def test_a_failing_replacement_keeps_the_old_avatar(made, tmp_path):
    blank = tmp_path / "blank.png"
    Image.fromarray(np.full((200, 200, 3), 255, np.uint8)).save(blank)
    before = (made / "avatar.json").read_bytes()
    assert main(["personalize", str(blank), "-o", str(made), *HARP, "--force", *QUIET]) == 2
    assert (made / "avatar.json").read_bytes() == before
    assert [path.name for path in made.parent.iterdir()] == ["hand.palmhand"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "hand"], ".palmhand"),
        (["-o", "missing/hand.palmhand"], "missing"),
        (["-o", "hand.palmhand", "--texture-size", "3"], "--texture-size"),
        (["-o", "hand.palmhand", "--device", "teapot"], "--device"),
        (["-o", "hand.palmhand", "--device", "meta"], "--device"),
        (["-o", "hand.palmhand", "--seed", "-1"], "--seed"),
    ],
)
def test_arguments_that_cannot_work(photo, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert main(["personalize", str(photo), *HARP, *arguments, *QUIET]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and says in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"), [("gone.jpg", None), ("gone.json", None), ("bad.json", b"{}"), ("bad.jpg", b"x")]
)
def test_inputs_that_cannot_be_used(tmp_path, capsys, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    command = ["personalize", str(tmp_path / name), "-o", str(tmp_path / "out.palmhand"), *HARP, *QUIET]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and name in message
    assert not (tmp_path / "out.palmhand").exists()


def test_a_capture_file_must_belong_to_its_photo(samples, tmp_path, capsys):
    from dataclasses import replace

    from synthetic_photo import make_photo

    from engine.capture.capture_file import write_capture

    made = make_photo()
    Image.fromarray(made.image).save(tmp_path / "synthetic.png")
    write_capture(tmp_path / "capture.json", replace(made.capture, image="synthetic.png"), made.mask)
    command = [
        "personalize",
        str(tmp_path / "capture.json"),
        "-o",
        str(tmp_path / "out.palmhand"),
        *HARP,
        *QUIET,
    ]
    assert main(command) == 2
    assert "capture it again" in capsys.readouterr().err
    (tmp_path / "synthetic.png").unlink()
    assert main(command) == 2
    assert "missing" in capsys.readouterr().err


@pytest.fixture
def capture_file(tmp_path):
    from dataclasses import replace

    from synthetic_photo import make_photo

    from engine.capture.capture_file import write_capture
    from engine.files import sha256_of

    made = make_photo()
    photo = tmp_path / "synthetic.png"
    Image.fromarray(made.image).save(photo)
    capture = replace(made.capture, image=photo.name, image_sha256=sha256_of(photo))

    def write(**changes):
        return write_capture(tmp_path / "capture.json", replace(capture, **changes), made.mask, force=True)

    write()
    return tmp_path / "capture.json", write


@pytest.mark.parametrize(
    ("changes", "arguments", "says"),
    [
        ({"hand_model": "MANO_RIGHT.pkl"}, [], "--hand-model MANO_RIGHT.pkl"),
        ({"hand_model": "open"}, ["--hand-model", "other.npz"], "leave out --hand-model"),
        ({"hand_model": "open"}, ["--focal-px", "900", "--hand", "left"], "--hand, --focal-px cannot change"),
        (
            {
                "hand_model": "open",
                "world_to_camera": np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
            },
            [],
            "moved camera",
        ),
    ],
)
def test_a_capture_file_is_taken_as_it_was_fitted(capture_file, tmp_path, capsys, changes, arguments, says):
    path, write = capture_file
    write(**changes)
    command = ["personalize", str(path), "-o", str(tmp_path / "out.palmhand"), *HARP, *arguments, *QUIET]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and says in message


def test_a_model_with_mano_s_own_fields_only(photo, tmp_path):
    """Like MANO_RIGHT.pkl: open at the wrist, no texture coordinates, none of the project's fields."""
    from engine.hand.model import OPEN_HAND

    with np.load(OPEN_HAND) as archive:
        faces, regressor = archive["f"][~archive["cap_faces"]], archive["J_regressor"]
        kept = np.unique(faces)
        fields = {name: archive[name][kept] for name in ("v_template", "shapedirs", "posedirs", "weights")}
        fields |= {name: archive[name] for name in ("kintree_table", "hands_mean")}
    regressor = regressor[:, kept] / regressor[:, kept].sum(1, keepdims=True)
    model = tmp_path / "mano_like.npz"
    np.savez(model, **fields, f=np.searchsorted(kept, faces), J_regressor=regressor)
    command = ["personalize", str(photo), "-o", str(tmp_path / "hand.palmhand"), "--hand-model", str(model)]
    assert main([*command, *HARP, "--hand", "0", "--quality", "draft", *QUIET]) == 0
    avatar = read_avatar(tmp_path / "hand.palmhand")
    assert avatar.metrics["rerender_psnr_db"] >= 24
    assert avatar.metrics["silhouette_iou"] >= 0.94
    assert not avatar.mesh.cap_faces.any()
