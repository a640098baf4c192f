"""XHand's training, step by step (Gan et al. 2024, section III-C): means and light; feature embeddings; neural renderer.

Every step looks at one moment from a few views, so the mesh is worked out once for all of them. What a step does follows from
its number and the seed alone: a training that goes on from a checkpoint comes to what an uninterrupted one comes to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..rendering.mesh import Picture, compose
from ..spacing import evenly
from ..training.checkpoint import TrainingState
from .adam import cosine_fall
from .losses import uniform_laplacian
from .xhand_config import XHandConfig, XHandStage
from .xhand_light import start_light
from .xhand_losses import mask_energy, photo_energy, regularity
from .xhand_means import MeanOffsets, mean_of, new_offsets, settle, spreading
from .xhand_model import FIRST_ALBEDO, Features, Means, Posed, RestPose, XHandModel
from .xhand_pictures import HandPictures, Target

PARTS = ("displacement", "skinning", "albedo")
TITLES = ("finding skin and light", "learning how the skin follows the pose", "learning to render")


class Step(NamedTuple):
    """What is done at one step."""

    stage: int
    """0, 1, 2 as in TITLES."""
    moment: int
    cameras: tuple[str, ...]
    shrink: int
    still: bool
    """Whether the mesh rests."""


def plan(config: XHandConfig, pictures: HandPictures) -> list[Step]:
    """All steps of a training."""
    generator = torch.Generator().manual_seed(config.seed)
    everyone = tuple(range(len(pictures.moments)))
    first = first_moments(config, pictures)
    steps: list[Step] = []
    for stage, (part, moments) in enumerate(
        ((config.initial, first), (config.embedding, everyone), (config.rendering, everyone))
    ):
        order: list[int] = []
        for number in range(part.steps):
            if not order:
                order = [moments[k] for k in torch.randperm(len(moments), generator=generator).tolist()]
            moment = order.pop()
            known = list(pictures.views[moment])
            drawn = torch.randperm(len(known), generator=generator).tolist()[: config.views]
            still = stage == 0 and number < config.still_share * part.steps
            cameras = tuple(known[k] for k in drawn)
            steps.append(Step(stage, moment, cameras, _shrink(part, number), still))
    return steps


def first_moments(config: XHandConfig, pictures: HandPictures) -> tuple[int, ...]:
    """Indices of the moments that the first step looks at."""
    return evenly(range(len(pictures.moments)), config.initial_moments, ends=True)


def _shrink(stage: XHandStage, number: int) -> int:
    return stage.shrink[number * len(stage.shrink) // max(stage.steps, 1)]


class Training:
    """A model on its way: what is learned besides its own parameters, and the optimiser."""

    def __init__(self, model: XHandModel, pictures: HandPictures, config: XHandConfig):
        self.model, self.pictures, self.config = model, pictures, config
        self.plan = plan(config, pictures)
        self.done = 0
        self.table = uniform_laplacian(model.topology.edges, len(model.rest_vertices))
        self.ways = spreading(model.source)
        self.first = {name: getattr(model, name).mean.detach().clone() for name in PARTS}
        self.offsets: dict[str, MeanOffsets] = {
            name: new_offsets(self.first[name], self.ways) for name in PARTS if getattr(model, name).config.mapped
        }
        start_light(model, pictures, first_moments(config, pictures))
        with torch.no_grad():
            self.rests: list[RestPose] = [model.rest_pose(*moment[1:]) for moment in pictures.moments]
        self.optimiser = torch.optim.Adam(self._groups(), lr=1e-3, fused=True)

    def _groups(self) -> list[dict[str, Any]]:
        rates, model = self.config.rates, self.model
        networks: list[Tensor] = []
        outputs: list[Tensor] = []
        codes: list[Tensor] = []
        for name in PARTS:
            part = getattr(model, name)
            part.mean.requires_grad_(False)
            codes.append(part.latent)
            outputs += part.out.parameters()
            known = {"mean", "latent", "out.weight", "out.bias"}
            networks += [value for key, value in part.named_parameters() if key not in known]
        groups: list[tuple[list[Tensor], float]] = [
            (networks, rates.networks),
            (outputs, rates.outputs),
            (codes, rates.codes),
            (list(model.renderer.parameters()), rates.renderer),
            ([model.light], rates.light if model.sky is None else rates.sky),
            ([] if model.sky is None else list(model.sky.parameters()), rates.sky),
        ]
        for name, rate in zip(PARTS, (rates.displacement_means, rates.skinning_means, rates.albedo_means), strict=True):
            if name in self.offsets:
                levels = self.offsets[name].levels
                # finer meshes have shorter edges, over which as large a step would be rougher
                groups += [([values], rate / 2**level) for level, values in enumerate(levels)]
        return [{"params": values, "rate": rate} for values, rate in groups]

    def means(self) -> Means:
        """As they are now."""
        return Means(**{name: mean_of(self.first[name], offsets, self.ways) for name, offsets in self.offsets.items()})

    def run(self) -> Iterator[Step]:
        """The steps that are left, each done when it is yielded."""
        while self.done < len(self.plan):
            step = self.plan[self.done]
            energy = self.energy(step)
            self.optimiser.zero_grad(set_to_none=True)
            energy.backward()
            self._move()
            self.done += 1
            yield step

    def _move(self) -> None:
        scale = cosine_fall(self.done, len(self.plan), self.config.rates.final)
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * scale
            for value in group["params"]:
                # one degenerate pixel must not cost the whole training
                if value.grad is not None:
                    torch.nan_to_num_(value.grad, nan=0.0, posinf=0.0, neginf=0.0)
        self.optimiser.step()

    def energy(self, step: Step) -> Tensor:
        """L_inv (eq. 14), and L_neu (eq. 19) in the last stage, of one moment."""
        model, weights = self.model, self.config.weights
        moment, rest = self.pictures.moments[step.moment], self.rests[step.moment]
        means = self._step_means(step)
        features = self._features(moment.hand_pose, means, step)
        posed = model.placed(rest, features)
        energy = regularity(model, rest, features, self.table, weights)
        energy = energy + weights.tone * tone(features.albedo) + self._offset_energy(features, means)
        matt = {light: model.shade(posed, model.light_of(light)) for light in self._lights(step.cameras)}
        for camera in step.cameras:
            target = self.pictures.views[step.moment][camera].target(step.shrink, posed.vertices)
            lit = matt[self._lights((camera,))[0]]
            energy = energy + self._view_energy(step, posed, lit, target, camera) / len(step.cameras)
        return energy

    def _step_means(self, step: Step) -> Means:
        means = self.means()
        if step.stage > 0:
            return means
        return Means(None, None, means.albedo) if step.still else means._replace(skinning=None)

    def _features(self, hand_pose: Tensor, means: Means, step: Step) -> Features:
        moves = None if step.stage > 0 or not self.offsets else False
        features = self.model.features(hand_pose, means, moves)
        if self.config.displaced:
            return features
        return Features(torch.zeros_like(features.displacement), self.model.template.skinning_weights, features.albedo)

    def _offset_energy(self, features: Features, means: Means) -> Tensor:
        """How much the pose adds to the means."""
        energy, weights = features.displacement.new_zeros(()), self.config.weights
        if means.displacement is not None:
            shift = features.displacement - self.model.networks.displacement_scale_m * means.displacement
            energy = energy + weights.pose_displacement * (1000 * shift).square().sum(1).mean()
        if means.albedo is not None:
            paint = features.albedo - torch.sigmoid(means.albedo)
            energy = energy + weights.pose_albedo * paint.square().sum(1).mean()
        return energy

    def _lights(self, cameras: tuple[str, ...]) -> tuple[str | None, ...]:
        """Names of the cameras' lights, each once; None for the one of all."""
        return tuple(dict.fromkeys(name if name in self.model.cameras else None for name in cameras))

    def _view_energy(self, step: Step, posed: Posed, matt: Tensor, target: Target, camera: str) -> Tensor:
        model, weights = self.model, self.config.weights
        view = model.view(posed, target.camera)
        shaded = model.shaded_points(view, matt + model.gloss(posed, model.light_of(camera), target.camera))
        picture = compose(view, model.topology, shaded)
        energy = self._photo(picture, target) + weights.mask * mask_energy(picture, target.mask, target.hand_px)
        if step.stage == 2:
            condition = model.condition(self.pictures.moments[step.moment].hand_pose)
            neural = model.neural_points(view, posed, target.camera, shaded, condition)
            # outlines belong to the mesh, which is not to be bent for this picture
            still = view._replace(screen=view.screen.detach())
            energy = energy + self._photo(compose(still, model.topology, neural), target)
        return energy

    def _photo(self, picture: Picture, target: Target) -> Tensor:
        weights = self.config.weights
        return weights.photo * photo_energy(picture.color, target.color, target.weight, target.hand_px, weights)

    def settle(self) -> None:
        """Write the learned means into the model."""
        means = self.means()
        settle(self.model, means if self.config.displaced else Means(albedo=means.albedo))

    def state(self, facts: dict[str, Any]) -> TrainingState:
        """All that is needed to go on."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items() if "mean" not in name}
        for name, offsets in self.offsets.items():
            tensors |= {f"offsets.{name}.{level}": value for level, value in enumerate(offsets.levels)}
        return TrainingState(self.done, tensors, self.optimiser.state_dict(), {}, facts)

    def restore(self, state: TrainingState) -> None:
        """Go on from a checkpoint of the same training. Raises CheckpointError where it is of another."""
        mine = self.state({}).tensors
        wrong = [n for n, value in mine.items() if n not in state.tensors or state.tensors[n].shape != value.shape]
        if wrong or not 0 <= state.step <= len(self.plan):
            raise CheckpointError(
                f"the checkpoint at step {state.step} is of another training: delete it to start anew"
            )
        with torch.no_grad():
            for name, value in mine.items():
                value.copy_(state.tensors[name])
        self.optimiser.load_state_dict(dict(state.optimiser))
        self.done = state.step


def tone(albedo: Tensor) -> Tensor:
    """Squared difference of the logarithms of mean brightness of albedo [V,3] and plain skin."""
    plain = sum(FIRST_ALBEDO) / 3
    return (albedo.mean().clamp_min(1e-4) / plain).log().square()
