"""Terms of the pose (`engine.avatar.pose_terms`) as drivers: simple expressions of bones' quaternions, which need no Python."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from ..engine.avatar.pose_extras import PoseWeight
from ..engine.avatar.pose_terms import Hinge, Term
from ..engine.errors import InputError
from . import rig

LONGEST_EXPRESSION = 256
"""Of a driver; Blender cuts longer ones off."""
NO_PART = 5e-5
"""Components of an axis below this are left out."""


def term_expression(term: Term, bases: np.ndarray) -> str:
    """A product such as `w3*pow(.998*x3+.063*z3,3)`, of the bones' own rotations; names carry the joint's number.

    bases [16,3,3]: the bones' rest axes, columns in the rest frame. The component along an axis is the same in any frame.
    """
    return "*".join(_hinge_expression(hinge, bases) for hinge in term)


def weight_expression(weight: PoseWeight, bases: np.ndarray) -> str:
    """A sum of terms kept in its range. Raises InputError for one that is too long for a driver."""
    total = f"{weight.constant:.5g}"
    for gain, term in zip(weight.gains, weight.terms, strict=True):
        total += f"{gain:+.5g}*{term_expression(term, bases)}"
    expression = f"min(max({total},{weight.low:.5g}),{weight.high:.5g})"
    if len(expression) > LONGEST_EXPRESSION:
        raise InputError(
            f"a pose map's weight needs {len(expression)} characters, more than a driver has: make the avatar again"
        )
    return expression


def _hinge_expression(hinge: Hinge, bases: np.ndarray) -> str:
    axis = bases[hinge.joint].T @ np.asarray(hinge.axis, dtype=float)
    parts = [f"{part:+.5g}*{name}{hinge.joint}" for part, name in zip(axis, "xyz", strict=True) if abs(part) > NO_PART]
    along = "(" + "".join(parts).removeprefix("+") + ")"
    powers = [(f"w{hinge.joint}", hinge.w_power), (along, hinge.h_power)]
    return "*".join(name if power == 1 else f"pow({name.strip('()')},{power})" for name, power in powers if power)


def add_driver(
    owner: bpy.types.bpy_struct,
    path: str,
    armature: bpy.types.Object,
    expression: str,
    terms: Sequence[Term],
    index: int = -1,
) -> None:
    """Let an expression of these terms set a property. index: of an array's element."""
    driver = (owner.driver_add(path, index) if index >= 0 else owner.driver_add(path)).driver
    bones = rig.joint_bones(armature)
    for joint in sorted({hinge.joint for term in terms for hinge in term}):
        for component in "wxyz":
            if f"{component}{joint}" in _names(expression):
                add_variable(driver, f"{component}{joint}", armature, bones[joint].name, component)
    driver.expression = expression


def add_variable(driver: bpy.types.Driver, name: str, armature: bpy.types.Object, bone: str, component: str) -> None:
    """A component, of wxyz, of the bone's own rotation, as it is after constraints."""
    variable = driver.variables.new()
    variable.name, variable.type = name, "TRANSFORMS"
    target = variable.targets[0]
    target.id, target.bone_target = armature, bone
    target.transform_type = f"ROT_{component.upper()}"
    target.rotation_mode, target.transform_space = "QUATERNION", "LOCAL_SPACE"


def _names(expression: str) -> set[str]:
    cleaned = "".join(letter if letter.isalnum() else " " for letter in expression)
    return set(cleaned.split())
