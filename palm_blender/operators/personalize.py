"""Operators from a photo to a hand: looking at the photo, correcting its keypoints, making the avatar."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ...engine.avatar.folder import read_avatar
from ...engine.errors import InputError, PalmError
from .. import avatar, jobs, keypoints, personalize, relight, results, viewing
from ..cleanup import whole_or_nothing
from ..properties import HANDS, METHODS, QUALITIES
from .needs_engine import NeedsEngine, has_engine
from .reporting import reported
from .waits import Waits

PHOTOS = ";".join(f"*{suffix}" for suffix in results.PHOTO_SUFFIXES)


class FromPhoto(Waits):
    """What operators that start from a photo share. What a script does not give is the panel's."""

    filepath: StringProperty(name="Photo", subtype="FILE_PATH", description="Photo of a hand", options={"SKIP_SAVE"})
    image: StringProperty(name="Image", description="Or an image of this Blender file", options={"SKIP_SAVE"})
    method: EnumProperty(name="Method", items=METHODS, options={"SKIP_SAVE"})
    quality: EnumProperty(name="Quality", items=QUALITIES, default="standard", options={"SKIP_SAVE"})
    hand: EnumProperty(name="Hand", items=HANDS, options={"SKIP_SAVE"})
    use_light: BoolProperty(name="Use Photo's Light", options={"SKIP_SAVE"})

    def choices(self, context: bpy.types.Context) -> personalize.Choices:
        """Raises InputError for a photo that is not there."""
        state = context.window_manager.palm
        values = {
            name: getattr(self if self.properties.is_property_set(name) else state, name)
            for name in ("method", "quality", "hand", "use_light")
        }
        if self.image:
            photo = results.photo_of_image(self.image, jobs.job_folder())
        elif self.filepath:
            photo = results.photo_file(self.filepath)
        elif state.source == "image":
            photo = results.photo_of_image(state.image, jobs.job_folder())
        else:
            photo = results.photo_file(state.filepath)
        return personalize.Choices(photo, **values)


class PALM_OT_personalize(NeedsEngine, bpy.types.Operator, FromPhoto):
    """Make a rigged, textured hand from a photo, in the background; it is added to the scene when it is done"""

    bl_idname = "palm.personalize"
    bl_label = "Personalize from Image"
    bl_options = {"REGISTER"}

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        return self.finish(personalize.start(self.choices(context)))


class PALM_OT_check_photo(NeedsEngine, bpy.types.Operator, FromPhoto):
    """Show what the engine sees in the photo: the hand's mask and 21 keypoints, which can be moved"""

    bl_idname = "palm.check_photo"
    bl_label = "Check Photo"
    bl_options = {"REGISTER"}

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        return self.finish(personalize.look(self.choices(context)))


