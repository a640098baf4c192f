"""Hand model files: MANO pickles in old and new protocols, .npz, and every way they can be wrong."""

from __future__ import annotations

import os
import pickle
import sys
import types

import numpy as np
import pytest
import torch

from engine.errors import HandModelError
from engine.hand.model import OPEN_HAND, load_hand_model, open_hand_model


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_licensed_layout_in_any_protocol(tmp_path, mano_fields, protocol):
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(mano_fields, protocol))
    model = load_hand_model(path, torch.float64)
    assert model.v_template.shape == (778, 3)
    np.testing.assert_array_equal(model.joint_regressor.numpy(), mano_fields["J_regressor"].toarray())
    assert model.tip_vertices.tolist() == [745, 317, 444, 556, 673]
    assert model.faces.dtype == torch.int64


def test_chumpy_arrays_are_read_without_chumpy(tmp_path, mano_fields, monkeypatch):
    """MANO's released files hold chumpy objects; a file naming such classes is made by renaming a stand-in."""

    class Ch:
        def __init__(self, x):
            self.x = x

    module = types.ModuleType("chumpy.ch")
    Ch.__module__, Ch.__qualname__, module.Ch = "chumpy.ch", "Ch", Ch
    monkeypatch.setitem(sys.modules, "chumpy", module)
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    content = pickle.dumps({**mano_fields, "shapedirs": Ch(mano_fields["shapedirs"])}, 2)
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(content)
    np.testing.assert_array_equal(load_hand_model(path, torch.float64).shapedirs, mano_fields["shapedirs"])


def test_left_file_gets_its_first_shape_direction_mended(tmp_path, mano_fields):
    fields = {**mano_fields, "J_regressor": np.asarray(mano_fields["J_regressor"].toarray())}
    fields["v_template"] = fields["v_template"].copy()
    fields["v_template"][:, 0] *= -1
    for sign in (1.0, -1.0):
        model_fields = {**fields, "v_template": fields["v_template"] * [sign, 1, 1]}
        path = tmp_path / "MANO.pkl"
        path.write_bytes(pickle.dumps(model_fields))
        model = load_hand_model(path, torch.float64)
        joints = fields["J_regressor"] @ model_fields["v_template"]
        assert model.side == ("right" if joints[4, 0] < joints[0, 0] else "left")
        factor = -1.0 if model.side == "left" else 1.0
        np.testing.assert_allclose(model.shapedirs[:, 0], factor * fields["shapedirs"][:, 0])
        np.testing.assert_allclose(model.shapedirs[:, 1:], fields["shapedirs"][:, 1:])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("posedirs", None, "lacks posedirs"),
        ("weights", np.ones((778, 24)) / 24, r"weights has shape \(778, 24\)"),
        ("v_template", np.full((778, 3), np.nan), "NaN"),
        ("f", np.full((10, 3), 900), "points outside"),
        ("kintree_table", np.zeros((2, 16), np.int64), "joint tree"),
        ("weights", np.zeros((778, 16)), "sum to 1"),
        ("posedirs", np.zeros((778, 3, 9)), "posedirs has shape"),
        ("shapedirs", "text", "no numbers|shape"),
        ("v_template", {}, "lacks|malformed|numbers"),
        ("v_template", [[1], [1, 2]], "numbers|malformed"),
        ("f", 3, "malformed|shape"),
        ("f", np.full((10, 3), np.nan), "whole numbers"),
        ("vt", np.zeros((5, 2)), "only one of vt and ft"),
    ],
)
def test_refusals_name_file_and_field(tmp_path, mano_fields, name, value, message):
    fields = {key: item for key, item in mano_fields.items() if key != name}
    if value is not None:
        fields[name] = value
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(fields))
    with pytest.raises(HandModelError, match=message) as caught:
        load_hand_model(path)
    assert "model.pkl" in str(caught.value)


def test_malicious_model_runs_nothing(tmp_path, mano_fields):
    mark = tmp_path / "mark"

    class Bad:
        def __reduce__(self):
            return os.system, (f"touch {mark}",)

    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps({**mano_fields, "hands_mean": Bad()}))
    with pytest.raises(HandModelError, match="refused"):
        load_hand_model(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["m.npz", "m.pkl"])
def test_damaged_files(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(HandModelError, match=name):
        load_hand_model(path)


def test_missing_file(tmp_path):
    with pytest.raises(HandModelError, match="does not exist"):
        load_hand_model(tmp_path / "none.npz")


def test_truncated_npz(tmp_path):
    path = tmp_path / "cut.npz"
    path.write_bytes(OPEN_HAND.read_bytes()[:-5000])
    with pytest.raises(HandModelError, match=r"cut\.npz"):
        load_hand_model(path)


def test_unknown_side():
    with pytest.raises(HandModelError, match="neither"):
        open_hand_model("both")
