"""Operators that only an engine can carry out."""

from __future__ import annotations

import bpy

from ...engine.errors import PalmError
from .. import preferences


class NeedsEngine:
    """Greyed out, with what to do about it, while there is no engine. Before `bpy.types.Operator` among the bases."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_engine(cls)


def has_engine(operator: type[bpy.types.Operator]) -> bool:
    """Whether there is an engine; says on the operator where there is none. Called by its poll."""
    try:
        preferences.interpreter()
    except PalmError as error:
        said = str(error)
        operator.poll_message_set(said[0].upper() + said[1:])
        return False
    return True
