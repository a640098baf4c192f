"""Rendering a finished avatar from its folder, with nothing that the folder does not hold: previews and measurements."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from ..avatar.folder import Avatar, AvatarMesh
from ..avatar.texture_files import read_environment, read_png
from ..errors import AvatarError
from ..hand.joints import MANO_PARENTS
from ..hand.mano import joint_transforms, pose_features, skin
from ..hand.rotations import axis_angle_to_matrix
from ..lighting.color import linear_to_srgb, srgb_to_linear
from ..lighting.environment import LAMP_ANGULAR_RADIUS, lamp_from_environment
from ..lighting.lamp import LampLight, shade
from ..rendering.mesh import MeshTopology, Picture, compose, mesh_topology, see, surface_values
from ..rendering.occlusion import ambient_visibility, bounced_lamp, multiple_bounce
from ..rendering.shadow import disc_visibility
from ..rendering.surface import corner_tangents, perturb_normal, vertex_normals
from ..rendering.texture import sample_texture
from ..training.psnr import psnr_db


class LoadedAvatar(NamedTuple):
    """An avatar's parts as tensors."""

    mesh: AvatarMesh
    topology: MeshTopology
    albedo: Tensor
    """[S,S,3] linear"""
    normal: Tensor
    """[S,S,3] in [-1,1]"""
    light: LampLight
    """As estimated; directions in the photo camera's axes"""


class Pose(NamedTuple):
    global_orient: np.ndarray
    hand_pose: np.ndarray
    transl: np.ndarray


def load_avatar(avatar: Avatar, device: torch.device | str = "cpu") -> LoadedAvatar:
    """Read an avatar's textures and light. Raises AvatarError."""
    if avatar.folder is None:
        raise AvatarError("an avatar that was not read from a folder has no textures: write it first")
    mesh = avatar.mesh
    faces = torch.as_tensor(mesh.faces, dtype=torch.int64, device=device)
    corners = np.concatenate([mesh.faces.reshape(-1, 1), mesh.uv.reshape(-1, 2).round(6)], axis=1)
    welded, index = np.unique(corners, axis=0, return_inverse=True)
    uv = torch.as_tensor(welded[:, 1:], dtype=torch.float32, device=device)
    uv_faces = torch.as_tensor(index.reshape(-1, 3), dtype=torch.int64, device=device)

    def picture(name: str) -> Tensor:
        return torch.as_tensor(read_png(avatar.folder / name), device=device)  # type: ignore[operator]

    environment = torch.as_tensor(read_environment(avatar.folder / "environment.exr"), device=device)
    return LoadedAvatar(
        mesh,
        mesh_topology(faces, uv, uv_faces),
        srgb_to_linear(picture("albedo.png")),
        picture("normal.png") * 2 - 1,
        lamp_from_environment(environment),
    )


def capture_pose(avatar: Avatar) -> Pose:
    """The pose in the photo."""
    return Pose(avatar.capture.global_orient, avatar.capture.hand_pose, avatar.capture.transl)


class PosedAvatar(NamedTuple):
    vertices: Tensor
    """[V,3] metres"""
    joints: Tensor
    """[16,3]"""


def pose_avatar(loaded: LoadedAvatar, pose: Pose) -> PosedAvatar:
    """The avatar in a pose by its own bases and weights, float32."""
    return pose_mesh(loaded.mesh, pose, loaded.albedo.device)


def pose_mesh(mesh: AvatarMesh, pose: Pose, device: torch.device | str = "cpu") -> PosedAvatar:
    """The same of an avatar's mesh alone."""

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=device)

    axis_angles = torch.cat([tensor(pose.global_orient).reshape(1, 3), tensor(pose.hand_pose).reshape(15, 3)])
    rotations = axis_angle_to_matrix(axis_angles)
    correctives = torch.einsum("pvc,p->vc", tensor(mesh.pose_basis), pose_features(rotations))
    if mesh.extra is not None:
        correctives = correctives + tensor(mesh.extra.offsets(pose.hand_pose))
    rest_joints = tensor(mesh.joints)
    transforms = joint_transforms(rotations, rest_joints, MANO_PARENTS)
    vertices = skin(tensor(mesh.vertices) + correctives, transforms, tensor(mesh.skinning_weights))
    joints = (transforms[:, :3, :3] @ rest_joints[..., None])[..., 0] + transforms[:, :3, 3]
    return PosedAvatar(vertices + tensor(pose.transl), joints + tensor(pose.transl))


