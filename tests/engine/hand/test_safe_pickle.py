"""The restricted pickle reader: reads data in every protocol, runs nothing."""

from __future__ import annotations

import collections
import os
import pickle
import subprocess

import numpy as np
import pytest
import scipy.sparse

from engine.errors import InputError
from engine.hand.safe_pickle import UnsafePickleError, load_object_array, load_pickle, load_pickle_bytes

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_plain_data(protocol):
    value = {
        "array": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.eye(3, dtype=np.float32)),
        "scalar": np.float32(2.5),
        "bytes": b"\x00\xff",
        "text": "hand",
        "nested": [1, (2, None), {"x": True}],
        "ordered": collections.OrderedDict(a=1),
        "object": np.array([{"a": 1}, None], dtype=object),
        "sparse": scipy.sparse.random(5, 7, 0.4, format="csc", random_state=0),
        "rows": scipy.sparse.random(5, 7, 0.4, format="csr", random_state=1),
    }
    result = load_pickle_bytes(pickle.dumps(value, protocol), "value")
    np.testing.assert_array_equal(result["array"], value["array"])
    np.testing.assert_array_equal(result["fortran"], value["fortran"])
    assert result["scalar"] == 2.5
    assert result["bytes"] == b"\x00\xff"
    assert result["nested"] == value["nested"]
    assert result["ordered"] == {"a": 1}
    assert result["object"][0] == {"a": 1}
    np.testing.assert_array_equal(result["sparse"].toarray(), value["sparse"].toarray())
    np.testing.assert_array_equal(result["rows"].toarray(), value["rows"].toarray())


class Runs:
    """Pickles to a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "call", [(os.system, "touch {}"), (eval, "open({!r}, 'w')"), (subprocess.Popen, ["touch", "{}"]), (open, "{}", "w")]
)
def test_malicious_pickle_runs_nothing(tmp_path, protocol, call):
    mark = tmp_path / "mark"
    function, *arguments = call
    filled = [[p.format(str(mark)) for p in a] if isinstance(a, list) else a.format(str(mark)) for a in arguments]
    bad = pickle.dumps({"v_template": Runs(function, *filled)}, protocol)
    path = tmp_path / "bad.pkl"
    path.write_bytes(bad)
    with pytest.raises(UnsafePickleError, match=r"bad\.pkl is refused"):
        load_pickle(path)
    assert not mark.exists()
    ran = pickle.loads(bad)["v_template"]  # the control: Python's own reader does run it
    if function is subprocess.Popen:
        ran.wait()
    assert mark.exists()


@pytest.mark.parametrize("name", ["getattr", "exec", "type", "__import__"])
def test_builtins_are_not_reachable(name):
    with pytest.raises(UnsafePickleError, match=name):
        load_pickle_bytes(f"cbuiltins\n{name}\n.".encode(), "bad")


def test_dotted_names_are_not_reachable():
    content = b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.__add__\x93."
    with pytest.raises(UnsafePickleError):
        load_pickle_bytes(content, "bad")


@pytest.mark.parametrize("keep", [0, 1, 30, 200])
def test_truncated_pickle_is_an_input_error(tmp_path, keep):
    path = tmp_path / "cut.pkl"
    path.write_bytes(pickle.dumps(np.arange(100.0))[:keep])
    with pytest.raises(InputError, match=r"cut\.pkl"):
        load_pickle(path)


def test_object_array_of_a_dict(tmp_path):
    path = tmp_path / "poses.npy"
    np.save(path, {"betas": np.ones((1, 10))}, allow_pickle=True)
    np.testing.assert_array_equal(load_object_array(path)["betas"], np.ones((1, 10)))
    np.save(path, np.arange(3.0))
    np.testing.assert_array_equal(load_object_array(path), np.arange(3.0))
    np.save(path, np.array(Runs(os.system, "true"), dtype=object), allow_pickle=True)
    with pytest.raises(UnsafePickleError):
        load_object_array(path)


def test_no_project_file_loads_pickles_otherwise():
    """Only the restricted reader may touch pickle (design: files from outside are hostile)."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    forbidden = ("pickle.load", "allow_pickle=True", "import dill", "joblib.load", "weights_only=False")
    offenders = []
    for folder in ("engine", "palm_blender", "tools"):
        for parent, _, files in os.walk(os.path.join(root, folder)):
            for file in files:
                if file.endswith(".py"):
                    with open(os.path.join(parent, file), encoding="utf-8") as stream:
                        text = stream.read()
                    offenders += [f"{file}: {word}" for word in forbidden if word in text]
    assert not offenders