class PALM_OT_drop_photo(bpy.types.Operator):
    """Take a photo that was dropped onto the 3D view as the one to make a hand from"""

    bl_idname = "palm.drop_photo"
    bl_label = "Personalize Dropped Photo"
    bl_options = {"REGISTER", "INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        photo = results.photo_file(self.filepath)
        state = context.window_manager.palm
        state.source, state.filepath = "file", str(photo)
        return f"{photo.name} is chosen: press Check Photo or Personalize in the PALM tab"


class PALM_OT_choose_photo(bpy.types.Operator):
    """Choose a photo of a hand on the disk"""

    bl_idname = "palm.choose_photo"
    bl_label = "Choose Photo"
    bl_options = {"REGISTER", "INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default=PHOTOS, options={"HIDDEN"})
    filter_image: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = context.window_manager.palm
        state.source, state.filepath = "file", self.filepath
        return {"FINISHED"}


class PALM_OT_add_result(bpy.types.Operator):
    """Add the finished hand to this scene"""

    bl_idname = "palm.add_result"
    bl_label = "Add Personalized Hand"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    number: IntProperty(name="Job", options={"HIDDEN", "SKIP_SAVE"})

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        job = jobs.session().queue.find(self.number)
        if job is None or job.output is None:
            raise InputError("this job is no longer known: import its avatar by File > Import")
        scene = viewing.find_scene(job.details, context.scene)
        with viewing.in_scene(context, scene), whole_or_nothing():
            source = read_avatar(job.output)
            hand = avatar.build_hand(source, job.output.stem, scene)
            if not bpy.app.background:
                viewing.place(hand.armature, scene, scene.cursor.location)
            if job.details.get("use_light"):
                relight.use_photo_light(scene, hand.armature)
        keypoints.take_used(context, job.details.get("used"))
        here = scene == context.scene
        if here:
            viewing.show_only(context, hand.armature)
        where = "" if here else f", to the scene {scene.name}"
        return f"Added {job.output.stem}, a {source.handedness} hand{where}"


class PALM_OT_place_result(bpy.types.Operator):
    """Add the finished hand to the file that is open now, which is not the one that it was started in"""

    bl_idname = "palm.place_result"
    bl_label = "Add to This File"
    bl_options = {"REGISTER", "INTERNAL"}

    number: IntProperty(name="Job", options={"HIDDEN", "SKIP_SAVE"})

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        why_not = jobs.place_here(self.number)
        if why_not:
            raise PalmError(f"Not added: {why_not}")
        return "Added to this file"


class PALM_OT_show_keypoints(bpy.types.Operator):
    """Show a photo with its keypoints in the 3D view"""

    bl_idname = "palm.show_keypoints"
    bl_label = "Show Keypoints"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    number: IntProperty(name="Job", options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        job = jobs.session().queue.find(self.number)
        try:
            if job is None or "look" not in job.details:
                raise InputError("this job is no longer known: check the photo again")
            look = keypoints.read_look(job.details["look"])
            keypoints.build(look, job.details["photo"], job.details["settings"])
        except PalmError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for item in context.view_layer.objects.selected:
            item.select_set(False)
        keypoints.look_through_camera(context)
        said = (
            f"A {look.handedness} hand: move points that are wrong (G)"
            if look.found
            else f"Move the points: {look.message}"
        )
        self.report({"INFO"} if look.found else {"WARNING"}, said)
        return {"FINISHED"}


class HasKeypoints:
    """Operators on the keypoints in the 3D view."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Leave the current mode first: keypoints are moved in Object Mode")
            return False
        if keypoints.board() is None:
            cls.poll_message_set("Check a photo first: it has no keypoints yet")
            return False
        return True


class PALM_OT_use_keypoints(HasKeypoints, bpy.types.Operator, FromPhoto):
    """Make the hand from the keypoints as they stand, in the background; they stay until it is added"""

    bl_idname = "palm.use_keypoints"
    bl_label = "Use These Keypoints"
    bl_options = {"REGISTER"}

    hand: EnumProperty(
        name="Hand", items=(("auto", "As Found", "The hand that was found"), *HANDS[1:]), options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and has_engine(cls)

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        base, state = keypoints.board(), context.window_manager.palm
        handedness = self.hand if self.hand != "auto" else base["palm_handedness"]
        given = {
            name: getattr(self if self.properties.is_property_set(name) else state, name)
            for name in ("method", "quality", "use_light")
        }
        choices = personalize.Choices(Path(keypoints.photo_of(base)), hand=handedness, **given)
        return self.finish(personalize.start_from_keypoints(base, handedness, choices))


class PALM_OT_discard_keypoints(HasKeypoints, bpy.types.Operator):
    """Take the photo and its keypoints out of the scene"""

    bl_idname = "palm.discard_keypoints"
    bl_label = "Discard Keypoints"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        keypoints.leave_camera(context)
        keypoints.remove()
        return {"FINISHED"}


class PALM_FH_photo(bpy.types.FileHandler):
    """Photos dropped onto a 3D view whose sidebar shows the PALM tab; elsewhere a drop does what it always did."""

    bl_idname = "PALM_FH_photo"
    bl_label = "Photo of a hand"
    bl_import_operator = "palm.drop_photo"
    bl_file_extensions = ";".join(results.PHOTO_SUFFIXES)

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        area = context.area
        if area is None or area.type != "VIEW_3D" or not area.spaces.active.show_region_ui:
            return False
        return any(
            region.type == "UI" and getattr(region, "active_panel_category", "") == "PALM" for region in area.regions
        )


CLASSES = (
    PALM_OT_personalize,
    PALM_OT_check_photo,
    PALM_OT_drop_photo,
    PALM_OT_choose_photo,
    PALM_OT_add_result,
    PALM_OT_place_result,
    PALM_OT_show_keypoints,
    PALM_OT_use_keypoints,
    PALM_OT_discard_keypoints,
    PALM_FH_photo,
)
