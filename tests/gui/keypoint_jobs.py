"""What a test does with a photo's keypoints in a window. Run by driver.py."""

from __future__ import annotations

from collections.abc import Generator

import bpy
import window_jobs
from bpy_extras.view3d_utils import location_3d_to_region_2d

Steps = Generator[float, None, object]


def keypoints():
    return window_jobs.module("palm_blender.keypoints")


def state() -> dict:
    base = keypoints().board()
    count = 0 if base is None else len([item for item in bpy.data.objects if keypoints().POINT in item])
    return {"points": count, "moved": base is not None and keypoints().were_moved(base)}


def check_photo(photo: str) -> Steps:
    with window_jobs.in_view():
        bpy.ops.palm.check_photo("EXEC_DEFAULT", True, filepath=photo)
    number = window_jobs.listed()[-1]["number"]
    yield from window_jobs.wait_for(number, ["done", "failed", "cancelled"], 240)
    yield from window_jobs.draw(1.0)
    space = window_jobs.view()[1].spaces.active
    return {
        **state(),
        "job": window_jobs.listed()[-1],
        "through_camera": space.region_3d.view_perspective == "CAMERA" and space.use_local_camera,
        "scene_camera": bpy.context.scene.camera and bpy.context.scene.camera.name,
    }


def drag(point: str, dx: int = 90, dy: int = 60) -> Steps:
    """Click a point, press G, move the mouse, click: as a user does it."""
    window, area = window_jobs.view()
    region = window_jobs.region("WINDOW")
    item = bpy.data.objects[point]
    place = location_3d_to_region_2d(region, area.spaces.active.region_3d, item.matrix_world.translation)
    x, y = region.x + round(place.x), region.y + round(place.y)
    yield from window_jobs.press("LEFTMOUSE", x, y)
    yield 0.3
    window.event_simulate(type="G", value="PRESS", x=x, y=y)
    window.event_simulate(type="G", value="RELEASE", x=x, y=y)
    yield 0.3
    for step in range(1, 7):
        window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x + dx * step // 6, y=y + dy * step // 6)
        yield 0.05
    yield from window_jobs.press("LEFTMOUSE", x + dx, y + dy)
    yield from window_jobs.draw(0.5)
    base = keypoints().board()
    seen = [float(value) for value in base["palm_seen"]]
    index = bpy.data.objects[point][keypoints().POINT]
    now = keypoints().read_points(base)[index]
    return {**state(), "shift_px": [float(now[0]) - seen[2 * index], float(now[1]) - seen[2 * index + 1]]}


def show_preferences() -> Steps:
    """Run the self-test and draw the add-on's preferences in place of the 3D view."""
    with window_jobs.in_view():
        bpy.ops.palm.test_engine("EXEC_DEFAULT", True)
    number = window_jobs.listed()[-1]["number"]
    yield from window_jobs.wait_for(number, ["done", "failed", "cancelled"], 200)
    window, area = window_jobs.view()
    known = set(window.screen.areas)
    with bpy.context.temp_override(window=window, area=area, region=window_jobs.region("WINDOW")):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.4)
    beside = next(item for item in window.screen.areas if item not in known)
    larger = max((area, beside), key=lambda item: item.width)
    larger.type = "PREFERENCES"
    bpy.context.preferences.active_section = "ADDONS"
    bpy.ops.preferences.addon_show(module=window_jobs.EXTENSION)
    yield 0.5
    # it opens a window of its own, which would hide the one that is photographed
    for other in [item for item in bpy.context.window_manager.windows if item != window]:
        with bpy.context.temp_override(window=other):
            bpy.ops.wm.window_close()
    yield from window_jobs.draw(1.5)
    state = bpy.context.window_manager.palm
    return {"summary": state.findings_summary, "states": [item.state for item in state.findings]}
