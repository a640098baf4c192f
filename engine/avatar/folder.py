"""The avatar folder `NAME.palmhand/`: what every method writes and everything after it reads.

    avatar.json       schema version, method, handedness, betas, capture (camera and pose), provenance, metrics
    mesh.npz          rest mesh, UVs, skinning weights, joints, pose-corrective and shape bases
    albedo.png        16-bit sRGB            roughness.png, normal.png   non-colour; tangent space, +Y up
    seen.png          texels the photo showed   environment.exr          estimated light, linear, equirectangular, +Z up
    photo.png, mask.png, preview.png
    correctives.npz, pose_maps.json, pose_maps/   what was learned of the pose (`pose_extras`); optional, as is what readers
                                                  of the same schema may leave out

Reading needs NumPy and the standard library only. Images stay paths; their headers are checked.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AvatarError
from ..files import atomic_folder, read_json
from ..hand.joints import MANO_PARENTS
from ..outside import numbers
from .image_headers import is_whole_image
from .pose_extras import ExtraCorrectives, PoseMap, read_correctives, read_pose_maps, write_pose_extras

SCHEMA_VERSION = 1
MAX_VERTICES = 2_000_000
REQUIRED_IMAGES = ("albedo.png", "roughness.png", "normal.png", "environment.exr", "preview.png")
OPTIONAL_IMAGES = ("seen.png", "photo.png", "mask.png")


@dataclass(frozen=True)
class AvatarMesh:
    """The rest mesh and what deforms it. V vertices, F triangles; metres; MANO's rest frame of the avatar's side."""

    vertices: np.ndarray
    """[V,3] rest pose of this person, personal displacement included."""
    faces: np.ndarray
    """[F,3] int, counter-clockwise from outside."""
    uv: np.ndarray
    """[F,3,2] per corner, V upward."""
    skinning_weights: np.ndarray
    """[V,16], rows sum to 1."""
    joints: np.ndarray
    """[16,3] rest joints of this person."""
    pose_basis: np.ndarray
    """[135,V,3] metres per entry of R_j - I, joints 1..15, row-major."""
    shape_basis: np.ndarray
    """[10,V,3] metres per unit beta: vertices(b) = vertices + (b - betas) · shape_basis."""
    joint_shape_basis: np.ndarray
    """[10,16,3] the same for the joints."""
    cap_faces: np.ndarray
    """[F] bool, the lid of the wrist."""
    extra: ExtraCorrectives | None = None
    """Pose correctives beyond MANO's, where a method learned some."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes that the arrays must have."""
        v, f = len(self.vertices), len(self.faces)
        return {
            "vertices": (v, 3),
            "faces": (f, 3),
            "uv": (f, 3, 2),
            "skinning_weights": (v, 16),
            "joints": (16, 3),
            "pose_basis": (135, v, 3),
            "shape_basis": (10, v, 3),
            "joint_shape_basis": (10, 16, 3),
            "cap_faces": (f,),
        }


@dataclass(frozen=True)
class CaptureInfo:
    """The photo's camera and the hand's pose in it."""

    image: str
    image_size: tuple[int, int]
    """width, height in pixels of photo.png."""
    intrinsics: np.ndarray
    """K [3,3] px."""
    world_to_camera: np.ndarray
    """[4,4], OpenCV axes."""
    global_orient: np.ndarray
    """[3]"""
    hand_pose: np.ndarray
    """[45]"""
    transl: np.ndarray
    """[3]"""


@dataclass(frozen=True)
class Avatar:
    """A validated avatar; `folder` holds its images."""

    handedness: str
    method: str
    betas: np.ndarray
    """[10]"""
    mesh: AvatarMesh
    capture: CaptureInfo
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    prior: str | None = None
    folder: Path | None = None
    pose_maps: tuple[PoseMap, ...] = ()
    """Maps that are blended with the pose, where a method learned some; their pictures lie in the folder."""

    def image(self, name: str) -> Path | None:
        """Path of one of the folder's images, None where an optional one is absent."""
        path = (self.folder or Path()) / name
        return path if self.folder is not None and path.is_file() else None


def write_avatar(folder: Path, avatar: Avatar, write_images: Callable[[Path], None], force: bool = False) -> Avatar:
    """Write an avatar folder whole or not at all.

    write_images: called with a temporary folder; puts the images there. With `force` an existing avatar is replaced
    once the new one is complete. Returns the avatar as read back. Raises OutputError, AvatarError.
    """
    folder = Path(folder)
    if folder.suffix != ".palmhand":
        raise AvatarError(f"{folder} should end in .palmhand: name the avatar folder NAME.palmhand")
    _check_mesh(avatar.mesh, folder)
    with atomic_folder(folder, force) as temporary:
        write_images(temporary)
        arrays = {name: _compact(getattr(avatar.mesh, name)) for name in avatar.mesh.shapes()}
        write_pose_extras(temporary, avatar.mesh.extra, avatar.pose_maps)
        np.savez_compressed(temporary / "mesh.npz", parents=np.array(MANO_PARENTS, np.int32), **arrays)
        (temporary / "avatar.json").write_text(
            json.dumps(_to_json(avatar), indent=1, allow_nan=False), encoding="utf-8"
        )
        read_avatar(temporary)
    return read_avatar(folder)


