"""The sidebar's panel of the hand itself: which one, its shape, its mesh and its skin."""

# ruff: noqa: N801  Blender prescribes these class names and attributes

from __future__ import annotations

import bpy

from ...engine.errors import PalmError
from .. import avatar_tools, rig, skin_tone
from ..operators.avatar import (
    PALM_OT_adjust_skin,
    PALM_OT_delete_hand,
    PALM_OT_duplicate_hand,
    PALM_OT_fit_joints,
    PALM_OT_import_avatar,
    PALM_OT_mirror_hand,
    PALM_OT_set_density,
    PALM_OT_show_hand,
)
from ..selection import selected_hand

MOST_SHOWN = 12
"""Hands in the list; a scene with more is chosen from in the outliner."""


class PALM_PT_hand(bpy.types.Panel):
    bl_idname = "PALM_PT_hand"
    bl_label = "Avatar"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PALM"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator(PALM_OT_import_avatar.bl_idname, icon="IMPORT")
        hand = selected_hand(context)
        hands = avatar_tools.all_hands(context.scene)
        if len(hands) > 1 or (hands and hand is None):
            _draw_hands(layout, hands, hand)
        if hand is None:
            layout.label(text="Select a PALM hand to shape it")
            return
        row = layout.row(align=True)
        row.operator(PALM_OT_mirror_hand.bl_idname, text="Mirror", icon="MOD_MIRROR")
        row.operator(PALM_OT_duplicate_hand.bl_idname, text="Duplicate", icon="DUPLICATE")
        row.operator(PALM_OT_delete_hand.bl_idname, text="", icon="TRASH")
        _draw_shape(layout, hand)
        try:
            mesh = rig.hand_mesh(hand)
        except PalmError as error:
            layout.label(text=str(error), icon="ERROR")
            return
        _draw_mesh(layout, mesh)
        _draw_skin(layout, mesh)


def _draw_hands(layout: bpy.types.UILayout, hands: list[bpy.types.Object], active: bpy.types.Object | None) -> None:
    column = layout.box().column(align=True)
    for hand in hands[:MOST_SHOWN]:
        icon = "RADIOBUT_ON" if hand == active else "RADIOBUT_OFF"
        text = f"{hand.name} ({hand[rig.SIDE]})"
        column.operator(PALM_OT_show_hand.bl_idname, text=text, icon=icon, emboss=hand == active).hand = hand.name
    if len(hands) > MOST_SHOWN:
        column.label(text=f"and {len(hands) - MOST_SHOWN} more in the outliner")


def _draw_shape(layout: bpy.types.UILayout, hand: bpy.types.Object) -> None:
    header, body = layout.panel("PALM_hand_shape", default_closed=False)
    header.label(text=f"Shape of {hand.name}")
    if body is None:
        return
    column = body.column(align=True)
    for index in range(10):
        column.prop(hand, f'["{rig.BETA.format(index)}"]', text=f"Shape {index + 1}", slider=True)
    body.operator(PALM_OT_fit_joints.bl_idname, icon="BONE_DATA")


def _draw_mesh(layout: bpy.types.UILayout, mesh: bpy.types.Object) -> None:
    header, body = layout.panel("PALM_hand_mesh", default_closed=True)
    header.label(text="Mesh")
    if body is None:
        return
    body.label(text=f"{len(mesh.data.vertices):,} vertices")
    row = body.row(align=True)
    for density in avatar_tools.DENSITIES:
        row.operator(PALM_OT_set_density.bl_idname, text=density.title()).density = density
    smooth = next((modifier for modifier in mesh.modifiers if modifier.type == "SUBSURF"), None)
    if smooth is not None:
        column = body.column(align=True)
        column.prop(smooth, "levels", text="Smoothing in View")
        column.prop(smooth, "render_levels", text="Smoothing in Renders")


def _draw_skin(layout: bpy.types.UILayout, mesh: bpy.types.Object) -> None:
    header, body = layout.panel("PALM_hand_skin", default_closed=True)
    header.label(text="Skin")
    if body is None:
        return
    slots = mesh.material_slots
    material = slots[0].material if slots else None
    shader = skin_tone.principled(material) if material is not None else None
    if shader is None:
        body.label(text="The hand has no skin of ours", icon="INFO")
        return
    column = body.column(align=True)
    column.prop(shader.inputs["Subsurface Weight"], "default_value", text="Subsurface")
    column.prop(shader.inputs["Subsurface Scale"], "default_value", text="Depth")
    node = skin_tone.tone_node(material)
    if node is None:
        body.operator(PALM_OT_adjust_skin.bl_idname, text="Adjust Tone and Roughness", icon="MATERIAL")
        return
    column = body.column(align=True)
    for name in (*skin_tone.TONES, skin_tone.ROUGHNESS):
        column.prop(node.inputs[name], "default_value", text=name)


CLASSES = (PALM_PT_hand,)
