"""Operators on data sets: timing one, rendering one in the background, opening its folder. Their settings on the scene."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

from types import SimpleNamespace

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, PointerProperty, StringProperty

from ...engine.errors import PalmError
from .. import dataset_jobs, jobs, paths
from ..job_queue import ENDED, Job
from ..synthesis.environments import BUNDLED
from .reporting import reported
from .waits import Waits

VERBS = (
    ("cohort", "Cohort", "Many people's hands, seen by a ring of cameras, in one light"),
    (
        "sequence",
        "Sequences",
        "Hands in motion, seen by cameras all around, whose flesh and skin follow the joints: what XHand learns from",
    ),
    (
        "harp-relit",
        "HARP-relit",
        "Hands seen first in one light and then, moving, in another: what relighting is judged by",
    ),
    ("animate", "Animate", "One avatar moved by a pose file: pictures with labels"),
)
VIEWS = (
    ("capture", "Photo's", "The camera of the avatar's photo"),
    ("fitted", "Fitted", "A camera that sees the whole motion"),
)
BACKGROUNDS = (
    ("black", "Black", "Nothing behind the hand"),
    ("environment", "Environment", "The light's own surroundings"),
    ("transparent", "Transparent", "An alpha channel"),
)
DEVICES = (
    ("auto", "Automatic", "A GPU if there is one"),
    ("cpu", "CPU", "The processor"),
    ("gpu", "GPU", "A graphics processor, or an error"),
)
PATHS = ("pose_file", "avatar", "light_file", "other_light_file", "out")


def _lights(own: str) -> list[tuple[str, str, str]]:
    bundled = [(name, name.capitalize(), f"Blender's {name} environment") for name in BUNDLED]
    first = [(dataset_jobs.RIG, own, "What suits the kind of data set")] if own else []
    return [*first, *bundled, (dataset_jobs.FILE, "File", "A panorama, or a folder of them to draw from")]


def _forget_timing(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """What was timed no longer holds for other settings."""
    context.window_manager.palm_dataset_said = ""


class PALM_PG_dataset(bpy.types.PropertyGroup):
    """The recipe of a data set, saved with the scene."""

    verb: EnumProperty(name="Kind", items=VERBS, update=_forget_timing)
    subjects: IntProperty(name="Hands", description="People", default=10, min=1, update=_forget_timing)
    poses: IntProperty(name="Poses", description="Poses a hand", default=7, min=1, update=_forget_timing)
    cameras: IntProperty(name="Cameras", description="Of the ring of 7", default=7, min=1, max=7, update=_forget_timing)
    moments: IntProperty(
        name="Frames", description="Of each hand's motion", default=60, min=1, max=1_000_000, update=_forget_timing
    )
    around: IntProperty(
        name="Cameras", description="Of the 36 all around the hand", default=24, min=1, max=36, update=_forget_timing
    )
    sequences: IntProperty(name="Hands", description="One sequence each", default=12, min=1, update=_forget_timing)
    frames: IntProperty(
        name="Frames", description="A hand, the first in the first light", default=21, min=2, update=_forget_timing
    )
    pose_file: StringProperty(
        name="Pose File",
        subtype="FILE_PATH",
        description="MANO poses; leave empty for the add-on's own",
        update=_forget_timing,
    )
    avatar: StringProperty(
        name="Avatar", subtype="DIR_PATH", description="Avatar folder NAME.palmhand", update=_forget_timing
    )
    view: EnumProperty(name="Camera", items=VIEWS, update=_forget_timing)
    light: EnumProperty(name="Light", items=_lights("Its Own"), update=_forget_timing)
    light_file: StringProperty(
        name="File", subtype="FILE_PATH", description="Equirectangular .exr or .hdr", update=_forget_timing
    )
    other_light: EnumProperty(name="Second Light", items=_lights(""), default="sunset", update=_forget_timing)
    other_light_file: StringProperty(
        name="File", subtype="FILE_PATH", description="Equirectangular .exr or .hdr", update=_forget_timing
    )
    width: IntProperty(name="Width", default=512, min=16, max=16384, subtype="PIXEL", update=_forget_timing)
    height: IntProperty(name="Height", default=512, min=16, max=16384, subtype="PIXEL", update=_forget_timing)
    samples: IntProperty(name="Samples", description="Cycles samples a pixel", default=64, min=1, update=_forget_timing)
    seed: IntProperty(name="Seed", description="Everything random follows from it", min=0, update=_forget_timing)
    background: EnumProperty(name="Background", items=BACKGROUNDS, update=_forget_timing)
    vary_light: BoolProperty(
        name="Vary Light", description="Turn the light and change its strength by seed", update=_forget_timing
    )
    radiance: BoolProperty(name="Linear Pictures", description="Also write OpenEXR", update=_forget_timing)
    avatars: BoolProperty(name="Avatars", description="Also write each hand as an avatar folder", update=_forget_timing)
    device: EnumProperty(name="Device", items=DEVICES, update=_forget_timing)
    workers: IntProperty(
        name="Workers", description="Blenders that render at a time", default=1, min=1, max=64, update=_forget_timing
    )
    out: StringProperty(
        name="Folder", subtype="DIR_PATH", description="Where the data set goes; one that is there is completed"
    )


class PALM_OT_render_dataset(Waits, bpy.types.Operator):
    """Render labelled pictures of hands in the background, with another Blender; what is there already is kept"""

    bl_idname = "palm.render_dataset"
    bl_label = "Render Data Set"
    bl_options = {"REGISTER"}

    dry_run: BoolProperty(
        name="Dry Run", description="Time one picture and say how many there are and how long all take",
        options={"SKIP_SAVE"},
    )  # fmt: skip

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not context.scene.palm_dataset.out:
            cls.poll_message_set("Choose a folder for the data set")
            return False
        if any(job.kind == dataset_jobs.KIND and job.state not in ENDED for job in jobs.session().queue):
            cls.poll_message_set("A data set is being made")
            return False
        return True

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return "Time one picture, and say how many there are and how long all take" if properties.dry_run else ""

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        settings = absolute_settings(context.scene)
        command = dataset_jobs.command(settings, self.dry_run)
        job = jobs.add(dataset_jobs.KIND, dataset_jobs.title(settings, self.dry_run), command, dry_run=self.dry_run)
        context.window_manager.palm_dataset_said = ""
        said = self.finish(job)
        return context.window_manager.palm_dataset_said or said


class PALM_OT_open_dataset(bpy.types.Operator):
    """Show the data set's folder in the system's file browser"""

    bl_idname = "palm.open_dataset"
    bl_label = "Open Folder"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        chosen = context.scene.palm_dataset.out
        try:
            there = bool(chosen) and paths.absolute(chosen).is_dir()
        except PalmError as error:
            cls.poll_message_set(str(error))
            return False
        if not there:
            cls.poll_message_set("The folder is not there yet")
        return there

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        folder = paths.absolute(context.scene.palm_dataset.out)
        try:
            bpy.ops.wm.path_open(filepath=str(folder))
        except RuntimeError as error:
            raise PalmError(f"{folder} cannot be shown: open it by hand") from error
        return f"Shown: {folder}"


def absolute_settings(scene: bpy.types.Scene) -> SimpleNamespace:
    """The scene's settings as plain values, paths absolute: the job works in a folder of its own. Raises InputError."""
    group = scene.palm_dataset
    values = {name: getattr(group, name) for name in PALM_PG_dataset.__annotations__}
    for name in PATHS:
        values[name] = str(paths.absolute(values[name])) if values[name] else ""
    return SimpleNamespace(**values)


def _tell(job: Job) -> None:
    bpy.context.window_manager.palm_dataset_said = dataset_jobs.outcome(job.result, job.details["dry_run"])


CLASSES = (PALM_PG_dataset, PALM_OT_render_dataset, PALM_OT_open_dataset)


def register() -> None:
    bpy.types.Scene.palm_dataset = PointerProperty(type=PALM_PG_dataset)
    bpy.types.WindowManager.palm_dataset_said = StringProperty()
    jobs.FINISHERS[dataset_jobs.KIND] = _tell


def unregister() -> None:
    jobs.FINISHERS.pop(dataset_jobs.KIND, None)
    del bpy.types.WindowManager.palm_dataset_said
    del bpy.types.Scene.palm_dataset
