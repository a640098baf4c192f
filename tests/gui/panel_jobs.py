"""What is seen drawn: our panels, and an asset browser with our light. Run by driver.py."""

from __future__ import annotations

import time
from collections.abc import Callable

import bpy
from window_jobs import Steps, draw, view

DRAWN: list[str] = []
"""Labels of our panels, each time that Blender had drawn one to its end since `open_panels`."""


def open_panels(only: str = "") -> None:
    """Let all panels of ours, or only that of one label, be open when they are drawn for the first time, and tell of it."""
    panels = sorted(
        (getattr(bpy.types, name) for name in dir(bpy.types) if name.startswith("PALM_PT_")),
        key=lambda panel: panel.bl_order,
    )
    for panel in panels:
        options = getattr(panel, "bl_options", set())
        closed = {"DEFAULT_CLOSED"} if only not in ("", panel.bl_label) else set()
        if options & {"DEFAULT_CLOSED"} != closed:
            bpy.utils.unregister_class(panel)
            panel.bl_options = (options - {"DEFAULT_CLOSED"}) | closed
            bpy.utils.register_class(panel)
        panel.draw = _telling(panel.draw, panel.bl_label)


def _telling(draw_panel: Callable, label: str) -> Callable:
    def draw(self: bpy.types.Panel, context: bpy.types.Context) -> None:
        draw_panel(self, context)
        DRAWN.append(label)

    return draw


def drawn() -> Steps:
    """Which panels are drawn by now, in the order of the sidebar, without doubles."""
    DRAWN.clear()
    yield from draw(1.0)
    return list(dict.fromkeys(DRAWN))


def light_by_asset(name: str) -> Steps:
    """Choose a world of this file in an asset browser and press what its context menu has; returns the scene's world then."""
    window, area = view()
    bpy.data.worlds[name].asset_mark()
    area.ui_type = "ASSETS"
    try:
        yield 0.5
        space = area.spaces.active
        yield from _until(lambda: space.params is not None, 5.0)
        space.params.asset_library_reference = "LOCAL"
        space.activate_asset_by_id(bpy.data.worlds[name], deferred=True)
        main = next(item for item in area.regions if item.type == "WINDOW")
        area.tag_redraw()

        def chosen() -> bool:
            with bpy.context.temp_override(window=window, area=area, region=main):
                return bpy.ops.palm.light_asset.poll()

        yield from _until(chosen, 20.0)
        with bpy.context.temp_override(window=window, area=area, region=main):
            bpy.ops.palm.light_asset("EXEC_DEFAULT", True)
    finally:
        area.ui_type = "VIEW_3D"
    yield 0.3
    return bpy.context.scene.world.name


def _until(condition: Callable[[], object], seconds: float) -> Steps:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        yield 0.1