def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def test_arrays_cannot_be_made_of_pointers(tmp_path):
    """NumPy's own dtype and ndarray, rebuilt by a crafted pickle, would turn bytes into object pointers and crash."""
    dtype = b"cnumpy\ndtype\n(X\x01\x00\x00\x00O\x89\x88tR"
    without_flags = dtype + b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    crafted = opcodes(b"cnumpy\nndarray\n((K\x01t", without_flags, b"C\x08AAAAAAAAtR")
    path = tmp_path / "evil.pkl"
    path.write_bytes(crafted)
    with pytest.raises(InputError, match=r"evil\.pkl"):
        load_pickle(path)
    state = opcodes(
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01(K\x01t",
        dtype,
        b"\x89C\x08AAAAAAAAtb",
    )
    with pytest.raises(UnsafePickleError, match="objects out of bytes"):
        load_pickle_bytes(state, "evil")
    scalar = opcodes(b"cnumpy.core.multiarray\nscalar\n(", dtype, b"C\x08AAAAAAAAtR")
    with pytest.raises(UnsafePickleError, match="objects out of bytes"):
        load_pickle_bytes(scalar, "evil")


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(3, dtype=[("a", "f4"), ("b", "O")]),
        np.zeros(3, dtype="datetime64[s]"),
        np.array([b"x"], dtype="V1"),
    ],
)
def test_only_plain_array_types(value):
    with pytest.raises(UnsafePickleError):
        load_pickle_bytes(pickle.dumps(value), "value")


def test_array_bytes_must_fit_the_shape():
    good = pickle.dumps(np.arange(4.0), 2)
    for shape in (b"K\x05\x85", b"K\x03\x85"):
        with pytest.raises(InputError):
            load_pickle_bytes(good.replace(b"K\x04\x85", shape), "value")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unusual_but_plain_arrays(protocol):
    nested = np.empty((2, 2), dtype=object)
    nested[0, 0], nested[0, 1], nested[1, 0], nested[1, 1] = np.arange(3), {"k": np.eye(2)}, "t", None
    value = {
        "big endian": np.arange(5, dtype=">i4"),
        "text": np.array(["left", "right"]),
        "empty": np.zeros((0, 3)),
        "flags": np.array([True, False]),
        "strided": np.arange(24.0).reshape(2, 3, 4)[:, ::2].T,
        "nested": nested,
        "nested columns": np.asfortranarray(nested),
        "no bytes": b"",
    }
    result = load_pickle_bytes(pickle.dumps(value, protocol), "value")
    for name in ("big endian", "text", "empty", "flags", "strided"):
        np.testing.assert_array_equal(result[name], value[name])
        assert result[name].dtype == value[name].dtype
    for name in ("nested", "nested columns"):
        np.testing.assert_array_equal(result[name][0, 0], np.arange(3))
        np.testing.assert_array_equal(result[name][0, 1]["k"], np.eye(2))
        assert result[name][1, 0] == "t"
        assert result[name][1, 1] is None


def test_shared_and_cyclic_values_keep_their_identity():
    array = np.arange(3.0)
    value: dict[str, object] = {"a": array, "b": array}
    value["self"] = value
    result = load_pickle_bytes(pickle.dumps(value), "value")
    assert result["a"] is result["b"]
    assert result["self"] is result
