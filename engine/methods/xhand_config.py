"""What an XHand training is told, as one tree of frozen dataclasses, and the presets.

The paper's constants (Gan et al. 2024, section IV-B): Adam at 5e-4; λ = ω = 0.8; α1 = 10 (mask), α2 = 1e5 (edges), α3 = 1e4
(displacement); part-aware Laplacian of albedo with its threshold at the first quartile and weights 0.1 and 1, of displacement at
the median with 0.1 and 20; codes of 10, 10, 10 and 20 numbers; 500 epochs of embeddings, then 500 with the renderer, on 50
moments and 20 views: 350,000 steps. Its sums depend on the numbers of pixels and vertices, and its masks were the hand model's
own outline, so its published code leaves that term out (its weight is 0). Here every term is a mean in a stated unit, masks are
true and pull strongly, and rates and weights were found for runs that are a hundred times shorter.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from ..errors import InputError
from ..fields.feature_embedding import EmbeddingConfig
from ..fields.neural_renderer import RendererConfig
from .xhand_model import XHandNetworks


@dataclass(frozen=True)
class XHandWeights:
    """Of the energy's terms (eqs. 13-19)."""

    absolute: float = 0.8
    """λ and ω: share of the absolute difference; the rest is structure (SSIM)."""
    photo: float = 3.0
    """Three tenths of the mask's: what the light cannot say (glints, light between fingers) would else bend the mesh."""
    mask: float = 10.0
    """α1, of the mean difference of coverage and true mask per pixel of hand."""
    displacement_laplacian: float = 2.0
    """Per millimetre."""
    displacement_quantile: float = 0.5
    displacement_gentle: float = 0.1
    """γ1 over γ2: weight below the threshold, as a share of the one above (the paper's 0.1 over 20 is 0.005)."""
    albedo_laplacian: float = 0.3
    albedo_quantile: float = 0.25
    albedo_gentle: float = 0.1
    part_aware: bool = True
    """Whether the threshold is used; without, all vertices weigh alike (the ablation "w/o L_pLap")."""
    edge: float = 1.0
    """α2, per squared millimetre."""
    displacement: float = 0.002
    """α3, per squared millimetre."""
    skinning: float = 10.0
    """Of the mean squared change of the skinning weights."""
    pose_displacement: float = 0.01
    """Of what the pose adds, per squared millimetre: keeps in the mean what all poses share."""
    pose_albedo: float = 0.1
    """The same of albedo, per square of it."""
    tone: float = 0.1
    """Of the squared difference of the mean albedo from plain skin: nothing else tells bright skin from bright light."""


@dataclass(frozen=True)
class XHandRates:
    """Adam's, at the start."""

    networks: float = 2e-3
    outputs: float = 2e-4
    """Of the networks' last layers, each of whose steps moves all vertices."""
    codes: float = 2e-3
    renderer: float = 5e-3
    """Of the neural renderer and its codes, which begin when the others' rates have fallen already."""
    displacement_means: float = 1e-2
    albedo_means: float = 2e-2
    skinning_means: float = 1e-2
    light: float = 5e-3
    """Of harmonics' coefficients."""
    sky: float = 3e-2
    """Of the logarithms of a sky's radiance, and of its gloss."""
    final: float = 0.1
    """Of all, at the end of the run, as a factor; reached along half a cosine."""


@dataclass(frozen=True)
class XHandStage:
    """One of the training's three steps."""

    steps: int
    shrink: tuple[int, ...]
    """Pictures at 1/shrink of their size; the steps are shared evenly between these."""


@dataclass(frozen=True)
class XHandConfig:
    """A training."""

    vertices: int
    networks: XHandNetworks
    initial: XHandStage
    """Means and light on a few moments, by inverse rendering."""
    embedding: XHandStage
    """The feature embeddings, on all."""
    rendering: XHandStage
    """The embeddings and the neural renderer."""
    views: int = 4
    """Of one moment in a step, which works the mesh out once."""
    loop_levels: int = 1
    initial_moments: int = 6
    still_share: float = 0.25
    """Of the first step's, before the mesh moves: skin and light alone."""
    displaced: bool = True
    """Whether shape and skinning are learned; without, skin and light alone (constant skin: the paper's "MANO with albedo")."""
    shared_light: bool = True
    """One light for all cameras; else one each."""
    weights: XHandWeights = field(default_factory=XHandWeights)
    rates: XHandRates = field(default_factory=XHandRates)
    checkpoint_s: float = 60.0
    preview_steps: int = 100
    seed: int = 0

    @property
    def steps(self) -> int:
        return self.initial.steps + self.embedding.steps + self.rendering.steps


