"""What PALM-Net's personalisation can be told, as one frozen dataclass, and its three qualities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..rendering.render_config import RenderConfig
from ..training.config import LearningRates, LossWeights
from ..training.sampling import PixelSampling
from ..training.schedules import Schedule

PAPER_STEPS = 5_200
QUALITIES = ("draft", "standard", "paper")


@dataclass(frozen=True)
class PersonaliseConfig:
    """One personalisation (PALM, equation 16; supplement 4 and table 1).

    Raises ValueError where stages or numbers do not fit together.
    """

    steps: int = PAPER_STEPS
    shape_until: int = 1_500
    """Steps in which the shape code moves; from then on it is frozen."""
    physical_from: int = 2_000
    """From this step on pictures are also rendered physically and the light moves; not before the shape is frozen."""
    warm_up: int = 1_000
    """Steps in which the learning rates rise from 1 % to 100 %."""
    weights: LossWeights = field(default_factory=lambda: LossWeights(normal_start=0.0, normal_end=0.0, eikonal=0.0))
    rates: LearningRates = field(default_factory=LearningRates)
    """`slow`: the codes'; `networks`: the light's."""
    render: RenderConfig = field(default_factory=RenderConfig)
    """Of rays whose hand is known; light_rows × light_columns directions of light."""
    pixels: PixelSampling = field(default_factory=PixelSampling)
    """Rays of one draw from one photo."""
    draws: int = 1
    """Draws that make a batch (the paper: 8 copies of the photo); they go round the photos."""
    batches: int = 24
    """Different batches of rays, each encoded once; a step takes one, and all are taken before any comes again."""
    photo_px: int = 512
    """Longer side of the hand in the photo that rays are taken from, at most: patches are as wide as they are in pixels."""
    physical_rays: int = 512
    """Of a batch, on the mask, that are also rendered physically."""
    physical_points: int = 4
    """Points along each of them whose material and normal are shaded, at even quantiles of the ray's weight."""
    bounce_every: int = 8
    """Visits of a batch from one refresh of the light that skin throws on skin to the next, on the encoded path."""
    shadow_grid_m: float = 0.002
    """Metres between the points at which the encoded path asks the fields for the distances that shadow rays need; 0: they ask
    the fields themselves, which takes several times as long."""
    shell_m: float = 0.0005
    """Metres: the least width of the shell in which the candidates for a ray's samples lie while the shape moves. They reach
    three to four times as far to both sides of the hand as it is when they are placed."""
    shell_samples: int = 8
    """Inserted on each ray for that, besides the lattice's."""
    shell_moves_m: float = 0.0006
    """Metres: where the visible surface has moved as far, root mean square, the candidates are placed anew, around the hand as it
    is then. From 2 mm on they would miss it."""
    shape_from_betas: bool = True
    """The shape code starts as the prior's people of the photo's betas have it (`palm_beliefs`), or else at the mean (paper)."""
    physical_alone: bool = True
    """Once pictures are rendered physically, the radiance field's no longer counts: it knows one light only, and would have
    skin make up for the photo's being another. The paper keeps both."""
    belief: float = 3e-4
    """Weight of unusual skin and light (`palm_beliefs`); the paper has none."""
    curvature_samples: int = 512
    """Of each batch's samples, at which the curvature term looks."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.shape_until <= self.physical_from:
            raise ValueError(
                f"the shape must be frozen (step {self.shape_until}) when physical rendering begins (step {self.physical_from})"
            )
        for name in (
            "steps",
            "draws",
            "batches",
            "physical_rays",
            "physical_points",
            "bounce_every",
            "shell_samples",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.shadow_grid_m < 0:
            raise ValueError("shadow_grid_m must not be negative")
        if self.belief < 0:
            raise ValueError("belief must not be negative")
        if min(self.shell_m, self.shell_moves_m, self.curvature_samples) <= 0 or self.warm_up < 0:
            raise ValueError("shell_m, shell_moves_m and curvature_samples must be positive, and warm_up not negative")
        if self.pixels.scattered < 1 and self.pixels.patch_px < 1:
            raise ValueError("a draw without scattered rays and without a patch has no rays")

    @property
    def schedule(self) -> Schedule:
        """The learning rates' warm-up as shared training code takes it."""
        return Schedule(total_steps=self.steps, warm_up=self.warm_up / self.steps)

    @property
    def shell_render(self) -> RenderConfig:
        """How samples are placed around the mean hand."""
        return replace(self.render, importance_rounds=2, importance_samples=(self.shell_samples + 1) // 2)


def with_steps(config: PersonaliseConfig, steps: int) -> PersonaliseConfig:
    """The same run in another number of steps: stages keep their shares, and rates grow as steps become fewer."""
    share = steps / config.steps
    rates = replace(config.rates, slow=config.rates.slow / share, networks=config.rates.networks / share)
    return replace(
        config,
        steps=steps,
        shape_until=round(config.shape_until * share),
        physical_from=round(config.physical_from * share),
        warm_up=round(config.warm_up * share),
        rates=rates,
    )


def published_energy(config: PersonaliseConfig) -> PersonaliseConfig:
    """The same run with nothing but equation 16 as it is published."""
    return replace(config, shape_from_betas=False, physical_alone=False, belief=0.0)


def palm_quality(name: str) -> PersonaliseConfig:
    """ "paper": its energy, rays and samples; "standard": its steps, fewer rays and samples a step; "draft": an eighth of these.

    Raises ValueError for another name.
    """
    if name == "paper":
        return published_energy(
            PersonaliseConfig(
                pixels=PixelSampling(scattered=3, patch_px=32, patch_strides=(1, 2, 4)),
                draws=8,
                batches=8,
                physical_rays=8 * 1_027,
            )
        )
    if name == "standard":
        return PersonaliseConfig(
            pixels=PixelSampling(scattered=64, patch_px=24, patch_strides=(1, 2, 4), box_margin_px=8),
            render=RenderConfig(importance_rounds=1, importance_samples=8, weight_cutoff=1e-3),
            photo_px=320,
            physical_points=2,
            curvature_samples=256,
        )
    if name == "draft":
        standard = palm_quality("standard")
        pixels = replace(standard.pixels, scattered=48, patch_px=16)
        return with_steps(replace(standard, pixels=pixels, batches=16, physical_rays=192), 650)
    raise ValueError(f"quality {name!r} is none of {', '.join(QUALITIES)}")
