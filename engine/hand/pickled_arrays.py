"""Stand-ins by which the restricted unpickler builds NumPy arrays, scipy-sparse and chumpy objects without NumPy's own.

NumPy's unpickling functions trust what they read: a crafted dtype makes an array of pointers out of the file's bytes.
So none of them is reachable. A pickle builds the small objects below, which only remember what they were told, and
`resolve` turns them into arrays after checking kind, size and shape. NumPy only.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ..errors import InputError

MAX_ENTRIES = 1 << 28
_PLAIN_DTYPE = re.compile(r"[<>|=]?[biufcSU?]\d{0,4}")
_PYTHON_OBJECTS = ("O", "O8", "|O", "|O8", "O4")


class UnsafePickleError(InputError):
    """The pickle asks for something that is not data."""


class ArrayClass:
    """`numpy.ndarray` as a name in a pickle: nothing can be called on it."""

    __hash__ = None  # type: ignore[assignment]


ARRAY_CLASS = ArrayClass()


class Dtype:
    """A dtype of plain numbers, text or Python objects."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, code: str):
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """(version, byte order, subtype, names, fields, item size, alignment, …): only the byte order may matter."""
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise UnsafePickleError("the pickle asks for a structured array, which is not plain data")
        if not self.is_object and state[1] in ("<", ">"):
            self.code = state[1] + self.code.lstrip("<>|=")

    @property
    def is_object(self) -> bool:
        return self.code in _PYTHON_OBJECTS

    def plain(self) -> np.dtype:
        if self.is_object:
            raise UnsafePickleError("the pickle reads Python objects out of bytes, which is not plain data")
        return np.dtype(self.code)


def make_dtype(code: Any, *_: Any) -> Dtype:
    """`numpy.dtype(code, align, copy)` of a pickle."""
    text = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(text, str) or not (text in _PYTHON_OBJECTS or _PLAIN_DTYPE.fullmatch(text)):
        raise UnsafePickleError(f"the pickle asks for the array type {text!r}, which is not plain data")
    return Dtype(text)


class Array:
    """An array that is being read; its contents arrive by `__setstate__`."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.fortran = False
        self.values: np.ndarray | list[Any] = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        """(version, shape, dtype, is Fortran-ordered, bytes or a list of objects)."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise UnsafePickleError("the pickle holds a malformed array")
        shape, dtype, fortran, content = state[-4:]
        self.shape, self.fortran = checked_shape(shape), bool(fortran)
        if not isinstance(dtype, Dtype):
            raise UnsafePickleError("the pickle holds an array without a plain type")
        if dtype.is_object and isinstance(content, list) and len(content) == math.prod(self.shape):
            self.values = content
        else:
            self.values = _from_bytes(content, dtype, math.prod(self.shape))


def make_array(kind: Any, *_: Any) -> Array:
    """`numpy.core.multiarray._reconstruct(ndarray, (0,), b'b')` of a pickle."""
    if kind is not ARRAY_CLASS:
        raise UnsafePickleError("the pickle rebuilds a kind of array that is not plain data")
    return Array()


def make_array_from_buffer(content: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> np.ndarray:
    """`numpy.core.numeric._frombuffer` of a pickle (protocol 5)."""
    if not isinstance(dtype, Dtype) or order not in ("C", "F"):
        raise UnsafePickleError("the pickle holds a malformed array")
    sizes = checked_shape(shape)
    return _from_bytes(content, dtype, math.prod(sizes)).reshape(sizes, order=order)


def make_scalar(dtype: Any, content: Any = b"") -> Any:
    """`numpy.core.multiarray.scalar` of a pickle."""
    if not isinstance(dtype, Dtype):
        raise UnsafePickleError("the pickle holds a malformed number")
    return _from_bytes(content, dtype, 1)[0]


def checked_shape(shape: Any) -> tuple[int, ...]:
    whole = isinstance(shape, tuple) and len(shape) <= 8
    if not whole or not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) > MAX_ENTRIES:
        raise UnsafePickleError("the pickle holds an array of impossible size")
    return shape


