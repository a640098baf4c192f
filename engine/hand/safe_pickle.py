"""A pickle reader that can only build data: plain containers, NumPy, SciPy-sparse and chumpy arrays, and nothing else.

MANO, HARP, HaMeR and PALM ship pickles, and a pickle may run any program when it is loaded. This reader resolves no
name outside the short list below (Python's documentation, "Restricting Globals"), and what is on the list is not
NumPy's own machinery but the stand-ins of pickled_arrays.py. NumPy only.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .pickled_arrays import (
    ARRAY_CLASS,
    ChumpyArray,
    RowSparseMatrix,
    SparseMatrix,
    UnsafePickleError,
    make_array,
    make_array_from_buffer,
    make_dtype,
    make_scalar,
    resolve,
)

__all__ = ["UnsafePickleError", "load_object_array", "load_pickle", "load_pickle_bytes"]

SIZE_LIMIT_BYTES = 1 << 31


def _bytes_as_latin1(text: str, encoding: str = "latin1") -> bytes:
    """`_codecs.encode`, as Python 3 writes bytes in old protocols: only for this one encoding."""
    if encoding not in ("latin1", "latin-1"):
        raise UnsafePickleError(f"asks for the text encoding {encoding!r}")
    return text.encode("latin1")


def _bytes(content: Any = b"", encoding: str = "latin1") -> bytes:
    """`bytes` and `bytearray`: only of what is there already, never of a size."""
    if isinstance(content, str):
        return _bytes_as_latin1(content, encoding)
    if not isinstance(content, (bytes, bytearray)):
        raise UnsafePickleError("makes bytes out of something else")
    return bytes(content)


def _new_stand_in(kind: Any, base: Any, state: Any) -> Any:
    """`copyreg._reconstructor`, which old protocols use for new-style classes: only for the stand-ins."""
    if not (isinstance(kind, type) and issubclass(kind, (ChumpyArray, SparseMatrix))):
        raise UnsafePickleError("the pickle rebuilds a class that is not plain data")
    return kind.__new__(kind)


def _allowed_names() -> dict[tuple[str, str], Any]:
    allowed: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): dict,
        ("_codecs", "encode"): _bytes_as_latin1,
        ("copy_reg", "_reconstructor"): _new_stand_in,
        ("copyreg", "_reconstructor"): _new_stand_in,
        ("numpy", "ndarray"): ARRAY_CLASS,
        ("numpy", "dtype"): make_dtype,
    }
    for module in ("builtins", "__builtin__"):
        allowed |= {(module, kind.__name__): kind for kind in (set, frozenset, complex, slice, object)}
        allowed |= {(module, "bytes"): _bytes, (module, "bytearray"): _bytes}
    for core in ("numpy.core", "numpy._core"):
        allowed[(f"{core}.multiarray", "_reconstruct")] = make_array
        allowed[(f"{core}.multiarray", "scalar")] = make_scalar
        allowed[(f"{core}.numeric", "_frombuffer")] = make_array_from_buffer
    for kind, stand_in in (("csc", SparseMatrix), ("csr", RowSparseMatrix)):
        for module in (f"scipy.sparse.{kind}", f"scipy.sparse._{kind}"):
            allowed |= {(module, f"{kind}_{suffix}"): stand_in for suffix in ("matrix", "array")}
    for module in ("chumpy.ch", "chumpy.reordering", "chumpy", "ch"):
        allowed |= {(module, name): ChumpyArray for name in ("Ch", "Select", "MatVecMult")}
    return allowed


_ALLOWED = _allowed_names()


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[(module, name)]
        except KeyError:
            raise UnsafePickleError(f"the pickle asks for {module}.{name}, which is not plain data") from None

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickleError("the pickle asks for an outside object, which is not plain data")


def load_pickle(path: Path | str) -> Any:
    """The data in a pickle file (Python 2 or 3, any protocol). Runs nothing.

    Raises UnsafePickleError when it asks for anything but data, InputError when it is missing, too large or damaged.
    """
    path = Path(path)
    try:
        if path.stat().st_size > SIZE_LIMIT_BYTES:
            raise InputError(f"{path} is larger than 2 GB: not a file this reads")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): check the path") from error
    return load_pickle_bytes(content, str(path))


def load_pickle_bytes(content: bytes, source: str) -> Any:
    """As `load_pickle`, from memory; `source` names it in errors."""
    try:
        return resolve(_DataUnpickler(io.BytesIO(content), encoding="latin1").load())
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{source} is refused: {error}") from None
    except Exception as error:  # noqa: BLE001
        # a hostile or cut-off stream can fail anywhere inside the unpickler
        raise InputError(f"{source} is not a readable pickle ({type(error).__name__}: {error})") from None


def load_object_array(path: Path | str) -> Any:
    """The object inside a `.npy` that `np.save` made of a dict (PALM's poses.npy), through the same reader.

    Raises InputError when it is no `.npy`; plain arrays are returned as they are.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(stream)
            if not dtype.hasobject:
                stream.seek(0)
                return np.lib.format.read_array(stream, allow_pickle=False)
            content = stream.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable .npy file ({error}): copy it again") from error
    value = load_pickle_bytes(content, str(path))
    if isinstance(value, np.ndarray) and value.dtype == object and value.shape == () == shape:
        value = value.item()
    return value
