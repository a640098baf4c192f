"""Operators on animation: pose files in and out, and videos followed by the engine."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy
import numpy as np
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ...engine.errors import InputError, PalmError
from ...engine.hand.model_file import read_model_file
from ...engine.hand.pose_sources import PoseChoice, load_poses
from .. import animate, capture_jobs, jobs, paths, preferences, rig
from .avatar import OnHand, hand_of
from .reporting import reported

TIMING_ITEMS = (
    (
        "SPEED",
        "Keep Speed",
        "As fast as recorded; each of the file's poses is a key, between frames where rates differ",
    ),
    ("RESAMPLE", "Key Every Frame", "As fast as recorded, with one key on each of the scene's frames"),
    ("FRAMES", "One Pose a Frame", "Each pose on a frame of its own, whatever the rates"),
)
WRIST_ITEMS = (
    ("FILE", "From File", "The wrist goes where the file puts it"),
    ("STAY", "Stays", "Only the fingers move; the wrist stays where it is"),
)
CONVENTION_ITEMS = (
    ("FILE", "As the File Says", "Absolute or relative to MANO's mean pose, by what the file or its layout says"),
    ("FLAT", "Absolute", "A flat hand is 0, whatever the file says"),
    ("MEAN", "Relative to the Mean", "MANO's mean pose is added; needs a MANO model"),
)


class TakeOptions:
    """How poses become an action; shared by files and videos."""

    start_frame: bpy.props.IntProperty(name="Start Frame", description="Where the first pose goes", default=1)
    timing: bpy.props.EnumProperty(name="Timing", items=TIMING_ITEMS, default="SPEED")
    smoothing: bpy.props.FloatProperty(
        name="Smoothing",
        description="Takes out jitter: standard deviation of a Gaussian, in scene frames; 0 for none",
        min=0.0, soft_max=10.0, max=100.0, default=0.0,
    )  # fmt: skip
    wrist: bpy.props.EnumProperty(name="Wrist", items=WRIST_ITEMS, default="FILE")

    def take_settings(self, **more: object) -> animate.TakeSettings:
        return animate.TakeSettings(self.start_frame, self.timing, smoothing=self.smoothing, wrist=self.wrist, **more)


class MeanOf:
    """MANO's mean pose [45], which NumPy reads from the model's file only as soon as poses are relative to it."""

    def __init__(self, model: str) -> None:
        self.model = model

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        mean = read_model_file(paths.absolute(self.model)).get("hands_mean")
        return np.zeros(45) if mean is None else np.array(mean, dtype=dtype)


class PALM_OT_import_poses(OnHand, bpy.types.Operator, ImportHelper, TakeOptions):
    """Animate the hand by a pose file: MANO .npz, .json or .pkl, HaMeR, HARP, InterHand2.6M, PALM's poses.npy, captures.json"""

    bl_idname = "palm.import_poses"
    bl_label = "Import Pose File"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: bpy.props.StringProperty(default="*.npz;*.json;*.pkl;*.pickle;*.npy", options={"HIDDEN"})
    folder: bpy.props.BoolProperty(
        name="Whole Folder",
        description="Read all pose files of the chosen file's folder as frames, as HARP writes them",
    )
    source_fps: bpy.props.FloatProperty(
        name="Source Rate", description="Poses a second of the file; 0 for what it says", min=0, max=1000, default=0
    )
    convention: bpy.props.EnumProperty(name="Pose", items=CONVENTION_ITEMS, default="FILE")
    mano_model: bpy.props.StringProperty(
        name="MANO Model",
        description="MANO_RIGHT.pkl, for poses relative to its mean; empty for the preferences' hand model",
        subtype="FILE_PATH",
    )
    capture: bpy.props.StringProperty(name="Capture", description="Which capture of InterHand2.6M's file, such as 0")
    use_betas: bpy.props.BoolProperty(name="Use File's Shape", description="Give the hand the file's shape (betas)")

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        hand = hand_of(context)
        path = paths.absolute(self.filepath)
        if self.folder and path.is_file():
            path = path.parent
        chosen = self.mano_model or preferences.preferences().hand_model
        mean = MeanOf(chosen) if chosen else None
        poses = load_poses(path, PoseChoice(rig.side_of(hand), self.capture or None, self.convention, mean))
        settings = self.take_settings(source_fps=self.source_fps, use_betas=self.use_betas)
        take = animate.import_take(hand, poses, path.stem, context.scene, settings)
        return "; ".join((f"{take.frames} poses of {path.name} up to frame {take.last_frame:g}", *take.notes))


class PALM_OT_export_poses(OnHand, bpy.types.Operator, ExportHelper):
    """Write the hand's animation, or its pose, as MANO parameters; imported poses that were not changed come out as they were"""

    bl_idname = "palm.export_poses"
    bl_label = "Export Pose File"
    bl_options = {"REGISTER"}

    filename_ext = ".npz"
    check_extension = None
    filter_glob: bpy.props.StringProperty(default="*.npz;*.json", options={"HIDDEN"})

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        path = paths.absolute(self.filepath)
        poses = animate.export_take(hand_of(context), path, context.scene)
        return f"Wrote {len(poses)} pose{'s' if len(poses) != 1 else ''} to {path}"


class PALM_OT_follow_video(OnHand, bpy.types.Operator, ImportHelper, TakeOptions):
    """Have the engine follow the hand in a video, in the background, and animate this hand by it"""

    bl_idname = "palm.follow_video"
    bl_label = "Follow Hand in Video"
    bl_options = {"REGISTER"}

    filter_glob: bpy.props.StringProperty(
        default=";".join(f"*{suffix}" for suffix in capture_jobs.VIDEO_SUFFIXES), options={"HIDDEN"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        try:
            preferences.interpreter()
        except PalmError as error:
            cls.poll_message_set(str(error))
            return False
        return True

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        job = capture_jobs.start(hand_of(context), paths.absolute(self.filepath), self.take_settings())
        return f"Queued: {job.title}"


class PALM_OT_add_take(bpy.types.Operator):
    """Put a captured video on its hand as an action"""

    bl_idname = "palm.add_take"
    bl_label = "Add Captured Motion"
    bl_options = {"INTERNAL", "UNDO"}

    number: bpy.props.IntProperty()

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        job = jobs.session().queue.find(self.number)
        if job is None or job.kind != capture_jobs.FOLLOW:
            raise InputError(f"there is no captured video number {self.number}: follow the video again")
        take = capture_jobs.add_take(job)
        return "; ".join((f"{take.frames} captured poses up to frame {take.last_frame:g}", *take.notes))


CLASSES = (PALM_OT_import_poses, PALM_OT_export_poses, PALM_OT_follow_video, PALM_OT_add_take)
