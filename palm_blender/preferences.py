"""The add-on's preferences: where the engine is, its set-up and self-test, and what new jobs begin with."""

# ruff: noqa: N801  Blender prescribes these class names

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from . import engine_setup, paths
from .properties import METHODS, QUALITIES

PACKAGE = (__package__ or "").rpartition(".")[0]
"""The add-on's name, as Blender knows it: this package's parent."""
ICONS = {"works": "CHECKMARK", "lacks": "INFO", "fails": "ERROR"}


class PALM_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = PACKAGE

    python: StringProperty(
        name="Existing Engine",
        subtype="FILE_PATH",
        description="Python of an environment that can run the engine, or its folder; leave empty to use the one set up here",
    )
    base_python: StringProperty(
        name="Base Python",
        subtype="FILE_PATH",
        description="Python 3.11 to 3.13 that the environment is made with; leave empty for Blender's own",
    )
    build: EnumProperty(
        name="Build",
        items=(
            ("cpu", "CPU", "Runs everywhere"),
            ("cuda", "CUDA", "For NVIDIA GPUs; a much larger download"),
        ),
        description="Which build of torch the set-up installs",
    )
    device: EnumProperty(
        name="Compute On",
        items=(("cpu", "CPU", "The processor"), ("cuda", "CUDA", "An NVIDIA GPU; needs the CUDA build")),
        description="Where the engine computes",
    )
    hand_model: StringProperty(
        name="MANO File",
        subtype="FILE_PATH",
        description="MANO_RIGHT.pkl or .npz, if you have its licence; leave empty for the open hand, which the open prior needs",
    )
    prior: StringProperty(
        name="Prior",
        subtype="DIR_PATH",
        description="NAME.palmprior folder of another prior; leave empty for the open one",
    )
    output_folder: StringProperty(
        name="Results",
        subtype="DIR_PATH",
        description="Where avatars go; leave empty for beside the Blender file, or the add-on's own folder before it is saved",
    )
    default_method: EnumProperty(name="Method", items=METHODS, description="What new sessions begin with")
    default_quality: EnumProperty(
        name="Quality", items=QUALITIES, default="standard", description="What new sessions begin with"
    )
    silence_min: IntProperty(
        name="Give Up After",
        default=10,
        min=1,
        max=240,
        description="Minutes without a word from the engine, after which a job is ended as hung",
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        _draw_engine(layout, self, context.window_manager.palm)
        column = layout.column(heading="Files")
        for name in ("hand_model", "prior", "output_folder"):
            column.prop(self, name)
        column = layout.column(heading="Jobs")
        for name in ("device", "default_method", "default_quality", "silence_min"):
            column.prop(self, name)


def preferences() -> Any:
    """The user's preferences; their defaults where the package runs without being an add-on, as in scripts."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    if addon is not None and addon.preferences is not None:
        return addon.preferences
    names = ("python", "base_python", "hand_model", "prior", "output_folder")
    defaults = {
        "build": "cpu",
        "device": "cpu",
        "default_method": "palm",
        "default_quality": "standard",
        "silence_min": 10,
    }
    return SimpleNamespace(**dict.fromkeys(names, ""), **defaults)


def user_folder() -> Path:
    """Where the add-on may write: its extension folder, or one beside Blender's own settings where it is no extension."""
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE))
    except ValueError:
        return Path(bpy.utils.user_resource("DATAFILES", path="palm_hands"))


def engine_folder() -> Path:
    """Where the set-up puts the engine's environment."""
    return user_folder() / engine_setup.FOLDER


def interpreter() -> Path:
    """The engine's Python. Raises MissingDependencyError that says what to do."""
    chosen = preferences().python
    return engine_setup.find_interpreter(str(paths.absolute(chosen)) if chosen else "", engine_folder())


def base_python() -> Path:
    """What the set-up makes an environment with: the user's choice, else Blender's own. Raises InputError."""
    chosen = preferences().base_python
    return paths.absolute(chosen) if chosen else Path(sys.executable)


def _draw_engine(layout: bpy.types.UILayout, settings: Any, state: Any) -> None:
    box = layout.box()
    made = engine_setup.installed(engine_folder())
    row = box.row()
    if made is not None:
        if engine_setup.is_usable(engine_folder()):
            row.label(text=f"Engine set up: {engine_setup.in_words(made)}", icon="CHECKMARK")
        else:
            row.label(text="The engine's Python is gone, as after an update of Blender: set it up again", icon="ERROR")
        row.operator("palm.remove_engine", text="Remove", icon="TRASH")
    else:
        size = engine_setup.needed_mb(settings.build) / 1000
        row.label(text=f"Set-up takes about {size:.1f} GB of disk and some minutes", icon="INFO")
    column = box.column()
    column.prop(settings, "build")
    column.prop(settings, "base_python")
    begun = engine_setup.is_begun(engine_folder())
    again = "Go On with Set-Up" if begun else "Set Up Engine Again" if made else "Set Up Engine"
    column.operator("palm.set_up_engine", text=again, icon="IMPORT")
    if begun:
        column.operator("palm.remove_engine", text="Remove What Is There", icon="TRASH")
    if not bpy.app.online_access:
        box.label(text="Blender is offline: Preferences > System > Allow Online Access", icon="INTERNET_OFFLINE")
    for line in _python_notes():
        box.label(text=line)
    layout.column().prop(settings, "python")
    row = layout.row()
    row.operator("palm.test_engine", icon="PLAY")
    for job in state.jobs:
        if job.kind in ("set-up", "self-test"):
            from .panels.job_list import draw_job

            draw_job(layout, job)
    if state.findings_summary:
        column = layout.box().column(align=True)
        column.label(text=state.findings_summary)
        for finding in state.findings:
            column.label(text=finding.text, icon=ICONS.get(finding.state, "DOT"))


def _python_notes() -> list[str]:
    version = sys.version_info[:2]
    if version >= (3, 13):
        return [
            f"For Blender's Python {version[0]}.{version[1]} a newer MediaPipe is installed,",
            "with the hand models of its version 0.10.21",
        ]
    return []


CLASSES = (PALM_AP_preferences,)


def register() -> None:
    """New sessions begin with the user's defaults."""
    state, settings = bpy.context.window_manager.palm, preferences()
    state.method, state.quality = settings.default_method, settings.default_quality
