"""The add-on's state in the window manager, which no file saves and undo leaves alone: settings of the panel, and the jobs."""

# ruff: noqa: N801  Blender prescribes these class names

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

METHODS = (
    ("palm", "PALM", "A prior that has learned many hands is fitted to the photo: also the side that it does not show"),
    ("harp", "HARP", "Mesh and textures are fitted to the one photo alone; quicker, and only as good as what is seen"),
)
QUALITIES = (
    ("draft", "Draft", "A quick look with small textures"),
    ("standard", "Standard", "What most uses need"),
    ("paper", "Paper", "As many rays and samples as published; PALM only, and slow"),
)
HANDS = (
    ("auto", "Largest", "The largest hand of the photo"),
    ("left", "Left", "The largest left hand of the photo"),
    ("right", "Right", "The largest right hand of the photo"),
)
SOURCES = (
    ("file", "File", "A photo from the disk"),
    ("image", "Image", "An image of this Blender file"),
)


class PALM_PG_job(bpy.types.PropertyGroup):
    """What the panels show of a job; written by the timer."""

    number: IntProperty()
    kind: StringProperty()
    title: StringProperty()
    state: StringProperty()
    message: StringProperty()
    fraction: FloatProperty(min=0, max=1)
    left: StringProperty()
    elapsed: StringProperty()
    log: StringProperty()
    waits: StringProperty(description="Why a finished result is not in the file yet")


class PALM_PG_finding(bpy.types.PropertyGroup):
    """One line of the self-test."""

    state: StringProperty()
    text: StringProperty()


class PALM_PG_state(bpy.types.PropertyGroup):
    """Settings of the Personalize panel, the jobs and the last self-test."""

    source: EnumProperty(name="Source", items=SOURCES, description="Where the photo is")
    filepath: StringProperty(
        name="Photo", subtype="FILE_PATH", description="JPEG, PNG, WebP or TIFF of one hand, sharp and whole"
    )
    # a name, for a pointer would hold the image in every file that is opened after
    image: StringProperty(name="Image", description="Image of this Blender file that shows a hand")
    method: EnumProperty(name="Method", items=METHODS, description="How the hand is made from the photo")
    quality: EnumProperty(name="Quality", items=QUALITIES, default="standard", description="Time against detail")
    hand: EnumProperty(name="Hand", items=HANDS, description="Which hand of the photo")
    use_light: BoolProperty(
        name="Use Photo's Light", description="Light the scene as the photo was lit, once it is done"
    )
    jobs: CollectionProperty(type=PALM_PG_job)
    findings: CollectionProperty(type=PALM_PG_finding)
    findings_summary: StringProperty()


CLASSES = (PALM_PG_job, PALM_PG_finding, PALM_PG_state)
KEPT = ("source", "filepath", "method", "quality", "hand", "use_light", "findings_summary")
"""Settings that outlive the opening of another file, which brings a window manager without them."""
_kept: dict[str, str | bool] = {}


@bpy.app.handlers.persistent
def _before_load(*_: object) -> None:
    state = bpy.context.window_manager.palm
    _kept.update({name: getattr(state, name) for name in KEPT})


@bpy.app.handlers.persistent
def _after_load(*_: object) -> None:
    for name, value in _kept.items():
        setattr(bpy.context.window_manager.palm, name, value)


def register() -> None:
    bpy.types.WindowManager.palm = PointerProperty(type=PALM_PG_state)
    bpy.app.handlers.load_pre.append(_before_load)
    bpy.app.handlers.load_post.append(_after_load)


def unregister() -> None:
    bpy.app.handlers.load_pre.remove(_before_load)
    bpy.app.handlers.load_post.remove(_after_load)
    _kept.clear()
    del bpy.types.WindowManager.palm