def networks_of(
    displacement: tuple[int, int],
    skinning: tuple[int, int],
    albedo: tuple[int, int],
    renderer: tuple[int, int],
    mirrored: bool = True,
    sky: int = 256,
) -> XHandNetworks:
    """Networks of given (depth, width), with the project's weighing of joints for shape and skinning, and its light."""
    return XHandNetworks(
        EmbeddingConfig(*displacement, local=True),
        EmbeddingConfig(*skinning, local=True),
        EmbeddingConfig(*albedo),
        RendererConfig(*renderer, mirrored=mirrored),
        sky=sky,
    )


PRESETS = {
    "draft": XHandConfig(
        26_000,
        networks_of((4, 64), (3, 32), (4, 64), (4, 64)),
        XHandStage(100, (4, 2)),
        XHandStage(220, (2,)),
        XHandStage(500, (2, 2, 2, 1)),
    ),
    "standard": XHandConfig(
        50_000,
        networks_of((6, 128), (4, 64), (5, 128), (6, 128)),
        XHandStage(400, (4, 2)),
        XHandStage(4_000, (2, 1)),
        XHandStage(4_000, (2, 1)),
        rates=XHandRates(networks=1e-3, codes=1e-3, renderer=2e-3),
    ),
    "paper": XHandConfig(
        50_000,
        networks_of((8, 512), (5, 128), (5, 128), (8, 256), mirrored=False, sky=0),
        XHandStage(1_000, (4, 2, 1)),
        XHandStage(60_000, (2, 1)),
        XHandStage(60_000, (1,)),
        views=8,
        rates=XHandRates(networks=5e-4, codes=5e-4, renderer=5e-4),
    ),
}
"""draft: to judge on two cores within twenty minutes; standard: hours; paper: its networks, for a graphics card."""

ABLATIONS = ("displaced", "pose_dependent", "feature_embedding", "part_aware", "positional_encoding", "sky")


def preset(name: str) -> XHandConfig:
    """A preset by its name. Raises InputError for an unknown one."""
    if name not in PRESETS:
        raise InputError(f"quality {name!r} is unknown: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def without(config: XHandConfig, *names: str) -> XHandConfig:
    """The training without some of ABLATIONS, as the paper's table III. Raises InputError for an unknown name.

    displaced: the hand model's own shape; pose_dependent: constant shape and skin; feature_embedding: networks give features
    without mean and mapping; part_aware: all vertices are smoothed alike; positional_encoding: the renderer sees place and
    direction as they are; sky: the paper's nine harmonics, without shadows and gloss.
    """
    networks = config.networks
    for name in names:
        if name == "displaced":
            config = dataclasses.replace(config, displaced=False)
        elif name == "pose_dependent":
            networks = dataclasses.replace(networks, pose_dependent=False)
        elif name == "feature_embedding":
            parts = {part: getattr(networks, part) for part in ("displacement", "skinning", "albedo")}
            bare = {part: dataclasses.replace(value, mapped=False) for part, value in parts.items()}
            networks = dataclasses.replace(networks, **bare)
        elif name == "positional_encoding":
            plain = dataclasses.replace(networks.renderer, encoded=False)
            networks = dataclasses.replace(networks, renderer=plain)
        elif name == "sky":
            networks = dataclasses.replace(networks, sky=0)
        elif name == "part_aware":
            config = dataclasses.replace(config, weights=dataclasses.replace(config.weights, part_aware=False))
        else:
            raise InputError(f"ablation {name!r} is unknown: choose of {', '.join(ABLATIONS)}")
    return dataclasses.replace(config, networks=networks)
