"""Subjects named on a command line: `0000-0011,0042`."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import InputError


def subjects_named(text: str, known: Collection[str]) -> set[str]:
    """The known subjects that a list of names and ranges means; a range is every known name from one to the other, in order.

    An empty text names none. Raises InputError for a name that is not known and for a range that holds none.
    """
    named: set[str] = set()
    for part in (piece.strip() for piece in text.split(",") if piece.strip()):
        first, dash, last = part.partition("-")
        found = {name for name in known if first <= name <= last} if dash and part not in known else {part} & set(known)
        if not found:
            raise InputError(f"the set has no subject {part}: name its folders, such as {min(known, default='0000')}")
        named |= found
    return named
