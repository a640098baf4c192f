"""Writers of small sets in the exact layouts of InterHand2.6M, HARP, FreiHAND, HanCo and HaMeR; each returns {label: [21,2]},
where the keypoints lie in every picture by the format's own formulas."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from published_hands import TIP_FIRST, TIP_LAST, PosedHand, hand_with_mean, looking_camera, posed_hands, write_picture
from scipy.spatial.transform import Rotation

from engine.datasets.palm import Camera, SubjectFrame, write_palm_subject
from engine.datasets.palm_files import SubjectPoses

Truth = dict[str, np.ndarray]


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def make_interhand(
    root: Path,
    side: str = "right",
    numbers: tuple[int, ...] = (12966, 13080, 13194),
    cameras: tuple[str, ...] = ("400262", "400451"),
    sequence: str = "ROM03_RT_No_Occlusion",
) -> Truth:
    """Release 1.0, split test, capture 0."""
    size, truth = (334, 512), {}
    hands = posed_hands(side, len(numbers), (0.0, 0.0, 0.0))
    capture: dict[str, Any] = {"campos": {}, "camrot": {}, "focal": {}, "princpt": {}}
    for index, name in enumerate(cameras):
        rotation, place = looking_camera(index, 0.9)
        focal, centre, place_mm = np.array([1250.0 + index, 1260.0]), np.array([161.3, 249.2]), 1000 * place
        values = {"campos": place_mm, "camrot": rotation, "focal": focal, "princpt": centre}
        for key, value in values.items():
            capture[key][name] = value.tolist()
        for number, hand in zip(numbers, hands, strict=True):
            in_camera = (1000 * hand.keypoints - place_mm) @ rotation.T
            truth[f"cam{name}/image{number}"] = focal * in_camera[:, :2] / in_camera[:, 2:] + centre
            write_picture(root / "images/test/Capture0" / sequence / f"cam{name}" / f"image{number}.jpg", size)
    mano, joints = {}, {}
    for number, hand in zip(numbers, hands, strict=True):
        fitted = {
            "pose": [*hand.orient.tolist(), *hand.relative.tolist()],
            "shape": hand.betas.tolist(),
            "trans": hand.transl.tolist(),
        }
        mano[str(number)] = {"right": fitted, "left": None} if side == "right" else {"right": None, "left": fitted}
        ordered, absent = (1000 * hand.keypoints[TIP_FIRST]).tolist(), np.zeros((21, 3)).tolist()
        valid = [[1]] * 21 + [[0]] * 21
        joints[str(number)] = {
            "world_coord": ordered + absent if side == "right" else absent + ordered,
            "joint_valid": valid if side == "right" else valid[::-1],
            "hand_type": side,
            "hand_type_valid": [1],
        }
    for kind, value in (("camera", capture), ("MANO_NeuralAnnot", mano), ("joint_3d", joints)):
        write_json(root / "annotations/test" / f"InterHand2.6M_test_{kind}.json", {"0": value})
    return truth


def make_harp(
    root: Path, numbers: tuple[int, ...] = (1, 2, 3, 4), side_px: int = 448, arm: bool = False, smooth: bool = True
) -> Truth:
    """One sequence; numbers: those frames of 1..max that METRO found a hand in (all have pictures)."""
    truth = {}
    hands = posed_hands("right", len(numbers), (0.05, 0.02, 0.0))
    for number in range(1, max(numbers) + 1):
        write_picture(root / "image" / f"{number:04d}.png", (64, 36))
        write_picture(root / "unscreen_cropped" / f"{number:04d}.jpg", (side_px, side_px))
        write_picture(root / "mask" / f"{number:04d}_mask.jpg", (side_px, side_px), 255)
    focal = 1000 * side_px / 224
    for position, (number, hand) in enumerate(zip(numbers, hands, strict=True), start=1):
        # HARP's arm model has the wrist at the origin before the translation is added
        points = hand.keypoints - hand.rest_wrist if arm else hand.keypoints
        cam = np.array([7.7, 0.01 * position - 0.05, -0.02], np.float64)
        seen = points + np.array([cam[1], cam[2], 2 * focal / (side_px * cam[0] + 1e-9)])
        truth[f"{number:04d}"] = focal * seen[:, :2] / seen[:, 2:] + side_px / 2
        values = {
            "joints": 1000 * points[None, TIP_LAST],
            "verts": np.zeros((1, 778, 3)),
            "rot": hand.orient[None],
            "pose": hand.relative[None],
            "shape": hand.betas[None],
            "trans": hand.transl[None],
            "cam": cam,
        }
        for folder, name in (("metro_mano", number), ("metro_mano_smooth", position)):
            if folder == "metro_mano" or smooth:
                path = root / folder / f"{name:04d}_mano.pkl"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(pickle.dumps(values))
    return truth


def make_freihand(root: Path, samples: int = 3, backgrounds: int = 4) -> Truth:
    """The training part, {label with background: pixels}."""
    truth, cameras, mano, xyz = {}, [], [], []
    for sample, hand in enumerate(posed_hands("right", samples, (-0.1, 0.0, 0.65))):
        camera = np.array([[480.0 + sample, 0, 111.0], [0, 484.0, 113.5], [0, 0, 1]])
        points = hand.keypoints
        focal, knuckle = 0.5 * (camera[0, 0] + camera[1, 1]), points[4]
        scale = focal / knuckle[2]
        root_uv = knuckle[:2] * scale + camera[:2, 2]
        cameras.append(camera.tolist())
        mano.append([[*hand.orient, *hand.relative, *hand.betas, *root_uv, scale]])
        xyz.append(points[TIP_LAST].tolist())
        pixels = points @ camera.T
        for block, name in enumerate(("gs", "hom", "sample", "auto")[:backgrounds]):
            stem = f"{sample + block * samples:08d}"
            truth[f"{stem} {name}"] = pixels[:, :2] / pixels[:, 2:]
            write_picture(root / "training/rgb" / f"{stem}.jpg", (224, 224))
        write_picture(root / "training/mask" / f"{sample:08d}.jpg", (224, 224), 255)
    for kind, values in (("K", cameras), ("mano", mano), ("xyz", xyz)):
        write_json(root / f"training_{kind}.json", values)
    return truth


def make_hanco(root: Path, frames: int = 2, sequence: str = "0110") -> Truth:
    """One sequence of eight cameras."""
    truth = {}
    views = []
    for index in range(8):
        rotation, place = looking_camera(index, 0.8)
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ place
        views.append((np.array([[430.0 + index, 0, 112.4], [0, 432.0, 110.1], [0, 0, 1]]), matrix))
    for number, hand in enumerate(posed_hands("right", frames, (0.0, 0.0, 0.0))):
        name = f"{sequence}/{number:08d}.json"
        write_json(root / "calib" / name, {"K": [k.tolist() for k, _ in views], "M": [m.tolist() for _, m in views]})
        write_json(root / "xyz" / name, hand.keypoints[TIP_LAST].tolist())
        fitted = {"poses": [[*hand.orient, *hand.relative]], "shapes": [hand.betas.tolist()]}
        write_json(root / "shape" / name, {**fitted, "global_t": [[hand.transl.tolist()]]})
        for index, (camera, matrix) in enumerate(views):
            seen = (hand.keypoints @ matrix[:3, :3].T + matrix[:3, 3]) @ camera.T
            label = f"cam{index}/{number:08d}"
            truth[label] = seen[:, :2] / seen[:, 2:]
            write_picture(root / "rgb" / sequence / f"{label}.jpg", (224, 224))
            write_picture(root / "mask_hand" / sequence / f"{label}.jpg", (224, 224), 255)
    write_json(root / "meta.json", {"has_fit": [[True] * frames]})
    return truth


def hamer_output(hands: dict[str, PosedHand], focal: float) -> dict[str, Any]:
    """A network's output for the hands of a picture; left ones mirrored, as HaMeR sees them."""
    flips = {side: np.array([1.0, -1, -1] if side == "left" else [1.0, 1, 1]) for side in hands}

    def matrices(vectors: np.ndarray, side: str) -> np.ndarray:
        return Rotation.from_rotvec(vectors.reshape(-1, 3) * flips[side]).as_matrix()

    return {
        "pred_mano_params": {
            "global_orient": np.stack([matrices(hand.orient, side) for side, hand in hands.items()]),
            "hand_pose": np.stack([matrices(hand.pose, side) for side, hand in hands.items()]),
            "betas": np.stack([hand.betas for hand in hands.values()]),
        },
        "pred_cam_t_full": np.stack([hand.transl for hand in hands.values()]),
        "right": np.array([float(side == "right") for side in hands]),
        "scaled_focal_length": np.array(focal),
    }


