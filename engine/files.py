"""Writing files and folders whole or not at all.

Results are made under a temporary name beside their destination and renamed when complete, so that a crash, a cancel or
a full disk leaves what was there before. NumPy and the standard library only: Blender's Python uses this too.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError, OutputError


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def check_output(path: Path, force: bool = False) -> Path:
    """The path itself if a result may be written there, before any work is done.

    Raises OutputError if something is there already (and not `force`), or if its folder is missing or not writable.
    """
    path = Path(path)
    if os.path.lexists(path) and not force:
        raise OutputError(f"{path} exists already: choose another name or add --force to replace it")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder: make it first, or write {path.name} elsewhere")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write in {folder} ({error.strerror}): choose another folder") from error
    return path


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same suffix; moved onto `path` when the block ends without an error."""
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.absolute().parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error.strerror}): choose another folder") from error
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error.strerror}): check the disk and the folder's rights") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, force: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path`; renamed to `path` when the block ends without an error.

    With `force` an existing folder is replaced, and is put back if the replacement cannot be moved into place.
    """
    path = check_output(path, force)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}-", dir=path.absolute().parent))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        _swap_in(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error.strerror}): check the disk and the folder's rights") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap_in(temporary: Path, path: Path) -> None:
    if not os.path.lexists(path):
        os.replace(temporary, path)
        return
    displaced = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}-old-", dir=path.absolute().parent)) / path.name
    os.replace(path, displaced)
    try:
        os.replace(temporary, path)
    except OSError:
        os.replace(displaced, path)
        raise
    finally:
        if os.path.lexists(path):
            shutil.rmtree(displaced.parent, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NumPy arrays and scalars become lists and numbers, NaN is refused."""
    text = json.dumps(value, indent=1, default=_plain, allow_nan=False) + "\n"
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def read_json(path: Path, what: str = "JSON file") -> dict[str, Any]:
    """The object in a JSON file. Raises InputError naming the file when it is missing, too large or not an object."""
    path = Path(path)
    try:
        if path.stat().st_size > 512 << 20:
            raise InputError(f"{path} is larger than 512 MB: not a {what}")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: give the path of a {what}") from error
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): give the path of a {what}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): give a {what}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__}, not an object: give a {what}")
    return value
