"""PALM-Net's personalisation of a prior to photos of one hand (PALM, equation 16).

The prior's weights stay as they are. What moves is the shape code and the appearance code, on the prior's principal axes and
from their mean on, and the light: first both codes by the radiance field's picture, then the appearance alone, then appearance
and light by the physically based picture as well. `begin_direct` and `begin_encoded` work the same energy out: the one asks the
fields at every step, the other encodes once what no step changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import CaptureError, PalmError
from ..fields.conditions import Conditions
from ..hand.model import HandModel
from ..progress import Progress, silent, sub_progress
from ..training.optimiser import take_step
from ..training.perceptual import PerceptualTerm, pyramid_l1
from ..training.prior_file import Prior
from .palm_config import PersonaliseConfig
from .palm_direct import begin_direct
from .palm_encoded import begin_encoded
from .palm_hands import PosedPrior, Unknowns, first_unknowns, pose_prior, with_raw_codes
from .palm_objective import Evaluator, PalmStage, enter_stage, stage_at
from .palm_photo import PalmPhoto, cropped_photo
from .palm_placement import fixed_samples, movement, surface_metric
from .palm_rays import RayPlan, plan_rays

PATHS = ("encoded", "direct", "renewed")
PROGRESS_EVERY = 10
"""Steps from one report to the next."""
PREVIEWS = 6
"""Looks at the hand in one run."""
POSING_SHARE = 0.03
"""Of the whole, that posing the prior takes."""
RADIANCE_STEPS, LIGHT_STEPS_PER_RAY = 3.0, 0.08
"""Steps that take as long as encoding a batch; as the light on one of its physical rays."""
UNSOUND_STEPS = 10
"""Steps without a finite gradient in a row, after which a personalisation gives up. Such steps move nothing."""


Look = Callable[[PosedPrior, Unknowns], Path | None]
"""Shows the hand as it is now; the path of the picture that it wrote. Must leave the unknowns as they are."""


def no_look(posed: PosedPrior, unknowns: Unknowns) -> None:
    """Shows nothing."""


class PersonalisationError(PalmError):
    """A personalisation cannot go on."""


class PersonalHand(NamedTuple):
    """A prior fitted to a hand."""

    posed: PosedPrior
    """The prior's fields in the photos' poses."""
    unknowns: Unknowns
    """As found; they want no gradient."""
    losses: dict[str, Tensor]
    """[steps] of each term, unweighted, and of their weighted sum "total"; NaN at steps at which a term is off."""

    @property
    def conditions(self) -> Conditions:
        """Of the photos' hands, with the codes found."""
        return self.posed.conditions(self.unknowns)


def personalize_prior(
    prior: Prior,
    photos: Sequence[PalmPhoto],
    model: HandModel,
    config: PersonaliseConfig | None = None,
    path: str = "encoded",
    perceptual: PerceptualTerm = pyramid_l1,
    progress: Progress = silent,
    look: Look = no_look,
    raw_codes: bool = False,
) -> PersonalHand:
    """Fit a prior to one photo of a hand or several, on the photos' device.

    photos: of one hand in one light (their worlds are one, `world_to_camera` tells the cameras apart); model: the right hand,
    not subdivided, that photos and prior were made with. path: "encoded"; "direct", the same energy without encoding; "renewed",
    the direct path with samples and light directions drawn anew at every step, as published. look: called `PREVIEWS` times, and
    what it writes goes to progress. raw_codes: the codes are sought themselves and not on principal axes (`with_raw_codes`).
    The result depends on the other arguments alone (config.seed included). Raises PriorError for a prior of another hand model,
    or without principal axes; CaptureError where no ray of a photo meets the hand or a mask is empty; Cancelled from progress;
    PersonalisationError; ValueError for an unknown path.
    """
    config = config or PersonaliseConfig()
    if path not in PATHS:
        raise ValueError(f"no path is called {path!r}; there are {', '.join(PATHS)}")
    progress(0.0, "posing the prior")
    photos = [cropped_photo(photo, config.photo_px) for photo in photos]
    posed = pose_prior(prior, model, photos, config.render.band_m)
    posed = with_raw_codes(posed) if raw_codes else posed
    unknowns = first_unknowns(posed, prior.light, posed.beliefs.shape if config.shape_from_betas else None)
    plans = plan_rays(photos, config, posed.root)
    check_rays(posed, plans, unknowns, config)
    here = sub_progress(progress, POSING_SHARE, 1.0)
    losses = minimise(posed, plans, unknowns, config, path, perceptual, here, look)
    for value in unknowns:
        value.requires_grad_(False)
    return PersonalHand(posed, unknowns, losses)


