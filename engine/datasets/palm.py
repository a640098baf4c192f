"""Reader of the PALM data set's folders.

    ROOT/[folders/]SUBJECT/cameras.npy, poses.npy
                   SUBJECT/images/CAMERA/000001.png …      frame index = number - 1
                   SUBJECT/masks/CAMERA/…  mano/CAMERA/…  normals/CAMERA/…     same stems, .png

One photo for personalisation has the same layout (`_train`, `_val`, one camera). Everything is checked before anything is
used: what does not fit together is either an error or, on request, left out and listed by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DatasetError
from .palm_files import Camera, Poses, read_cameras, read_poses, read_quality, read_set_facts, write_palm_set
from .palm_pixels import FramePixels, load_frame, picture_size
from .palm_writer import SubjectFrame, write_palm_subject

__all__ = [
    "Camera",
    "FramePixels",
    "PalmDataset",
    "PalmFrame",
    "SubjectFrame",
    "load_frame",
    "read_palm_folder",
    "write_palm_set",
    "write_palm_subject",
]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
NAMES_LISTED = 3

Complain = Callable[[str], None]
"""Told what is wrong: raises, or notes what is left out."""


@dataclass(frozen=True)
class PalmFrame:
    """One picture of one hand."""

    subject: str
    frame: int
    """Index of the pose, from 0."""
    camera: str
    image: Path
    mask: Path
    mano: Path | None
    """Silhouette of the fitted hand, with which the mask is mended; None where the mask is used as it is."""
    normal: Path | None
    intrinsics: np.ndarray
    """[3,3] px, first pixel's centre at (0.5, 0.5)."""
    world_to_camera: np.ndarray
    """[4,4] OpenCV axes, metres."""
    height: int
    width: int
    betas: np.ndarray
    """[10]"""
    global_orient: np.ndarray
    """[3] axis-angle, radians."""
    hand_pose: np.ndarray
    """[45] axis-angle, radians, absolute."""
    transl: np.ndarray
    """[3] metres."""


@dataclass(frozen=True)
class PalmDataset:
    root: Path
    frames: tuple[PalmFrame, ...]
    """By subject, frame, camera."""
    subjects: tuple[str, ...]
    left_out: tuple[str, ...]
    """One line for each thing that is there but not in `frames`, and why."""
    hand_model: str | None
    """Whose parameters these are, where the set says so."""


def read_palm_folder(
    root: Path | str,
    hands_mean: np.ndarray,
    quality: Path | str | None = None,
    best: int | None = None,
    keep_incomplete: bool = False,
    subjects: Collection[str] | None = None,
) -> PalmDataset:
    """All pictures of a folder of subjects.

    hands_mean [45]: the hand model's mean pose, to which the stored poses are relative. quality, best: use only the `best`
    frames with the smallest error in the set's quality file. subjects: use only these. Raises DatasetError that names what
    is missing, unreadable, unequal in count or NaN; with keep_incomplete such parts are left out instead, each with a line
    in `left_out`. A set in which nothing is left is always an error.
    """
    root = Path(root)
    folders = _subject_folders(root, subjects)
    facts = read_set_facts(root)
    ranked = None if quality is None else read_quality(Path(quality))
    if best is not None and (ranked is None or best < 1):
        raise DatasetError(
            f"the best {best} frames cannot be chosen: give the set's quality file and a count of 1 or more"
        )
    left_out: list[str] = []

    def complain(message: str) -> None:
        if not keep_incomplete:
            raise DatasetError(message)
        left_out.append(message)

    hands_mean = np.asarray(hands_mean, dtype=float).reshape(45)
    frames: list[PalmFrame] = []
    for folder in folders:
        frames += _read_subject(folder, hands_mean, facts.exact_masks, complain)
    if subjects is not None and len(folders) < len(_all_folders(root)):
        left_out.append(f"{len(_all_folders(root)) - len(folders)} subjects that were not asked for")
    if ranked is not None:
        frames = _best_frames(frames, ranked, best, left_out)
    if not frames:
        raise DatasetError(
            f"nothing in {root} can be used{f' ({left_out[0]})' if left_out else ''}: copy the set again"
        )
    used = tuple(dict.fromkeys(frame.subject for frame in frames))
    return PalmDataset(root, tuple(frames), used, tuple(left_out), facts.hand_model)