def _from_bytes(content: Any, dtype: Dtype, count: int) -> np.ndarray:
    kind = dtype.plain()
    if isinstance(content, str):  # Python 2 wrote bytes as text
        content = content.encode("latin1")
    if not isinstance(content, (bytes, bytearray)) or len(content) != count * kind.itemsize:
        raise UnsafePickleError("the pickle holds an array whose bytes do not fit its shape")
    return np.frombuffer(bytes(content), kind, count).copy() if count else np.zeros(0, kind)


class ChumpyArray:
    """Stands in for chumpy.Ch and its relatives: keeps the pickled state and yields the array in it."""

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {})

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        for key in ("x", "_x", "a"):
            if key in self.__dict__:
                if key == "a" and "idxs" in self.__dict__:
                    flat = np.asarray(self.__dict__["a"]).ravel()[self.__dict__["idxs"]]
                    return np.asarray(flat.reshape(self.__dict__["preferred_shape"]), dtype=dtype)
                return np.asarray(self.__dict__[key], dtype=dtype)
        raise ValueError("a chumpy object without an array in it")


class SparseMatrix:
    """Stands in for SciPy's compressed sparse matrices (csc, csr), so that SciPy is not needed."""

    by_column = True

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {})

    def toarray(self) -> np.ndarray:
        shape = tuple(int(n) for n in self.__dict__.get("_shape", self.__dict__.get("shape", ())))
        pointers = np.asarray(self.__dict__["indptr"])
        inner = np.asarray(self.__dict__["indices"])
        values = np.asarray(self.__dict__["data"])
        if len(shape) != 2 or min(shape) < 0 or math.prod(shape) > MAX_ENTRIES:
            raise ValueError("a sparse matrix with impossible sizes")
        outer_count, inner_count = (shape[1], shape[0]) if self.by_column else shape
        if len(pointers) != outer_count + 1 or (len(inner) and not 0 <= inner.min() <= inner.max() < inner_count):
            raise ValueError("a sparse matrix whose indices do not fit its size")
        outer = np.repeat(np.arange(outer_count), np.diff(pointers))
        dense = np.zeros(shape, dtype=values.dtype)
        rows, columns = (inner, outer) if self.by_column else (outer, inner)
        np.add.at(dense, (rows, columns), values)
        return dense


class RowSparseMatrix(SparseMatrix):
    by_column = False


def resolve(value: Any, done: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """What a pickle built, with every stand-in array replaced by a real one. Containers keep their identity.

    done: id → (what was visited, what it became); holding the former keeps its id from being used again.
    """
    done = {} if done is None else done
    if id(value) in done:
        return done[id(value)][1]
    if isinstance(value, Array):
        return _finish_array(value, done)
    if isinstance(value, tuple):
        result = tuple(resolve(item, done) for item in value)
        done[id(value)] = (value, result)
        return result
    if isinstance(value, (dict, list, ChumpyArray, SparseMatrix)):
        done[id(value)] = (value, value)
        if isinstance(value, list):
            value[:] = [resolve(item, done) for item in value]
        else:
            fields = value if isinstance(value, dict) else value.__dict__
            fields.update({key: resolve(item, done) for key, item in fields.items()})
    return value


def _finish_array(array: Array, done: dict[int, tuple[Any, Any]]) -> np.ndarray:
    if isinstance(array.values, np.ndarray):
        result = array.values.reshape(array.shape, order="F" if array.fortran else "C")
        done[id(array)] = (array, result)
        return result
    result = np.empty(array.shape, dtype=object)
    done[id(array)] = (array, result)
    # NumPy lists objects row by row, whatever their order in memory
    for index, item in zip(np.ndindex(*array.shape), array.values, strict=True):
        result[index] = resolve(item, done)
    return result
