"""How jobs look in a panel."""

from __future__ import annotations

from typing import Any

import bpy

from .. import previews
from ..job_queue import CANCELLED, DONE, FAILED, RUNNING, WAITING

PREVIEW_SCALE = 7.0
ICONS = {DONE: "CHECKMARK", FAILED: "ERROR", CANCELLED: "CANCEL", WAITING: "TIME"}
CHARACTER_PX, MARGIN_PX = 5.8, 50
"""Of Blender's own font and of a box in a panel, at an interface scale of 1."""


def draw_job(layout: bpy.types.UILayout, job: Any) -> None:
    """One job's record: how far it is, or how it ended, with its log one click away."""
    box = layout.box()
    if job.state == RUNNING:
        _draw_running(box, job)
        return
    row = box.row(align=True)
    row.label(text=job.title, icon=ICONS.get(job.state, "DOT"))
    if job.log:
        row.operator("palm.open_log", text="", icon="TEXT").number = job.number
    if job.state == WAITING:
        row.operator("palm.cancel_job", text="", icon="X").number = job.number
        return
    row.operator("palm.clear_job", text="", icon="X").number = job.number
    if job.state == FAILED:
        draw_lines(box, job.message, alert=True)
    elif job.state == CANCELLED:
        draw_lines(box, job.message)
    elif job.waits:
        draw_lines(box, f"Done, not added yet: {job.waits}")
        box.operator("palm.place_result", icon="ADD").number = job.number
    else:
        box.label(text=f"Done in {job.elapsed}")


def _draw_running(box: bpy.types.UILayout, job: Any) -> None:
    row = box.row(align=True)
    row.label(text=job.title)
    row.operator("palm.open_log", text="", icon="TEXT").number = job.number
    text = f"{job.fraction:.0%}" + (f", {job.left}" if job.left else "")
    box.progress(text=text, factor=job.fraction)
    draw_lines(box, job.message)
    icon = previews.icon_of(job.number)
    if icon:
        box.template_icon(icon_value=icon, scale=PREVIEW_SCALE)
    box.operator("palm.cancel_job", text="Cancel", icon="CANCEL").number = job.number


def draw_lines(layout: bpy.types.UILayout, text: str, alert: bool = False) -> None:
    """A message in as many lines as it needs: labels do not wrap by themselves."""
    column = layout.column(align=True)
    column.alert = alert
    for line in wrapped(text, line_length()):
        column.label(text=line)


def line_length() -> int:
    """Characters that fit into the region that is drawn."""
    region, scale = bpy.context.region, bpy.context.preferences.system.ui_scale
    width = region.width if region is not None else 300
    return max(20, int((width / scale - MARGIN_PX) / CHARACTER_PX))


def wrapped(text: str, length: int) -> list[str]:
    """Lines of at most `length` characters, cut between words where that is possible."""
    import textwrap

    return textwrap.wrap(text, length, break_on_hyphens=False)
