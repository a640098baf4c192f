"""A few of many things, evenly chosen. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(items: Sequence[T], count: int | None, ends: bool = False) -> tuple[T, ...]:
    """`count` of the items in their order, evenly chosen; all of them where None, or where there are no more.

    Each is the middle of its share of the items, so that what is left lies on both sides of it. ends: the first and the last are
    among them instead (of one, the first).
    """
    if count is None or count >= len(items):
        return tuple(items)
    if ends:
        last, gaps = len(items) - 1, max(count - 1, 1)
        return tuple(items[round(place * last / gaps)] for place in range(count))
    return tuple(items[int((place + 0.5) * len(items) / count)] for place in range(count))
