"""What a test does in a window besides calling operators: looking, clicking, waiting. Run by driver.py."""

from __future__ import annotations

import gc
import importlib
import sys
import time
from collections.abc import Generator

import bpy

EXTENSION = "bl_ext.user_default.palm_hands"
Steps = Generator[float, None, object]


def module(name: str):
    """A module of the installed extension."""
    return importlib.import_module(f"{EXTENSION}.{name}")


def view() -> tuple[bpy.types.Window, bpy.types.Area]:
    """The window and its 3D view."""
    window = bpy.context.window_manager.windows[0]
    return window, next(area for area in window.screen.areas if area.type == "VIEW_3D")


def region(kind: str) -> bpy.types.Region:
    return next(item for item in view()[1].regions if item.type == kind)


def in_view():
    """The context that a user's click in the 3D view has."""
    window, area = view()
    return bpy.context.temp_override(window=window, area=area, region=region("WINDOW"))


def draw(seconds: float = 0.3) -> Steps:
    """Let Blender draw all that is seen."""
    for area in view()[0].screen.areas:
        area.tag_redraw()
    yield seconds


def get_ready() -> Steps:
    """Wait for the first drawing, take the splash and the examples away, and show nothing but the 3D view's work."""
    yield 0.5
    window, _ = view()
    yield from press("ESC", 5, 5)
    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.view.ui_scale = 1.0
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    bpy.ops.ed.undo_push(message="empty scene")
    yield from draw(0.5)
    return {"version": bpy.app.version_string, "size": [window.width, window.height]}


def press(kind: str, x: int, y: int, value: str | None = None) -> Steps:
    """Press and release a key or a button at a place of the window, y from below."""
    window = view()[0]
    window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    yield 0.05
    for state in ("PRESS", "RELEASE"):
        window.event_simulate(type=kind, value=state, x=x, y=y)
        yield 0.05


def open_sidebar(category: str = "PALM") -> Steps:
    """Press N over the 3D view, then the tab. Says which tabs' panels there are."""
    area = view()[1]
    if not area.spaces.active.show_region_ui:
        yield from press("N", area.x + area.width // 2, area.y + area.height // 2)
        yield 0.5
    assert area.spaces.active.show_region_ui
    region("UI").active_panel_category = category
    yield from draw()
    return region("UI").active_panel_category


def undo() -> Steps:
    """Ctrl+Z over the 3D view, as a user does it."""
    yield from _history("Z")


def redo() -> Steps:
    yield from _history("Z", shift=True)


def _history(key: str, shift: bool = False) -> Steps:
    window, area = view()
    x, y = area.x + area.width // 2, area.y + area.height // 2
    window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    yield 0.05
    for value in ("PRESS", "RELEASE"):
        window.event_simulate(type=key, value=value, x=x, y=y, ctrl=True, shift=shift)
        yield 0.05
    yield 0.5


def call(operator: str, **arguments: object) -> Steps:
    """An operator of ours or of Blender, as a button calls it: with an undo step of its own."""
    group, _, name = operator.partition(".")
    with in_view():
        result = getattr(getattr(bpy.ops, group), name)("EXEC_DEFAULT", True, **arguments)
    yield 0.1
    return sorted(result)


def objects() -> list[str]:
    return sorted(item.name for item in bpy.data.objects)


def save(path: str) -> list[str]:
    return sorted(bpy.ops.wm.save_as_mainfile(filepath=path))


def open_file(path: str, load_ui: bool = True) -> Steps:
    bpy.ops.wm.open_mainfile(filepath=path, load_ui=load_ui)
    yield 1.0
    return objects()


def traces() -> dict:
    """Everything by which an add-on can be noticed in Blender."""
    gc.collect()
    handlers = {
        name: [f"{item.__module__}.{item.__qualname__}" for item in getattr(bpy.app.handlers, name)]
        for name in dir(bpy.app.handlers)
        if isinstance(getattr(bpy.app.handlers, name), list)
    }
    owners = ("Scene", "WindowManager", "Object", "Armature", "Image", "Collection", "World", "Material", "Action")
    properties = {name: sorted(getattr(bpy.types, name).bl_rna.properties.keys()) for name in owners}
    draws = {}
    for name in dir(bpy.types):
        extended = getattr(getattr(getattr(bpy.types, name), "draw", None), "_draw_funcs", ())
        if extended:
            draws[name] = sorted(f"{item.__module__}.{item.__qualname__}" for item in extended)
    import threading

    return {
        "classes": sorted(name for name in dir(bpy.types) if name.upper().startswith("PALM")),
        "operators": sorted(name for name in dir(bpy.ops.palm) if not name.startswith("_")),
        "handlers": {name: found for name, found in handlers.items() if any("palm" in item for item in found)},
        "properties": {name: [key for key in keys if "palm" in key.lower()] for name, keys in properties.items()},
        "all_properties": properties,
        "menus": {name: found for name, found in draws.items() if any("palm" in item for item in found)},
        "timers": timers(),
        "threads": sorted(item.name for item in threading.enumerate()),
        "keys": keys(),
    }


def timers() -> list[str]:
    """Functions of the extension that a timer still calls."""
    found = []
    for name, loaded in list(sys.modules.items()):
        if name.startswith(EXTENSION):
            functions = [item for item in vars(loaded).values() if callable(item)]
            found += [f"{name}.{item.__name__}" for item in functions if bpy.app.timers.is_registered(item)]
    return sorted(set(found))


def keys() -> list[str]:
    """Shortcuts of ours."""
    configurations = bpy.context.window_manager.keyconfigs
    return sorted(
        item.idname
        for configuration in (configurations.addon, configurations.user)
        for keymap in configuration.keymaps
        for item in keymap.keymap_items
        if item.idname.startswith("palm.")
    )


def enable(on: bool) -> Steps:
    """Tick or untick the add-on as the preferences do."""
    operator = bpy.ops.preferences.addon_enable if on else bpy.ops.preferences.addon_disable
    operator(module=EXTENSION)
    yield 0.3
    return EXTENSION in bpy.context.preferences.addons


def remove() -> Steps:
    """Uninstall it as the preferences do."""
    repositories = bpy.context.preferences.extensions.repos
    index = next(i for i, item in enumerate(repositories) if item.module == "user_default")
    bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="palm_hands")
    yield 1.0
    return EXTENSION in bpy.context.preferences.addons


