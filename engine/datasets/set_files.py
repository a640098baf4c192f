"""What the readers of published sets share: findings, bounded JSON, numbered pictures, and what they need of a hand model."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import DatasetError
from ..hand.model import HandModel
from ..outside import numbers
from .palm_pixels import picture_size

T = TypeVar("T")

LARGEST_SET_JSON = 512 << 20
"""Bytes of an annotation file for a whole set; InterHand2.6M's largest at 5 and 30 frames a second are below it."""
LARGEST_FRAME_JSON = 1 << 20
"""Bytes of an annotation file for one moment."""
MOST_PROBLEMS = 200
"""Kept in words; further ones are counted."""
LARGEST = 1e6
"""Of an annotation's numbers, in any unit."""
NAMES_LISTED = 3
RIGHT_TO_LEFT = np.tile([1.0, -1.0, -1.0], 15)
"""Finger poses of one hand → of the other, its mirror image in X."""


class Findings:
    """What is wrong with a set. Raised at once, or, where parts may be left out, kept with a line each."""

    def __init__(self, keep_incomplete: bool = False, watch: Callable[[], None] = lambda: None):
        """watch: called again and again while files are looked at; may raise to stop the reading."""
        self.keep_incomplete = keep_incomplete
        self.watch = watch
        self.problems: list[str] = []
        self.count = 0

    def complain(self, message: str) -> None:
        """Raises DatasetError, unless parts may be left out."""
        error = DatasetError(message)
        if not self.keep_incomplete:
            raise error
        self.count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(str(error))

    def attempt(self, read: Callable[..., T], *arguments: Any) -> T | None:
        """What read(*arguments) returns, or None where it raises DatasetError and parts may be left out."""
        try:
            return read(*arguments)
        except DatasetError as error:
            self.complain(str(error))
            return None


def read_annotations(path: Path, kind: type, most_bytes: int = LARGEST_SET_JSON) -> Any:
    """The dict or list in a JSON file. Raises DatasetError naming a file that is missing, too large or something else."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise DatasetError(f"{path} is not a file: copy it again")
        if size > most_bytes:
            raise DatasetError(
                f"{path} has {size >> 20} MB, more than the {most_bytes >> 20} MB that are read: copy it again"
            )
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing: copy the set again") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): copy it again") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is no JSON file ({error}): copy it again") from error
    if not isinstance(value, kind):
        wanted = "an object" if kind is dict else "a list"
        raise DatasetError(
            f"{path} holds {type(value).__name__}, not {wanted}: it is of another version or another set"
        )
    return value


def measured(value: Any, what: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Finite numbers that a hand, a camera or a picture can have. what: names the file and the field. Raises DatasetError."""
    array = numbers(value, what, DatasetError, shape)
    if array.size and np.abs(array).max() > LARGEST:
        raise DatasetError(f"{what} holds {np.abs(array).max():.3g}, far beyond any hand or camera: copy it again")
    return array


def field(values: Any, name: str, where: str, shape: tuple[int, ...]) -> np.ndarray:
    """Finite numbers of a field, with any batch dimensions of 1 dropped. Raises DatasetError naming file and field."""
    if not isinstance(values, Mapping) or name not in values:
        raise DatasetError(f"{where} has no {name}: it is of another version, or cut off; copy it again")
    array = measured(values[name], f"{where}: {name}")
    if array.size != int(np.prod(shape)) or tuple(n for n in array.shape if n != 1) != tuple(
        n for n in shape if n != 1
    ):
        wanted = "×".join(map(str, shape))
        raise DatasetError(
            f"{where}: {name} has shape {array.shape}, not {wanted}: it is of another version; copy it again"
        )
    return array.reshape(shape)


