"""Makes `assets/poses/*.json` from the table of gestures: `python -m tools.gestures.build [NAME …]`."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import numpy as np
import torch

import build
from engine.hand.model import open_hand_model
from engine.hand.pose_files import PoseSequence, save_pose_file
from tools.gestures.settle import contact, settle
from tools.gestures.table import GESTURES

POSES = Path(__file__).parents[2] / "assets" / "poses"


def write_gestures(folder: Path, names: list[str]) -> None:
    """Settle the named gestures (none: all) and write one pose file each."""
    torch.set_num_threads(1)
    hand_shape = importlib.import_module(f"{build.PACKAGE}.palm_blender.synthesis.hand_shape")
    model = open_hand_model(dtype=torch.float64)
    test = contact.contact_test(hand_shape.load_hand_shape())
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{'gesture':18} {'sinks in':>9} {'off table':>10} {'pads apart':>11}")
    for name in names or GESTURES:
        settled = settle(model, test, GESTURES[name])
        axes = model.joint_axes.numpy()
        pose = np.einsum("jcd,jc->jd", axes, settled.angles).reshape(1, 45).round(5) + 0.0
        zero = np.zeros((1, 3))
        save_pose_file(folder / f"{name}.json", PoseSequence(zero, pose, zero, np.zeros(10), "right"))
        apart = f"{1e3 * settled.gap_m:8.1f} mm" if GESTURES[name].touch else ""
        print(f"{name:18} {1e3 * settled.deepest_m:6.2f} mm {settled.moved_deg:6.1f} deg {apart:>11}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these gestures")
    parser.add_argument("-o", "--output", type=Path, default=POSES)
    options = parser.parse_args()
    if unknown := set(options.names) - set(GESTURES):
        parser.error(f"the table has no {', '.join(sorted(unknown))}")
    write_gestures(options.output, options.names)
