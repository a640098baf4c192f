"""Operators on the engine itself: setting it up, taking it away, testing it."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from ...engine.errors import PalmError
from .. import engine_setup, jobs, paths, preferences, self_test
from ..engine_process import clean, engine_environment
from ..job_queue import Job
from .needs_engine import NeedsEngine
from .reporting import reported
from .waits import Waits

SET_UP, SELF_TEST = "set-up", "self-test"


def _none_of(kind: str) -> bool:
    return not any(job.kind == kind and job.process is not None and not job.ended for job in jobs.session().queue)


class PALM_OT_set_up_engine(Waits, bpy.types.Operator):
    """Download the engine's packages into an environment of its own in the add-on's user folder; goes on where it stopped"""

    bl_idname = "palm.set_up_engine"
    bl_label = "Set Up Engine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not bpy.app.online_access:
            cls.poll_message_set(
                "Blender is offline: allow online access in Preferences > System, or choose an existing engine"
            )
            return False
        if not _none_of(SET_UP):
            cls.poll_message_set("The set-up is running")
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        folder, build = preferences.engine_folder(), preferences.preferences().build
        command = engine_setup.install_command(preferences.base_python(), folder, build)
        return self.finish(jobs.add(SET_UP, "setting the engine up", command, environment=engine_environment()))


class PALM_OT_remove_engine(bpy.types.Operator):
    """Delete the environment that was set up here, with all its packages"""

    bl_idname = "palm.remove_engine"
    bl_label = "Remove Engine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if jobs.session().queue.is_busy:
            cls.poll_message_set("A job is running: cancel it first")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        engine_setup.remove(preferences.engine_folder())
        return "The engine is removed"


class PALM_OT_test_engine(NeedsEngine, Waits, bpy.types.Operator):
    """Find out what works: packages, device, hand model, MANO, prior, hand detector"""

    bl_idname = "palm.test_engine"
    bl_label = "Test Engine"
    bl_options = {"REGISTER"}

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        state = context.window_manager.palm
        state.findings.clear()
        state.findings_summary = ""
        settings = preferences.preferences()
        try:
            files = [str(paths.absolute(path)) if path else "" for path in (settings.prior, settings.hand_model)]
            command = self_test.check_command(preferences.interpreter(), settings.device, *files)
            return self.finish(jobs.add(SELF_TEST, "testing the engine", command))
        except PalmError as error:
            state.findings_summary = str(error)
            raise


def show_findings(job: Job) -> None:
    """The result of a self-test, or of the one that ends a set-up, in the window manager."""
    state = bpy.context.window_manager.palm
    state.findings.clear()
    for finding in self_test.findings(job.result):
        item = state.findings.add()
        item.state, item.text = finding.state, clean(finding.text)
    state.findings_summary = clean(self_test.summary(job.result)) if job.kind == SELF_TEST else "the engine is set up"


CLASSES = (PALM_OT_set_up_engine, PALM_OT_remove_engine, PALM_OT_test_engine)


def register() -> None:
    jobs.FINISHERS.update({SET_UP: show_findings, SELF_TEST: show_findings})


def unregister() -> None:
    for kind in (SET_UP, SELF_TEST):
        jobs.FINISHERS.pop(kind, None)