def _all_folders(root: Path) -> list[Path]:
    if (root / "poses.npy").is_file():
        return [root]
    base = root / "folders" if (root / "folders").is_dir() else root
    return sorted(path for path in base.iterdir() if path.is_dir() and not path.name.startswith("."))


def _subject_folders(root: Path, subjects: Collection[str] | None) -> list[Path]:
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder: give the folder that holds the subjects' folders")
    folders = _all_folders(root)
    if not folders or not any((path / "poses.npy").is_file() or (path / "images").is_dir() for path in folders):
        remedy = "unpack the subjects' zips first" if _has_zips(root) else "give the folder of the subjects' folders"
        raise DatasetError(f"{root} holds no subject (a folder with poses.npy, cameras.npy and images/): {remedy}")
    if subjects is None:
        return folders
    missing = sorted(set(subjects) - {path.name for path in folders})
    if missing:
        raise DatasetError(f"{root} has no subject {_some(missing)}: check the names")
    return [path for path in folders if path.name in set(subjects)]


def _has_zips(root: Path) -> bool:
    return any(next(folder.glob("*.zip"), None) is not None for folder in (root, root / "zips") if folder.is_dir())


def _read_subject(folder: Path, hands_mean: np.ndarray, exact_masks: bool, complain: Complain) -> list[PalmFrame]:
    """The usable frames of one subject."""
    try:
        for name in ("poses.npy", "cameras.npy", "images", "masks"):
            if not (folder / name).exists():
                raise DatasetError(f"subject {folder} has no {name}: copy the subject again")
            if (folder / name).is_dir() == name.endswith(".npy"):
                kind = "a file" if name.endswith(".npy") else "a folder"
                raise DatasetError(f"{folder / name} is not {kind}: copy the subject again")
        poses, cameras = read_poses(folder / "poses.npy"), read_cameras(folder / "cameras.npy")
    except DatasetError as error:
        complain(str(error))
        return []
    broken = poses.broken_frames()
    if broken.any():
        names = _some([f"{index + 1:06d}" for index in np.nonzero(broken)[0]])
        complain(f"{folder / 'poses.npy'}: the pose of frame {names} holds NaN or infinite numbers; copy it again")
    filmed = sorted(path.name for path in (folder / "images").iterdir() if path.is_dir())
    for name in filmed:
        if name not in cameras:
            complain(f"{folder / 'cameras.npy'} has no camera {name}, but images/{name} has pictures: copy it again")
    for name in cameras:
        if name not in filmed:
            complain(f"subject {folder} has no pictures of camera {name} (images/{name}): copy the subject again")
    frames: list[PalmFrame] = []
    for name in filmed:
        if name in cameras:
            files = _CameraFiles(folder, name, complain, exact_masks)
            frames += _read_camera(files, cameras[name], poses, ~broken, hands_mean)
    return sorted(frames, key=lambda frame: (frame.frame, frame.camera))


class _CameraFiles:
    """The pictures of one camera: {stem: path} of each kind, None for kinds that the set does not have."""

    def __init__(self, folder: Path, camera: str, complain: Complain, exact_masks: bool):
        self.subject, self.camera, self.complain = folder.name, camera, complain
        self.where = f"subject {folder}, camera {camera}"
        self.images = _pictures(folder / "images" / camera)
        self.masks = _pictures(folder / "masks" / camera)
        self.mano = _pictures(folder / "mano" / camera) if (folder / "mano").is_dir() and not exact_masks else None
        self.normals = _pictures(folder / "normals" / camera) if (folder / "normals").is_dir() else None

    def companions(self) -> dict[str, dict[str, Path]]:
        kinds = {"masks": self.masks, "mano": self.mano, "normals": self.normals}
        return {kind: files for kind, files in kinds.items() if files is not None}


