"""What the training of a prior can be told, as one tree of frozen dataclasses, and its two presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from ..fields.config import OFFICIAL, OPEN, FieldsConfig
from ..rendering.render_config import RenderConfig
from .sampling import PixelSampling
from .schedules import Schedule


@dataclass(frozen=True)
class LossWeights:
    """PALM, supplement, table 1."""

    radiance: float = 1.0
    physical: float = 0.2
    mask: float = 0.1
    perceptual: float = 0.1
    normal_start: float = 0.5
    normal_end: float = 0.1
    eikonal: float = 1e-5
    curvature: float = 0.1
    latent: float = 1e-3
    anchor: float = 0.0
    """Of the pre-training's distances, in millimetres squared: holds the geometry in poses that no picture shows (ours)."""


@dataclass(frozen=True)
class LearningRates:
    """Of Adam, per part. The paper prints 1e-4 for the slow parts, its code has 5e-4; this is the code's."""

    networks: float = 1e-3
    """Radiance, material and the light."""
    density: float = 1e-3
    """The width of the density's shell, in metres: a larger rate than the width itself keeps outlines soft."""
    slow: float = 5e-4
    """Geometry, pose encoder, codes."""
    radiance_decay: float = 1e-4
    """Weight decay of the radiance grid."""
    betas: tuple[float, float] = (0.9, 0.99)
    epsilon: float = 1e-15
    gradient_clip: float = 0.5


@dataclass(frozen=True)
class PretrainConfig:
    """Fitting the geometry to the hand model's signed distance before any picture is seen."""

    steps: int = 30_000
    poses: int = 256
    """Frames of the data whose shape and pose correctives are fitted, at most."""
    random_poses: int = 0
    """Poses within the model's limits that are fitted besides the data's: few data leave most poses open (ours)."""
    points_per_pose: int = 45_056
    """9/10 near the surface, 1/10 anywhere (published code: 40,960 + 4,096)."""
    batch: int = 16_384
    rate: float = 5e-4
    eikonal: float = 1e-5
    scale: float = 1e4


@dataclass(frozen=True)
class KnownSurfaceConfig:
    """Fitting radiance and material at known surface points, and holding them there."""

    steps: int = 0
    """Of the fit before pictures are rendered; 0 leaves all of it out."""
    points_per_frame: int = 2_048
    """Kept of each picture, at most."""
    batch: int = 16_384
    rate: float = 5e-3
    """Of the networks and the grid; a tenth of it for the codes. It falls to a twentieth."""
    roughness: float = 0.5
    """Weight of the roughness beside the albedo."""
    latent: float = 1e-3
    held_weight: float = 1.0
    """Of the same terms while rendering trains."""
    held_points: int = 2_048
    """A step, then."""
    last_steps: int = 1_500
    """Of the fit once more when rendering has trained everything: noise of rays has blurred the skin by then."""
    last_rate: float = 1e-3


@dataclass(frozen=True)
class KnownGeometryConfig:
    """Fitting the finished geometry to the hand model's surface once more, normals included (ours)."""

    steps: int = 0
    """0 leaves it out."""
    points_per_pose: int = 2_048
    batch: int = 8_192
    rate: float = 2e-3
    normal: float = 50.0
    """Weight of 1 − cosine beside squared millimetres."""
    eikonal: float = 0.1


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    fields: FieldsConfig
    render: RenderConfig
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    known: KnownSurfaceConfig = field(default_factory=KnownSurfaceConfig)
    """Of sets that know their skin (ours); off unless it has steps."""
    last_geometry: KnownGeometryConfig = field(default_factory=KnownGeometryConfig)
    """After the last step, before the skin is fitted again."""
    schedule: Schedule = field(default_factory=Schedule)
    pixels: PixelSampling = field(default_factory=PixelSampling)
    physical_rays: int = 1_027
    """Of each image, on the mask, that are also rendered physically; light samples a ray: `render`."""
    weights: LossWeights = field(default_factory=LossWeights)
    rates: LearningRates = field(default_factory=LearningRates)
    images_per_step: int = 128
    subdivision: int = 2
    """Of the hand model: two rounds for MANO's 778 vertices, one for the open hand's."""
    smooth_template: bool = True
    """Once after subdivision, as the published priors were trained."""
    loop_surface: bool = False
    """Distances and known surfaces are of the hand refined by Loop's scheme, as data sets are rendered here (ours)."""
    grid_backend: str = "warp"
    """What works out the hash grids' features: "warp" or, on CUDA, "tinycudann"."""
    light_lobes: int = 64
    anchor_points: int = 1_024
    """A step, where the anchor has a weight."""
    checkpoint_every: int = 1_000
    preview_every: int = 1_000
    validate_every: int = 4_000
    seed: int = 42
    vgg16_weights: Path | None = None
    """torchvision's VGG-16 for the perceptual term; None takes the pyramid."""
    lpips_weights: Path | None = None
    """LPIPS's own weights besides: then the term is LPIPS, as in the paper."""


def training_config(name: str) -> TrainConfig:
    """`official`: the paper's run, for a row of large GPUs. `open`: small fields and a short run, for any data and a CPU.

    `cohort`: the bundled prior's: the small fields, hundreds of synthetic people whose skin is known.
    """
    if name == "official":
        return TrainConfig(fields=OFFICIAL, render=RenderConfig())
    if name == "open":
        return TrainConfig(
            fields=OPEN,
            render=RenderConfig(
                importance_rounds=1, importance_samples=8, weight_cutoff=1e-3, light_rows=4, light_columns=8
            ),
            pretrain=PretrainConfig(
                steps=800, poses=24, random_poses=72, points_per_pose=8_192, batch=4_096, rate=5e-3
            ),
            weights=LossWeights(anchor=0.02),
            schedule=Schedule(total_steps=1_200, fall=0.6, final_rate=0.05),
            pixels=PixelSampling(scattered=96, patch_px=16, patch_strides=(1, 2, 4), patch_every=4, box_margin_px=8),
            physical_rays=24,
            rates=LearningRates(networks=5e-3, density=3e-5, slow=1e-3),
            images_per_step=4,
            subdivision=1,
            smooth_template=False,
            light_lobes=32,
            checkpoint_every=200,
            preview_every=400,
            validate_every=1_200,
        )
    if name == "cohort":
        small = training_config("open")
        return replace(
            small,
            pretrain=replace(small.pretrain, steps=5_000, poses=512, random_poses=256, batch=8_192),
            known=KnownSurfaceConfig(steps=5_000, batch=8_192),
            last_geometry=KnownGeometryConfig(steps=2_500),
            # what is known lets the stages begin early: there is little left that rendering has to find
            schedule=replace(small.schedule, total_steps=3_000, importance=0.0, geometry=0.02, physical=0.3),
            loop_surface=True,
            checkpoint_every=250,
            preview_every=500,
            validate_every=2_000,
        )
    raise ValueError(f"no training configuration is called {name!r}")


def with_steps(config: TrainConfig, steps: int) -> TrainConfig:
    """The same run over another number of steps: every stage keeps its share, and so does what comes after the last step."""
    share = min(steps / config.schedule.total_steps, 1.0)
    return replace(
        config,
        schedule=replace(config.schedule, total_steps=steps),
        known=replace(config.known, last_steps=round(config.known.last_steps * share)),
        last_geometry=replace(config.last_geometry, steps=round(config.last_geometry.steps * share)),
    )