def make_hamer(root: Path, sides: tuple[str, ...] = ("right",), count: int = 2) -> dict[str, Truth]:
    """{side: truth}; one result a picture."""
    size, focal = (160, 120), 5000 / 256 * 160
    hands = {side: posed_hands(side, count, (0.02, -0.01, 9.0), seed=k) for k, side in enumerate(sides)}
    truth: dict[str, Truth] = {side: {} for side in sides}
    for index in range(count):
        stem = f"frame_{index + 1:03d}"
        write_picture(root / "images" / f"{stem}.jpg", size)
        (root / "results").mkdir(exist_ok=True)
        shown = {side: hands[side][index] for side in sides}
        (root / "results" / f"{stem}.pkl").write_bytes(pickle.dumps(hamer_output(shown, focal)))
        for side, hand in shown.items():
            truth[side][stem] = focal * hand.keypoints[:, :2] / hand.keypoints[:, 2:] + np.array(size) / 2
    return truth


PALM_SIZE = (80, 60)


def write_subject(root: Path, name: str, own: bool = False, side: str = "right") -> dict[str, np.ndarray]:
    """A subject of two poses and two cameras; own: with this project's labels, the poses' mean taken as flat."""
    (width, height), hands = PALM_SIZE, posed_hands(side, 2, (0.0, 0.0, 0.0))
    cameras, truth, frames = {}, {}, []
    for index in range(2):
        rotation, place = looking_camera(index, 0.7)
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ place
        cameras[f"MCU_0{index + 1}"] = Camera(
            np.array([[120.0, 0, 41.5], [0, 121.0, 29.0], [0, 0, 1]]), matrix, height, width
        )
    rows, columns = np.mgrid[:height, :width]
    for index, hand in enumerate(hands):
        for camera, (intrinsics, matrix, *_) in cameras.items():
            seen = (hand.keypoints @ matrix[:3, :3].T + matrix[:3, 3]) @ intrinsics.T
            label = f"{camera}/{index + 1:06d}"
            truth[label] = seen[:, :2] / seen[:, 2:]
            disc = np.hypot(columns - 40, rows - 30) < 22 + index
            frames.append(SubjectFrame(index, camera, np.full((height, width, 3), 0.5), disc, disc))
            if own:
                values = {
                    "keypoints_3d": hand.keypoints.round(6).tolist(),
                    "keypoints_2d": truth[label].round(3).tolist(),
                    "mano": {"side": side},
                }
                path = root / name / "labels" / camera / f"{index + 1:06d}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(values))
    poses = SubjectPoses(
        hands[0].betas, *(np.stack([getattr(hand, key) for hand in hands]) for key in ("orient", "pose", "transl"))
    )
    mean = np.zeros(45) if own else hand_with_mean().hands_mean.numpy()
    labels = root / name / "labels"
    kept = labels.rename(root / "kept") if own else None
    write_palm_subject(root, name, cameras, poses, frames, mean, force=True)
    if kept is not None:
        kept.rename(labels)
    return truth


def edit(path: Path, change) -> None:
    """Write a JSON file anew: as `change` returns it, or as it has changed it."""
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value) or value))
