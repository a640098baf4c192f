"""XHand's hand: a fine mesh whose displacement, skinning weights and albedo depend on the pose (Gan et al. 2024, section III).

Displacement lies in the rest frame, on top of the hand model's own pose correctives and before skinning (eq. 2). Colours are
linear; light is in world axes, nine spherical harmonics (eq. 11) or a sky of many directions whose shadows the hand casts on
itself; normals are the world's.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..fields.feature_embedding import POSE_NUMBERS, EmbeddingConfig, FeatureEmbedding, joint_relevance
from ..fields.neural_renderer import NeuralRenderer, RendererConfig
from ..fields.sky import Sky, radiance_along
from ..hand.mano import joint_transforms, pose_features, shape_hand, skin
from ..hand.rotations import axis_angle_to_matrix
from ..lighting.color import linear_to_srgb
from ..lighting.spherical_harmonics import sh_irradiance, sh_radiance
from ..rendering.mesh import MeshTopology, Picture, SurfaceView, compose, mesh_topology, see, surface_values
from ..rendering.sky_visibility import sky_visibility
from ..rendering.surface import vertex_normals
from .pose_range import PoseRange, clamp_pose, joints_outside
from .xhand_template import XHandTemplate, places_between

log = logging.getLogger(__name__)

FIRST_ALBEDO = (0.44, 0.27, 0.20)
"""Linear, of skin nobody has seen yet."""
SHARED = "shared"
"""Name of the one light where all cameras share it."""
LEAST_WEIGHT = 1e-6
"""Added to skinning weights before their logarithm."""


@dataclass(frozen=True)
class XHandNetworks:
    """Sizes of the networks; the paper's are displacement 8×512, weights and albedo 5×128, renderer 8×256."""

    displacement: EmbeddingConfig = field(default_factory=lambda: EmbeddingConfig(8, 512))
    skinning: EmbeddingConfig = field(default_factory=lambda: EmbeddingConfig(5, 128))
    albedo: EmbeddingConfig = field(default_factory=lambda: EmbeddingConfig(5, 128))
    renderer: RendererConfig = field(default_factory=RendererConfig)
    pose_dependent: bool = True
    """Without, displacement, weights and albedo are their means: the constant mesh to compare with."""
    sky: int = 0
    """Directions that light comes from; 0: nine harmonics without shadows and gloss, as the paper's."""
    displacement_scale_m: float = 0.01
    """Metres per unit of the displacement's features, so that they are of the networks' size."""


class Features(NamedTuple):
    """What a pose makes of the vertices."""

    displacement: Tensor
    """[V,3] metres in the rest frame."""
    skinning_weights: Tensor
    """[V,16], rows sum to 1."""
    albedo: Tensor
    """[V,3] linear, in [0,1]."""


class Means(NamedTuple):
    """Means in place of the model's own while they are learned, in the networks' units; None: the model's own."""

    displacement: Tensor | None = None
    """[V,3] in `displacement_scale_m`."""
    skinning: Tensor | None = None
    """[V,16] logits."""
    albedo: Tensor | None = None
    """[V,3] logits."""


class RestPose(NamedTuple):
    """What a pose makes of the hand model alone; kept by trainings, which see a pose many times."""

    vertices: Tensor
    """[V,3] metres: shaped, with the model's pose correctives, not skinned."""
    transforms: Tensor
    """[16,4,4] rest frame to world of each joint, global rotation and translation included."""
    visibility: Tensor | None = None
    """[C,D] bool: which directions of the sky the coarse hand's vertices see; None: all."""


class Posed(NamedTuple):
    vertices: Tensor
    """[V,3] metres, world."""
    normals: Tensor
    """[V,3] unit, world."""
    features: Features
    visibility: Tensor | None = None
    """[V,D] in [0,1]: see `RestPose`."""


class Camera(NamedTuple):
    intrinsics: Tensor
    """[3,3] px"""
    world_to_camera: Tensor
    """[4,4] metres, OpenCV axes."""
    height: int
    width: int


