"""Jobs of the add-on inside Blender, with real processes; run by worker.py."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
from palm_hands import register, unregister
from palm_hands.engine.errors import PalmError
from palm_hands.palm_blender import jobs, keypoints, personalize, results
from palm_hands.palm_blender.job_queue import ENDED, Job

FAKE = Path(__file__).with_name("fake_engine.py")


def fake(*arguments: object) -> list[str]:
    return [sys.executable, str(FAKE), *map(str, arguments)]


def tick_until(condition: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        jobs.tick()
        time.sleep(0.02)


def end(job: Job) -> Job:
    tick_until(lambda: job.state in ENDED)
    return job


def records() -> list:
    return [(record.title, record.state, record.message) for record in bpy.context.window_manager.palm.jobs]


def finished(avatar: str, title: str = "hand") -> Job:
    """A job that has just made an avatar, as the engine would have."""
    return jobs.add(personalize.PERSONALIZE, title, fake("work", 3), Path(avatar))


def facts_of_file() -> dict:
    return {"objects": len(bpy.data.objects), "collections": sorted(item.name for item in bpy.data.collections)}


def life_of_jobs(avatar: str, folder: str) -> dict:
    """Queueing, cancelling, undo, saving, another file, the same file again, and switching the add-on off."""
    facts: dict = {}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    register()
    try:
        bpy.ops.ed.undo_push(message="start")
        first, second = finished(avatar), jobs.add("other", "second", fake("hang"))
        facts["queued"] = [state for _, state, _ in records()]
        end(first)
        facts["added"] = facts_of_file()
        facts["active"] = bpy.context.object.type
        facts["second"] = records()[1][1]
        bpy.ops.ed.undo()
        facts["undone"] = facts_of_file()
        # what undo takes away is the file's, not the session's
        facts["jobs_after_undo"] = [state for _, state, _ in records()]
        bpy.ops.ed.redo()
        facts["redone"] = facts_of_file()
        path = f"{folder}/Händ file.blend"
        bpy.ops.wm.save_as_mainfile(filepath=path)
        facts["survived_saving"] = second.state
        bpy.ops.palm.cancel_job()
        facts["cancelled"] = end(second).state
        facts["folders"] = [second.folder.exists(), results.output_folder() == Path(folder)]

        third = finished(avatar, "for the saved file")
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        facts["known_after_load"] = records()[-1][0]
        end(third)
        facts["other_file"] = [facts_of_file()["objects"], bpy.context.window_manager.palm.jobs[-1].waits]
        facts["timer_rests"] = jobs.tick()
        bpy.ops.wm.open_mainfile(filepath=path)
        jobs.tick()
        facts["same_file"] = facts_of_file()["collections"]

        fourth = finished(avatar, "to be added elsewhere")
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        end(fourth)
        bpy.ops.palm.place_result(number=fourth.number)
        facts["placed"] = facts_of_file()["objects"]
        bpy.ops.palm.clear_job()
        facts["cleared"] = [records(), first.folder.exists()]

        last = jobs.add("other", "to be ended", fake("hang"))
        waiting = jobs.add("other", "never begun", fake("hang"))
        pid = last.process.pid
        facts["timer"] = bpy.app.timers.is_registered(jobs.tick)
    finally:
        unregister()
    facts["ended_with_add_on"] = [last.state, waiting.state, is_running(pid)]
    facts["left_over"] = [
        bpy.app.timers.is_registered(jobs.tick), hasattr(bpy.types.WindowManager, "palm"),
        len([item for item in bpy.app.handlers.load_post if "palm" in str(item)]), last.folder.exists(),
    ]  # fmt: skip
    register()
    facts["again"] = len(bpy.context.window_manager.palm.jobs)
    unregister()
    return facts


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def failures(folder: str, photo: str) -> dict:
    """What the user reads of everything that may go wrong; nothing is left in the scene or beside the results."""
    facts: dict = {}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/scene.blend")
    engine = os.environ.pop("PALM_HANDS_PYTHON")
    register()
    state = bpy.context.window_manager.palm

    def said(run: Callable[[], object]) -> str:
        try:
            run()
        except (RuntimeError, PalmError) as error:
            return str(error).strip()
        return "nothing"

    try:
        start = bpy.ops.palm.personalize
        facts["no engine"] = said(lambda: start(filepath=photo))
        facts["no engine to remove"] = said(bpy.ops.palm.remove_engine)
        os.environ["PALM_HANDS_PYTHON"] = f"{folder}/no python here"
        facts["wrong engine"] = said(lambda: start(filepath=photo))
        facts["offline"] = [bpy.app.online_access, bpy.ops.palm.set_up_engine.poll()]
        os.environ["PALM_HANDS_PYTHON"] = engine
        facts["no photo"] = said(lambda: start(filepath=""))
        facts["no such photo"] = said(lambda: start(filepath="/no/such ä.jpg"))
        facts["no such image"] = said(lambda: start(image="nothing"))
        facts["paper with harp"] = said(lambda: start(filepath=photo, method="harp", quality="paper"))
        facts["no picture"] = said(lambda: start(filepath=__file__))
        facts["no log"] = said(lambda: bpy.ops.palm.open_log(number=99))
        facts["unknown job"] = said(lambda: bpy.ops.palm.add_result(number=99))
        facts["corrupt avatar"] = []
        broken = Path(folder) / "broken.palmhand"
        broken.mkdir()
        (broken / "avatar.json").write_text("{")
        job = end(finished(str(broken)))
        facts["corrupt avatar"] = [job.state, job.message]
        facts["objects"] = len(bpy.data.objects)
        facts["beside"] = sorted(item.name for item in Path(folder).iterdir())
        facts["records"] = [record.state for record in state.jobs]
    finally:
        unregister()
    return facts


def points(photo: str, look: str, folder: str) -> dict:
    """The keypoints of a look: shown, moved, given to the engine, undone, discarded."""
    facts: dict = {}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/points.blend")
    register()
    try:
        bpy.ops.mesh.primitive_cube_add()
        bpy.ops.ed.undo_push(message="cube")
        before = sorted(type(item).__name__ + item.name for item in bpy.data.user_map())
        job = jobs.add(
            personalize.LOOK, "look", fake("work", 2), look=Path(look), photo=Path(photo), settings={}, builds=True
        )
        end(job)
        facts["message"] = job.message
        base = keypoints.board()
        seen = keypoints.read_look(Path(look))
        facts["error_px"] = float(np.abs(keypoints.read_points(base) - seen.keypoints).max())
        facts["moved_at_first"] = keypoints.were_moved(base)
        bpy.ops.ed.undo()
        facts["after_undo"] = [keypoints.board() is None, len(bpy.data.objects)]
        bpy.ops.ed.redo()
        base, tip = keypoints.board(), bpy.data.objects["index tip"]
        # 30 px to the right and 20 px down in the photo
        tip.location.x += 30 / max(seen.size)
        tip.location.z -= 20 / max(seen.size)
        index = tip[keypoints.POINT]
        facts["shift"] = (keypoints.read_points(base) - seen.keypoints)[index].round(2).tolist()
        facts["moved"] = keypoints.were_moved(base)
        lines = bpy.data.objects["PALM keypoint lines"].evaluated_get(bpy.context.evaluated_depsgraph_get())
        hooked = lines.matrix_world @ lines.data.vertices[index].co
        facts["line_follows"] = float((hooked - tip.matrix_world.translation).length)
        written = keypoints.write_keypoints(job.folder / "points.json", keypoints.read_points(base), "left")
        facts["file"] = written.read_text()
        bpy.data.objects.remove(bpy.data.objects["wrist"])
        try:
            bpy.ops.palm.use_keypoints(hand="left")
        except RuntimeError as error:
            facts["deleted_point"] = str(error).strip()
        bpy.ops.palm.discard_keypoints()
        after = sorted(type(item).__name__ + item.name for item in bpy.data.user_map())
        facts["left_over"] = [name for name in after if name not in before]
        facts["lost"] = [name for name in before if name not in after]
        facts["poll"] = bpy.ops.palm.use_keypoints.poll()
        again = {"look": Path(look), "photo": Path(photo), "settings": {}, "builds": True}
        for name, dx, hand in (("as_found", 0.0, "auto"), ("moved_points", 0.1, "auto"), ("other_hand", 0.0, "right")):
            end(jobs.add(personalize.LOOK, "look", fake("work", 2), **again))
            bpy.data.objects["thumb tip"].location.x += dx
            bpy.ops.palm.use_keypoints(hand=hand, method="harp", quality="draft", wait=False)
            started = jobs.session().queue.running
            command = list(started.command)
            given = "--keypoints" in command and Path(command[command.index("--keypoints") + 1]).is_file()
            facts[name] = [
                given,
                command[command.index("--hand") + 1] if "--hand" in command else "",
                keypoints.board() is None,
            ]
            bpy.ops.palm.cancel_job()
            end(started)
        base = keypoints.board()
        facts["after_cancel"] = [started.state == "cancelled", base is not None]
        used = keypoints.record(base)
        bpy.data.objects["thumb tip"].location.x += 0.1
        keypoints.take_used(bpy.context, used)
        facts["moved_meanwhile"] = keypoints.board() is not None
        keypoints.take_used(bpy.context, keypoints.record(base))
        facts["after_the_hand"] = keypoints.board() is not None
    finally:
        unregister()
    return facts


def images(folder: str, photo: str) -> dict:
    """Images of the file as photos: on the disk, packed, painted on."""
    facts: dict = {}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    place = Path(folder)
    loaded = bpy.data.images.load(photo)
    loaded.name = "Föto"
    facts["same_file"] = str(results.photo_of_image("Föto", place))
    loaded.pack()
    packed = results.photo_of_image("Föto", place)
    facts["packed"] = [packed.name, packed.read_bytes() == Path(photo).read_bytes()]
    made = bpy.data.images.new("painted", 64, 32)
    made.pixels.foreach_set([0.25, 0.5, 0.75, 1.0] * (64 * 32))
    saved = results.photo_of_image("painted", place)
    again = bpy.data.images.load(str(saved))
    facts["painted"] = [saved.name, list(again.size), [round(value, 2) for value in again.pixels[:3]], made.filepath]
    linear = bpy.data.images.new("linear", 8, 8, float_buffer=True)
    linear.pixels.foreach_set([0.25, 0.5, 2.0, 1.0] * 64)
    shown = bpy.data.images.load(str(results.photo_of_image("linear", place)))
    facts["float"] = list(shown.pixels[:3])
    bpy.data.images.remove(shown)
    facts["images"] = len(bpy.data.images)
    return facts


def defects(avatar: str, folder: str) -> dict:
    """What no finisher, no message and no process should do; each job ends, and the next one is heard."""
    from palm_hands.palm_blender import paths

    def broken(job: Job) -> None:
        raise KeyError("look")

    def senseless() -> None:
        raise ValueError("no sense")

    facts: dict = {}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    os.environ.pop("WARP_CACHE_PATH", None)
    register()
    try:
        jobs.FINISHERS["broken"] = broken
        job = end(jobs.add("broken", "x", fake("work", 2)))
        facts["finisher"], facts["log"] = [job.state, job.message], job.log.read_text()
        job = jobs.add("other", "photo \udcff.jpg", fake("hang"))
        facts["kernels"] = Path(job.environment["WARP_CACHE_PATH"]).name
        job.message = "working on \udcff.jpg"
        jobs.show()
        facts["title"] = list(records()[-1][::2])
        facts["intervals"] = [jobs.tick()]
        job.process.news = senseless
        jobs.tick()
        facts["unheard"] = [job.state, job.message]
        facts["next"] = end(jobs.add("other", "next", fake("work", 2))).state
        job = finished(avatar)
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        end(job)
        facts["intervals"].append(jobs.tick())
        jobs.FINISHERS[personalize.PERSONALIZE], add = refuse_to_place, jobs.FINISHERS[personalize.PERSONALIZE]
        try:
            bpy.ops.palm.place_result(number=job.number)
        except RuntimeError as error:
            facts["not_placed"] = str(error)
        jobs.FINISHERS[personalize.PERSONALIZE] = add
        names = ("TRANSFORM_OT_translate", "VIEW3D_OT_rotate", "SCREEN_OT_animation_step", "PALM_OT_place_result")
        facts["drags"] = [jobs.is_drag(name) for name in names]
        try:
            paths.absolute("//hands")
        except PalmError as error:
            facts["beside_unsaved"] = str(error)
        bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/scene.blend")
        facts["beside_saved"] = str(paths.absolute("//hands"))
    finally:
        jobs.FINISHERS.pop("broken", None)
        unregister()
    return facts


def refuse_to_place(job: Job) -> None:
    raise PalmError("Object Mode is needed")


def faults_of_registration() -> dict:
    """A module whose register() fails, and one whose unregister() does."""
    from palm_hands.palm_blender import capture_jobs, registration

    facts: dict = {}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    called = []

    def fail(*_: object) -> None:
        raise ValueError("registered halfway")

    whole = capture_jobs.register, capture_jobs.unregister
    capture_jobs.register, capture_jobs.unregister = fail, lambda: called.append("unregister")
    try:
        register()
    except ValueError as error:
        facts["halfway"] = [str(error), called, hasattr(bpy.types.WindowManager, "palm")]
    capture_jobs.register, capture_jobs.unregister = whole[0], fail
    register()
    unregister()
    facts["left_over"] = [name for name in dir(bpy.types) if name.startswith("PALM_")]
    facts["left_over"] += ["palm"] * hasattr(bpy.types.WindowManager, "palm") + registration._added
    capture_jobs.unregister = whole[1]
    register()
    facts["again"] = hasattr(bpy.types.WindowManager, "palm")
    unregister()
    return facts


def add_on_preferences(repository: str) -> dict:
    """As an extension: preferences that draw, the user's folder, and nothing left when it is switched off."""
    import addon_utils

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.extensions.repos.new(
        name="Local", module="local", custom_directory=repository, remote_url=""
    )
    name = "bl_ext.local.palm_hands"
    facts = {"enabled": addon_utils.enable(name, default_set=True) is not None}
    here = sys.modules[f"{name}.palm_blender.preferences"]
    settings = bpy.context.preferences.addons[name].preferences
    settings.python = repository
    facts["package"], facts["folder"] = here.PACKAGE, str(here.engine_folder())
    os.environ.pop("PALM_HANDS_PYTHON", None)
    try:
        here.interpreter()
    except Exception as error:  # noqa: BLE001 - the extension's own class of error, under its own name
        facts["interpreter"] = str(error)
    addon_utils.disable(name, default_set=True)
    facts["left_over"] = [item for item in dir(bpy.types) if item.startswith("PALM_")]
    return facts


def job_of_the_extension(repository: str) -> dict:
    """A real job of the extension under its own name, from a folder that nobody may write in."""
    import addon_utils

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.extensions.repos.new(
        name="Local", module="local", custom_directory=repository, remote_url=""
    )
    name = "bl_ext.local.palm_hands"
    addon_utils.enable(name, default_set=True)
    facts = {"done": sorted(bpy.ops.palm.test_engine())}
    state = bpy.context.window_manager.palm
    facts["summary"], facts["findings"] = state.findings_summary, [item.state for item in state.findings]
    addon_utils.disable(name, default_set=True)
    return facts
