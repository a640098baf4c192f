"""An XHand in real time: `XHandModel` with everything that one hand's poses share worked out once."""

from __future__ import annotations

import torch
from torch import Tensor

from ..hand.mano import joint_transforms, pose_features
from ..hand.rotations import axis_angle_to_matrix
from ..lighting.color import linear_to_srgb
from ..rendering.mesh import Picture, surface_values
from .pose_range import joints_outside
from .view_decoder import FastEmbedding
from .view_hand import HandPose, ViewLight, ViewMesh
from .view_kernels import FastNormals
from .view_raster import FastRaster
from .view_renderer import FastRenderer
from .view_sky import FastSky, harmonics
from .xhand_model import Camera, Features, XHandModel
from .xhand_template import refining_edges


class FastXHand:
    """See `view_hand.ViewHand`. Agrees with the model to rounding, at detail 0."""

    def __init__(self, model: XHandModel):
        """model: on the device of the view."""
        self.model = model.eval()
        template = model.template
        self.side = template.side
        self.joints = model.rest_joints
        self.joint_axes, self.joint_limits = template.joint_axes, template.joint_limits
        self.neural, self.condition = True, model.condition
        self.light = harmonics(model)
        self.sky = None if model.sky is None else FastSky(model)
        self.passes = tuple(ends.to(self.joints.device).T.contiguous() for ends in refining_edges(model.source))
        # vertices before each pass: the coarse ones come first
        counts = [len(model.source.coarse.v_template)]
        for ends in self.passes:
            counts.append(counts[-1] + ends.shape[1])
        self.counts = tuple(counts)
        self.coarsest = len(self.passes) if model.networks.pose_dependent else 0
        # correctives are interpolated from the rounded hand's, so they are summed there
        self.rounded = model.source.loop_levels
        self.basis = template.posedirs[: counts[self.rounded]].reshape(-1, 135).contiguous()
        self.rest = model.rest_vertices
        with torch.no_grad():
            self.means = model.mean_features()
            self.weight_logits, self.albedo_logits = model.skinning.mean.detach(), model.albedo.mean.detach()
        self.decoders = [FastEmbedding(part) for part in (model.displacement, model.skinning, model.albedo)]
        self.normals = FastNormals(model.topology.faces, len(self.rest))
        self.raster = FastRaster(model.topology)
        self.renderer = FastRenderer(model)

    def outside(self, hand_pose: Tensor) -> tuple[str, ...]:
        return joints_outside(hand_pose, self.model.pose_range) if self.model.networks.pose_dependent else ()

    @torch.inference_mode()
    def mesh(self, pose: HandPose, detail: int = 0) -> ViewMesh:
        condition = self.condition(pose.hand_pose)
        features = self._features(condition, detail)
        rotations = axis_angle_to_matrix(torch.cat([pose.global_orient, pose.hand_pose]).reshape(16, 3))
        corrective = self._spread((self.basis @ pose_features(rotations)).reshape(-1, 3), self.rounded)
        transforms = joint_transforms(rotations, self.joints, self.model.template.parents)
        blended = (features.skinning_weights @ transforms[:, :3].reshape(16, 12)).reshape(-1, 3, 4)
        at_rest = self.rest + corrective + features.displacement
        vertices = (blended[..., :3] * at_rest[:, None]).sum(-1) + blended[..., 3] + pose.transl
        plain = None
        if self.sky is not None:
            transforms[:, :3, 3] += pose.transl
            plain = self.sky.coarse((self.rest + corrective)[: self.counts[0]], transforms)
        return ViewMesh(vertices, self.normals(vertices), features.albedo, condition, coarse=plain)

    def _features(self, condition: Tensor, detail: int) -> Features:
        if not self.model.networks.pose_dependent:
            return self.means
        level = self.coarsest - min(detail, self.coarsest)
        moved, weights, albedo = (
            self._spread(part.offset(condition, self.counts[level]), level) for part in self.decoders
        )
        return Features(
            self.means.displacement + self.model.networks.displacement_scale_m * moved,
            torch.softmax(self.weight_logits + weights, dim=1),
            torch.sigmoid(self.albedo_logits + albedo),
        )

    def _spread(self, values: Tensor, level: int) -> Tensor:
        """Values [N,C] of the vertices before a pass on all, as the means of the edges' ends that later ones lie between."""
        if level == len(self.passes):
            return values
        fine = values.new_empty(self.counts[-1], values.shape[1])
        fine[: len(values)] = values
        for start, ends in zip(self.counts[level:-1], self.passes[level:], strict=True):
            added = fine.index_select(0, ends[0]).add_(fine.index_select(0, ends[1])).mul_(0.5)
            fine[start : start + ends.shape[1]] = added
        return fine

    @torch.inference_mode()
    def picture(self, mesh: ViewMesh, camera: Camera, light: ViewLight, neural: bool) -> Picture:
        assert mesh.albedo is not None and mesh.condition is not None
        view = self.raster.see(mesh.vertices, camera)
        lit = mesh.albedo * light.on(mesh.normals) if self.sky is None else self.sky(mesh, camera, light.turn)
        shaded = linear_to_srgb(surface_values(view, lit, self.raster.faces))
        if neural:
            shaded = self.renderer(view, mesh, camera, shaded)
        return self.raster.compose(view, shaded)