def minimise(
    posed: PosedPrior,
    plans: Sequence[RayPlan],
    unknowns: Unknowns,
    config: PersonaliseConfig,
    path: str = "encoded",
    perceptual: PerceptualTerm = pyramid_l1,
    progress: Progress = silent,
    look: Look = no_look,
) -> dict[str, Tensor]:
    """All steps; moves the unknowns and returns the losses, as `PersonalHand.losses`. Raises as `personalize_prior`."""
    optimiser = make_optimiser(unknowns, config)
    evaluate: Evaluator | None = None
    before: PalmStage | None = None
    metric, placed_at = unknowns.shape.new_zeros(()), unknowns.shape.detach().clone()
    history: list[dict[str, Tensor]] = []
    unsound = 0
    for step in range(config.steps):
        stage = stage_at(step, config)
        far = stage == before and stage.shape and movement(metric, unknowns.shape - placed_at) > config.shell_moves_m
        if evaluate is None or stage != before or (far and path != "renewed"):
            enter_stage(unknowns, stage)
            evaluate = None  # what was kept goes before the next comes
            done = work_done(step, config, path)
            here = sub_progress(progress, done if stage == before else work_done(step, config, path, False), done)
            evaluate = begin(path, posed, plans, stage, unknowns, config, perceptual, here)
            before, placed_at = stage, unknowns.shape.detach().clone()
            metric = surface_metric(posed, plans[0], unknowns, config)
        energy = evaluate(unknowns, step)
        energy.total.backward()
        norm = take_step(optimiser, step, config.schedule, config.rates, config.rates.gradient_clip)
        unsound = 0 if norm < float("inf") else unsound + 1
        if unsound == UNSOUND_STEPS:
            raise PersonalisationError(
                f"the last {UNSOUND_STEPS} steps before step {step + 1} had gradients that are no numbers: "
                "try another seed, or another prior"
            )
        history.append(energy.terms | {"total": energy.total.detach()})
        shown = look(posed, unknowns) if (step + 1) % max(1, config.steps // PREVIEWS) == 0 else None
        if step % PROGRESS_EVERY == 0 or step + 1 == config.steps or shown is not None:
            done = work_done(step + 1, config, path, False)
            progress(done, f"step {step + 1} of {config.steps}: {stage.title}", preview=shown)
    return gathered(history)


def work_done(steps: int, config: PersonaliseConfig, path: str, begun: bool = True) -> float:
    """Share of a run's work in [0,1] that so many steps take, with the encodings of the stages that began within them.

    begun: whether the encoding of a stage that begins with the next step is done too.
    """
    encodings: dict[int, float] = {}
    if path == "encoded":
        encodings[0] = encodings[config.shape_until] = config.batches * RADIANCE_STEPS
        encodings[config.physical_from] = config.batches * config.physical_rays * LIGHT_STEPS_PER_RAY
    within = {first: cost for first, cost in encodings.items() if first < config.steps}
    passed = sum(cost for first, cost in within.items() if first < steps or (begun and first == steps))
    return (steps + passed) / (config.steps + sum(within.values()))


def begin(
    path: str,
    posed: PosedPrior,
    plans: Sequence[RayPlan],
    stage: PalmStage,
    unknowns: Unknowns,
    config: PersonaliseConfig,
    perceptual: PerceptualTerm = pyramid_l1,
    progress: Progress = silent,
) -> Evaluator:
    """The energy on a path of `PATHS`, from these unknowns on for as long as the stage, or its samples, last."""
    if path == "encoded":
        return begin_encoded(posed, plans, stage, unknowns, config, perceptual, progress)
    sampling = "fixed" if path == "direct" else "renewed"
    return begin_direct(posed, plans, stage, unknowns, config, perceptual, sampling)


def make_optimiser(unknowns: Unknowns, config: PersonaliseConfig) -> torch.optim.Adam:
    """Adam as in the prior's training: the codes at the slow rate, the light at the networks'."""
    rates = config.rates
    groups: list[dict[str, Any]] = [
        {"params": [unknowns.shape, unknowns.appearance], "rate": rates.slow},
        {"params": [unknowns.light], "rate": rates.networks},
    ]
    return torch.optim.Adam(groups, lr=rates.networks, betas=rates.betas, eps=rates.epsilon)


def check_rays(posed: PosedPrior, plans: Sequence[RayPlan], unknowns: Unknowns, config: PersonaliseConfig) -> None:
    """Raise CaptureError where no ray on the mask meets the posed hand."""
    for number, plan in enumerate(plans):
        ray = fixed_samples(posed, plan, unknowns, config, number).intervals.ray
        if bool((plan.batch.inside[ray] > 0).any()):
            return
    raise CaptureError(
        "no ray through the mask meets the fitted hand: the capture's pose and mask are of different places; capture it again"
    )


def gathered(history: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """[steps] of every term that ever was on, NaN where it was off."""
    names = dict.fromkeys(name for terms in history for name in terms)
    off = torch.tensor(torch.nan)
    return {name: torch.stack([terms.get(name, off).float().cpu() for terms in history]) for name in names}