def _compact(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return array.astype(np.int32) if array.dtype.kind in "iu" else array


def _to_json(avatar: Avatar) -> dict[str, Any]:
    value = {
        "schema_version": SCHEMA_VERSION,
        "method": avatar.method,
        "handedness": avatar.handedness,
        "betas": avatar.betas,
        "capture": dataclasses.asdict(avatar.capture),
        "prior": avatar.prior,
        "provenance": dict(avatar.provenance),
        "metrics": dict(avatar.metrics),
    }
    return json.loads(json.dumps(value, default=lambda item: item.tolist() if hasattr(item, "tolist") else str(item)))


def read_avatar(folder: Path | str) -> Avatar:
    """Read and validate an avatar folder. Raises AvatarError: which folder, what is wrong, what to do."""
    folder = Path(folder)
    if not folder.is_dir():
        raise AvatarError(f"{folder} is not a folder: give the path of a NAME.palmhand avatar")
    for name in ("avatar.json", "mesh.npz", *REQUIRED_IMAGES):
        if not (folder / name).is_file():
            raise AvatarError(f"avatar {folder} lacks {name}: copy the whole folder, or make the avatar again")
    for name in (*REQUIRED_IMAGES, *OPTIONAL_IMAGES):
        if (folder / name).is_file():
            _check_image(folder / name)
    values = read_json(folder / "avatar.json", "avatar description")
    version = values.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise AvatarError(f"avatar {folder} has no schema_version: make the avatar again")
    if version > SCHEMA_VERSION:
        raise AvatarError(
            f"avatar {folder} has schema {version}, newer than this version reads ({SCHEMA_VERSION}): update PALM Hands"
        )
    handedness = values.get("handedness")
    if handedness not in ("right", "left"):
        raise AvatarError(
            f"avatar {folder}: handedness is {handedness!r}, not 'right' or 'left'; make the avatar again"
        )
    return Avatar(
        handedness=handedness,
        method=str(values.get("method", "")),
        betas=_vector(values, "betas", (10,), folder),
        mesh=_read_mesh(folder),
        capture=_read_capture(values.get("capture"), folder),
        provenance=_section(values, "provenance", folder),
        metrics=_section(values, "metrics", folder),
        prior=None if values.get("prior") is None else str(values["prior"]),
        folder=folder,
        pose_maps=read_pose_maps(folder),
    )


def _read_capture(values: Any, folder: Path) -> CaptureInfo:
    if not isinstance(values, dict):
        raise AvatarError(f"avatar {folder}: avatar.json has no capture; make the avatar again")
    size = _vector(values, "image_size", (2,), folder)
    if not (size.min() >= 1 and size.max() <= 100_000):
        raise AvatarError(f"avatar {folder}: image_size {size.tolist()} is impossible; make the avatar again")
    return CaptureInfo(
        image=str(values.get("image", "")),
        image_size=(int(size[0]), int(size[1])),
        intrinsics=_vector(values, "intrinsics", (3, 3), folder),
        world_to_camera=_vector(values, "world_to_camera", (4, 4), folder),
        global_orient=_vector(values, "global_orient", (3,), folder),
        hand_pose=_vector(values, "hand_pose", (45,), folder),
        transl=_vector(values, "transl", (3,), folder),
    )


def _section(values: Mapping[str, Any], name: str, folder: Path) -> dict[str, Any]:
    section = values.get(name, {})
    if not isinstance(section, dict):
        raise AvatarError(f"avatar {folder}: {name} is no object; make the avatar again")
    return section


def _vector(values: Mapping[str, Any], name: str, shape: tuple[int, ...], folder: Path) -> np.ndarray:
    return numbers(values.get(name), f"avatar {folder}: {name}", AvatarError, shape)


def _read_mesh(folder: Path) -> AvatarMesh:
    path = folder / "mesh.npz"
    names = [item.name for item in dataclasses.fields(AvatarMesh) if item.name != "extra"]
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive.files]
            if missing:
                raise AvatarError(f"{path} lacks {', '.join(missing)}: make the avatar again")
            mesh = AvatarMesh(**{name: archive[name] for name in names})
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise AvatarError(f"{path} is damaged ({error}): copy it again, or make the avatar again") from error
    _check_mesh(mesh, folder)
    return dataclasses.replace(mesh, extra=read_correctives(folder, len(mesh.vertices)))


def _check_mesh(mesh: AvatarMesh, folder: Path) -> None:
    if mesh.vertices.ndim != 2 or mesh.faces.ndim != 2:
        raise AvatarError(f"avatar {folder}: mesh.npz holds no mesh; make the avatar again")
    for name, shape in mesh.shapes().items():
        array = getattr(mesh, name)
        if array.shape != shape:
            raise AvatarError(f"avatar {folder}: {name} has shape {array.shape}, not {shape}; make the avatar again")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise AvatarError(f"avatar {folder}: {name} holds NaN or infinite numbers; make the avatar again")
        wanted = {"faces": "iu", "cap_faces": "b"}.get(name, "fiu")
        if array.dtype.kind not in wanted:
            raise AvatarError(f"avatar {folder}: {name} holds the wrong kind of numbers; make the avatar again")
    count = len(mesh.vertices)
    if not 3 <= count <= MAX_VERTICES or not len(mesh.faces):
        raise AvatarError(f"avatar {folder}: a mesh of {count} vertices cannot be used; make the avatar again")
    if mesh.faces.min() < 0 or mesh.faces.max() >= count:
        raise AvatarError(f"avatar {folder}: faces point outside the mesh; make the avatar again")
    if not np.allclose(mesh.skinning_weights.sum(1), 1.0, atol=1e-3):
        raise AvatarError(f"avatar {folder}: skinning weights do not sum to 1; make the avatar again")


def _check_image(path: Path) -> None:
    if not is_whole_image(path):
        raise AvatarError(f"{path} is damaged: copy it again, or make the avatar again")
