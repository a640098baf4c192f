"""Correctives as other programs play them: morph targets whose weights stay between 0 and 1.

The rig drives its keys by entries of R - I, which reach from -2 to 1. Importers, Blender's own for glTF and USD among them,
cut weights below 0 off, and the hand would deform wrongly by millimetres. So a key that only falls is turned round, and one
that goes both ways is split in two. What deforms is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import bpy
import numpy as np

from ..engine.avatar.pose_terms import Term, is_signed
from . import avatar, correctives, hand_reading, pose_drivers, rig

NEGLIGIBLE_M = 1e-7
"""Targets that move no vertex farther are left out."""
_DIAGONAL = (0, 4, 8)


class Target(NamedTuple):
    """A morph target of one joint."""

    suffix: str
    gain: float
    """Its offset in those of the rig's key."""
    expression: str
    components: str


def targets_of(entry: int) -> tuple[Target, ...]:
    """The targets, of weights in [0,1], that stand for one entry (0..8) of R - I."""
    expression, components = correctives.ROTATION_FEATURES[entry]
    if entry in _DIAGONAL:
        # -2 (a² + b²) of a unit quaternion lies in [-2, 0]
        return (Target("", -2.0, expression.removeprefix("-2*"), components),)
    return (
        Target("_up", 1.0, f"max({expression},0)", components),
        Target("_down", -1.0, f"max(-{expression},0)", components),
    )


def targets_of_term(term: Term, bases: np.ndarray) -> tuple[Target, ...]:
    """The same for an extra corrective's term."""
    expression = pose_drivers.term_expression(term, bases)
    if not is_signed(term):
        return (Target("", 1.0, expression, ""),)
    return Target("_up", 1.0, f"max({expression},0)", ""), Target("_down", -1.0, f"max(-({expression}),0)", "")


@contextmanager
def positive_keys(armature: bpy.types.Object) -> Iterator[None]:
    """While the block runs, the hand wears a mesh with such targets; afterwards its own.

    The shape sliders' present setting goes into the rest mesh; their targets stay, at weight 0.
    """
    target = rig.hand_mesh(armature)
    own = target.data
    built = _positive_mesh(armature)
    data = built.data
    name, temporary = own.name, f"{own.name} (own)"
    try:
        for material in own.materials:
            data.materials.append(material)
        own.name = temporary
        data.name = name
        target.data = data
        bpy.context.view_layer.update()
        yield
    finally:
        target.data = own
        bpy.data.objects.remove(built)
        bpy.data.meshes.remove(data)
        own.name = name
        bpy.context.view_layer.update()


def _positive_mesh(armature: bpy.types.Object) -> bpy.types.Object:
    target = rig.hand_mesh(armature)
    source = hand_reading.read_mesh(armature)
    basis = hand_reading.bone_axes_correctives(armature)
    shift = rig.get_betas(armature) - np.array(armature[rig.FITTED_BETAS], dtype=float)
    rest = source.vertices + np.tensordot(shift, source.shape_basis, 1)
    built = avatar.build_mesh(replace(source, vertices=rest), f"{target.name} export", target.users_collection[0])
    bones = [bone.name for bone in rig.joint_bones(armature)]
    avatar.add_weights(built, source.skinning_weights, bones)
    built.shape_key_add(name="Basis", from_mix=False)
    for feature in range(135):
        bone = bones[1 + feature // 9]
        if np.abs(basis[feature]).max() < NEGLIGIBLE_M:
            continue
        for part in targets_of(feature % 9):
            name = correctives.POSE_KEY.format(bone, feature % 9 // 3, feature % 3) + part.suffix
            key = correctives.add_key(built, name, rest + part.gain * basis[feature], 1.0)
            key.slider_min = 0.0
            correctives.drive_pose(key, armature, bone, part.expression, part.components)
    bases = rig.rest_bases(armature)
    for index, term in enumerate(source.extra.terms if source.extra else ()):
        for part in targets_of_term(term, bases):
            name = correctives.EXTRA_KEY.format(index) + part.suffix
            key = correctives.add_key(built, name, rest + part.gain * source.extra.basis[index], 1.0)
            key.slider_min = 0.0
            pose_drivers.add_driver(key, "value", armature, part.expression, [term])
    for index in range(10):
        correctives.add_key(
            built, correctives.SHAPE_KEY.format(index), rest + source.shape_basis[index], 1.0
        ).value = 0.0
    return built
