"""A hand whose surface and skin follow the pose by known functions: folds on the backs of straight fingers, creases, bulges and
paler knuckles on bent ones. It stands in for a trained one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.avatar.regions import HandPoints, along_bone, finger_membership
from engine.hand.mano import shape_hand
from engine.hand.model import HandModel, open_hand_model
from engine.hand.refine import refine_model
from engine.methods.xhand_model import Features
from engine.rendering.mesh import mesh_topology
from engine.rendering.surface import vertex_normals

FOLD_M, CREASE_M, BULGE_M = 3e-4, 5e-4, 1.5e-3


class WrinklingHand:
    """As `xhand_export_samples.PoseDependentHand` asks."""

    def __init__(self, vertices: int = 7_000, side: str = "right", strength: float = 1.0):
        self.base: HandModel = open_hand_model(side)
        self.template = refine_model(self.base, vertices)
        self.topology = mesh_topology(self.template.faces, self.template.uv, self.template.uv_faces)
        self.betas = torch.zeros(10)
        self.strength = strength
        rest, joints = shape_hand(self.template, self.betas)
        nail = self.template.nail_vertices.float()
        tips = rest[self.template.tip_vertices]
        points = HandPoints(rest, self.template.palm_weight, nail, self.template.skinning_weights, joints, tips)
        self._outward = vertex_normals(rest, self.template.faces)
        self._along = torch.stack([along_bone(points, joint) for joint in range(1, 16)])
        self._own = torch.stack([finger_membership(points.skinning, joint) for joint in range(1, 16)])
        self._palm = points.palm

    def flexion(self, hand_pose: Tensor) -> Tensor:
        """[15] 0 straight, 1 at a right angle."""
        along = (hand_pose.reshape(15, 3) * self.template.joint_axes[:, 0]).sum(1)
        return (along / (math.pi / 2)).clamp(0, 1.2)

    def features(self, hand_pose: Tensor) -> Features:
        bent = self.flexion(hand_pose)[:, None]
        near = self._own * torch.exp(-((self._along / 0.007) ** 2))
        back, palm = near * (1 - self._palm), near * self._palm
        folds = back * (1 - bent).clamp(0, 1) ** 2 * torch.cos(2 * math.pi * self._along / 0.0026)
        crease = palm * bent * torch.exp(-((self._along / 0.0012) ** 2))
        bulge = self._own * self._palm * bent**2 * torch.exp(-(((self._along - 0.009) / 0.006) ** 2))
        height = self.strength * (FOLD_M * folds - CREASE_M * crease + BULGE_M * bulge).sum(0)
        tint = torch.tensor([0.20, 0.22, 0.20]) * (back * bent).sum(0)[:, None]
        tint = (
            tint - torch.tensor([0.20, 0.16, 0.13]) * (0.6 * back * (folds < 0) * (1 - bent) + crease).sum(0)[:, None]
        )
        albedo = (torch.tensor([0.48, 0.30, 0.22]) + self.strength * tint).clamp(0.02, 0.95)
        return Features(height[:, None] * self._outward, self.template.skinning_weights, albedo)
