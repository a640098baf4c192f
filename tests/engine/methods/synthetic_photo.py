"""A synthetic photo with known shape, skin and light."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from engine.capture.capture_file import Capture, Quality
from engine.hand.mano import hand_forward
from engine.hand.model import HandModel, open_hand_model
from engine.hand.subdivide import subdivide_model
from engine.lighting.color import linear_to_srgb
from engine.lighting.lamp import LampLight, shade
from engine.rendering.mesh import compose, mesh_topology, see, surface_values
from engine.rendering.occlusion import ambient_visibility
from engine.rendering.surface import vertex_normals

SIZE = (300, 320)


class Synthetic(NamedTuple):
    capture: Capture
    image: np.ndarray
    mask: np.ndarray
    model: HandModel
    light: LampLight
    albedo: np.ndarray
    """[3] linear, of the back of the hand."""
    vertices: np.ndarray
    """[V,3] of the subdivided hand, camera frame."""


def make_photo(side: str = "right", seed: int = 0, pose_error: float = 0.0) -> Synthetic:
    """The back of a hand before a grey wall, lit from the upper left, captured with a given error of pose (radians)."""
    generator = torch.Generator().manual_seed(seed)
    model = open_hand_model(side)
    fine = subdivide_model(model)
    betas = 0.5 * torch.randn(10, generator=generator)
    hand_pose = 0.06 * torch.randn(45, generator=generator)
    # fingers upward, back towards the camera
    turn = {"right": [[0.0, 0, -1], [1, 0, 0], [0, -1, 0]], "left": [[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]}[side]
    global_orient = _axis_angle(torch.tensor(turn))
    transl = torch.tensor([0.0, 0.0, 0.55])
    first = hand_forward(fine, betas, global_orient, hand_pose, transl)
    transl = transl - first.vertices.mean(0) * torch.tensor([1.0, 1, 0])
    posed = hand_forward(fine, betas, global_orient, hand_pose, transl)
    width, height = SIZE
    intrinsics = torch.tensor([[720.0, 0, width / 2], [0, 720, height / 2], [0, 0, 1]])
    light = LampLight(
        torch.tensor([0.38, 0.40, 0.42]), torch.tensor([0.62, 0.60, 0.56]), torch.tensor([-0.5, -0.5, -0.7])
    )
    albedo = torch.tensor([0.40, 0.25, 0.18])
    view = see(posed.vertices, mesh_topology(fine.faces, fine.uv, fine.uv_faces), intrinsics, height, width)
    normals = vertex_normals(posed.vertices, fine.faces)
    openness = ambient_visibility(posed.vertices, fine.faces, posed.vertices, normals, 128)
    # freckles: skin needs something to be sharp about
    spots = torch.sin(fine.v_template * 900).prod(1, keepdim=True).clamp_min(0)
    colors = (
        albedo * (1 - 0.35 * spots) * (1 + fine.palm_weight[:, None] * 0.15) * shade(light, normals, None, openness)
    )
    picture = compose(
        view,
        mesh_topology(fine.faces, fine.uv, fine.uv_faces),
        linear_to_srgb(surface_values(view, colors, fine.faces)),
        0.6,
    )
    error = pose_error * torch.randn(45, generator=generator)
    capture = Capture(
        handedness=side,
        image="synthetic.png",
        image_sha256="0" * 64,
        image_size=SIZE,
        K=intrinsics.double().numpy(),
        betas=(betas * (1 - 4 * pose_error)).double().numpy(),
        global_orient=global_orient.double().numpy(),
        hand_pose=(hand_pose + error).double().numpy(),
        transl=transl.double().numpy(),
        keypoints_2d=np.zeros((21, 2)),
        joints_3d=posed.keypoints.double().numpy(),
        quality=Quality(0.0, 0.0, 1.0, None),
        hand_model="open",
    )
    image = (picture.color.clamp(0, 1).numpy() * 255 + 0.5).astype(np.uint8)
    return Synthetic(
        capture, image, (picture.coverage > 0.5).numpy(), model, light, albedo.numpy(), posed.vertices.numpy()
    )


def _axis_angle(rotation: torch.Tensor) -> torch.Tensor:
    from scipy.spatial.transform import Rotation

    return torch.tensor(Rotation.from_matrix(rotation.numpy()).as_rotvec(), dtype=torch.float32)
