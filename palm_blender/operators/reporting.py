"""How an operator tells the user how it went: in one line, whatever happened."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import bpy

from ...engine.errors import PalmError
from ..console import one_line_errors

Execute = Callable[[Any, bpy.types.Context], str]


def reported(work: Execute) -> Callable[[Any, bpy.types.Context], set[str]]:
    """Make an operator's `execute` from a method that returns the line to report, or raises PalmError."""

    @functools.wraps(work)
    def execute(self: bpy.types.Operator, context: bpy.types.Context) -> set[str]:
        try:
            with one_line_errors(exits=True):
                line = work(self, context)
        except PalmError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, line)
        return {"FINISHED"}

    return execute
