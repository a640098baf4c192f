"""Operators on jobs: cancelling one, forgetting one, reading its log."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import IntProperty

from .. import jobs
from ..job_queue import ENDED


class PALM_OT_cancel_job(bpy.types.Operator):
    """Stop a job; nothing half-done is left"""

    bl_idname = "palm.cancel_job"
    bl_label = "Cancel Job"
    bl_options = {"REGISTER", "INTERNAL"}

    number: IntProperty(name="Job", description="0: the running one", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not jobs.session().queue.is_busy:
            cls.poll_message_set("No job is running")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        running = jobs.session().queue.running
        jobs.cancel(self.number or (running.number if running else 0))
        return {"FINISHED"}


class PALM_OT_clear_job(bpy.types.Operator):
    """Take a job that has ended off the list, with its log; what it made or added stays"""

    bl_idname = "palm.clear_job"
    bl_label = "Clear Job"
    bl_options = {"REGISTER", "INTERNAL"}

    number: IntProperty(name="Job", description="0: all that have ended and are added", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        job = jobs.session().queue.find(properties.number)
        if job is not None and job.keeps and job.output is None:
            return "Take this job off the list, with its log and its result, which is in no file yet"
        return ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        ended = [job.number for job in jobs.session().queue if job.state in ENDED and not job.keeps]
        for number in [self.number] if self.number else ended:
            jobs.remove(number)
        return {"FINISHED"}


class PALM_OT_open_log(bpy.types.Operator):
    """Open what the engine wrote while it worked on this job"""

    bl_idname = "palm.open_log"
    bl_label = "Open Log"
    bl_options = {"REGISTER", "INTERNAL"}

    number: IntProperty(name="Job", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        job = jobs.session().queue.find(self.number)
        if job is None or not Path(job.log).is_file():
            self.report({"ERROR"}, "this job has no log: it never began")
            return {"CANCELLED"}
        try:
            bpy.ops.wm.path_open(filepath=str(job.log))
        except RuntimeError as error:
            self.report({"ERROR"}, f"the log is {job.log} ({' '.join(str(error).split())})")
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (PALM_OT_cancel_job, PALM_OT_clear_job, PALM_OT_open_log)
