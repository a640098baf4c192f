"""The layouts of hand data that can be read, each by one reader, and which of them a folder has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import DatasetError
from ..hand.model import HandModel
from .freihand import BACKGROUNDS, is_freihand, read_freihand
from .hamer_outputs import is_hamer, read_hamer
from .hanco import is_hanco, read_hanco
from .hand_sequence import HandSequence
from .harp_release import is_harp, read_harp
from .interhand import is_interhand, read_interhand
from .palm_sequences import is_ours, is_palm, read_own_sequences, read_palm_sequences
from .set_files import Findings


class SetFormat(NamedTuple):
    """A layout."""

    summary: str
    fits: Callable[[Path], bool]
    """Whether a folder looks like it."""
    read: Callable[[Path, HandModel | None, Findings], Iterable[HandSequence]]
    """Its sequences, one after the other."""
    needs_mano: bool
    """Whether its finger poses are relative to MANO's mean pose."""


FORMATS: dict[str, SetFormat] = {
    "ours": SetFormat(
        "a set that `build.py` rendered", is_ours, lambda root, _, findings: read_own_sequences(root, findings), False
    ),
    "interhand": SetFormat(
        "InterHand2.6M", is_interhand, lambda root, model, findings: read_interhand(root, model, None, findings), True
    ),
    "freihand": SetFormat(
        "FreiHAND",
        is_freihand,
        lambda root, model, findings: read_freihand(root, model, BACKGROUNDS, findings=findings),
        True,
    ),
    "hanco": SetFormat("HanCo", is_hanco, lambda root, model, findings: read_hanco(root, model, None, findings), True),
    "harp": SetFormat(
        "HARP's release", is_harp, lambda root, model, findings: read_harp(root, model, None, findings), True
    ),
    "palm": SetFormat("PALM", is_palm, read_palm_sequences, True),
    "hamer": SetFormat("HaMeR's results", is_hamer, lambda root, _, findings: read_hamer(root, findings), False),
}
"""In the order in which they are tried: each has files that those after it lack."""


def format_of(root: Path, remedy: str = "give the set's top folder, or --format") -> str:
    """The name of the layout that a folder has. Raises DatasetError where it is none of them, with a remedy for the user."""
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder: give the folder of a data set")
    for name, layout in FORMATS.items():
        if layout.fits(root):
            return name
    if (packed := packed_in(root)) is not None:
        raise DatasetError(f"{root} holds packed files ({packed.name}): unpack them first")
    known = ", ".join(layout.summary for layout in FORMATS.values())
    raise DatasetError(f"{root} has none of the known layouts ({known}): {remedy}")


def packed_in(root: Path) -> Path | None:
    """A packed file of a set in the places where the published ones have theirs."""
    places = (root, root / "zips", root / "XR20B" / "zips")
    return next((path for place in places for path in place.glob("*.zip")), None)


def read_sequences(
    root: Path | str, model: HandModel | None, name: str = "auto", findings: Findings | None = None
) -> Iterator[HandSequence]:
    """The sequences of a folder of any known layout.

    model: MANO; None only to look at sets of poses that are relative to its mean. Raises DatasetError; with `findings` that
    keep incomplete parts, problems are kept there and their frames left out.
    """
    root = Path(root)
    if name != "auto" and name not in FORMATS:
        raise DatasetError(f"data set format {name!r} is unknown: use auto, {', '.join(FORMATS)}")
    # who reads sets without a choice of layout has no --format to offer
    layout = FORMATS[format_of(root, "give the set's top folder") if name == "auto" else name]
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder: give the folder of a data set")
    yield from layout.read(root, model, findings or Findings())