def render_avatar(
    loaded: LoadedAvatar,
    vertices: Tensor,
    intrinsics: np.ndarray,
    size: tuple[int, int],
    light: LampLight | None = None,
    background: Tensor | float = 0.0,
    supersampling: int = 2,
    textures: bool = True,
) -> Picture:
    """The avatar in a camera: sRGB-encoded colour and coverage.

    vertices [V,3] in the camera's frame; intrinsics [3,3] px; size (width, height); light: the estimated one when None, in
    the camera's axes; background sRGB-encoded: number, [3] or [height,width,3]; textures False shows the bare shape.
    """
    width, height = size
    device = vertices.device
    scale = torch.diag(torch.tensor([supersampling, supersampling, 1.0]))
    camera = (scale @ torch.as_tensor(intrinsics, dtype=torch.float32)).to(device)
    view = see(vertices, loaded.topology, camera, height * supersampling, width * supersampling)
    color = linear_to_srgb(_shaded(loaded, vertices, view, light or loaded.light, textures)).clamp(0, 1)
    behind = torch.as_tensor(background, dtype=color.dtype, device=device).expand(height, width, 3)
    behind = behind.repeat_interleave(supersampling, 0).repeat_interleave(supersampling, 1)
    picture = compose(view, loaded.topology, color, behind)
    stacked = torch.cat([picture.color, picture.coverage[..., None]], dim=-1).permute(2, 0, 1)[None]
    pooled = avg_pool2d(stacked, supersampling)[0].permute(1, 2, 0)
    return Picture(pooled[..., :3], pooled[..., 3])


def _shaded(loaded: LoadedAvatar, vertices: Tensor, view, light: LampLight, textures: bool) -> Tensor:
    """[P,3] linear colour of the visible points."""
    topology, fragments = loaded.topology, view.fragments
    faces = topology.faces
    normals = vertex_normals(vertices, faces)
    smooth = normalize(surface_values(view, normals, faces), dim=1)
    openness = surface_values(view, ambient_visibility(vertices, faces, vertices, normals, rays=96)[:, None], faces)
    points = surface_values(view, vertices, faces)
    visibility = disc_visibility(vertices, faces, light.to_lamp, points, smooth, LAMP_ANGULAR_RADIUS)
    if not textures:
        grey = torch.full_like(points, 0.6)
        return grey * shade(light, smooth, visibility, multiple_bounce(openness, grey), bounced_lamp(openness, grey))
    uv = surface_values(view, topology.uv, topology.uv_faces)
    albedo = sample_texture(loaded.albedo, uv)
    tangents = corner_tangents(vertices, normals, faces, topology.uv, topology.uv_faces)
    detailed = perturb_normal(
        normals,
        tangents,
        faces,
        topology.uv_faces,
        fragments.faces,
        fragments.barycentric,
        sample_texture(loaded.normal, uv),
    )
    return albedo * shade(
        light, detailed, visibility, multiple_bounce(openness, albedo), bounced_lamp(openness, albedo)
    )


class RerenderScore(NamedTuple):
    psnr_db: float
    """Over pixels inside the photo's mask and the render's outline."""
    psnr_in_mask_db: float
    """Over the whole mask; where the render does not reach, it counts as black."""
    iou: float
    """Of the render's outline and the mask, on the hand's side of the wrist."""

    def as_metrics(self) -> dict[str, float]:
        """As the avatar folder records it."""
        return {
            "rerender_psnr_db": round(self.psnr_db, 2),
            "rerender_psnr_in_mask_db": round(self.psnr_in_mask_db, 2),
            "silhouette_iou": round(self.iou, 4),
        }


def rerender_score(photo: Tensor, mask: Tensor, picture: Picture, valid: Tensor) -> RerenderScore:
    """How well a re-render over black matches its photo.

    photo [H,W,3] sRGB in [0,1]; mask, valid [H,W] bool; valid excludes the forearm, where the mask's cut is arbitrary.
    PSNR of sRGB values: 10 log10(1 / mean squared error over pixels and channels).
    """
    covered = picture.coverage > 0.5
    inside = mask & valid
    both = inside & (picture.coverage > 0.999)
    squared = ((picture.color - photo) ** 2).mean(-1)
    union = ((mask | covered) & valid).sum()
    return RerenderScore(
        psnr_db(squared[both]), psnr_db(squared[inside]), float((mask & covered & valid).sum() / union.clamp_min(1))
    )