def stall(seconds: float) -> Steps:
    """The longest time in ms, of `seconds`, in which Blender's main thread answered nothing, and how many answers."""
    longest, last, answers = 0.0, time.perf_counter(), 0
    end = last + seconds
    while last < end:
        yield 0.001
        now = time.perf_counter()
        longest, last, answers = max(longest, now - last), now, answers + 1
    return {"longest_ms": 1000 * longest, "answers": answers}


def memory_mb() -> float:
    """Resident memory of this Blender."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def set_preferences(**values: str) -> dict:
    """Change the add-on's preferences; returns them all."""
    preferences = bpy.context.preferences.addons[EXTENSION].preferences
    for name, value in values.items():
        setattr(preferences, name, value)
    return {name: str(getattr(preferences, name)) for name in values}


def begin(photo: str, **settings: str) -> list[dict]:
    """Choose a photo and settings in the panel, and press Personalize."""
    state = bpy.context.window_manager.palm
    state.source, state.filepath = "file", photo
    for name, value in settings.items():
        setattr(state, name, value)
    with in_view():
        bpy.ops.palm.personalize("EXEC_DEFAULT", True)
    return listed()


def listed() -> list[dict]:
    """The jobs as the panel shows them."""
    names = ("number", "kind", "title", "state", "message", "fraction", "left", "waits")
    return [{name: getattr(job, name) for name in names} for job in bpy.context.window_manager.palm.jobs]


def cancel(number: int = 0) -> None:
    bpy.ops.palm.cancel_job(number=number)


def render_set(out: str, **settings: object) -> int:
    """Choose settings in the Dataset panel and press Render. Returns the job's number."""
    group = bpy.context.scene.palm_dataset
    for name, value in {"verb": "cohort", "out": out, **settings}.items():
        setattr(group, name, value)
    with in_view():
        bpy.ops.palm.render_dataset("EXEC_DEFAULT", True)
    return listed()[-1]["number"]


def factory_settings() -> Steps:
    """As File > Defaults > Load Factory Settings."""
    bpy.ops.wm.read_factory_settings()
    yield 1.0


