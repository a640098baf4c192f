"""Operators that start a job and, where asked, wait for its end."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty

from ...engine.errors import PalmError
from .. import jobs
from ..job_queue import DONE, FAILED, Job


class Waits:
    """Operators that start a job. Before `bpy.types.Operator` among the bases."""

    wait: BoolProperty(
        name="Wait",
        description="Return when it is done; without a window, where no timer runs, that is always so unless it is unset",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    def finish(self, job: Job) -> str:
        """Wait where that is wanted. Returns the line to report; raises PalmError with the reason of a failure."""
        waits = self.wait or (bpy.app.background and not self.properties.is_property_set("wait"))
        if waits:
            jobs.finish(job)
        if job.state == FAILED or (waits and job.state != DONE):
            raise PalmError(job.message)
        return f"Done: {job.title}" if job.state == DONE else f"Begun: {job.title}"