class XHandModel(nn.Module):
    """One person's hand."""

    light: Tensor

    def __init__(
        self,
        source: XHandTemplate,
        betas: Tensor,
        seen: PoseRange,
        networks: XHandNetworks | None = None,
        cameras: tuple[str, ...] = (SHARED,),
    ):
        """An untrained hand: the template in plain skin under an even light.

        source: of the hand's side (`build_template`); betas [≤10]; seen: range of the training poses; cameras: whose lights
        there are, (SHARED,) for one light. Random numbers are torch's global ones.
        """
        super().__init__()
        networks = networks or XHandNetworks()
        self.networks, self.cameras = networks, cameras
        self.source = source
        self.template = template = source.model
        self.topology: MeshTopology = mesh_topology(template.faces, template.uv, template.uv_faces)
        self.betas, self.pose_range = betas, seen
        self.rest_vertices, self.rest_joints = shape_hand(template, betas)
        points = self.rest_vertices
        relevance = joint_relevance(template.skinning_weights, template.parents)
        logits = torch.log(template.skinning_weights + LEAST_WEIGHT)
        skin_logit = torch.logit(points.new_tensor(FIRST_ALBEDO)).expand(len(points), 3)
        still = torch.zeros_like(points)
        self.displacement = FeatureEmbedding(still, points, relevance, networks.displacement)
        self.skinning = FeatureEmbedding(logits, points, relevance, networks.skinning)
        self.albedo = FeatureEmbedding(skin_logit, points, relevance, networks.albedo)
        codes = networks.displacement.latent + networks.albedo.latent
        self.renderer = NeuralRenderer(codes, POSE_NUMBERS, len(points), networks.renderer)
        self.sky = Sky(networks.sky) if networks.sky else None
        even = torch.zeros(len(cameras), networks.sky or 9, 3).to(points)  # of a sky: logarithms
        if not networks.sky:
            even[:, 0] = (4 * torch.pi) ** 0.5  # radiance 1 from everywhere: irradiance π
        self.light = nn.Parameter(even)
        self.between = places_between(source).to(points) if networks.sky else None
        self.coarse_faces = source.coarse.faces
        self._said: set[str] = set()
        self.to(points)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> XHandModel:
        super()._apply(fn, recurse)
        moved: dict[str, Any] = {
            item.name: fn(value)
            for item in dataclasses.fields(self.template)
            if isinstance(value := getattr(self.template, item.name), Tensor)
        }
        self.template = dataclasses.replace(self.template, **moved)
        self.topology = mesh_topology(self.template.faces, self.template.uv, self.template.uv_faces)
        self.betas, self.rest_vertices, self.rest_joints = map(fn, (self.betas, self.rest_vertices, self.rest_joints))
        self.coarse_faces = fn(self.coarse_faces)
        self.between = None if self.between is None else fn(self.between)
        self.pose_range = PoseRange(*map(fn, self.pose_range))
        return self

    def condition(self, hand_pose: Tensor) -> Tensor:
        """[45] what the networks see of a pose [45]: held in the range that was seen, divided by π."""
        return clamp_pose(hand_pose, self.pose_range) / torch.pi

    def features(self, hand_pose: Tensor, means: Means | None = None, pose_dependent: bool | None = None) -> Features:
        """The vertices' features in a pose [45], absolute axis-angle radians (eqs. 9, 10, 12).

        pose_dependent: by default the networks'; without, the means alone. Warns once of each joint that bends far beyond the
        poses seen.
        """
        self._warn(hand_pose)
        means = means or Means()
        condition = self.condition(hand_pose)
        moves = self.networks.pose_dependent if pose_dependent is None else pose_dependent
        return Features(
            self.networks.displacement_scale_m * self.displacement(condition, means.displacement, moves),
            torch.softmax(self.skinning(condition, means.skinning, moves), dim=1),
            torch.sigmoid(self.albedo(condition, means.albedo, moves)),
        )

    def mean_features(self) -> Features:
        """What the vertices have on average: the means alone."""
        return Features(
            self.networks.displacement_scale_m * self.displacement.mean,
            torch.softmax(self.skinning.mean, dim=1),
            torch.sigmoid(self.albedo.mean),
        )

    def rest_pose(self, hand_pose: Tensor, global_orient: Tensor, transl: Tensor, see_sky: bool = True) -> RestPose:
        """The hand model's own share of a pose: hand_pose [45], global_orient [3] radians, transl [3] metres.

        see_sky: whether it is worked out what of a sky is hidden, by rays against the coarse hand.
        """
        axis_angles = torch.cat([global_orient, hand_pose]).reshape(16, 3)
        rotations = axis_angle_to_matrix(axis_angles)
        basis = self.template.posedirs.reshape(-1, 135)
        corrected = self.rest_vertices + (basis @ pose_features(rotations)).reshape(-1, 3)
        transforms = joint_transforms(rotations, self.rest_joints, self.template.parents)
        shift = torch.nn.functional.pad(transl[:, None], (3, 0, 0, 1))
        transforms = transforms + shift
        return RestPose(corrected, transforms, self.seen_sky(corrected, transforms) if see_sky else None)

    @torch.no_grad()
    def seen_sky(self, corrected: Tensor, transforms: Tensor) -> Tensor | None:
        """[C,D] bool, see `RestPose`, of the hand model's own shape at rest [V,3]; None where light is harmonics."""
        if self.sky is None:
            return None
        count = len(self.source.coarse.v_template)
        coarse = skin(corrected[:count], transforms, self.template.skinning_weights[:count])
        return sky_visibility(coarse, self.coarse_faces, self.sky.directions)

    def placed(self, rest: RestPose, features: Features) -> Posed:
        """A pose with its features, skinned."""
        vertices = skin(rest.vertices + features.displacement, rest.transforms, features.skinning_weights)
        seen = None if rest.visibility is None or self.between is None else self.between @ rest.visibility.to(vertices)
        return Posed(vertices, vertex_normals(vertices, self.topology.faces), features, seen)

    def posed(
        self, hand_pose: Tensor, global_orient: Tensor, transl: Tensor, features: Features | None = None
    ) -> Posed:
        """The hand in a pose; features: the pose's own where None. See `rest_pose`."""
        rest = self.rest_pose(hand_pose, global_orient, transl)
        return self.placed(rest, self.features(hand_pose) if features is None else features)

    def light_of(self, camera: str | None = None) -> Tensor:
        """A camera's light; of one that has none, and of None, the mean of all. [9,3] harmonics, or a sky's radiance [D,3]."""
        lights = self.light if self.sky is None else self.light.exp()
        return lights[self.cameras.index(camera)] if camera in self.cameras else lights.mean(0)

    def radiance(self, light: Tensor, directions: Tensor) -> Tensor:
        """[*,3] linear, ≥ 0: what `light_of` a camera sends from unit world directions [*,3]."""
        if self.sky is None:
            return sh_radiance(light, directions).clamp_min(0)
        return radiance_along(light, self.sky.directions, directions)

    def shade(self, posed: Posed, light: Tensor) -> Tensor:
        """[V,3] linear colour ≥ 0 of matt skin under a light: albedo × irradiance / π (eq. 11), in a sky what is not hidden."""
        albedo = posed.features.albedo
        if self.sky is None:
            return albedo * (sh_irradiance(light, posed.normals) / torch.pi).clamp_min(0)
        return self.sky.matt(light, posed.normals, albedo, posed.visibility)

    def gloss(self, posed: Posed, light: Tensor, camera: Camera) -> Tensor:
        """[V,3] linear: what skin mirrors of a sky towards a camera; zeros under harmonics."""
        if self.sky is None:
            return torch.zeros_like(posed.vertices)
        rays = normalize(posed.vertices.detach() - eye_of(camera, posed.vertices), dim=1)
        return self.sky.gloss(light, posed.normals, rays, posed.visibility)

    def view(self, posed: Posed, camera: Camera) -> SurfaceView:
        """What a camera sees of the mesh."""
        matrix = camera.world_to_camera.to(posed.vertices)
        seen_from = posed.vertices @ matrix[:3, :3].T + matrix[:3, 3]
        return see(seen_from, self.topology, camera.intrinsics.to(posed.vertices), camera.height, camera.width)

    def picture(
        self,
        posed: Posed,
        camera: Camera,
        light: Tensor | None = None,
        neural: bool = False,
        hand_pose: Tensor | None = None,
    ) -> Picture:
        """The hand over black: color [H,W,3] sRGB-encoded (in [0,1] where neural), coverage [H,W].

        light: by default `light_of()`; neural: whether the neural renderer corrects the picture, for which it wants the
        hand_pose [45]. Differentiable in everything but visibility.
        """
        view = self.view(posed, camera)
        light = self.light_of() if light is None else light
        shaded = self.shaded_points(view, self.shade(posed, light) + self.gloss(posed, light, camera))
        if neural:
            if hand_pose is None:
                raise ValueError("the neural renderer wants the hand's pose")
            shaded = self.neural_points(view, posed, camera, shaded, self.condition(hand_pose))
        return compose(view, self.topology, shaded)

    def shaded_points(self, view: SurfaceView, shaded: Tensor) -> Tensor:
        """[P,3] sRGB-encoded colours of the visible points by inverse rendering; shaded [V,3] linear, gloss included."""
        return linear_to_srgb(surface_values(view, shaded, self.topology.faces))

    def neural_points(
        self, view: SurfaceView, posed: Posed, camera: Camera, shaded: Tensor, condition: Tensor
    ) -> Tensor:
        """[P,3] sRGB-encoded colours of the visible points by the neural renderer, from those of inverse rendering."""
        faces, eye = self.topology.faces, eye_of(camera, posed.vertices)
        known = torch.cat(
            [
                posed.vertices,
                posed.normals,
                posed.features.albedo,
                self.rest_vertices,
                self.displacement.latent,
                self.albedo.latent,
            ],
            dim=1,
        ).detach()
        fragments = view.fragments
        detached = view._replace(fragments=fragments._replace(barycentric=fragments.barycentric.detach()))
        points, normals, albedo, places, codes = surface_values(detached, known, faces).split(
            [3, 3, 3, 3, known.shape[1] - 12], dim=1
        )
        own = surface_values(detached, self.renderer.codes, faces)
        rays = normalize(points - eye, dim=1)
        return self.renderer(shaded, normalize(normals, dim=1), albedo, codes, own, places, rays, condition)

    @torch.no_grad()
    def _warn(self, hand_pose: Tensor) -> None:
        new = [name for name in joints_outside(hand_pose, self.pose_range) if name not in self._said]
        if new:
            self._said.update(new)
            log.warning(
                "%s bend farther than in any picture that the hand was learned from: its skin follows only so far",
                ", ".join(new),
            )


def eye_of(camera: Camera, like: Tensor) -> Tensor:
    """[3] metres, world: where a camera stands."""
    matrix = camera.world_to_camera.to(like)
    return -matrix[:3, :3].T @ matrix[:3, 3]
