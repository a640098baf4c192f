"""A person's hand with skin that answers to the pose, fine enough to show its folds, put into poses. NumPy only.

The underlying hand is the hand model at the sequence's parameters, smoothed by Loop's scheme; on it, before skinning, lies the
displacement of `tissue`. Correctives are found on the coarse mesh and carried to the fine one, which saves 400 numbers a vertex.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...engine.avatar.folder import AvatarMesh
from ...engine.hand.loop_refinement import LoopStep, loop_step, refined_fields
from .bending import Bending, bending
from .hand_shape import HandShape, joint_angles
from .posed_mesh import correctives, shaped_mesh, skinned
from .shots import HandPose
from .skin_patterns import SkinModel
from .skin_regions import SkinPoints, hand_surface
from .tissue import SkinShares, SkinWeights, Tissue, displacement, skin_shares, skin_weights, tissue_of


class FineFrame(NamedTuple):
    """The hand in one pose, in the world."""

    vertices: np.ndarray
    """[V,3] float32 metres"""
    keypoints: np.ndarray
    """[21,3] of the underlying hand"""
    weights: SkinWeights


@dataclass(frozen=True)
class FineHand:
    """One person's hand, ready to be posed."""

    shape: HandShape
    """Axes of the joints; the underlying hand at rest."""
    mesh: AvatarMesh
    """The fine rest mesh of the underlying hand, without correctives."""
    normals: np.ndarray
    """[V,3] of it."""
    steps: tuple[LoopStep, ...]
    correctives: np.ndarray
    """[135,3U] of the coarse mesh's U vertices, float32."""
    tips: np.ndarray
    """[5] vertices."""
    tissue: Tissue
    shares: SkinShares

    def amounts(self, pose: HandPose) -> Bending:
        return bending(joint_angles(self.shape, pose.hand_pose))

    def rest(self, pose: HandPose, amounts: Bending | None) -> np.ndarray:
        """[V,3] unposed, with the pose's correctives; and the displacement, where amounts are given."""
        corrected = correctives(self.correctives, pose.hand_pose)
        for step in self.steps:
            corrected = step.refine(corrected)
        corrected = corrected + self.mesh.vertices
        if amounts is None:
            return corrected
        return corrected + displacement(self.tissue, amounts)[:, None] * self.normals

    def frame(self, pose: HandPose) -> FineFrame:
        """The true surface in a pose, with what the skin's maps follow."""
        amounts = self.amounts(pose)
        vertices, joints = self._skinned(self.rest(pose, amounts), pose)
        tips, _ = self._skinned(self.rest(pose, None), pose, self.tips)
        return FineFrame(
            vertices.astype(np.float32), np.concatenate([joints, tips]), skin_weights(self.shares, amounts)
        )

    def underlying(self, pose: HandPose) -> np.ndarray:
        """[V,3] metres: the same without displacement."""
        return self._skinned(self.rest(pose, None), pose)[0]

    def _skinned(
        self, rest: np.ndarray, pose: HandPose, chosen: np.ndarray | slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        parts = (rest[chosen], self.mesh.joints, self.mesh.skinning_weights[chosen])
        return skinned(*(np.asarray(part, np.float32) for part in parts), pose)


def fine_hand(
    fields: Mapping[str, np.ndarray], shape: HandShape, betas: np.ndarray, skin: SkinModel, levels: int
) -> FineHand:
    """The hand of a hand model's arrays at betas [10], with 4^levels as many triangles. shape: the hand of those betas."""
    light = {**fields, "posedirs": np.zeros((len(fields["v_template"]), 3, 0))}
    refined = refined_fields(light, levels)
    surface = hand_surface(refined)
    points = SkinPoints(
        surface.vertices.astype(np.float32), surface.normals.astype(np.float32), surface.palm.astype(np.float32),
        surface.skinning.astype(np.float32),
    )  # fmt: skip
    tissue = tissue_of(skin, points)
    mesh = shaped_mesh(refined, betas)
    normals = hand_surface({**refined, "v_template": mesh.vertices}).normals
    basis = np.moveaxis(np.asarray(fields["posedirs"], np.float32), 2, 0)
    return FineHand(
        shape, mesh, normals, _steps(fields, levels), np.ascontiguousarray(basis).reshape(len(basis), -1),
        np.asarray(fields["tip_vertices"]), tissue, skin_shares(skin.hand, points, tissue),
    )  # fmt: skip


def _steps(fields: Mapping[str, np.ndarray], levels: int) -> tuple[LoopStep, ...]:
    """The subdivisions that `refined_fields` makes."""
    faces, count = np.asarray(fields["f"]).astype(np.int64), len(fields["v_template"])
    cap = np.asarray(fields["cap_faces"])
    steps = []
    for _ in range(levels):
        steps.append(loop_step(faces, count, cap))
        faces, count, cap = steps[-1].faces, count + len(steps[-1].edges), np.repeat(cap, 4)
    return tuple(steps)
