"""Operators that start a job and, where asked, wait for its end."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty

from .. import jobs
from ..job_queue import DONE, FAILED, Job


class Waits:
    """Operators that start a job. Before `bpy.types.Operator` among the bases."""

    wait: BoolProperty(
        name="Wait",
        description="Return when it is done; without a window, where no timer runs, that is always so unless it is unset",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    def finish(self, job: Job) -> set[str]:
        """Wait where that is wanted; reports a failure."""
        if self.wait or (bpy.app.background and not self.properties.is_property_set("wait")):
            jobs.finish(job)
            if job.state != DONE:
                self.report({"ERROR"}, job.message)
                return {"CANCELLED"}
        elif job.state == FAILED:
            self.report({"ERROR"}, job.message)
            return {"CANCELLED"}
        return {"FINISHED"}