def folders_in(folder: Path) -> list[Path]:
    """Sub-folders by name, hidden ones left out; none where the folder is missing."""
    if not folder.is_dir():
        return []
    return sorted(
        (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")), key=natural_key
    )


def natural_key(path: Path) -> tuple[Any, ...]:
    """Orders names with numbers by the numbers' values."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", path.name))


def numbered(folder: Path, pattern: str, findings: Findings) -> dict[int, Path]:
    """{number: file} of a folder's files whose whole name fits the pattern, the number its first group, in order.

    Complains of files that fit with the same number, and of others, the hidden ones excepted.
    """
    found: dict[int, Path] = {}
    odd: list[str] = []
    if not folder.is_dir():
        return {}
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(pattern, path.name)
        if match is None or not path.is_file():
            odd += [] if path.name.startswith(".") else [path.name]
            continue
        number = int(match[1])
        if number in found:
            findings.complain(f"{folder} has number {number} twice ({found[number].name}, {path.name}): remove one")
        else:
            found[number] = path
    if odd:
        findings.complain(f"{folder} holds {some(odd)}, named otherwise than this set's files: move it elsewhere")
    return dict(sorted(found.items()))


def sized_alike(
    pictures: Mapping[int, Path], findings: Findings, size: tuple[int, int] | None = None
) -> tuple[dict[int, Path], tuple[int, int]]:
    """The pictures that have one size, and that size as (width, height): the given, or the one that most have.

    Complains of pictures that have another one or cannot be opened.
    """
    sizes = {}
    for number, path in pictures.items():
        findings.watch()
        sizes[number] = findings.attempt(picture_size, path)
    known = Counter(value for value in sizes.values() if value is not None)
    if not known:
        return {}, size or (0, 0)
    expected = size or known.most_common(1)[0][0]
    alike = {}
    for number, path in pictures.items():
        found = sizes[number]
        if found == expected:
            alike[number] = path
        elif found is not None:
            findings.complain(
                f"{path} has {found[0]}×{found[1]} pixels, the others of its camera {expected[0]}×{expected[1]}:"
                " copy it again"
            )
    return alike, expected


def rigid(rotation: np.ndarray, translation: np.ndarray, where: str) -> np.ndarray:
    """World → camera [4,4] of a rotation [3,3] and a translation [3]. Raises DatasetError where it is no rotation."""
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise DatasetError(f"{where} is no rotation: it is of another version, or damaged; copy it again")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, translation
    return matrix


def pinhole(intrinsics: np.ndarray, size: tuple[int, int], where: str) -> np.ndarray:
    """The matrix [3,3] if it is a pinhole camera's for pictures of this (width, height). Raises DatasetError."""
    focal, centre = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
    plain = np.allclose(intrinsics[2], (0, 0, 1), atol=1e-6) and abs(intrinsics[1, 0]) < 1e-6
    if not plain or (focal <= 0.05 * max(size)).any() or (centre < 0).any() or (centre > np.array(size)).any():
        raise DatasetError(
            f"{where}: the camera matrix does not fit pictures of {size[0]}×{size[1]} pixels;"
            " use pictures and annotations of the same release"
        )
    return intrinsics


def some(names: Iterable[Any]) -> str:
    """The first three names and how many more."""
    listed = [str(name) for name in names]
    more = len(listed) - NAMES_LISTED
    return ", ".join(listed[:NAMES_LISTED]) + (f" and {more} more" if more > 0 else "")


def plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def mean_pose(model: HandModel | None, side: str, what: str) -> np.ndarray:
    """MANO's mean finger pose [45] of a side, to which a set's poses are relative; zero without a model.

    model: a MANO model of any side. Raises DatasetError for one whose mean pose is flat, which would bend every finger wrong.
    """
    if model is None:
        return np.zeros(45)
    mean = model.hands_mean.cpu().numpy().astype(float)
    if not mean.any():
        raise DatasetError(
            f"{what} are relative to MANO's mean pose, which {model.name!r} does not have: give MANO_RIGHT.pkl as --hand-model"
        )
    return mean if model.side == side else mean * RIGHT_TO_LEFT


UNPOSED = "no hand model was given: finger poses are left relative to MANO's mean pose"


def rest_joints(model: HandModel, side: str, betas: np.ndarray) -> np.ndarray:
    """Joints [16,3] of the unposed hand of a side, metres. model: of any side."""
    regressor = model.joint_regressor.cpu().numpy().astype(float)
    used = min(len(betas), model.num_betas)
    shapes = model.shapedirs.cpu().numpy()[..., :used].astype(float)
    joints = regressor @ (model.v_template.cpu().numpy() + shapes @ betas[:used])
    return joints if model.side == side else joints * np.array([-1.0, 1.0, 1.0])


def rotation_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """[3,3] of one axis-angle vector."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(axis_angle).as_matrix()


def nothing_left(root: Path, sequences: Sequence[Any], findings: Findings) -> None:
    """Raises DatasetError where a set has no usable sequence."""
    if not sequences:
        first = f" ({findings.problems[0]})" if findings.problems else ""
        raise DatasetError(f"nothing in {root} can be used{first}: copy the set again")
