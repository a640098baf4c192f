"""A finished avatar of any method in real time: its mesh, skinned, with albedo and normal map in its light's harmonics.

Maps that follow the pose are blended into both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..avatar.folder import Avatar
from ..avatar.texture_files import read_environment
from ..hand.joints import MANO_PARENTS
from ..hand.mano import joint_transforms, pose_features
from ..hand.model import open_hand_model
from ..hand.rotations import axis_angle_to_matrix
from ..lighting.color import linear_to_srgb
from ..lighting.environment import equirect_grid, opencv_world
from ..lighting.spherical_harmonics import project_radiance
from ..rendering.mesh import Picture, surface_values
from ..rendering.surface import corner_tangents, mapped_normals, vertex_normals
from ..rendering.texture import sample_texture
from .rerender import load_avatar
from .view_hand import HandPose, ViewLight, ViewMesh
from .view_kernels import FastNormals
from .view_pose_maps import PoseTextures
from .view_raster import FastRaster
from .xhand_model import Camera


class TexturedHand:
    """See `view_hand.ViewHand`. Matt: gloss and cast shadows are left out."""

    neural = False
    coarsest = 0

    def __init__(self, avatar: Avatar, device: torch.device):
        """Raises AvatarError where textures cannot be read."""
        loaded = load_avatar(avatar, device)
        mesh, self.topology = avatar.mesh, loaded.topology
        self.side = avatar.handedness

        def real(values: object) -> Tensor:
            return torch.as_tensor(values, device=device).float()

        self.joints, self.rest, self.weights = real(mesh.joints), real(mesh.vertices), real(mesh.skinning_weights)
        self.basis = real(mesh.pose_basis).permute(1, 2, 0).reshape(-1, 135).contiguous()
        self.extra = mesh.extra
        self.textures = PoseTextures(avatar, loaded.albedo, loaded.normal)
        # an avatar does not keep its model's joints, whose axes are the same for all hands
        model = open_hand_model(self.side)
        self.joint_axes, self.joint_limits = model.joint_axes.to(device), model.joint_limits.to(device)
        self.light = environment_light(avatar).to(device)
        faces, uv_faces = self.topology.faces, self.topology.uv_faces
        self.vertex_of_uv = torch.empty(len(self.topology.uv), dtype=torch.int64, device=device)
        self.vertex_of_uv[uv_faces.reshape(-1)] = faces.reshape(-1)
        self.tangents = corner_tangents(self.rest, vertex_normals(self.rest, faces), faces, self.topology.uv, uv_faces)
        self.normals = FastNormals(faces, len(self.rest))
        self.raster = FastRaster(self.topology)

    def outside(self, hand_pose: Tensor) -> tuple[str, ...]:
        """None: nothing of it was learned from poses."""
        return ()

    @torch.inference_mode()
    def mesh(self, pose: HandPose, detail: int = 0) -> ViewMesh:
        rotations = axis_angle_to_matrix(torch.cat([pose.global_orient, pose.hand_pose]).reshape(16, 3))
        transforms = joint_transforms(rotations, self.joints, MANO_PARENTS)
        blended = (self.weights @ transforms[:, :3].reshape(16, 12)).reshape(-1, 3, 4)
        at_rest = self.rest + (self.basis @ pose_features(rotations)).reshape(-1, 3)
        if self.extra is not None:
            at_rest = at_rest + torch.as_tensor(self.extra.offsets(pose.hand_pose.cpu().numpy())).to(at_rest)
        vertices = (blended[..., :3] * at_rest[:, None]).sum(-1) + blended[..., 3] + pose.transl
        # the rest frame's tangents go along with the skin
        turned = (blended[self.vertex_of_uv, :, :3] * self.tangents[:, None, :3]).sum(-1)
        shares = self.textures.weights(pose.hand_pose)
        return ViewMesh(vertices, self.normals(vertices), None, None, turned, map_weights=shares)

    @torch.inference_mode()
    def picture(self, mesh: ViewMesh, camera: Camera, light: ViewLight, neural: bool) -> Picture:
        assert mesh.tangents is not None and mesh.map_weights is not None
        albedo, relief = self.textures.at(mesh.map_weights)
        view, faces, uv_faces = self.raster.see(mesh.vertices, camera), self.topology.faces, self.topology.uv_faces
        uv = surface_values(view, self.topology.uv, uv_faces)
        normal = surface_values(view, mesh.normals, faces)
        tangent = surface_values(view, mesh.tangents, uv_faces)
        sign = self.tangents[uv_faces[view.fragments.faces, 0], 3:4]
        detailed = mapped_normals(normal, tangent, sign, sample_texture(relief, uv))
        shaded = linear_to_srgb(sample_texture(albedo, uv) * light.on(detailed)).clamp(0, 1)
        return self.raster.compose(view, shaded)


def environment_light(avatar: Avatar) -> Tensor:
    """[9,3] harmonics of the radiance of an avatar's environment, in the world's OpenCV axes."""
    assert avatar.folder is not None
    image = torch.as_tensor(read_environment(avatar.folder / "environment.exr")).float()
    # any size of panorama is summed at one
    small = torch.nn.functional.adaptive_avg_pool2d(image.permute(2, 0, 1)[None], (64, 128))[0].permute(1, 2, 0)
    directions, solid_angles = equirect_grid(64, small)
    return project_radiance(small.reshape(-1, 3), opencv_world(directions).reshape(-1, 3), solid_angles.reshape(-1))