def _pictures(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    paths = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return {path.stem: path for path in sorted(paths)}


def _read_camera(
    files: _CameraFiles, camera: Camera, poses: Poses, usable: np.ndarray, hands_mean: np.ndarray
) -> list[PalmFrame]:
    stems = _complete_stems(files, len(poses))
    frames = []
    for stem in stems:
        index = int(stem) - 1
        if not usable[index] or not _pictures_fit(files, stem, camera):
            continue
        frame = PalmFrame(
            subject=files.subject,
            frame=index,
            camera=files.camera,
            image=files.images[stem],
            mask=files.masks[stem],
            mano=None if files.mano is None else files.mano[stem],
            normal=None if files.normals is None else files.normals[stem],
            intrinsics=camera.intrinsics,
            world_to_camera=camera.world_to_camera,
            height=camera.height,
            width=camera.width,
            betas=poses.betas,
            global_orient=poses.global_orient[index],
            hand_pose=poses.hand_pose[index] + hands_mean,
            transl=poses.transl[index],
        )
        frames.append(frame)
    return frames


def _complete_stems(files: _CameraFiles, pose_count: int) -> list[str]:
    """Stems that have a pose and a picture of every kind; complains about all others."""
    named = [stem for stem in files.images if stem.isdecimal() and int(stem) >= 1]
    odd = sorted(set(files.images) - set(named))
    if odd:
        files.complain(f"{files.where}: the picture {_some(odd)} is not numbered; name pictures 000001.png and so on")
    posed = [stem for stem in named if int(stem) <= pose_count]
    if len(posed) != pose_count or len(posed) != len(named):
        files.complain(
            f"{files.where} has {len(named)} pictures but poses.npy {pose_count} poses"
            f" ({_difference(posed, named, pose_count)}): copy the subject again"
        )
    complete = set(posed)
    for kind, present in files.companions().items():
        missing, extra = sorted(set(named) - set(present)), sorted(set(present) - set(files.images))
        if missing or extra:
            what = f"missing: {_some(missing)}" if missing else f"without a picture: {_some(extra)}"
            files.complain(
                f"{files.where} has {len(named)} pictures but {len(present)} {kind} ({what}): copy the subject again"
            )
        complete -= set(missing)
    return sorted(complete)


def _difference(posed: Sequence[str], named: Sequence[str], pose_count: int) -> str:
    absent = sorted(set(range(1, pose_count + 1)) - {int(stem) for stem in posed})
    if absent:
        return f"no picture of frame {_some([f'{number:06d}' for number in absent])}"
    return f"no pose for {_some([stem for stem in named if int(stem) > pose_count])}"


def _pictures_fit(files: _CameraFiles, stem: str, camera: Camera) -> bool:
    """Whether every picture of a frame can be opened and has the camera's size."""
    for kind in (files.images, *files.companions().values()):
        path = kind[stem]
        try:
            width, height = picture_size(path)
        except DatasetError as error:
            files.complain(str(error))
            return False
        if (width, height) != (camera.width, camera.height):
            files.complain(
                f"{path} has {width}×{height} pixels, but camera {files.camera} {camera.width}×{camera.height}:"
                " copy the subject again"
            )
            return False
    return True


def _best_frames(
    frames: list[PalmFrame], errors: dict[tuple[str, int], float], best: int | None, left_out: list[str]
) -> list[PalmFrame]:
    """The frames with the smallest fitting errors (all cameras of each), in their former order."""
    present = list(dict.fromkeys((frame.subject, frame.frame) for frame in frames))
    judged = sorted((key for key in present if key in errors), key=lambda key: (errors[key], key))
    if len(judged) < len(present):
        left_out.append(f"{len(present) - len(judged)} frames that the quality file does not judge")
    if best is not None and best < len(judged):
        left_out.append(f"{len(judged) - best} of {len(judged)} frames: not among the best {best} by fitting error")
        judged = judged[:best]
    chosen = set(judged)
    return [frame for frame in frames if (frame.subject, frame.frame) in chosen]


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMES_LISTED
    return ", ".join(names[:NAMES_LISTED]) + (f" and {more} more" if more > 0 else "")
