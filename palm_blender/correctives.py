"""Pose correctives and shape sliders as driven shape keys.

MANO's pose features are the entries of R - I, each quadratic in the joint's unit quaternion: nine short expressions of
bone rotations that Blender evaluates itself, in parallel, without Python and with scripts disabled. There are no
handlers, so undo, rendering, appending and export keep working.
"""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.avatar.folder import AvatarMesh
from ..engine.avatar.pose_extras import ExtraCorrectives
from ..engine.avatar.pose_terms import terms_to_rows
from . import bone_math, pose_drivers, rig

ROTATION_FEATURES: tuple[tuple[str, str], ...] = (
    ("-2*(y*y+z*z)", "yz"),
    ("2*(x*y-w*z)", "wxyz"),
    ("2*(x*z+w*y)", "wxyz"),
    ("2*(x*y+w*z)", "wxyz"),
    ("-2*(x*x+z*z)", "xz"),
    ("2*(y*z-w*x)", "wxyz"),
    ("2*(x*z-w*y)", "wxyz"),
    ("2*(y*z+w*x)", "wxyz"),
    ("-2*(x*x+y*y)", "xy"),
)
"""The entries of R - I, row-major, for the unit quaternion w, x, y, z; and the components that each needs."""

POSE_KEY = "pose_{}_{}{}"
SHAPE_KEY = "shape_{}"
EXTRA_KEY = "pose_extra_{:03d}"
EXTRA_TERMS = "palm_extra_terms"
"""Custom property of the mesh: what drives its extra keys, as `terms_to_rows` writes it."""


def add_shape_keys(target: bpy.types.Object, mesh: AvatarMesh, armature: bpy.types.Object) -> None:
    """Give the hand mesh its 10 shape keys and 135 pose correctives, all driven by the armature.

    The mesh's vertices are in the armature's space and in the avatar's order.
    """
    rest = np.asarray(mesh.vertices, dtype=float)
    target.shape_key_add(name="Basis", from_mix=False)
    fitted = np.array(armature[rig.FITTED_BETAS], dtype=float)
    for index in range(10):
        key = add_key(target, SHAPE_KEY.format(index), rest + mesh.shape_basis[index], rig.BETA_RANGE)
        _drive_shape(key, armature, index, float(fitted[index]))
    basis = bone_math.to_bone_correctives(mesh.pose_basis, rig.rest_bases(armature))
    bones = rig.joint_bones(armature)
    for feature in range(135):
        joint, entry = 1 + feature // 9, feature % 9
        name = POSE_KEY.format(bones[joint].name, entry // 3, entry % 3)
        # an entry of R - I lies in [-2, 1]; Blender's default range 0..1 would cut the negative ones off
        key = add_key(target, name, rest + basis[feature], 2.0)
        drive_pose(key, armature, bones[joint].name, *ROTATION_FEATURES[entry])
    if mesh.extra is not None:
        _add_extra_keys(target, rest, mesh.extra, armature)


def _add_extra_keys(
    target: bpy.types.Object, rest: np.ndarray, extra: ExtraCorrectives, armature: bpy.types.Object
) -> None:
    """Correctives of terms beyond MANO's, a key each."""
    bases = rig.rest_bases(armature)
    for index, (term, offset) in enumerate(zip(extra.terms, extra.basis, strict=True)):
        key = add_key(target, EXTRA_KEY.format(index), rest + offset, 1.0)
        pose_drivers.add_driver(key, "value", armature, pose_drivers.term_expression(term, bases), [term])
    target.data[EXTRA_TERMS] = [float(number) for number in terms_to_rows(extra.terms).ravel()]


def add_key(target: bpy.types.Object, name: str, points: np.ndarray, reach: float) -> bpy.types.ShapeKey:
    """A shape key at `points` [V,3] whose value may lie within ±reach."""
    key = target.shape_key_add(name=name, from_mix=False)
    key.data.foreach_set("co", np.ascontiguousarray(points, dtype=np.float32).ravel())
    key.slider_min, key.slider_max = -reach, reach
    return key


def _drive_shape(key: bpy.types.ShapeKey, armature: bpy.types.Object, index: int, fitted: float) -> None:
    driver = key.driver_add("value").driver
    variable = driver.variables.new()
    variable.name, variable.type = "beta", "SINGLE_PROP"
    variable.targets[0].id = armature
    variable.targets[0].data_path = f'["{rig.BETA.format(index)}"]'
    # repr of the 32-bit value that the slider starts from would leave a residue: the property is a double
    driver.expression = f"beta-({fitted!r})"


def drive_pose(
    key: bpy.types.ShapeKey, armature: bpy.types.Object, bone: str, expression: str, components: str
) -> None:
    """Let an expression of a bone's own rotation, as a quaternion, set the key. components: those of wxyz that it names."""
    driver = key.driver_add("value").driver
    for component in components:
        pose_drivers.add_variable(driver, component, armature, bone, component)
    driver.expression = expression


def complex_drivers(target: bpy.types.Object) -> list[str]:
    """Names of driven keys whose expression would need Python or is invalid: none, on a sound hand."""
    curves = target.data.shape_keys.animation_data.drivers
    return [c.data_path for c in curves if not (c.driver.is_simple_expression and c.driver.is_valid)]
