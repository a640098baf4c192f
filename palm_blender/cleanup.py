"""Building in the user's file whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy


@contextmanager
def whole_or_nothing() -> Iterator[None]:
    """Remove every data-block that the block made, if it ends in an error. Also a decorator.

    What existed before stays, except that links to removed data-blocks become empty.
    """
    before = set(bpy.data.user_map())
    try:
        yield
    except BaseException:
        bpy.data.batch_remove(set(bpy.data.user_map()) - before)
        raise
