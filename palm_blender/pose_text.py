"""MANO parameters as text: what is copied and pasted, and kept in a text block. NumPy only but for the block itself."""

from __future__ import annotations

import json

import bpy
import numpy as np

from ..engine.errors import PoseFileError
from ..engine.hand.pose_files import PoseSequence, poses_from_fields

LONGEST = 1 << 22
"""Characters; a pose is 2 KB."""


def as_text(poses: PoseSequence) -> str:
    """One pose as JSON, one field a line; as `save_pose_file` names them."""
    fields: dict[str, object] = {
        "convention": "flat_hand",
        "side": poses.side,
        "global_orient": _numbers(poses.global_orient[0]),
        "hand_pose": _numbers(poses.hand_pose[0]),
        "transl": _numbers(poses.transl[0]),
    }
    if poses.betas is not None:
        fields["betas"] = _numbers(poses.betas)
    lines = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items() if value is not None)
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _numbers(values: np.ndarray) -> list[float]:
    return [round(float(value), 7) for value in values]


def from_text(text: str, source: str) -> PoseSequence:
    """MANO parameters from JSON under any names that pose files use. Raises PoseFileError naming the source."""
    if not text.strip():
        raise PoseFileError(f"{source} is empty: copy MANO parameters first")
    if len(text) > LONGEST:
        raise PoseFileError(f"{source} holds more than a pose: use a pose file")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PoseFileError(f"{source} holds no MANO parameters: copy them as JSON") from error
    if isinstance(raw, list):
        raw = {"hand_pose": raw}
    if not isinstance(raw, dict):
        raise PoseFileError(f"{source} holds no named MANO parameters: copy them as JSON")
    return poses_from_fields(raw, source)


def to_block(name: str, text: str) -> bpy.types.Text:
    """Keep a text in a text block of this name, in place of what was there."""
    block = bpy.data.texts.get(name) or bpy.data.texts.new(name)
    block.from_string(text)
    return block
