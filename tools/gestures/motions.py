"""Makes HARP's two motions, `assets/poses/*.npz`, from the gestures: `python -m tools.gestures.motions`."""

from __future__ import annotations

import importlib
from pathlib import Path

import build
from engine.hand.pose_files import save_pose_file

POSES = Path(__file__).parents[2] / "assets" / "poses"


def write_motions(folder: Path) -> None:
    """hand_flip.npz and finger_movement.npz, 150 frames each."""
    build.load_package()
    contact, hand_shape, motions = (
        importlib.import_module(f"{build.PACKAGE}.palm_blender.synthesis.{name}")
        for name in ("contact", "hand_shape", "motions")
    )
    shape = hand_shape.load_hand_shape()
    test = contact.contact_test(shape)
    for name in ("hand_flip", "finger_movement"):
        sequence = getattr(motions, name)(shape, test)
        save_pose_file(folder / f"{name}.npz", sequence)
        deepest = max(contact.penetration(shape, test, pose) for pose in sequence.hand_pose)
        print(f"{name}: {len(sequence)} frames, sinks in by {1e3 * deepest:.2f} mm at most")


if __name__ == "__main__":
    write_motions(POSES)
