"""The operator that writes a hand for other programs."""

# ruff: noqa: N801, RUF012  Blender prescribes these class names and attributes

from __future__ import annotations

from pathlib import Path

import bpy
from bpy_extras.io_utils import ExportHelper

from .. import export_hand, paths
from .avatar import OnHand, hand_of
from .reporting import reported

FORMAT_ITEMS = tuple((name, kind.label, f"Arrives: {kind.keeps}") for name, kind in export_hand.FORMATS.items())


class PALM_OT_export_hand(OnHand, bpy.types.Operator, ExportHelper):
    """Write the hand for other programs, with settings that keep how it deforms"""

    bl_idname = "palm.export_hand"
    bl_label = "Export Hand"
    bl_options = {"REGISTER"}

    filename_ext = ""
    check_extension = None
    filter_glob: bpy.props.StringProperty(default="*.glb;*.fbx;*.usdz;*.usdc;*.usda;*.abc", options={"HIDDEN"})
    format: bpy.props.EnumProperty(name="Format", items=FORMAT_ITEMS, default="GLTF")
    animation: bpy.props.BoolProperty(
        name="Animation", description="All frames of the hand's action; else the pose that is shown", default=True
    )
    textures: bpy.props.BoolProperty(
        name="Textures", description="Pictures of the skin; else one colour. Alembic has neither", default=True
    )

    def check(self, context: bpy.types.Context) -> bool:
        """The file dialog's name follows the chosen format, and textures go where they are packed."""
        path = self._path()
        if self.format == "USD" and self.textures:
            path = path.with_suffix(export_hand.PACKED_USD)
        changed = str(path) != self.filepath
        self.filepath = str(path)
        return changed

    def _path(self) -> Path:
        suffixes = export_hand.FORMATS[self.format].suffixes
        path = Path(self.filepath)
        known = [suffix for kind in export_hand.FORMATS.values() for suffix in kind.suffixes]
        if path.suffix.lower() in suffixes:
            return path
        return path.with_suffix(suffixes[0]) if path.suffix.lower() in known else Path(f"{path}{suffixes[0]}")

    @reported
    def execute(self, context: bpy.types.Context) -> str:
        path = paths.absolute(str(self._path()))
        settings = export_hand.ExportSettings(self.format, self.animation, self.textures)
        done = export_hand.export(hand_of(context), path, settings, context.scene)
        count = done.frames[1] - done.frames[0] + 1
        line = f"Wrote {done.path} ({done.bytes / 1e6:.1f} MB, {count} frame{'s' if count != 1 else ''})"
        return "; ".join((line, *done.notes))


CLASSES = (PALM_OT_export_hand,)