def wait_for(number: int, states: list[str], seconds: float, fraction: float = 0.0) -> Steps:
    """Let Blender run until a job is in one of the states, and as far as `fraction`. Returns its record."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield 0.1
        job = next(item for item in listed() if item["number"] == number)
        if job["state"] in states and job["fraction"] >= fraction:
            return job
    raise TimeoutError(f"after {seconds} s: {listed()}")


def follow(number: int, seconds: float) -> Steps:
    """Watch a job to its end: all that the panel said, stalls of the main thread, and how memory grew.

    Between two answers of the main thread pass `wall` seconds, of which it has worked `busy`; the rest it has waited for other
    programs on a loaded machine, or for the software that draws. The last, in which the hand is built, are not the wait for it.
    """
    memory, fractions, messages = memory_mb(), [], []
    session = module("palm_blender.jobs").session()
    session.slowest_s = own = 0.0
    wall: list[float] = []
    busy: list[float] = []
    last, worked = time.perf_counter(), time.thread_time()
    end = last + seconds
    while last < end:
        yield 0.002
        job = next(item for item in bpy.context.window_manager.palm.jobs if item.number == number)
        if job.state != "running":
            break
        now, work = time.perf_counter(), time.thread_time()
        wall.append(now - last)
        busy.append(work - worked)
        last, worked, own = now, work, session.slowest_s
        if not fractions or job.fraction != fractions[-1]:
            fractions.append(job.fraction)
            messages.append(job.message)
    wall.sort()
    return {
        "state": job.state, "message": job.message, "fractions": fractions, "messages": messages, "answers": len(wall),
        "wall_ms": 1000 * wall[-1], "wall_999_ms": 1000 * wall[int(0.999 * len(wall)) - 1], "busy_ms": 1000 * max(busy),
        "over_50_ms": sum(gap > 0.05 for gap in wall), "own_ms": 1000 * own, "grown_mb": memory_mb() - memory,
    }  # fmt: skip


def select(kind: str = "ARMATURE") -> str:
    """Select the first hand alone, as a click does."""
    hand = next(item for item in bpy.data.objects if item.type == kind)
    for item in bpy.context.view_layer.objects.selected:
        item.select_set(False)
    hand.select_set(True)
    bpy.context.view_layer.objects.active = hand
    return hand.name


def textured() -> None:
    """Show textures in the 3D view, without the lines that help to build."""
    space = view()[1].spaces.active
    space.shading.type, space.shading.color_type = "SOLID", "TEXTURE"
    space.overlay.show_floor = space.overlay.show_axis_x = space.overlay.show_axis_y = False


def distance_of_view() -> float:
    return view()[1].spaces.active.region_3d.view_distance


def posed() -> list[list[float]]:
    """The bones' turns against rest."""
    hand = next(item for item in bpy.data.objects if item.type == "ARMATURE")
    return [[round(value, 5) for value in bone.rotation_quaternion] for bone in hand.pose.bones]


def play(frames: int, seconds: float) -> Steps:
    """Play until so many frames were shown; returns which were, how many a second, and the main thread's work for one."""
    shown: list[int] = []

    def note(scene: bpy.types.Scene, *_: object) -> None:
        shown.append(scene.frame_current)

    bpy.app.handlers.frame_change_post.append(note)
    try:
        with in_view():
            bpy.ops.screen.animation_play()
        start = now = time.perf_counter()
        worked = time.thread_time()
        while now < start + seconds and len(shown) < frames:
            yield 0.002
            now = time.perf_counter()
        worked = time.thread_time() - worked
        with in_view():
            bpy.ops.screen.animation_cancel(restore_frame=False)
    finally:
        bpy.app.handlers.frame_change_post.remove(note)
    return {"shown": shown, "a_second": len(shown) / (now - start), "busy_ms": 1000 * worked / max(1, len(shown))}


def light() -> dict:
    scene = bpy.context.scene
    world = scene.world
    return {
        "world": world.name if world else None,
        "turned": round(getattr(world, "palm_rotation", 0.0), 3),
        "lamps": sorted(item.name for item in bpy.data.objects if item.type == "LIGHT"),
        "camera": scene.camera.name if scene.camera else None,
        "size": [scene.render.resolution_x, scene.render.resolution_y],
    }
