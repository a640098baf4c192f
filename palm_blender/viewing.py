"""What the user sees of a new hand: it is 20 cm long, in a view that shows 20 m when Blender starts."""

from __future__ import annotations

import bpy


def show_only(context: bpy.types.Context, item: bpy.types.Object) -> None:
    """Select one object alone, make it active, and bring it near in the 3D views of the window, where there is one."""
    for other in context.view_layer.objects.selected:
        other.select_set(False)
    item.select_set(True)
    context.view_layer.objects.active = item
    if bpy.app.background or context.window is None:
        return
    # an armature's bones end where the skin does not
    parts = [child for child in item.children if child.type == "MESH" and child.visible_get()]
    for part in parts:
        part.select_set(True)
    for area in context.window.screen.areas:
        if area.type == "VIEW_3D" and area.spaces.active.region_3d.view_perspective != "CAMERA":
            region = next(region for region in area.regions if region.type == "WINDOW")
            with context.temp_override(area=area, region=region):
                bpy.ops.view3d.view_selected()
    for part in parts:
        part.select_set(False)
